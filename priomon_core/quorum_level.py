"""How many nodes have to answer a read, as people write it: local, from(n), majority, all, agree(n)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from priomon_core.errors import QueryError, SettingError

COUNTED = ("from", "agree")
_WRITTEN = re.compile(r"(local|majority|all)|(from|agree)\(\s*(\d{1,6})\s*\)")


@dataclass(frozen=True, slots=True)
class Level:
    """`local`: what the reader holds itself. `from(n)`: n other nodes answered. `majority`, `all`: so many of the nodes that the reader
    knows and that have not left, dead ones and itself among them. `agree(n)`: n other nodes answered with the same version and values."""

    kind: str
    count: int = 0

    def __str__(self) -> str:
        return f"{self.kind}({self.count})" if self.kind in COUNTED else self.kind

    @property
    def agrees(self) -> bool:
        """Whether answers have to be equal."""
        return self.kind == "agree"

    def others(self, nodes: int) -> int:
        """How many nodes beside the reader have to answer of `nodes` in all. Raises `QueryError` if there are fewer."""
        wanted = {"local": 0, "majority": nodes // 2, "all": nodes - 1}.get(self.kind, self.count)
        if wanted >= nodes:
            raise QueryError(f"level {self}: expected at most {nodes - 1}, the other nodes that this one knows")
        return wanted


def parse_level(text: str) -> Level:
    """Read a level. Raises `SettingError` for anything else."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or (found[3] and not int(found[3])):
        raise SettingError(f"level {text!r}: expected local, from(n), majority, all or agree(n), with n from 1 on")
    return Level(found[1]) if found[1] else Level(found[2], int(found[3]))
