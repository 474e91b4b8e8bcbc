"""What one node believes of every other: alive, suspect, dead, left or forgotten.

A *belief* is a state at an incarnation. The incarnation counts the refutations of the accused within its generation, and nobody else
raises it. Beliefs merge like versions: of two rumours the one with the higher (incarnation, state) wins, so any order of the same
rumours gives the same belief (SWIM's table of precedence, section 4.2, with one change: a dead node that refutes lives again, because
whoever was cut off is not gone). Nobody keeps anything of a node that was always alive.

    alive --accused--> suspect --time-out--> dead --tombstone--> forgotten --as long again--> unknown
      ^                   |                    |                     |
      +----- refutes -----+----- refutes ------+                     +--> alive once it speaks itself or refutes

A node that leaves says so, and is not suspected first. A younger generation of a node replaces the older one at once, whatever was believed
of that. An accuser that is itself not held alive is not believed: a node that lost its own network accuses everybody.

Nothing here grows without bound: beliefs go with their origins, tombstones and refusals have a time to live and a largest number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice, takewhile
from math import log10
from typing import NamedTuple

from priomon_core.config import NEVER, DetectionSettings
from priomon_core.events import Died, Event, Flapping, Forgotten, Left, Refuted, Restarted, Suspected
from priomon_core.replica import Replica
from priomon_core.rumours import ACCUSATIONS, LARGEST_INCARNATION, Rumour, Rumours, State
from priomon_core.suspicion import Suspicion

MOST_DEPARTED = 4096  # tombstones and refusals that are kept; the oldest go first
TIDY = 60  # rounds between two times that room is given back that origins took who were named and never introduced
LAST_CALLS = 3  # rounds before a verdict in which a node asks the accused and all others once more
MOST_CALLS = 8  # suspects for which this is done in one round
DAMPING = 5  # a flapping node is suspected for up to this much longer
CALM = 600 * 1_000_000_000  # ns without a relapse that make up for one return from the dead


class Belief:
    """What is believed of one node. `since` (ns) and `rule` say when and why; `suspicion` stays to tell who accused a dead node.

    `returns` counts how often it came back from the dead, one less for each `CALM` without.
    """

    __slots__ = ("accuser", "incarnation", "returned_at", "returns", "rule", "since", "state", "suspicion")

    def __init__(self) -> None:
        self.state = State.ALIVE
        self.incarnation = 0
        self.accuser = 0
        self.since = 0
        self.rule = ""
        self.suspicion: Suspicion | None = None
        self.returns = 0
        self.returned_at = 0

    def rumour(self, key: int) -> Rumour:
        """What there is to tell of it."""
        return Rumour(key, self.state, self.incarnation, self.accuser)

    def relapses(self, now: int) -> int:
        """Returns from the dead that still count."""
        return max(0, self.returns - (now - self.returned_at) // CALM)


class Refusal(NamedTuple):
    """News of a forgotten node are refused `until` then (ns), or until it refutes its death at `incarnation`."""

    until: int
    name: str
    incarnation: int


class Membership:
    """The beliefs of the node that `replica` belongs to; `period` is the time of a round (ns).

    `incarnation` is the node's own, and `gone` whether it has left. `rumours` is what it passes on, `events` what it noticed, for the
    driver to drain. `departed` maps the keys of dead and left nodes to the end of their tombstones; `refused` has those of forgotten
    nodes. `deadline` is when the next suspicion becomes a verdict, or earlier.
    """

    __slots__ = (
        "_beliefs",
        "_suspects",
        "_tidy_due",
        "_untidy",
        "deadline",
        "departed",
        "events",
        "gone",
        "incarnation",
        "period",
        "refused",
        "replica",
        "rumours",
        "settings",
    )

    def __init__(self, replica: Replica, settings: DetectionSettings, period: int) -> None:
        self.replica = replica
        self.settings = settings
        self.period = period
        self.incarnation = 0
        self.rumours = Rumours(settings.retransmissions)
        self.events: list[Event] = []
        self.deadline = NEVER
        self.gone = False
        self.departed: dict[int, int] = {}
        self._beliefs: dict[int, Belief] = {}
        self._untidy = False
        self._tidy_due = TIDY * period
        self._suspects: dict[int, Suspicion] = {}
        self.refused: dict[int, Refusal] = {}

    @property
    def live(self) -> int:
        """How many nodes are not held dead or gone, this one among them."""
        return max(1, self.replica.roster[0] - len(self.departed))

    @property
    def calm(self) -> bool:
        """Whether there is nothing to tell of anybody."""
        return not (self._suspects or self.departed or self.rumours.count)

    @property
    def doubts(self) -> bool:
        """Whether any node is held suspect, dead or gone."""
        return bool(self._suspects or self.departed)

    @property
    def beliefs(self) -> Mapping[int, Belief]:
        """All that is believed of others, by their keys."""
        return self._beliefs

    def state(self, key: int) -> State:
        """For what a node is held; alive if nothing else is known."""
        belief = self._beliefs.get(key)
        return State.ALIVE if belief is None else belief.state

    def belief(self, key: int) -> Belief | None:
        """All that is believed of a node, None if it was always alive."""
        return self._beliefs.get(key)

    def refused_until(self, name: str) -> int | None:
        """Until when (ns) news of a forgotten node are refused, None if none of this name was forgotten."""
        return max((refusal.until for refusal in self.refused.values() if refusal.name == name), default=None)

    def name(self, key: int) -> str:
        """The name of a node, or its key where nothing else is known."""
        if key == self.replica.key:
            return self.replica.values.identity(self.replica.own).name
        slot = self.replica.known(key)
        return f"{key:08x}" if slot is None else self.replica.values.identity(slot).name

    # What others say

    def hear(self, rumour: Rumour, now: int) -> Rumour | None:
        """Take a rumour; returns what whoever told it should be told, if this node knows better."""
        key, state, incarnation, accuser = rumour
        if key == self.replica.key:
            return self._defend(rumour, now)
        if key in self.refused:
            if state == State.ALIVE and incarnation > self.refused[key].incarnation:
                self.spoke(key)
            return None
        if self.replica.known(key) is None:
            return None
        belief = self._beliefs.get(key)
        rank = (0, State.ALIVE) if belief is None else (belief.incarnation, belief.state)
        if (incarnation, state) >= rank and not self._credible(rumour):
            return None
        if (incarnation, state) > rank:
            self._adopt(rumour, now, f"told by {self.name(accuser)}" if state in ACCUSATIONS else "told by itself")
        elif (incarnation, state) == rank:
            if state == State.SUSPECT and self._confirm(key, accuser, now):
                self.rumours.add(rumour)
        elif belief is not None:
            better = belief.rumour(key)
            self.rumours.add(better)
            return better
        return None

    def _credible(self, rumour: Rumour) -> bool:
        """Whether a rumour may change a belief: not a question, nor an accusation by somebody who is not held alive."""
        key, state, _, accuser = rumour
        return state not in ACCUSATIONS or (accuser != key and self.state(accuser) == State.ALIVE)

    def question(self, key: int) -> Rumour:
        """Is a node really dead? The accusation, with the accused as its own accuser: nobody believes it, and who knows better answers."""
        return Rumour(key, State.DEAD, self._beliefs[key].incarnation, key)

    def _defend(self, rumour: Rumour, now: int) -> Rumour | None:
        """Refute what is held against this node itself."""
        if rumour.state == State.ALIVE:
            return None
        if rumour.incarnation >= self.incarnation:
            self.incarnation = min(rumour.incarnation + 1, LARGEST_INCARNATION)
            self.events.append(Refuted(now, rumour.key, self.name(rumour.key), self.incarnation, rumour.state >= State.DEAD))
        refutation = Rumour(rumour.key, State.ALIVE, self.incarnation)
        self.rumours.add(refutation)
        return refutation

    def superseded(self, key: int, younger: int, now: int) -> None:
        """A younger generation of a node is known: whatever was believed of the older one is no matter any more."""
        self._drop(key)
        self._untidy = True
        self.events.append(Restarted(now, younger, self.name(younger), key))

    def spoke(self, key: int) -> None:
        """A forgotten node was heard itself, or has refuted, or its time has passed: it is welcome again."""
        if key in self.refused:
            del self.refused[key]
            self.replica.admit(key)

    # What this node finds out itself

    def accuse(self, key: int, now: int, rule: str) -> bool:
        """Suspect a node, or confirm the suspicion of another; whether this told anybody anything new."""
        if (rumour := self._charge(key, State.SUSPECT)) is None:
            return False
        state = self.state(key)
        if state == State.ALIVE:
            self._adopt(rumour, now, rule)
        elif state == State.SUSPECT and self._confirm(key, rumour.accuser, now):
            self.rumours.add(rumour)
        else:
            return False
        return True

    def condemn(self, key: int, now: int, rule: str) -> None:
        """Hold a node dead without a suspicion before."""
        if (rumour := self._charge(key, State.DEAD)) is not None and self.state(key) < State.DEAD:
            self._adopt(rumour, now, rule)

    def _charge(self, key: int, state: State) -> Rumour | None:
        """What this node would say against another; None if it is unknown, or has no incarnation left to refute with."""
        belief = self._beliefs.get(key)
        incarnation = 0 if belief is None else belief.incarnation
        if self.replica.known(key) is None or incarnation >= LARGEST_INCARNATION:
            return None
        return Rumour(key, state, incarnation, self.replica.key)

    def leave(self) -> Rumour:
        """This node itself is about to go; what it tells the others."""
        self.gone = True
        self.incarnation = min(self.incarnation + 1, LARGEST_INCARNATION)
        self.rumours.drop(self.replica.key)
        return Rumour(self.replica.key, State.LEFT, self.incarnation)

    def last_calls(self, now: int) -> list[int]:
        """The suspects that are about to be held dead. They are accused once more, so that whoever knows better says so.

        Only the longest suspected few: where half of a cluster is suspected, it is hardly by mistake.
        """
        end = now + LAST_CALLS * self.period
        keys = list(islice((key for key, suspicion in self._suspects.items() if suspicion.deadline <= end), MOST_CALLS))
        for key in keys:
            self.rumours.add(self._beliefs[key].rumour(key))
        return keys

    # What time does

    def expire(self, now: int) -> None:
        """Turn suspicions that were not refuted in time into verdicts, and forget those who departed long ago.

        Nodes are forgotten here and nowhere else: it may move the slots of a replica, to which messages that wait to be sent refer.
        """
        if now >= self.deadline:
            for key in [key for key, suspicion in self._suspects.items() if suspicion.deadline <= now]:
                suspicion, belief = self._suspects[key], self._beliefs[key]
                waited = (suspicion.deadline - suspicion.began) / 1e9
                rule = f"suspected and not refuted for {waited:.1f} s, with {suspicion.confirmations} confirmations"
                self._adopt(Rumour(key, State.DEAD, belief.incarnation, self.replica.key), now, rule)
            self._schedule()
        if self.departed:
            surplus = max(0, len(self.departed) - MOST_DEPARTED)
            for key in dict.fromkeys([*_expired(self.departed.items(), now), *islice(self.departed, surplus)]):
                self._forget(key, now)
        if self._untidy or now >= self._tidy_due:
            self.replica.tidy()
            self._untidy, self._tidy_due = False, now + TIDY * self.period
        if self.refused:
            for key in _expired(((key, refusal.until) for key, refusal in self.refused.items()), now):
                self.spoke(key)

    def postpone(self, by: int) -> None:
        """Hold all verdicts for so many ns longer: this node could not hear what the accused had to say."""
        for suspicion in self._suspects.values():
            suspicion.postpone(by)
        self._schedule()

    def _adopt(self, rumour: Rumour, now: int, rule: str) -> None:
        """Believe a rumour that is stronger than what was believed, and pass it on."""
        key, state, incarnation, accuser = rumour
        belief = self._beliefs.setdefault(key, Belief())
        before = belief.state
        belief.state, belief.incarnation, belief.accuser, belief.since, belief.rule = state, incarnation, accuser, now, rule
        self.rumours.add(rumour)
        if state == State.SUSPECT:
            self._return(key, belief, before, now)
            suspicion = self._suspicion(belief, accuser, now)
            belief.suspicion = self._suspects[key] = suspicion
            self.deadline = min(self.deadline, suspicion.deadline)
            self.events.append(Suspected(now, key, self.name(key), self.name(accuser), rule))
        elif state == State.ALIVE:
            self._suspects.pop(key, None)
            self._return(key, belief, before, now)
            belief.suspicion = None
            self.events.append(Refuted(now, key, self.name(key), incarnation, before >= State.DEAD))
        else:
            self._suspects.pop(key, None)
            self.departed.pop(key, None)  # so that the order is that of the ends
            self.departed[key] = now + self.settings.tombstone
            self.replica.withhold(key, True)
            name = self.name(key)
            self.events.append(Left(now, key, name) if state == State.LEFT else Died(now, key, name, rule))

    def _confirm(self, key: int, accuser: int, now: int) -> bool:
        suspicion = self._suspects[key]
        fresh = suspicion.confirm(accuser, now)
        self.deadline = min(self.deadline, suspicion.deadline)
        return fresh

    def _return(self, key: int, belief: Belief, before: State, now: int) -> None:
        """Count a return from the dead."""
        if before < State.DEAD:
            return
        del self.departed[key]
        self.replica.withhold(key, False)
        belief.returns = belief.relapses(now) + 1
        belief.returned_at = now
        if belief.returns > 1:
            self.events.append(Flapping(now, key, self.name(key), belief.returns))

    def _suspicion(self, belief: Belief, accuser: int, now: int) -> Suspicion:
        least = round(self.settings.suspicion * max(1.0, log10(self.live)) * self.period)
        least *= 1 + min(belief.relapses(now), DAMPING)
        return Suspicion(accuser, now, least, least * self.settings.longest_suspicion, self.live - 2)

    def _forget(self, key: int, now: int) -> None:
        name = self.name(key)
        refusal = Refusal(now + self.settings.tombstone, name, self._beliefs[key].incarnation)
        self.events.append(Forgotten(now, key, name))
        self._drop(key)
        self.replica.forget(key)
        self.refused[key] = refusal
        if len(self.refused) > MOST_DEPARTED:
            self.spoke(next(iter(self.refused)))

    def _drop(self, key: int) -> None:
        self._beliefs.pop(key, None)
        self.departed.pop(key, None)
        self.rumours.drop(key)
        self._suspects.pop(key, None)

    def _schedule(self) -> None:
        self.deadline = min((suspicion.deadline for suspicion in self._suspects.values()), default=NEVER)


def _expired(ends: Iterable[tuple[int, int]], now: int) -> list[int]:
    """The keys whose end has come, of (key, end) in the order of the ends."""
    return [key for key, _ in takewhile(lambda one: one[1] <= now, ends)]
