"""The loops over a row: everything whose work grows with the number of origins.

A *row* holds one version per origin, in the order of the origins' keys; 0 means "nothing known". The agent runs these functions as
they are, on `array` rows; the simulator compiles the same functions and gives them numpy rows. They use integers, indexing and
`range` only, so that both give the same bits (a property test holds them to it), and the simple ones have no branch that a compiler
could not turn into vector instructions.

In the row of a delta, an entry is 0 (nothing to say), a version (news that travels with its values), or a version with the `ask` bit
set (a request: "I have this version, send me what is newer"). The `ask` bit is the top bit of a row's integers.

Values are found through *tables* with one line per publication: line `slot * depth + version * step`. An agent holds only the
newest publication of each origin (depth 1, step 0), the simulator's ledger all of them (step 1), shared by all observers.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

KEY = 4  # bytes of an origin's key on the wire
AGE = 1  # bytes of an age code on the wire
CLASSES = 4  # priority classes


def snapshot(versions: Sequence[int], count: int, out: MutableSequence[int]) -> tuple[int, int]:
    """Copy `versions` to `out`; returns (origins known, bytes of their versions as varints)."""
    known = 0
    size = 0
    for i in range(count):
        v = versions[i]
        out[i] = v
        known += v > 0
        size += (v > 0) + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
    return known, size


def cut_digest(versions: Sequence[int], start: int, stop: int, entry: int, budget: int) -> int:
    """The end of the longest interval from `start` whose entries, `entry` bytes beside each version, fit in `budget` bytes."""
    size = 0
    for i in range(start, stop):
        v = versions[i]
        size += (v > 0) * entry
        size += (v > 0) + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
        if size > budget:
            return i
    return stop


def roster(versions: Sequence[int], keys: Sequence[int], count: int) -> tuple[int, int]:
    """(Origins known, sum of their keys modulo 2^32): equal at two nodes that know the same origins of an interval."""
    known = 0
    total = 0
    for i in range(count):
        v = versions[i]
        known += v > 0
        total += keys[i] if v > 0 else 0
    return known, total & 0xFFFFFFFF


def answer(own: Sequence[int], theirs: Sequence[int], count: int, ask: int, out: MutableSequence[int]) -> tuple[int, int, int, int]:
    """Answer a digest: news where `own` is newer, requests where `theirs` is. Writes the delta's row to `out`.

    Returns (news, introductions among them, requests, bytes of all versions in the delta). An introduction is news of an origin that
    the other side does not know at all.
    """
    news = 0
    introductions = 0
    requests = 0
    size = 0
    for i in range(count):
        o = own[i]
        d = theirs[i]
        newer = o > d
        older = d > o
        out[i] = o if newer else (o | ask if older else 0)
        news += newer
        introductions += newer & (d == 0)
        requests += older
        size += (newer | older) * (1 + (o >= 1 << 7) + (o >= 1 << 14) + (o >= 1 << 21) + (o >= 1 << 28) + (o >= 1 << 35))
    return news, introductions, requests, size


def merge(own: MutableSequence[int], delta: Sequence[int], count: int, ask: int) -> tuple[int, int]:
    """Take the news of a delta: the newer version of each origin stays. Returns (news that were newer, origins not known before)."""
    useful = 0
    discovered = 0
    for i in range(count):
        d = delta[i]
        o = own[i]
        newer = (d < ask) & (d > o)
        own[i] = d if newer else o
        useful += newer
        discovered += newer & (o == 0)
    return useful, discovered


def supersede(versions: MutableSequence[int], younger: Sequence[int], count: int, out: MutableSequence[int]) -> int:
    """Drop what is known of origins of which a younger generation is known; writes their slots to `out` and returns their number.

    `younger` holds, per origin, the slot of the same node's next generation, -1 if there is none.
    """
    dropped = 0
    for i in range(count):
        if versions[i] > 0 and younger[i] >= 0:
            j = younger[i]
            while j >= 0 and versions[j] == 0:
                j = younger[j]
            if j >= 0:
                versions[i] = 0
                out[dropped] = i
                dropped += 1
    return dropped


def refuse(versions: MutableSequence[int], barred: Sequence[int], count: int) -> None:
    """Drop what is known of the origins whose entry in `barred` is not 0."""
    for i in range(count):
        versions[i] = 0 if barred[i] else versions[i]


def listen(
    versions: Sequence[int],
    heard: MutableSequence[int],
    last: MutableSequence[int],
    mean: MutableSequence[int],
    deviation: MutableSequence[int],
    count: int,
    now: int,
    factor: int,
    grace: int,
    out: MutableSequence[int],
) -> int:
    """Take note of which versions have grown, and write the slots of the origins that are silent for too long to `out`.

    Per origin: `heard` is the version seen last, `last` when it grew, `mean` and `deviation` the moving averages of the silences between
    and of their distance from the mean (ns; one part in eight and in four is new, as in TCP's time-outs). Too long is `factor`
    thousandths of the deviation above the mean, where `grace` (ns) is added to the deviation. Returns how many are silent.
    """
    silent = 0
    for i in range(count):
        v = versions[i]
        silence = now - last[i]
        if v != heard[i]:
            if heard[i] > 0:
                error = silence - mean[i]
                mean[i] += error // 8
                deviation[i] += (abs(error) - deviation[i]) // 4
            heard[i] = v
            last[i] = now
        elif v > 0 and silence > mean[i] + (deviation[i] + grace) * factor // 1000:
            out[silent] = i
            silent += 1
    return silent


def withhold(
    delta: MutableSequence[int], since: Sequence[int], withheld: Sequence[int], count: int, start: int, ask: int
) -> tuple[int, int]:
    """Take out of a delta the introductions of origins whose entry in `withheld` is not 0; returns (how many, bytes of their versions)."""
    dropped = 0
    size = 0
    for i in range(count):
        d = delta[i]
        if withheld[start + i] and 0 < d < ask and since[i] & (ask - 1) == 0:
            delta[i] = 0
            dropped += 1
            size += 1 + (d >= 1 << 7) + (d >= 1 << 14) + (d >= 1 << 21) + (d >= 1 << 28) + (d >= 1 << 35)
    return dropped, size


def fulfil(own: Sequence[int], delta: Sequence[int], count: int, ask: int, out: MutableSequence[int]) -> tuple[int, int, int]:
    """Serve the requests of a delta from `own`. Writes news to `out`; returns (news, introductions among them, bytes of versions)."""
    news = 0
    introductions = 0
    size = 0
    for i in range(count):
        d = delta[i]
        o = own[i]
        newer = (d >= ask) & (o > (d & (ask - 1)))
        out[i] = o if newer else 0
        news += newer
        introductions += newer & (d == ask)
        size += newer * (1 + (o >= 1 << 7) + (o >= 1 << 14) + (o >= 1 << 21) + (o >= 1 << 28) + (o >= 1 << 35))
    return news, introductions, size


def cut_delta(
    delta: Sequence[int],
    since: Sequence[int],
    begin: int,
    count: int,
    start: int,
    ask: int,
    budget: int,
    changed: Sequence[int],
    width: Sequence[int],
    introduction: Sequence[int],
    depth: int,
    step: int,
    metrics: int,
) -> tuple[int, int, int, int, int]:
    """The longest part of a delta from entry `begin` on that fits in `budget` bytes, with the values of its news.

    News carry each metric that changed after the version in `since` (its `ask` bit is ignored): `changed` and `width` hold, per
    publication and metric, the version of the last change and the bytes of the level. `introduction` holds, per origin, the bytes by
    which an introduction exceeds plain news. Returns (end, bytes, introductions, other news, requests) of the part; the first entry is
    always taken.
    """
    size = 0
    introductions = 0
    news = 0
    requests = 0
    mask = (metrics + 7) // 8
    for i in range(begin, count):
        d = delta[i]
        if d == 0:
            continue
        v = d & (ask - 1)
        entry = KEY + 1 + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
        known = since[i] & (ask - 1)
        if d < ask:
            line = ((start + i) * depth + v * step) * metrics
            entry += AGE + mask
            for m in range(metrics):
                entry += (changed[line + m] > known) * width[line + m]
            if known == 0:
                entry += introduction[start + i]
        if size + entry > budget and size > 0:
            return i, size, introductions, news, requests
        size += entry
        if d >= ask:
            requests += 1
        elif known == 0:
            introductions += 1
        else:
            news += 1
    return count, size, introductions, news, requests


def shed(
    delta: MutableSequence[int],
    since: Sequence[int],
    count: int,
    start: int,
    offset: int,
    ask: int,
    budget: int,
    now: int,
    ageing: int,
    priority: Sequence[int],
    published: Sequence[int],
    changed: Sequence[int],
    width: Sequence[int],
    introduction: Sequence[int],
    depth: int,
    step: int,
    metrics: int,
) -> int:
    """Drop the least urgent entries of a delta until the rest fits in `budget` bytes; returns the bytes kept.

    An entry's class is the most urgent priority among its changed metrics, one better for every `ageing` nanoseconds since its
    publication, so none starves. Requests may take a quarter of the budget: answers to more of them would not fit either. Within the
    class that fits in part, the walk begins at `offset`, another one each time.
    """
    mask = (metrics + 7) // 8
    left = budget
    allowance = budget // 4
    for rank in range(-1, CLASSES):  # -1: the requests, then the classes from critical to low
        if rank == 0:
            left -= budget // 4 - allowance
        for j in range(count):
            i = (offset + j) % count
            d = delta[i]
            if d == 0 or (d >= ask) != (rank < 0):
                continue
            v = d & (ask - 1)
            entry = KEY + 1 + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
            if rank < 0:
                if entry <= allowance:
                    allowance -= entry
                else:
                    delta[i] = 0
                continue
            known = since[i] & (ask - 1)
            line = (start + i) * depth + v * step
            entry += AGE + mask
            urgency = CLASSES - 1
            for m in range(metrics):
                if changed[line * metrics + m] > known:
                    entry += width[line * metrics + m]
                    urgency = min(urgency, priority[m])
            if known == 0:
                entry += introduction[start + i]
            urgency -= (now - published[line]) // ageing
            if max(urgency, 0) != rank:
                continue
            if entry <= left:
                left -= entry
            else:
                delta[i] = 0
    return budget - left
