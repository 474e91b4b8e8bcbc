"""What verbs of the command line share: arguments, options, and how they are read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

WHERE = ("processes", "serial", "dask")


def _where(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value in WHERE or (value.startswith("dask://") and len(value) > len("dask://")):
        return value
    raise click.BadParameter(f"found {value!r}, expected {', '.join(WHERE)} or dask://HOST:PORT")


SCENARIO = click.argument("scenario", type=click.Path(path_type=Path))
SETTINGS = click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a setting, such as gossip.fanout=3. May be repeated."
)
DATABASE = click.argument("database", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of a table.")


def running(verb: Callable[..., None]) -> Callable[..., None]:
    """The options of a verb that runs the points of a sweep."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress and no table; errors still show."),
        AS_JSON,
        click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the results. [default: results/NAME]"),
        click.option("--jobs", type=click.IntRange(min=1), help="Workers on this machine. [default: one per core]"),
        click.option(
            "--on",
            default="processes",
            show_default=True,
            metavar="WHERE",
            callback=_where,
            help="Where to run: processes (of this machine), serial (in this process), dask (a local cluster) or dask://HOST:PORT (any "
            "cluster).",
        ),
    ):
        verb = option(verb)
    return verb


def pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    """(Path, value) of what was given as PATH=VALUE."""
    split = [override.partition("=")[::2] for override in overrides]
    for (path, _), text in zip(split, overrides, strict=True):
        if not path or "=" not in text:
            raise click.UsageError(f"--set {text}: expected PATH=VALUE, such as gossip.fanout=3")
    return split


def seed_range(text: str) -> range:
    """The seeds that were given as FIRST..LAST."""
    first, dots, last = text.partition("..")
    if not (dots and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise click.UsageError(f"--seeds {text}: expected FIRST..LAST, such as 1..5")
    return range(int(first), int(last) + 1)


def typed() -> str:
    """The command that was typed, for reports that tell how to repeat it."""
    return shlex.join(["python", "-m", "priomon_sim", *sys.argv[1:]])


def make_folder(folder: Path) -> None:
    """Make a folder for results. Raises `OutputError`."""
    from priomon_results.files import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make this folder ({error.strerror}); choose another with -o") from error
