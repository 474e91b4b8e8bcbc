"""The interface of a detector, and of what it may do.

A detector says whom to suspect, and nothing else. What becomes of a suspicion is the business of `Membership`; who is contacted, and how
messages travel, that of `Watch`.
"""

from __future__ import annotations

from typing import Protocol

from priomon_core.awareness import Awareness


class Means(Protocol):
    """What a detector may do. Nodes are named by the keys of their origins."""

    awareness: Awareness

    def ping(self, key: int) -> None:
        """Ask a node directly whether it is there."""
        ...

    def ask(self, helper: int, target: int) -> None:
        """Ask a node to ask another."""
        ...

    def helpers(self, target: int, count: int) -> list[int]:
        """Up to `count` live nodes, at random, that may be asked about `target`."""
        ...

    def accuse(self, key: int, now: int, rule: str) -> None:
        """Suspect a node; `rule` says why, in plain words."""
        ...

    def condemn(self, key: int, now: int, rule: str) -> None:
        """Hold a node dead at once."""
        ...


class Detector(Protocol):
    """Finds out whom to suspect. All times are in ns.

    `probes` says whether partners of an exchange must answer in any case, `deadline` when `wake` has to be called at the latest.
    """

    probes: bool
    deadline: int

    def contacted(self, key: int, now: int) -> None:
        """An exchange with a node has begun."""
        ...

    def heard(self, key: int, now: int) -> None:
        """Something came from a node, or somebody else has just heard it."""
        ...

    def wake(self, now: int) -> None:
        """Time has passed; called at the deadline or before, and once a round."""
        ...

    def stalled(self, late: int) -> None:
        """This node itself did not run for so long; what it did not hear meanwhile says nothing about others."""
        ...
