"""From a run's timeline to what happens to each node: what its agent does itself, and what is done to its process.

An agent that is a process of ours is killed, stopped and started by us, as a machine that fails would be. One that runs elsewhere does
the like to itself: it drops its node, or stands still for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from priomon_core.config import SECOND
from priomon_node.experiment.script import Alter, Cut, Freeze, Life, Mend, Planned, Restore, Skew
from priomon_sim.driver import stream
from priomon_sim.faults.timeline import Alters, Crashes, Cuts, Freezes, Leaves, Mends, Restores, Skews, Starts, Thaws, Timeline
from priomon_sim.lives import Lives

GOODBYE = SECOND // 2  # what a node that leaves said last is under way for so long, in its own process, before that makes room for the next

Verb = Literal["kill", "suspend", "resume", "restart"]


@dataclass(slots=True)
class Role:
    """One node's: its lives, what goes wrong for it beside their ends, and when (ns) it stands still."""

    lives: list[Life]
    mishaps: list[Planned] = field(default_factory=list)
    standstills: list[tuple[int, int]] = field(default_factory=list)

    def alone(self) -> tuple[tuple[Life, ...], tuple[Planned, ...]]:
        """Lives and mishaps for an agent that does everything itself."""
        frozen: list[Planned] = [(begin, Freeze(end)) for begin, end in self.standstills]
        return tuple(self.lives), tuple(sorted([*self.mishaps, *frozen], key=lambda planned: planned[0]))

    def of_process(self, life: int) -> tuple[tuple[Life, ...], tuple[Planned, ...]]:
        """Lives and mishaps for a process that is there for one life, and that somebody else kills and stops.

        Its node falls silent by itself when the life ends, so that it can tell all that it did before its process is killed.
        """
        return (self.lives[life],), tuple(self.mishaps)

    def blows(self) -> list[tuple[int, Verb]]:
        """What is done to a process of ours, and when. Its place is free for the next life as soon as the one before is over."""
        blows: list[tuple[int, Verb]] = []
        for life, following in zip(self.lives, [*self.lives[1:], None], strict=True):
            if life.ends is not None and not life.announced:
                blows.append((life.ends, "kill"))
            if life.ends is not None and following is not None:
                free = min(life.ends + GOODBYE, (life.ends + following.begins) // 2) if life.announced else life.ends
                blows.append((free, "restart"))
        killed = {when for when, verb in blows if verb == "kill"}
        for begin, end in self.standstills:
            blows.append((begin, "suspend"))
            if end not in killed:
                blows.append((end, "resume"))
        return sorted(blows, key=lambda blow: blow[0])


def cast(timeline: Timeline, lives: Lives, seed: int, duration: int) -> list[Role]:
    """The role of every node."""
    names = lives.names
    roles = [Role([_life(name, 1, 0, seed)]) for name in names]
    frozen: dict[int, int] = {}
    senders: dict[int, Sequence[int]] = {}  # of each cut
    for now, action in timeline.actions:
        match action:
            case Crashes(node) | Leaves(node):
                _thaw(roles, frozen, node, now)
                role = roles[node]
                role.lives[-1] = replace(role.lives[-1], ends=now, announced=isinstance(action, Leaves))
            case Starts(node, generation):
                roles[node].lives.append(_life(names[node], generation, now, seed))
            case Freezes(node):
                frozen[node] = now
            case Thaws(node):
                _thaw(roles, frozen, node, now)
            case Skews(node, rate):
                roles[node].mishaps.append((now, Skew(rate)))
            case Cuts(number, sources, targets):
                senders[number] = sorted(sources)
                for node in sources:
                    roles[node].mishaps.append((now, Cut(number, targets - {node})))
            case Mends(number):
                for node in senders[number]:
                    roles[node].mishaps.append((now, Mend(number)))
            case Alters(number, nodes, model):
                for role in roles:
                    role.mishaps.append((now, Alter(number, nodes, model)))
            case Restores(number):
                for role in roles:
                    role.mishaps.append((now, Restore(number)))
    for node in list(frozen):
        _thaw(roles, frozen, node, duration)
    return roles


def _thaw(roles: Sequence[Role], frozen: dict[int, int], node: int, now: int) -> None:
    """Note the end of a standstill, if the node stands still."""
    if (begin := frozen.pop(node, None)) is not None:
        roles[node].standstills.append((begin, now))


def _life(name: str, generation: int, begins: int, seed: int) -> Life:
    return Life(generation, begins, None, False, *(stream(seed, life_name(name, generation), purpose) for purpose in ("gossip", "watch")))


def life_name(name: str, generation: int) -> str:
    """What the random streams of a life are named by, as in `Driver`."""
    return name if generation == 1 else f"{name} {generation}"
