"""What happens to one node in an experiment, and when: its lives, and what goes wrong meanwhile. Times are ns since the run's start.

In JSON a life is an object with the fields of `Life`, and a mishap an array [when, kind, {its fields}] with the kind freeze, skew, cut,
mend, alter or restore. Sets of nodes are arrays of indexes.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass

from priomon_core import links
from priomon_node.json_fields import Json, checked, refuse, types_of


@dataclass(frozen=True, slots=True)
class Life:
    """One generation of a node, from `begins` on. It `ends` without a word or, if `announced`, with a goodbye; None: with the run.

    `gossip` and `watch` are what its random streams are made from.
    """

    generation: int
    begins: int
    ends: int | None
    announced: bool
    gossip: str
    watch: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """The whole agent stands still until then, as if it had been stopped."""

    until: int


@dataclass(frozen=True, slots=True)
class Skew:
    """The node's clock runs at this rate."""

    rate: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes to these nodes any more."""

    number: int
    nodes: Set[int]


@dataclass(frozen=True, slots=True)
class Mend:
    """The cut of this number is over."""

    number: int


@dataclass(frozen=True, slots=True)
class Alter:
    """Links that begin or end at these nodes get this model."""

    number: int
    nodes: Set[int]
    model: links.LinkModel


@dataclass(frozen=True, slots=True)
class Restore:
    """The change of this number is over."""

    number: int


Mishap = Freeze | Skew | Cut | Mend | Alter | Restore
KINDS: dict[str, tuple[type[Mishap], Json]] = {
    "freeze": (Freeze, {"until": int}),
    "skew": (Skew, {"rate": float}),
    "cut": (Cut, {"number": int, "nodes": list[int]}),
    "mend": (Mend, {"number": int}),
    "alter": (Alter, {"number": int, "nodes": list[int], "model": Json}),
    "restore": (Restore, {"number": int}),
}
Planned = tuple[int, Mishap]  # when (ns), what


def life_to_json(life: Life) -> Json:
    """The life as a JSON object."""
    return asdict(life)


def life_from_json(name: str, document: object) -> Life:
    """The life in a document called `name`. Raises `SettingError`."""
    life = Life(**checked(name, document, types_of(Life)))
    if not 0 <= life.begins < (life.begins + 1 if life.ends is None else life.ends):
        refuse(name, (life.begins, life.ends), "a beginning from 0 on and an end after it")
    return life


def mishap_to_json(planned: Planned) -> list[object]:
    """The mishap as a JSON array."""
    when, mishap = planned
    values: Json = {name: getattr(mishap, name) for name in KINDS[type(mishap).__name__.lower()][1]}
    if "nodes" in values:
        values["nodes"] = sorted(values["nodes"])
    if "model" in values:
        values["model"] = links.to_json(values["model"])
    return [when, type(mishap).__name__.lower(), values]


def mishap_from_json(name: str, document: tuple[int, str, Json]) -> Planned:
    """The mishap in an array of three called `name`. Raises `SettingError`."""
    when, kind, values = document
    if kind not in KINDS:
        refuse(f"{name}[1]", kind, f"one of {', '.join(KINDS)}")
    made, expected = KINDS[kind]
    found = dict(checked(f"{name}[2]", values, expected))
    if "nodes" in found:
        found["nodes"] = frozenset(found["nodes"])
    if "model" in found:
        found["model"] = links.from_json(found["model"])
    if kind == "skew" and not 0.1 < found["rate"] < 10:
        refuse(f"{name}[2].rate", found["rate"], "a rate between 0.1 and 10")
    return when, made(**found)


def check_ends(mishaps: Sequence[Planned]) -> None:
    """Raise `SettingError` for a mend or restore without the cut or change that it ends."""
    begun: set[tuple[type[Mishap], int]] = set()
    for when, mishap in sorted(mishaps, key=lambda planned: planned[0]):
        match mishap:
            case Cut(number) | Alter(number):
                begun.add((type(mishap), number))
            case Mend(number) | Restore(number):
                begin = (Cut if isinstance(mishap, Mend) else Alter, number)
                if begin not in begun:
                    refuse("mishaps", mishap, f"what it ends, {begin[0].__name__.lower()} {number}, before {when} ns")
                begun.remove(begin)
