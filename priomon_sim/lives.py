"""Who lives when in a run: the nodes, and every generation that each of them will have.

A *node* is a place that datagrams are sent to; a *life* is one generation of it, an origin with a slot in every row. Without faults that
stop nodes, both are the same, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from priomon_core.identity import Address, Identity
from priomon_core.replica import Replica

PORT = 7946


def identities(count: int) -> list[Identity]:
    """The first generations of `count` simulated nodes, in the order of their keys, which is the order of the nodes."""
    digits = len(str(count - 1))
    hosts = (f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(1, count + 1))
    return sorted((Identity(f"node{i:0{digits}}", 1, Address(host, PORT)) for i, host in enumerate(hosts)), key=lambda one: one.key)


@dataclass(frozen=True, slots=True)
class Lives:
    """`origins` are all lives in the order of their keys; `node[slot]` is whose life it is.

    `slots[node]` are its lives from the first generation on. `younger[slot]` is the slot of the next generation, -1 if there is none.
    """

    origins: list[Identity]
    node: list[int]
    slots: list[list[int]]
    younger: list[int]

    @staticmethod
    def of(generations: Sequence[int]) -> Lives:
        """The lives of as many nodes, each with that many generations."""
        first = identities(len(generations))
        born = [(replace(one, generation=g), node) for node, one in enumerate(first) for g in range(1, generations[node] + 1)]
        born.sort(key=lambda pair: pair[0].key)
        slots: list[list[int]] = [[] for _ in first]
        younger = [-1] * len(born)
        for slot, _ in sorted(enumerate(born), key=lambda entry: entry[1][0].generation):
            mine = slots[born[slot][1]]
            if mine:
                younger[mine[-1]] = slot
            mine.append(slot)
        return Lives([identity for identity, _ in born], [node for _, node in born], slots, younger)

    @property
    def names(self) -> list[str]:
        """The name of every node."""
        return [self.origins[slots[0]].name for slots in self.slots]

    @property
    def several(self) -> bool:
        """Whether any node has more than one life."""
        return len(self.origins) > len(self.slots)


class Addresses:
    """Which life a node believes to be at which place: the youngest that it knows of. A `Directory`."""

    def __init__(self, lives: Lives, replica: Replica) -> None:
        self._lives = lives
        self._replica = replica
        self._keys: list[int] = np.asarray(replica.values.keys).tolist()

    def key_at(self, peer: int) -> int | None:
        """See `Directory.key_at`."""
        versions = self._replica.versions
        for slot in reversed(self._lives.slots[peer]):
            if versions[slot]:
                return self._keys[slot]
        return None

    def peer_of(self, key: int) -> int | None:
        """See `Directory.peer_of`."""
        slot = self._replica.known(key)
        return None if slot is None else self._lives.node[slot]
