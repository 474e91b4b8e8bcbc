"""What detection and gossip cost: bytes are counted as they are sent, datagrams fit, and memory stays bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from priomon_core.membership import MOST_DEPARTED
from priomon_core.rumours import MOST_RUMOURS
from priomon_core.suspicion import CONFIRMATIONS
from priomon_sim.checkers.history import Checker, Cluster, Moment, Sending


class BytesCounted(Checker):
    """What a node counts as sent is what its datagrams weigh, by their encoding. Nodes that speak over streams are left out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._sent: Counter[int] = Counter()
        self._streaming: set[int] = set()

    def sent(self, sending: Sending) -> Iterator[str]:
        if sending.encoded is None:
            self._streaming.add(sending.source)
        else:
            self._sent[sending.source] += sending.encoded + self._cluster.overhead
        return iter(())

    def see(self, moment: Moment) -> Iterator[str]:
        for node, counted in enumerate(moment.bytes_sent):
            if node not in self._streaming and counted != self._sent[node]:
                name = self._cluster.name(self._cluster.lives.slots[node][0])
                yield f"{name} has sent {self._sent[node]:,} B and counted {counted:,} B"


class DatagramsFit(Checker):
    """A datagram is as long as it claims, and no longer than the limit."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def sent(self, sending: Sending) -> Iterator[str]:
        limit = self._cluster.gossip.datagram_limit
        name = self._cluster.name(self._cluster.lives.slots[sending.source][0])
        if sending.encoded is None:
            return
        if sending.encoded != sending.size:
            yield f"{name} sent a datagram of {sending.encoded} B that claims {sending.size} B"
        if sending.encoded > limit:
            yield f"{name} sent a datagram of {sending.encoded} B, the limit is {limit} B"


class MemoryBounded(Checker):
    """What a node keeps for detection is bounded by the lives that it knows, and by the limits of `Membership` and `Rumours`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def see(self, moment: Moment) -> Iterator[str]:
        known = np.count_nonzero(moment.versions, axis=1).tolist()
        begun = int(np.count_nonzero(moment.newest))
        for slot in np.flatnonzero(moment.present).tolist():
            kept = moment.kept[slot]
            if kept is None:
                continue
            bounds = {
                "beliefs about strangers": (kept.strays, 0),
                "rumours": (kept.rumours, min(MOST_RUMOURS, (1 + CONFIRMATIONS) * (known[slot] + 1))),
                "tombstones": (kept.tombstones, min(MOST_DEPARTED, known[slot])),
                "refusals": (kept.refusals, min(MOST_DEPARTED, begun)),
            }
            for what, (found, most) in bounds.items():
                if found > most:
                    yield f"{self._cluster.name(slot)} keeps {found} {what}, expected at most {most} for the {known[slot]} lives it knows"
