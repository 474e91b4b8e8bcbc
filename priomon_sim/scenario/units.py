"""Quantities as people write them in a scenario: `250 ms`, `20 %`, `10 Mbit/s`, `64 kB`.

Inside, a duration is an integer of nanoseconds, a share a float from 0 to 1, a rate a float of bytes per second and a size an
integer of bytes. The arithmetic is decimal, so that `0.1 s` is 100,000,000 ns exactly and what is formatted parses back to the
same number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from priomon_core.errors import SettingError
from priomon_sim.scenario.problems import listed, show

NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
QUANTITY = re.compile(rf"\s*({NUMBER})\s*([^\s\d]*)\s*")
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Quantity:
    """A kind of number with units; as metadata of an `Annotated` type it teaches pydantic to read, write and describe it.

    `units` says how many base units each one is worth, the most usual first; `bare` the same for a number without a unit (None:
    the unit must be given). Values outside `least` to `most` (in base units) are refused; `whole` rounds to an integer.
    """

    name: str
    units: Mapping[str, Decimal]
    bare: Decimal | None
    least: Decimal
    most: Decimal
    whole: bool

    def parse(self, value: object) -> float:
        """`value` in base units (an `int` if `whole`). Raises `SettingError` that says what would be right."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise SettingError(f"found {show(value)}, expected {self._example()}")
        match = QUANTITY.fullmatch(str(value))
        if not match:
            raise SettingError(f"found {show(value)}, expected {self._example()}")
        number, unit = match.groups()
        worth = self.units.get(unit) if unit else self.bare
        if worth is None:
            raise SettingError(f"found {str(value).strip()}, expected {self.name} in {listed(list(self.units))}")
        exact = Decimal(number) * worth
        if not self.least <= exact <= self.most:
            limits = f"from {self._text(self.least)} to {self._text(self.most)}"
            raise SettingError(f"found {str(value).strip()}, expected {self.name} {limits}")
        return int(exact.to_integral_value()) if self.whole else float(exact)

    def format(self, value: float) -> str:
        """The shortest exact text, with a whole number if some unit allows one: 90 s rather than 1.5 min."""
        return self._text(Decimal(repr(value)))

    def _text(self, exact: Decimal) -> str:
        texts = []
        for unit, worth in self.units.items():
            number = exact / worth
            if number * worth == exact:
                text = f"{number.normalize():f} {unit}"
                texts.append((number < 1, "." in text, len(text), text))
        return min(texts, key=lambda candidate: candidate[:3])[3]

    def _example(self) -> str:
        return f"{self.name} such as {self._text(max(self.least, 20 * next(iter(self.units.values()))))}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(self.format, when_used="json")
        return core_schema.no_info_plain_validator_function(self.parse, serialization=write)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        unit = f"({'|'.join(self.units)})" + ("" if self.bare is None else "?")
        return {"type": ["string"] if self.bare is None else ["string", "number"], "pattern": rf"^\s*{NUMBER}\s*{unit}\s*$"}


def _worth(**units: int | str) -> dict[str, Decimal]:
    return {unit: Decimal(worth) for unit, worth in units.items()}


DURATION = Quantity(
    name="a duration",
    units=_worth(s=SECOND, ms=MILLISECOND, us=1000, ns=1, min=60 * SECOND, h=3600 * SECOND),
    bare=Decimal(SECOND),
    least=Decimal(0),
    most=Decimal(87_600 * 3600 * SECOND),  # ten years: far inside 64 bits, so that sums of durations are too
    whole=True,
)
POSITIVE_DURATION = replace(DURATION, least=Decimal(1))
SHARE = Quantity(name="a share", units={"%": Decimal("0.01")}, bare=Decimal(1), least=Decimal(0), most=Decimal(1), whole=False)
RATE = Quantity(
    name="a rate",
    units={f"{prefix}bit/s": Decimal(worth) / 8 for prefix, worth in (("M", 10**6), ("k", 10**3), ("G", 10**9), ("", 1))}
    | {f"{prefix}B/s": Decimal(worth) for prefix, worth in (("M", 10**6), ("k", 10**3), ("G", 10**9), ("", 1))},
    bare=None,  # bits or bytes? A factor of eight must not hang on a guess
    least=Decimal("0.125"),
    most=Decimal(125 * 10**12),
    whole=False,
)
SIZE = Quantity(
    name="a size",
    units=_worth(kB=10**3, B=1, KiB=2**10, MB=10**6, MiB=2**20, GB=10**9, GiB=2**30),
    bare=Decimal(1),
    least=Decimal(1),
    most=Decimal(10**12),
    whole=True,
)

Duration = Annotated[int, DURATION]
PositiveDuration = Annotated[int, POSITIVE_DURATION]
Share = Annotated[float, SHARE]
Rate = Annotated[float, RATE]
Size = Annotated[int, SIZE]
