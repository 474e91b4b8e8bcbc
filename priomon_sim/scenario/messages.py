"""From pydantic's findings to problems with a place and plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from priomon_sim.scenario.problems import Problem, listed, show, unknown
from priomon_sim.scenario.yaml_source import Source, YamlPath

Schema = Mapping[str, Any]
TAGS = ("kind", "model")  # keys that choose between several shapes of a mapping

EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "string_too_short": "some text",
    "string_pattern_mismatch": "letters, digits, '.', '_' or '-', the first a letter or digit",
    "bool_type": "true or false",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "too_short": "at least one entry",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
}


def explain(error: ValidationError, source: Source, schema: Schema) -> list[Problem]:
    """What is wrong in `source`. `schema` is the JSON Schema of what was validated."""
    problems = []
    for detail in error.errors(include_url=False):
        path = locate(detail, source.data)
        place = source.place(path, key=detail["type"] == "extra_forbidden")
        problems.append(place.problem(path, _message(detail, path, source, schema)))
    return problems


def locate(detail: ErrorDetails, data: Any) -> YamlPath:
    """Where in `data` an error is: pydantic's location without the names of the shapes that it passed through."""
    path: list[str | int] = []
    tagged = False
    for step in detail["loc"]:
        if isinstance(data, dict):
            if not tagged and step in (data.get(tag) for tag in TAGS):
                tagged = True
                continue
            path.append(step)
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int):
            path.append(step)
            data = data[step]
        else:  # inside of a shorthand, which has no places of its own
            break
        tagged = False
    if detail["type"].startswith("union_tag"):
        path.append(detail["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _message(detail: ErrorDetails, path: YamlPath, source: Source, schema: Schema) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        return unknown("key", str(path[-1]), sorted(_properties(schema, source.data, path[:-1])))
    if kind == "missing":
        description = _properties(schema, source.data, path[:-1]).get(str(path[-1]), {}).get("description", "a value")
        first = description.partition(". ")[0]
        return f"missing; expected {first[0].lower()}{first[1:]}"
    if kind.startswith("union_tag"):
        choices = sorted(shape["properties"][path[-1]]["const"] for shape in _shapes(schema, source.data, path[:-1]))
        if kind == "union_tag_not_found":
            return f"missing; expected {listed(choices)}"
        return unknown(str(path[-1]), str(context["tag"]), choices)
    expected = EXPECTED.get(kind)
    wanted = expected.format(**context) if expected else detail["msg"].removeprefix("Input should be ")
    return f"found {show(detail['input'])}, expected {wanted}"


def _shapes(schema: Schema, data: Any, path: YamlPath) -> list[Schema]:
    """The schemas of the mappings that may stand at `path` (or in the list there)."""
    shapes = _mappings(schema, schema)
    for step in path:
        if isinstance(step, str):
            shape = _fitting(shapes, data)
            shapes = _mappings(shape.get("properties", {}).get(step) or shape.get("additionalProperties") or {}, schema)
        data = data[step]
    return shapes


def _properties(schema: Schema, data: Any, path: YamlPath) -> dict[str, Any]:
    """The schemas of the keys of the mapping at `path`."""
    shapes = _shapes(schema, data, path)
    for step in path:
        data = data[step]
    properties: dict[str, Any] = _fitting(shapes, data).get("properties", {})
    return properties


def _fitting(shapes: list[Schema], data: Mapping[str, Any]) -> Schema:
    """The schema whose tags agree with `data`; an empty one if none does."""

    def fits(shape: Schema) -> bool:
        tags = {key: inner["const"] for key, inner in shape.get("properties", {}).items() if key in TAGS}
        return all(data.get(key) == tag for key, tag in tags.items())

    return next(filter(fits, shapes), {})


def _mappings(schema: Schema, root: Schema) -> list[Schema]:
    """The schemas of mappings among the alternatives of `schema`, references followed."""
    if "$ref" in schema:
        return _mappings(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return [mapping for option in options for mapping in _mappings(option, root)]
    if schema.get("type") == "array":
        return _mappings(schema["items"], root)
    return [schema] if schema.get("type") == "object" else []
