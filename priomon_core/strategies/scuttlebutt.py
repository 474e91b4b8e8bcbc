"""Anti-entropy by digest and deltas both ways, after van Renesse et al., Efficient Reconciliation and Flow Control for Anti-Entropy
Protocols (LADIS 2008).

A round is up to three messages. A sends a digest of what it knows. B answers with a delta: news where it knows more, requests where it
knows less. A takes the news and sends what was requested. Each message can be lost without harm: the next exchange, with whomever,
repairs it, because a delta is made from what the other side says it has.

*Digests.* An entry of an explicit digest is a key and a version: 5 or 6 bytes. Once a node's set of known origins has been stable for a
few rounds it sends a positional digest: a checksum of the set, then the versions alone in the order of the keys, mostly one byte each. A
receiver that knows another set answers with an explicit digest of its own, and the exchange goes on with the roles swapped. A digest
that exceeds the datagram limit is cut into intervals of the key space, each a message by itself; past the burst limit the rest waits for
the next rounds, which go on where this one ended.

*Deltas.* A delta that exceeds the limit is cut likewise. Where even the burst limit is too small, the least urgent entries wait: see
`kernels.shed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from priomon_core.config import GossipSettings
from priomon_core.identity import KEY_BYTES
from priomon_core.kernels import AGE
from priomon_core.messages import Delta, Digest
from priomon_core.octets import varint_size
from priomon_core.replica import Replica
from priomon_core.strategies.base import Outbox, Peer, Strategy
from priomon_core.wire import DELTA_HEADER, DIGEST_HEADER

INTERVAL = 2 * KEY_BYTES  # bytes that say which interval of keys a digest covers
COUNT = 2  # bytes of a number of entries that fit a datagram
LARGEST_SLACK = 100  # bytes that a cut may leave empty at the end of a datagram, where others follow


class Scuttlebutt(Strategy):
    """See the top of this file."""

    __slots__ = (
        "_ask",
        "_blank",
        "_cursor",
        "_entry",
        "_kernels",
        "_limit",
        "_settled",
        "_stable_roster",
        "_turn",
        "outbox",
        "replica",
        "settings",
    )

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.settings = settings
        self.outbox: Outbox = []
        self._kernels, self._ask, self._blank = replica.kind.kernels, replica.kind.ask, replica.kind.blank
        self._limit = settings.datagram_limit
        self._entry = KEY_BYTES + AGE + (replica.values.metrics + 7) // 8  # bytes of news beside version and levels
        self._cursor = 0  # where the next digest that does not fit begins
        self._turn = 0  # where the next delta that does not fit begins to be filled
        self._stable_roster = replica.roster
        self._settled = 0

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Send a digest to each peer."""
        self.watch_roster()
        self.send_digest(peers)

    def watch_roster(self) -> None:
        """Count the rounds for which the set of known origins has been stable."""
        if self.replica.roster == self._stable_roster:
            self._settled += 1
        else:
            self._stable_roster, self._settled = self.replica.roster, 0

    @property
    def settled(self) -> bool:
        """Whether the set of known origins has been stable for long enough that their order may name them."""
        return self._settled >= self.settings.settling

    def send_digest(self, peers: Sequence[Peer]) -> None:
        """Tell each peer which versions are known."""
        digest = self._digest(0, len(self.replica.versions), self.settled)
        digests = (digest,) if digest.size <= self._limit else self._parts(digest)
        for digest in digests:
            for peer in peers:
                self.outbox.append((peer, digest))

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Answer a digest, or take a delta and serve its requests; a delta for another generation of this node is dropped.

        Digests and deltas are what nodes of all strategies understand. So a message of another strategy is answered with a digest.
        """
        match message:
            case Digest():
                self._answer(message, source, now)
            case Delta():
                if message.recipient == self.replica.key:
                    self._take(message, source, now)
            case _:
                self.send_digest((source,))

    def _digest(self, start: int, count: int, positional: bool) -> Digest:
        """What the node knows of an interval, in one message of whatever size."""
        replica = self.replica
        whole = count == len(replica.versions)
        row = self._blank(count)
        known, size = self._kernels.snapshot(replica.versions if whole else replica.interval(start, count), count, row)
        size += DIGEST_HEADER + varint_size(known) + (KEY_BYTES if positional else KEY_BYTES * known) + (0 if whole else INTERVAL)
        roster = None if not positional else replica.roster if whole else replica.roster_of(start, count)
        return Digest(replica.key, start, count, row, roster, size)

    def _parts(self, digest: Digest) -> list[Digest]:
        """A digest that exceeds a datagram as several that do not: as many as the burst limit allows, from the cursor on."""
        positional = digest.roster is not None
        budget = self._limit - DIGEST_HEADER - COUNT - INTERVAL - (KEY_BYTES if positional else 0)
        start, stop = digest.start, digest.start + digest.count
        whole = digest.count == len(self.replica.versions)
        begin = at = self._cursor if whole and self._cursor < stop else start
        parts: list[Digest] = []
        while len(parts) < self.settings.burst:
            end = begin if at < begin else stop
            end = self._kernels.cut_digest(self.replica.versions, at, end, 0 if positional else KEY_BYTES, budget)
            parts.append(self._digest(at, end - at, positional))
            at = end if end < stop else start
            if at == begin:
                break
        if whole:
            self._cursor = at
        return parts

    def _answer(self, digest: Digest, source: Peer, now: int) -> None:
        replica = self.replica
        start, count, theirs = digest.start, digest.count, digest.versions
        whole = count == len(replica.versions)
        if digest.roster is not None and digest.roster != (replica.roster if whole else replica.roster_of(start, count)):
            theirs = None
        if theirs is None:
            mine = self._digest(start, count, positional=False)
            self.outbox += [(source, part) for part in ((mine,) if mine.size <= self._limit else self._parts(mine))]
            return
        row = self._blank(count)
        own = replica.versions if whole else replica.interval(start, count)
        news, introductions, requests, size = self._kernels.answer(own, theirs, count, self._ask, row)
        if news or requests:
            news -= introductions
            draft = Delta(replica.key, digest.sender, start, count, row, theirs, introductions, news, requests, size)
            self.send(draft, source, now)

    def _take(self, delta: Delta, source: Peer, now: int) -> None:
        replica = self.replica
        if delta.introductions or delta.news:
            replica.learn(delta, now)
        if not delta.requests:
            return
        start, count = delta.start, delta.count
        row = self._blank(count)
        own = replica.versions if count == len(replica.versions) else replica.interval(start, count)
        news, introductions, size = self._kernels.fulfil(own, delta.row, count, self._ask, row)
        if news:
            news -= introductions
            draft = Delta(replica.key, delta.sender, start, count, row, delta.row, introductions, news, 0, size)
            self.send(draft, source, now)

    def send(self, draft: Delta, peer: Peer, now: int) -> None:
        """Send a delta whose size is so far that of its versions, cut to datagrams where one does not hold it."""
        if not self.replica.introduces(draft):
            return
        uniform = self.replica.values.uniform
        if uniform is not None:
            introductions, news, requests = draft.introductions, draft.news, draft.requests
            draft.size += (introductions + news) * (self._entry + uniform[0]) + introductions * uniform[1] + requests * KEY_BYTES
            draft.size += _delta_header(introductions, news, requests)
            if draft.size <= self._limit:
                self.outbox.append((peer, draft))
                return
        parts = self._cut(draft)
        if parts[-1].start + parts[-1].count < draft.start + draft.count:
            self._shed(draft, now)
            parts = self._cut(draft)
        self.outbox += [(peer, part) for part in parts]

    def _cut(self, draft: Delta) -> list[Delta]:
        """A delta as parts that fit a datagram each, at most as many as the burst limit allows."""
        values = self.replica.values
        budget = self._limit - DELTA_HEADER - 3 * COUNT
        parts: list[Delta] = []
        begin = 0
        values.refresh()
        while begin < draft.count and len(parts) < self.settings.burst:
            end, size, introductions, news, requests = self._kernels.cut_delta(
                draft.row,
                draft.since,
                begin,
                draft.count,
                draft.start,
                self._ask,
                budget,
                values.changed,
                values.width,
                values.introduction,
                values.depth,
                values.step,
                values.metrics,
            )
            row, since = (draft.row, draft.since) if end - begin == draft.count else (draft.row[begin:end], draft.since[begin:end])
            size += _delta_header(introductions, news, requests)
            start, count = draft.start + begin, end - begin
            parts.append(Delta(draft.sender, draft.recipient, start, count, row, since, introductions, news, requests, size))
            begin = end
        return parts

    def _shed(self, draft: Delta, now: int) -> None:
        """Empty the least urgent entries of a delta's row until the rest fits the burst limit."""
        values = self.replica.values
        budget = self.settings.burst * (self._limit - DELTA_HEADER - 3 * COUNT) - (self.settings.burst - 1) * LARGEST_SLACK
        self._kernels.shed(
            draft.row,
            draft.since,
            draft.count,
            draft.start,
            self._turn % draft.count,
            self._ask,
            budget,
            now,
            self.settings.ageing,
            values.priority,
            values.published,
            values.changed,
            values.width,
            values.introduction,
            values.depth,
            values.step,
            values.metrics,
        )
        self._turn += draft.count // 3 + 1


def _delta_header(introductions: int, news: int, requests: int) -> int:
    """Bytes before the entries of a delta; the counts are below 2^21, and written out because this is asked of every message."""
    counts = (introductions > 127) + (news > 127) + (requests > 127) + (introductions > 16383) + (news > 16383) + (requests > 16383)
    return DELTA_HEADER + 3 + counts
