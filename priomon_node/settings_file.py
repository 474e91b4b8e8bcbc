"""A YAML file as text with places: every scalar stays the text that was written, so nothing is guessed to be a number or a truth."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from priomon_core.errors import PriomonError, SettingError

LARGEST_FILE = 1_000_000  # bytes; settings are text that a person wrote


class SettingsError(PriomonError, ValueError):
    """Settings that cannot be used; `problems` has a line for every mistake, with its place and what was expected."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Written:
    """What someone wrote, where ("agent.yaml:3", "flag --bind"), and the folder to which paths in it are relative."""

    value: str | list[Written] | dict[str, Written]
    place: str
    folder: Path = Path()


def text(written: Written) -> str:
    """One value. Raises `SettingError` for a list, a mapping or nothing."""
    if not isinstance(written.value, str) or not (found := written.value.strip()):
        raise SettingError(f"expected one value, found {'nothing' if isinstance(written.value, str) else 'a list or a mapping'}")
    return found


def number(written: Written) -> float:
    """A finite number. Raises `SettingError`."""
    found = text(written)
    try:
        value = float(found)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingError(f"expected a number, found {found!r}")
    return value


def between(lowest: float, highest: float, unit: str) -> Callable[[Written], float]:
    """Reads a number from `lowest` to `highest`, in `unit`."""

    def read(written: Written) -> float:
        value = number(written)
        if not lowest <= value <= highest:
            raise SettingError(f"expected {lowest:g} to {highest:g} {unit}, found {value:g}")
        return value

    return read


def one_of(*words: str) -> Callable[[Written], str]:
    """Reads one of some words, in any case."""

    def read(written: Written) -> str:
        if (found := text(written).lower()) not in words:
            raise SettingError(f"expected {', '.join(words[:-1])} or {words[-1]}, found {found!r}")
        return found

    return read


def truth(written: Written) -> bool:
    """true or false, or as people write them in an environment."""
    return one_of("true", "false", "yes", "no", "1", "0")(written) in ("true", "yes", "1")


def path(written: Written) -> Path:
    """A path, relative to the file that it stands in."""
    return written.folder / Path(text(written)).expanduser()


def nearest(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name: the nearest that is known, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(sorted(known))}"


def read_file(file: Path) -> dict[str, Written]:
    """The keys of the mapping in a YAML file; an empty file has none. Raises `SettingsError`."""
    import yaml  # no agent without a file needs it

    class Loader(yaml.BaseLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            # A few aliases inside each other stand for billions of values, or for themselves.
            if self.check_event(yaml.AliasEvent):
                mark = self.get_mark()
                raise yaml.MarkedYAMLError(problem="expected no aliases", problem_mark=mark)
            return super().compose_node(parent, index)

    problems: list[str] = []

    def place(node: yaml.Node) -> str:
        return f"{file}:{node.start_mark.line + 1}"

    def build(node: yaml.Node) -> Written:
        value: str | list[Written] | dict[str, Written]
        if isinstance(node, yaml.MappingNode):
            value = {}
            for key, item in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    problems.append(f"{place(key)}: expected text as a key, found a list or a mapping")
                elif key.value in value:
                    problems.append(f"{place(key)}: found the key {key.value} twice, first at {value[key.value].place}")
                else:
                    built = build(item)
                    value[key.value] = Written(built.value, place(key), file.parent)
        elif isinstance(node, yaml.SequenceNode):
            value = [build(item) for item in node.value]
        else:
            value = node.value
        return Written(value, place(node), file.parent)

    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise SettingsError([f"{file}: found more than {LARGEST_FILE} bytes, expected settings in YAML"])
        node = yaml.compose(raw.decode(), Loader=Loader)
    except OSError as error:
        raise SettingsError([f"{file}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError([f"{file}:{line}: expected UTF-8 text"]) from None
    except yaml.MarkedYAMLError as error:
        at = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError([f"{file}{at}: not YAML that is read here: {error.problem}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise SettingsError([f"{file}: not YAML: {error}"]) from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError([f"{place(node)}: expected keys such as 'bind: 127.0.0.1:7946' at the top"])
    built = build(node).value
    if problems:
        raise SettingsError(problems)
    assert isinstance(built, dict)
    return built
