"""Writes settings.md: every setting of a scenario, of the protocol and of an agent, every built-in metric, every verb and option.

python docs/generate_settings.py            write docs/settings.md
python docs/generate_settings.py --check    exit with 1 if it is stale
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from inspect import cleandoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from priomon_core.config import DetectionSettings, GossipSettings
from priomon_core.metrics import BUILT_IN
from priomon_node.cli.main import main as node_cli
from priomon_node.settings import FILE_ONLY, PREFIX, AgentSettings
from priomon_node.settings import flags as agent_flags
from priomon_sim.cli.main import main as sim_cli
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.settings import Settings, Shorthand, Word
from priomon_sim.scenario.units import Quantity

TARGET = Path(__file__).parent / "settings.md"
INTRODUCTION = """\
# Settings

This page is generated from the code by `python docs/generate_settings.py`; a test fails when it is stale. Do not edit it.
[simulator.md](simulator.md) explains the settings of scenarios by example, [agents.md](agents.md) those of agents.

- [Scenario files](#scenario-files)
- [The protocol](#the-protocol)
- [Built-in metrics](#built-in-metrics)
- [Agents](#agents)
- [Commands](#commands)
"""
SCENARIO = """\
## Scenario files

A scenario is a YAML mapping. Unknown keys are refused. A quantity is a number with a unit, such as `250 ms`; where the type says
*plain*, a number without a unit is in that one. The first table is the top level; the others are reached from its types.
"""
PROTOCOL = """\
## The protocol

Settings of the core (`GossipSettings` in `priomon_core/config.py`). A scenario sets those that it names under `gossip`; the others keep
their defaults.
"""
DETECTION = """\
How nodes find out who is alive (`DetectionSettings` there). A scenario sets those that it names under `detection`.
"""
METRICS = """\
## Built-in metrics

A scenario or an agent's file may change them key by key under `metrics`. What each key means is in [MetricSettings](#metricsettings).
"""
AGENTS = """\
## Agents

Settings of `python -m priomon_node run` (`AgentSettings` in `priomon_node/settings.py`). A flag wins over a variable, and a variable over
the YAML file that `--config` or `PRIOMON_CONFIG` names; there the key is the name. `python -m priomon_node config` prints what they come
to. How the file declares `metrics` is in [agents.md](agents.md#metrics-of-your-own).
"""
COMMANDS = """\
## Commands

Every command also takes `-h`, `--help`. Exit codes: 0 done, 1 failed, 2 usage or a bad scenario, 130 interrupted.
"""
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
NO_DEFAULT = " No default."


def page() -> str:
    """The whole of settings.md."""
    parts = [
        INTRODUCTION,
        SCENARIO,
        *map(_model, _models(Scenario)),
        PROTOCOL,
        _protocol(GossipSettings),
        DETECTION,
        _protocol(DetectionSettings),
        METRICS,
        _metrics(),
    ]
    parts += [AGENTS, _agents(), COMMANDS]
    for name, group in (("priomon_sim", sim_cli), ("priomon_node", node_cli)):
        parts += _commands(f"python -m {name}", group)
    return "\n".join(part.strip() + "\n" for part in parts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(map(_one_line, line))} |\n" for line in (header, ["---"] * len(header), *rows))


def _one_line(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def _code(value: Any) -> str:
    return f"`{value}`"


# Scenario settings


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """`model`, the models that its settings take, and what they inherit from, each once and in the order of their first mention."""
    found: dict[type[BaseModel], None] = {}

    def visit(one: type[BaseModel]) -> None:
        if one in found:
            return
        for parent in _parents(one):
            visit(parent)
        found[one] = None
        for hint in get_type_hints(one, include_extras=True).values():
            for inner in _inner_models(hint):
                visit(inner)

    visit(model)
    return list(found)


def _parents(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models with settings that a model inherits."""
    return [parent for parent in model.__mro__[1:] if issubclass(parent, Settings) and _own(parent)]


def _own(model: type[BaseModel]) -> list[str]:
    """The settings that a model has beyond those that it inherits."""
    return [name for name in model.model_fields if name in model.__annotations__]


def _inner_models(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for inner in get_args(hint):
        yield from _inner_models(inner)


def _title(model: type[BaseModel]) -> str:
    """The model's name, and the `kind` or `model` that chooses it: two are called Constant."""
    for key in ("kind", "model"):
        if key in model.model_fields:
            return f"{model.__name__} ({key}: {get_args(model.model_fields[key].annotation)[0]})"
    return model.__name__


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _link(model: type[BaseModel]) -> str:
    return f"[{_title(model)}](#{slug(_title(model))})"


def _model(model: type[BaseModel]) -> str:
    parents = _parents(model)
    also = f" It also has the settings of {' and '.join(map(_link, parents))}." if parents else ""
    text = f"### {_title(model)}\n\n{cleandoc(model.__doc__ or '')}{also}\n"
    rows = []
    for name in _own(model):
        info = model.model_fields[name]
        default = _default(info)
        meaning = " ".join((info.description or "").split())
        meaning = meaning.removesuffix(NO_DEFAULT if info.is_required() else f" Default: {default.strip('`')}.")
        rows.append((_code(info.alias or name), _type(info.rebuild_annotation()), default, meaning))
    if "__pydantic_extra__" in model.__annotations__:
        extra = get_type_hints(model, include_extras=True)["__pydantic_extra__"]
        rows.append(("any metric's name", _type(get_args(extra)[1]), "", "Where this metric's values come from."))
    return f"{text}\n{_table(('Key', 'Type', 'Default', 'Meaning'), rows)}" if rows else text


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if isinstance(info.default, BaseModel):
        return "its defaults"
    if isinstance(info.default, bool):
        return _code(str(info.default).lower())
    if info.default in ("", (), {}):
        return "empty"
    if isinstance(info.default, dict):
        return ", ".join(_code(f"{key}: {value}") for key, value in info.default.items())
    return _code(f"{info.default:g}" if isinstance(info.default, float) else info.default)


def _limits(metadata: Iterable[Any]) -> str:
    limits = [f"{words} {getattr(mark, name):,}" for mark in metadata for name, words in LIMITS.items() if hasattr(mark, name)]
    return f", {', '.join(limits)}" if limits else ""


def _type(hint: Any) -> str:
    """A type as a reader of YAML would say it."""
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        return _annotated(base, marks)
    if get_origin(hint) is Literal:
        return " or ".join(map(_code, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return ", or ".join(_type(choice) for choice in get_args(hint) if choice is not NoneType)
    if get_origin(hint) in (tuple, list):
        return f"a list of: {_type(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return f"a mapping from names to {_type(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _link(hint)
    return {int: "a whole number", float: "a number", str: "text", bool: "`true` or `false`", Any: "any value"}[hint]


def _annotated(base: Any, marks: Sequence[Any]) -> str:
    for mark in marks:
        if isinstance(mark, Quantity):
            units = ", ".join(mark.units)
            plain = (
                ""
                if mark.bare is None
                else f"; plain: {next((u for u, worth in mark.units.items() if worth == mark.bare), 'a fraction of 1')}"
            )
            return f"{mark.name} ({units}{plain})"
    text = _type(base) + _limits(marks)
    for mark in marks:
        if isinstance(mark, FieldInfo):
            text += _limits(mark.metadata)
        elif isinstance(mark, Word):
            text += f", or the word `{mark.word}`"
        elif isinstance(mark, Shorthand):
            text = f"{_type(mark.bare)}, or {text}"
    return text


# Protocol, metrics


def _protocol(settings: type) -> str:
    rows = [(_code(s.name), s.metadata["unit"], _code(_plain(s.default)), s.metadata["reason"]) for s in fields(settings)]
    return _table(("Name", "Unit", "Default", "Reason"), rows)


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _metrics() -> str:
    names = [field.name for field in fields(BUILT_IN[0]) if field.init]
    rows = [[_cell(getattr(metric, name)) for name in names] for metric in BUILT_IN]
    rows = [[*row, f"{metric.longest_silence:g} s"] for row, metric in zip(rows, BUILT_IN, strict=True)]
    return _table([*names, "longest silence"], rows)


def _cell(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,g}"
    return str(getattr(value, "name", value)).lower() if hasattr(value, "name") else str(value)


# Agents


def _agents() -> str:
    written = {option.name: ", ".join(map(_code, [*option.opts, *option.secondary_opts])) for option in agent_flags()}
    rows = []
    for setting in fields(AgentSettings):
        name, documented = setting.name, setting.metadata
        flag, variable = ("only in a file", "") if name in FILE_ONLY else (written[name], _code(PREFIX + name.upper()))
        rows.append((_code(name), documented["unit"], documented["default"], flag, variable, documented["reason"]))
    return _table(("Name", "Unit", "Default", "Flag", "Variable", "Reason"), rows)


# Commands


def _commands(program: str, group: click.Group) -> Iterator[str]:
    yield f"### {program}\n\n{_help(group)}\n\n{_parameters(group)}"
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(f"{program} {name}", command)
        else:
            yield f"### {program} {name}\n\n{_help(command)}\n\n{_parameters(command)}"


def _help(command: click.Command) -> str:
    """The help text; paragraphs that click is told to leave alone (\\b) become code."""
    parts = [cleandoc(text) for text in (command.help, command.epilog) if text]
    blocks = [block for part in parts for block in re.split(r"\n\s*\n", part)]
    texts = []
    for block in blocks:
        lines = block.replace("\b", "").strip("\n")
        texts.append(f"```\n{lines}\n```" if "\b" in block else " ".join(lines.split()))
    return "\n\n".join(texts)


def _parameters(command: click.Command) -> str:
    rows = []
    for parameter in command.params:
        names = ", ".join(map(_code, [*parameter.opts, *parameter.secondary_opts]))
        if isinstance(parameter, click.Argument):
            meaning = "required" if parameter.required else _variable(parameter).strip()
            rows.append((_code((parameter.name or "").upper()), _value(parameter), meaning))
        elif isinstance(parameter, click.Option):
            shown = f" Default: `{_shown(parameter)}`." if parameter.show_default else ""
            rows.append((names, _value(parameter), (parameter.help or "") + shown + _variable(parameter)))
    return _table(("Argument or option", "Value", "Meaning"), rows) if rows else ""


def _variable(parameter: click.Parameter) -> str:
    """The variable that holds a parameter too, unless its help has said so."""
    told = str(parameter.envvar) in (getattr(parameter, "help", None) or "")
    return f" Variable: `{parameter.envvar}`." if parameter.envvar and not told else ""


def _shown(option: click.Option) -> Any:
    return option.show_default if isinstance(option.show_default, str) else option.default


def _value(parameter: click.Parameter) -> str:
    if getattr(parameter, "is_flag", False):
        return ""
    if isinstance(parameter.type, click.Choice):
        return " or ".join(map(_code, parameter.type.choices))
    if isinstance(parameter.type, (click.IntRange, click.FloatRange)):
        ends = [f"{words} {end:g}" for words, end in (("at least", parameter.type.min), ("at most", parameter.type.max)) if end is not None]
        return ", ".join(["a whole number" if isinstance(parameter.type, click.IntRange) else "a number", *ends])
    if parameter.metavar:
        return _code(parameter.metavar)
    return {"integer": "a whole number", "float": "a number", "path": "a path"}.get(parameter.type.name, parameter.type.name)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` say whether it is up to date; returns the exit code."""
    if arguments not in ([], ["--check"]):
        print(f"expected nothing or --check, found {' '.join(arguments)}", file=sys.stderr)
        return 2
    if not arguments:
        TARGET.write_text(page(), "utf-8")
    elif not TARGET.is_file() or TARGET.read_text("utf-8") != page():
        print(f"{TARGET} is stale: run python docs/generate_settings.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
