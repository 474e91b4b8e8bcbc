"""Checks a JSON document from another program, so that what is wrong with it is refused by name and the rest can be relied on.

Types are written as Python's, where a tuple stands for an array of that many.
"""

from __future__ import annotations

from dataclasses import fields
from enum import IntEnum
from functools import cache
from inspect import formatannotation
from reprlib import repr as shortened
from types import UnionType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from priomon_core.errors import SettingError

Json = dict[str, Any]


def checked(name: str, document: object, expected: Json) -> Json:
    """The document called `name`: an object with exactly the `expected` fields, each of its type. Raises `SettingError`."""
    if not isinstance(document, dict):
        refuse(name, document, "an object")
    for field, hint in expected.items():
        if field not in document:
            refuse(name, sorted(document), f"the field {field} as well")
        if not _fits(document[field], hint):
            refuse(f"{name}.{field}", document[field], formatannotation(hint))
    if unknown := document.keys() - expected.keys():
        refuse(name, sorted(unknown), f"no other fields than {', '.join(expected)}")
    return document


@cache
def types_of(kind: type) -> Json:
    """The types of a dataclass's fields, by name."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def refuse(name: str, found: object, expected: str) -> NoReturn:
    """Raise the `SettingError` that says what is wrong with a part of a document."""
    raise SettingError(f"{name}: found {shortened(found)}, expected {expected}; is it from another version of PrioMon?")


def _fits(found: object, hint: Any) -> bool:
    """Whether a JSON value is of a type. Whole numbers have 64 bits, and true is no number."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is UnionType:
        return any(_fits(found, part) for part in parts)
    if kind is Literal:
        return found in parts
    if kind is list:
        return isinstance(found, list) and all(_fits(each, parts[0]) for each in found)
    if kind is tuple:
        return isinstance(found, list) and len(found) == len(parts) and all(map(_fits, found, parts))
    if kind is int:
        return type(found) is int and -(2**63) <= found < 2**63
    if kind is float:
        return type(found) is float or _fits(found, int)
    if issubclass(kind, IntEnum):
        return type(found) is int and found in {*kind}
    return type(found) is kind
