"""Probes with every exchange, and asks others before it suspects (SWIM: Das, Gupta, Motivala 2002; Lifeguard: Dadgar et al. 2017).

The digest that begins an exchange is the ping, and whatever comes from the partner is the ack. If nothing has come within the time-out, the
partner is pinged once more, and some helpers are asked to ping it too. The partner answers them and, where it knows the way, also the node
that asks. Half-way to the end of the period all this is done again, with other helpers. So neither a one-way link nor the loss of a few
datagrams makes a suspicion: at 20 % loss one probe in some thousand does. If nothing has come by the end of the period, the partner is
suspected.

A helper says at once that it was reached. If most keep silent, the trouble is probably here, and the node grants more time from then on
(`Awareness`).
"""

from __future__ import annotations

from priomon_core.config import NEVER, DetectionSettings
from priomon_core.detectors.base import Means

ROUNDS = 2  # how often others are asked about one probe


class Probe:
    """A probe on its way: when others are asked next, when it is judged, and which helpers were asked and (true) heard since."""

    __slots__ = ("ask_at", "helpers", "judge_at", "rounds")

    def __init__(self, ask_at: int, judge_at: int) -> None:
        self.ask_at = ask_at
        self.judge_at = judge_at
        self.rounds = 0
        self.helpers: dict[int, bool] = {}


class Swim:
    """See the top of this file."""

    __slots__ = ("_helpers", "_means", "_open", "_patience", "_timeout", "deadline")
    probes = True

    def __init__(self, means: Means, settings: DetectionSettings, period: int) -> None:
        self._means = means
        self._timeout = settings.probe_timeout
        self._patience = max(period, 2 * settings.probe_timeout)
        self._helpers = settings.indirect_probes
        self._open: dict[int, Probe] = {}
        self.deadline = NEVER

    def contacted(self, key: int, now: int) -> None:
        """See `Detector.contacted`. A probe of the same node that still waits goes on."""
        if key not in self._open:
            scale = self._means.awareness.scale
            probe = self._open[key] = Probe(now + scale(self._timeout), now + scale(self._patience))
            self.deadline = min(self.deadline, probe.ask_at)

    def heard(self, key: int, now: int) -> None:
        """See `Detector.heard`."""
        if self._open:
            if self._open.pop(key, None) is not None:
                self._means.awareness.improve()
                if not self._open:
                    self.deadline = NEVER
            for probe in self._open.values():
                if key in probe.helpers:
                    probe.helpers[key] = True

    def wake(self, now: int) -> None:
        """See `Detector.wake`."""
        if now < self.deadline:
            return
        self.deadline = NEVER
        for key, probe in list(self._open.items()):
            if now >= probe.judge_at:
                del self._open[key]
                self._judge(key, probe, now)
                continue
            if now >= probe.ask_at:
                self._ask(key, probe, now)
            self.deadline = min(self.deadline, probe.ask_at)

    def _ask(self, key: int, probe: Probe, now: int) -> None:
        helpers = self._means.helpers(key, self._helpers)
        probe.rounds += 1
        probe.ask_at = (now + probe.judge_at) // 2 if probe.rounds < ROUNDS else probe.judge_at
        self._means.ping(key)
        for helper in helpers:
            probe.helpers.setdefault(helper, False)
            self._means.ask(helper, key)

    def _judge(self, key: int, probe: Probe, now: int) -> None:
        if not probe.rounds:  # it was due to ask others and did not run in time
            return
        reached, asked = sum(probe.helpers.values()), len(probe.helpers)
        if 2 * reached <= asked:
            self._means.awareness.worsen()
        self._means.accuse(
            key, now, f"it answered none of {1 + probe.rounds} probes, nor any through {asked} others, {reached} of them reached"
        )

    def stalled(self, late: int) -> None:
        """See `Detector.stalled`."""
        self._open.clear()
        self.deadline = NEVER
