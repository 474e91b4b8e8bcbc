"""Rumour mongering as in Demers et al. (1987), tables 1 and 3: what the rule "feedback, counter" leaves, costs and takes.

Every node starts a rumour of its own, so a run gives as many samples as it has nodes; they share their contacts, so the standard error is
taken over runs. Contacts are judged on the state at the start of their cycle, as in the paper; the strategy itself judges on what it finds.
Repair by comparison rests. The paper does not say over how many rumours its figures are means; they are taken for a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import hypot, sqrt
from typing import Any

import numpy as np
import pytest

from priomon_core.config import GossipSettings
from priomon_core.messages import Row
from priomon_core.metrics import Priority
from priomon_core.pushes import Feedback, Push, summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer
from priomon_core.strategies.rumor import Rumor
from priomon_sim.driver import Driver

NODES = 1000
RUNS = 3
THEIR_RUMOURS = 100
MOST_CYCLES = 60


class Pushing(Rumor):
    """Rumor, with every contact judged on the state at the start of its cycle. `told_of` counts the updates in its pushes."""

    state: Row
    entries = 0

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Push what is hot, and nothing else."""
        self._begin_cycle()
        self._spread(Priority.LOW, peers, now)

    def _begin_cycle(self) -> None:
        count = len(self.replica.versions)
        self.state = self.replica.kind.blank(count)
        self.replica.kind.kernels.snapshot(self.replica.versions, count, self.state)

    def _state(self) -> Row:
        return self.state

    def _push(self, worst: Priority, peers: Sequence[Peer], now: int) -> None:
        before = len(self.outbox)
        super()._push(worst, peers, now)
        self.entries += sum(message.count for _, message in self.outbox[before:] if isinstance(message, Push))


class Pulling(Pushing):
    """The same rule for pull: each node asks another for what is hot there at the start of the cycle.

    Where several ask in one cycle, the counter of an update is reset if any of them needed it, else raised by one.
    """

    heard: list[Feedback]

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Take the feedback of the cycle that is over, and ask each peer."""
        for number, reply in self._merged():
            self._awaiting[number] = reply[0]
            super()._judge(reply[1])
        self._awaiting.clear()
        self.heard = []
        self._begin_cycle()
        self.hot = self._flow.pending(Priority.LOW, now)
        self.before: Row | None = None
        self.deadline = now + self._interval
        self.outbox += [(peer, summary(self.replica.key, None)) for peer in peers]

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Tell who asks what was hot at the start of the cycle."""
        if isinstance(message, Feedback):
            self.heard.append(message)
        elif isinstance(message, Push):
            self._take(message, source, now)
        else:
            self._tell(source)

    def _tell(self, peer: Peer) -> None:
        flow = self._flow
        for push in flow.pushes(self.hot, -1, flow.number, positional=False):
            flow.number = push.number
            if self.before is None:
                self.before = self.replica.kind.zeros(push.count)
                self._kernels.pushed(push.slots, push.count, self._counters, self.before)
            self._awaiting[push.number] = push, self.before
            self.entries += push.count
            self.outbox.append((peer, push))

    def _merged(self) -> list[tuple[int, tuple[tuple[Push, Row], Feedback]]]:
        """One feedback for all who asked: in vain is what no one of them needed."""
        if not self._awaiting:
            return []
        marks = {feedback.number: feedback.marks for feedback in self.heard}
        number, (push, before) = next(iter(self._awaiting.items()))
        in_vain = np.ones(push.count, np.int32)
        for each in self._awaiting:
            in_vain &= np.asarray(marks[each]) if each in marks else 0
        return [(number, ((push, before), Feedback(0, number, in_vain, push.count, 0)))]  # type: ignore[arg-type]


def spread(cluster: Callable[..., Driver], rule: type[Pushing], hot: int, seed: int) -> list[float]:
    """Residue, traffic (updates sent per node) and cycle of the last delivery: means over the rumours of a run.

    Then the standard deviations of residue and last delivery over its rumours.
    """

    def strategy(replica: Replica, settings: GossipSettings) -> Pushing:
        return rule(replica, replace(settings, hot=hot, flushes=1))

    driver = cluster(strategy, NODES, seed, together=True)
    driver.introduce_all()  # version 1; the rumour is version 2, which all publish in the first cycle
    last = np.zeros(NODES)
    held = driver.versions == 2
    for cycle in range(1, MOST_CYCLES):
        driver.clock.run_to(cycle * driver.settings.period + driver.settings.period // 2)
        now = driver.versions == 2
        last[(now != held).any(axis=0)] = cycle
        if (now == held).all() and cycle > 3:
            break
        held = now
    entries = sum(node.strategy.entries for node in driver.nodes)  # type: ignore[attr-defined]
    residue = 1 - held.mean(axis=0)
    return [residue.mean(), entries / NODES**2, last.mean(), residue.std(), last.std()]


@pytest.mark.reference("demers_1987.csv")
def test_the_rule_does_what_the_paper_says(row: dict[str, str], cluster: Callable[..., Driver]) -> None:
    rule = Pulling if row["variant"].startswith("pull") else Pushing
    runs = np.array([spread(cluster, rule, int(row["k"]), seed) for seed in range(RUNS)])
    deviations = {"residue": runs[:, 3].mean(), "traffic": 0.0, "t_last": runs[:, 4].mean()}
    for name, found in zip(deviations, runs.T[:3], strict=True):
        published = row[name]
        rounding = 0.5 * 10.0 ** -len(published.partition(".")[2])
        error = hypot(np.std(found, ddof=1) / sqrt(RUNS), deviations[name] / sqrt(THEIR_RUMOURS))
        print(f"\n{row['variant']:22} k={row['k']} {name:8}: {found.mean():.6f} +-{error:.6f}, published {published}", end="")
        assert found.mean() == pytest.approx(float(published), abs=3 * error + rounding)
