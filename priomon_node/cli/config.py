"""The verb `config`: every setting with its value and where it was written."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import click

from priomon_node.settings import AgentSettings, flags, load, show
from priomon_node.settings_file import SettingsError


def load_or_exit(file: Path | None, given: dict[str, object]) -> tuple[AgentSettings, dict[str, str]]:
    """The settings from a verb's options and this process's environment; mistakes end it with exit code 2."""
    try:
        return load(given, os.environ, file)
    except SettingsError as error:
        raise click.UsageError("\n".join(["the settings cannot be used:", *error.problems])) from None


@click.command(
    params=[*flags(), click.Option(["--json", "as_json"], is_flag=True, help="Print {name: {value, origin, unit, reason}} on stdout.")],
    epilog="""\b
Examples:
  python -m priomon_node config --config agent.yaml
  PRIOMON_SEEDS=priomon:7946 python -m priomon_node config --json""",
)
def config(file: Path | None, as_json: bool, **given: object) -> None:
    """Print every setting of an agent, its value and its origin, without starting one.

    Flags win over PRIOMON_* variables, these over the file. Takes the same options as run.
    """
    settings, origins = load_or_exit(file, given)
    values = {each.name: show(getattr(settings, each.name)) for each in fields(AgentSettings)}
    if as_json:
        documented = {
            each.name: {
                "value": values[each.name],
                "origin": origins[each.name],
                "unit": each.metadata["unit"],
                "reason": each.metadata["reason"],
            }
            for each in fields(AgentSettings)
        }
        click.echo(json.dumps(documented, indent=2))
        return
    width = max(map(len, values))
    for each in fields(AgentSettings):
        value = values[each.name]
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        shown = each.metadata["default"] if value is None or value == [] else text.lower() if isinstance(value, bool) else text
        click.echo(f"{each.name:<{width}}  {shown}  ({origins[each.name]})")
