"""The `metrics` of a settings file: changes of built-in metrics, and custom ones with what measures them.

metrics:
  cpu: {bound: 10}
  temperature:
    unit: degC
    bound: 1.5
    file: /sys/class/thermal/thermal_zone0/temp
    factor: 0.001
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import urlsplit

from priomon_core.errors import SettingError
from priomon_core.metrics import BUILT_IN, MAX_METRICS, Filter, Metric, Priority, Scale
from priomon_node.custom_metrics import Kind, MetricSource
from priomon_node.settings_file import SettingsError, Written, between, nearest, number, one_of, path, text, truth


def _priority(written: Written) -> Priority:
    return Priority[one_of(*(priority.name.lower() for priority in Priority))(written).upper()]


def _command(written: Written) -> tuple[str, ...]:
    """Words as a shell would split them, or the list as it stands."""
    if isinstance(written.value, list):
        words = [text(word) for word in written.value]
    else:
        try:
            words = shlex.split(text(written))
        except ValueError as error:
            raise SettingError(f"cannot be split into words: {error}") from None
    if not words:
        raise SettingError("expected a program and its arguments")
    return tuple(words)


def _file(written: Written) -> tuple[str, ...]:
    return (str(path(written)),)


def _shell(written: Written) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text(written))


def _url(written: Written) -> tuple[str, ...]:
    parts = urlsplit(url := text(written))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingError(f"expected an address such as http://127.0.0.1:9000/status, found {url!r}")
    return (url,)


DECLARED: dict[str, Callable[[Written], Any]] = {
    "unit": text,
    "bound": number,
    "priority": _priority,
    "scale": one_of(*get_args(Scale)),
    "floor": number,
    "signed": truth,
    "silence": number,
    "alarm": number,
    "filter": one_of(*get_args(Filter)),
}
# key -> what is read, and how its target is written
SOURCES: dict[str, tuple[Kind, Callable[[Written], tuple[str, ...]]]] = {
    "command": ("command", _command),
    "shell": ("command", _shell),
    "file": ("file", _file),
    "http": ("http", _url),
}
MEASURED: dict[str, Callable[[Written], Any]] = {"field": text, "factor": number, "timeout": between(0.01, 60, "s")}
KEYS = (*DECLARED, *SOURCES, *MEASURED)


def read_metrics(written: Written) -> tuple[Metric | MetricSource, ...]:
    """All metrics: the built-in ones in their order, then the custom ones by name. Raises `SettingsError` with every mistake."""
    if not isinstance(written.value, dict):
        raise SettingsError([f"{written.place}: metrics: expected names with their keys, in a settings file"])
    problems: list[str] = []
    built_in = {metric.name: metric for metric in BUILT_IN}
    custom: dict[str, MetricSource] = {}
    for name, entry in sorted(written.value.items()):
        before = len(problems)
        keys = _keys(name, entry, problems)
        if len(problems) > before:
            continue
        try:
            if name in built_in:
                built_in[name] = _changed(built_in[name], keys)
            else:
                custom[name] = _made(name, keys)
        except SettingError as error:
            problems.append(f"{entry.place}: metrics.{name}: {str(error).removeprefix(f'metric {name!r}: ')}")
    if len(built_in) + len(custom) > MAX_METRICS:
        problems.append(f"{written.place}: metrics: expected at most {MAX_METRICS} in all, found {len(built_in) + len(custom)}")
    if problems:
        raise SettingsError(problems)
    return (*built_in.values(), *custom.values())


def _keys(name: str, entry: Written, problems: list[str]) -> dict[str, Any]:
    """The values of a metric's keys; what is wrong with them goes to `problems`."""
    found: dict[str, Any] = {}
    if not isinstance(entry.value, dict):
        problems.append(f"{entry.place}: metrics.{name}: expected keys such as 'bound: 5'")
        return found
    for key, written in entry.value.items():
        try:
            if key in SOURCES:
                found[key] = SOURCES[key][1](written)
            elif key in DECLARED or key in MEASURED:
                found[key] = (DECLARED | MEASURED)[key](written)
            else:
                raise SettingError(f"there is no such key{nearest(key, KEYS)}")
        except SettingError as error:
            problems.append(f"{written.place}: metrics.{name}.{key}: {error}")
    return found


def _changed(metric: Metric, keys: dict[str, Any]) -> Metric:
    """A built-in metric with other keys. Raises `SettingError`."""
    if foreign := [key for key in keys if key not in DECLARED]:
        raise SettingError(f"{', '.join(foreign)}: this metric is built in and measured by the agent itself; give yours another name")
    return replace(metric, **keys)


def _made(name: str, keys: dict[str, Any]) -> MetricSource:
    """A custom metric. Raises `SettingError`."""
    sources = [key for key in keys if key in SOURCES]
    if len(sources) != 1:
        raise SettingError(f"expected one of {', '.join(SOURCES)}, found {' and '.join(sources) or 'none'}")
    if missing := [key for key in ("unit", "bound") if key not in keys]:
        raise SettingError(f"expected {' and '.join(missing)}, found none")
    (source,) = sources
    if ("field" in keys) != (source == "http"):
        raise SettingError("field names the value in what http returns, such as queue.length, so they go together")
    metric = Metric(name, **{key: value for key, value in keys.items() if key in DECLARED})
    return MetricSource(metric, SOURCES[source][0], keys[source], **{key: value for key, value in keys.items() if key in MEASURED})
