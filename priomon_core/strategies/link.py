"""One link of a tree, and how far pushes have gone and come over it.

A push covers the numbers after `since` up to `number`, and the next begins where it ended. So what has come is whole up to `got`; what is
`ahead` waits for what comes between, which may have been overtaken, or lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from priomon_core.strategies.base import Peer

MOST_AHEAD = 64  # pushes kept track of after a gap


@dataclass(slots=True, eq=False)
class Link:
    """`index` is its name in the row of sources; `got` the push up to which all has come, None before the first.

    `sent` is the last push that went over it and `sent_at` its time, `heard_at` when something came, `asked_at` when a gap was told
    last, `checksum` that of the peer's roster. `compared` says whether what was known before the link was compared, `unread` that
    something came which could not be read.
    """

    index: int
    peer: Peer
    key: int
    sent: int
    sent_at: int
    heard_at: int
    got: int | None = None
    asked_at: int = 0
    checksum: int | None = None
    compared: bool = False
    unread: bool = False
    ahead: dict[int, int] = field(default_factory=dict)

    @property
    def gap(self) -> bool:
        """Whether something is missing before what has come."""
        return bool(self.ahead) or self.unread

    @property
    def answer(self) -> int:
        """What a push over the link says of what has come: 1 more than the number, 0 for nothing."""
        return 0 if self.got is None else self.got + 1

    def begin(self, number: int) -> None:
        """Count from push `number` on."""
        self.got, self.unread = number, False
        self.ahead.clear()

    def take(self, since: int, number: int) -> bool:
        """Note that the numbers after `since` up to `number` have come; whether all before have."""
        if self.got is None:
            return False
        if since > self.got:
            if len(self.ahead) < MOST_AHEAD:
                self.ahead[since] = max(number, self.ahead.get(since, 0))
            return False
        self.got = max(self.got, number)
        self.unread = False
        while self.ahead and (first := min(self.ahead)) <= self.got:
            self.got = max(self.got, self.ahead.pop(first))
        return True
