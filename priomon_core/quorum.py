"""Reading the state of a node through others.

A read asks as many nodes in parallel as its level needs, in random order and those first that are held alive, and is over as soon as the
level is met. Where nothing comes in time (see patience.py) it asks others, twice as many each time, so that it gets through although most
are dead and nobody has noticed yet; once everybody was asked it asks again whoever is silent, half as often each time. A node that
knows nothing of the target, or that disagrees where agreement is wanted, is replaced at once. A read that cannot meet its level any more,
because all who live have answered, does not wait for its deadline.

Nothing here decides about clocks or sockets: the driver calls `wake` at the `deadline`, and drains `outcomes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from priomon_core.config import NEVER
from priomon_core.errors import QueryError
from priomon_core.identity import KEY_BYTES
from priomon_core.kernels import AGE
from priomon_core.octets import varint_size
from priomon_core.patience import Patience
from priomon_core.quorum_level import Level
from priomon_core.quorum_wire import NUMBER_BYTES, NUMBER_END, Answer, Query
from priomon_core.replica import Replica
from priomon_core.rumours import State
from priomon_core.strategies.base import Peer, Strategy
from priomon_core.wire import HEADER, age_code, age_of

MOST_READS = 1024  # under way at a time
MOST_AT_ONCE = 64  # questions in one step, so that a read of everybody does not flood the reader's own socket

Levels = tuple[tuple[int, int], ...]
StateOf = Callable[[int], State]


class Finder(Protocol):
    """Where origins live. An `AgentReplica` is one."""

    def peer_of(self, key: int) -> Peer | None:
        """Where datagrams for an origin go, None if nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """What the node `key` holds of a read's target: a version, the time of its sample (ns of the reader's clock), and levels.

    The levels are those that changed after the version that the reader held, or all.
    """

    key: int
    version: int
    sampled_at: int
    levels: Levels


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a read ended, from `began` to `ended` (ns). Unless the level was `met`, it is partial.

    `answers` are what other nodes hold, one each, in the order in which they came. `result` is the freshest of these and of what the reader
    held itself, or what was agreed upon, with all levels. `messages` were sent and received.
    """

    number: int
    target: int
    level: Level
    met: bool
    began: int
    ended: int
    messages: int
    answers: tuple[Held, ...]
    result: Held


class Read:
    """One read under way. `own` is what the reader held when it began, with all levels; `needed` other nodes have to answer."""

    def __init__(self, target: int, level: Level, needed: int, own: Held, began: int, end: int, state: StateOf) -> None:
        self.target = target
        self.level = level
        self.own = own
        self.began = began
        self.end = end
        self.next_step = began
        self.pause = 0  # ns between two steps
        self.steps = 0
        self.messages = 0
        self.fresh: list[int] = []  # whom it may still ask: held alive,
        self.doubtful: list[int] = []  # and suspected, who come last
        self.silent: dict[int, list[int]] = {}  # when each was asked who has not answered
        self.state = state
        self.answers: dict[int, Held] = {}
        self._needed = needed

    @property
    def since(self) -> int:
        """The version that the others are told: where they have to agree, all send all that they hold."""
        return 0 if self.level.agrees else self.own.version

    @property
    def missing(self) -> int:
        """How many answers are wanted yet."""
        if self.level.agrees:
            return self._needed - max(Counter(map(_content, self.answers.values())).values(), default=0)
        return self._needed - len(self.answers)

    @property
    def expected(self) -> list[int]:
        """Who has not answered and is not held dead."""
        return [key for key in self.silent if self.state(key) < State.DEAD]

    @property
    def deadline(self) -> int:
        """When there is something to do at the latest (ns)."""
        return min(self.next_step, self.end)

    def draw(self, count: int, random: Random) -> list[int]:
        """Some of those who were not asked yet."""
        drawn: list[int] = []
        for pool in (self.fresh, self.doubtful):
            while pool and len(drawn) < count:
                at = int(random.random() * len(pool))
                pool[at], pool[-1] = pool[-1], pool[at]
                key = pool.pop()
                if self.state(key) < State.DEAD:
                    drawn.append(key)
        return drawn

    def outcome(self, number: int, now: int) -> Outcome:
        """How it ended."""
        answers = tuple(self.answers.values())
        met = self.missing <= 0
        result = max((self.own, *answers), key=lambda held: held.version)
        if self.level.agrees and met:
            content, _ = Counter(map(_content, answers)).most_common(1)[0]
            result = next(held for held in answers if _content(held) == content)
        elif result is not self.own and not self.level.agrees:
            levels = dict(self.own.levels) | dict(result.levels)
            result = replace(result, levels=tuple(sorted(levels.items())))
        return Outcome(number, self.target, self.level, met, self.began, now, self.messages, answers, result)


def _content(held: Held) -> tuple[int, Levels]:
    return held.version, held.levels


class Reads:
    """The reads of one node, and its answers to those of others. It stands before `strategy`: what is not for it, goes there.

    `deadline` is when `wake` has something to do; `outcomes` collects how reads ended, for the driver to drain.
    """

    def __init__(self, replica: Replica, strategy: Strategy, finder: Finder, random: Random) -> None:
        self.outbox = strategy.outbox
        self.outcomes: list[Outcome] = []
        self.deadline = NEVER
        self._replica = replica
        self._strategy = strategy
        self._finder = finder
        self._random = random
        self._number = int(random.random() * NUMBER_END)  # so that answers to a former life go astray
        self._reads: dict[int, Read] = {}
        self._patience = Patience()

    def begin(self, target: int, level: Level, within: int, now: int, state: StateOf) -> int:
        """Read the origin `target` (a key) within so many ns; returns the number of the read, whose outcome may be there already.

        `state` says for what a node is held. Raises `QueryError`.
        """
        replica, values = self._replica, self._replica.values
        slot = replica.known(target)
        if slot is None:
            raise QueryError(f"origin {target:08x} is not known here; it has left, or has not been heard of yet")
        if len(self._reads) >= MOST_READS:
            raise QueryError(f"{MOST_READS} reads are under way; try again when some have ended")
        others = [int(key) for key, version in zip(values.keys, replica.versions, strict=True) if version and key != replica.key]
        states = {key: state(key) for key in others}
        needed = level.others(1 + sum(held != State.LEFT for held in states.values()))
        version = int(replica.versions[slot])
        own = Held(replica.key, version, now - values.age(slot, version, now), values.changes(slot, 0, version))
        read = Read(target, level, needed, own, now, now + within, state)
        read.fresh = [key for key in others if states[key] == State.ALIVE]
        read.doubtful = [key for key in others if states[key] == State.SUSPECT]
        read.pause = self._patience.delay
        self._number = (self._number + 1) % NUMBER_END
        while self._number in self._reads:
            self._number = (self._number + 1) % NUMBER_END
        number = self._number
        self._reads[number] = read
        self._proceed(number, read, now)
        return number

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """See `Strategy.round`."""
        self._strategy.round(peers, now)

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`."""
        if type(message) is Query:
            self._serve(message, source, now)
        elif type(message) is Answer:
            self._hear(message, now)
        else:
            self._strategy.receive(message, source, now)

    def wake(self, now: int) -> None:
        """End the reads whose time is over, and go on with those whose answers are late."""
        for number, read in list(self._reads.items()):
            if read.deadline <= now:
                self._proceed(number, read, now)

    def _serve(self, query: Query, source: Peer, now: int) -> None:
        """Tell what this node holds."""
        replica, values = self._replica, self._replica.values
        slot = replica.known(query.target)
        version = 0 if slot is None else int(replica.versions[slot])
        age, size = 0, HEADER + NUMBER_BYTES + varint_size(version)
        levels: Levels = ()
        if slot is not None:
            levels = tuple(values.changes(slot, query.since, version)) if version > query.since else ()
            age = age_code(values.age(slot, version, now))
            line = (slot * values.depth + version * values.step) * values.metrics
            size += AGE + (values.metrics + 7) // 8 + sum(int(values.width[line + metric]) for metric, _ in levels)
        self.outbox.append((source, Answer(replica.key, query.number, version, age, levels, size)))

    def _hear(self, answer: Answer, now: int) -> None:
        """Take an answer, unless it is a second one, late, or from somebody who was not asked."""
        read = self._reads.get(answer.number)
        asked = None if read is None else read.silent.pop(answer.sender, None)
        if read is None or asked is None:
            return
        read.messages += 1
        if len(asked) == 1:  # else nobody knows which question this answers
            self._patience.took(now - asked[0])
        if answer.version:
            read.answers[answer.sender] = Held(answer.sender, answer.version, now - age_of(answer.age), answer.levels)
        self._proceed(answer.number, read, now)

    def _proceed(self, number: int, read: Read, now: int) -> None:
        """End a read if nothing more can come of it, else ask whom there is to ask."""
        if read.missing > 0 and now < read.end:
            if now >= read.next_step:
                self._step(number, read, now)
            else:
                self._ask(number, read, read.draw(min(read.missing, MOST_AT_ONCE) - len(read.silent), self._random), now)
        if read.missing <= 0 or now >= read.end or not read.expected:
            del self._reads[number]
            self.outcomes.append(read.outcome(number, now))
        self.deadline = min((other.deadline for other in self._reads.values()), default=NEVER)

    def _step(self, number: int, read: Read, now: int) -> None:
        """Ask others, since too few have answered in time."""
        keys = read.draw(min(read.missing << read.steps, MOST_AT_ONCE), self._random)
        if not keys:
            keys = self._random.sample(read.expected, min(len(read.expected), MOST_AT_ONCE))
            read.pause *= 2
        read.steps = min(read.steps + 1, 16)
        read.next_step = now + read.pause
        self._ask(number, read, keys, now)

    def _ask(self, number: int, read: Read, keys: Sequence[int], now: int) -> None:
        size = HEADER + NUMBER_BYTES + KEY_BYTES + varint_size(read.since)
        query = Query(self._replica.key, number, read.target, read.since, size)
        for key in keys:
            peer = self._finder.peer_of(key)
            if peer is not None:
                read.silent.setdefault(key, []).append(now)
                read.messages += 1
                self.outbox.append((peer, query))
