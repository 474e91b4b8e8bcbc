"""What all parts of a scenario share: strict models, words that stand for "no value", shorthands, paths of other files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializationInfo,
    TypeAdapter,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema

from priomon_core.errors import SettingError
from priomon_sim.scenario.problems import show

T = TypeVar("T")


class Settings(BaseModel):
    """A mapping of the scenario: unknown keys are refused, nothing is converted in silence, nothing changes afterwards.

    Defaults are `written` as in a file and validated like it. The text below a field is its description.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )


def written(default: Any) -> Any:
    """A field's default as a file would give it: `written("1 s")`."""
    return Field(default=default)


@dataclass(frozen=True)
class Word:
    """Metadata of an optional type: this word stands for None in files, an empty value does not."""

    word: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if value is None:
                raise SettingError(f"found nothing, expected a value or the word {self.word}")
            return None if value == self.word else inner(value)

        def write(value: Any, inner: core_schema.SerializerFunctionWrapHandler) -> Any:
            return self.word if value is None else inner(value)

        schema = handler(source)
        writer = core_schema.wrap_serializer_function_ser_schema(write, schema=schema, when_used="json")
        return core_schema.no_info_wrap_validator_function(read, schema, serialization=writer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        optional = handler(schema)
        return {"anyOf": [{"const": self.word} if choice == {"type": "null"} else choice for choice in optional["anyOf"]]}


OrNone = Annotated[T | None, Word("none")]
OrAuto = Annotated[T | None, Word("auto")]
OrPeriod = Annotated[T | None, Word("period")]
OrPriority = Annotated[T | None, Word("priority")]


@dataclass(frozen=True)
class Shorthand:
    """Metadata of a model or a union of models: a bare value of type `bare` means `{**rest, key: value}`."""

    key: str
    bare: Any
    rest: tuple[tuple[str, str], ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def widen(value: Any) -> Any:
            return value if isinstance(value, (dict, BaseModel)) else {**dict(self.rest), self.key: value}

        return core_schema.no_info_before_validator_function(widen, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [TypeAdapter(self.bare).json_schema(), handler(schema)]}


def _existing(path: str, info: ValidationInfo) -> str:
    folder = Path((info.context or {}).get("folder", ""))
    if "\0" in path or not (folder / path).is_file():
        raise SettingError(f"found {show(path)}, expected a file; there is none at {str(folder / path)!r}")
    return path


def _seen_from(path: str, info: SerializationInfo) -> str:
    """The path as written, or as a file in the folder `to` has to write what one in the folder `from` wrote."""
    folders: dict[str, Path] | None = info.context
    return path if folders is None else os.path.relpath(folders["from"] / path, folders["to"])


# A path as written in the scenario, relative to the folder of the scenario file.
FilePath = Annotated[str, AfterValidator(_existing), PlainSerializer(_seen_from)]
