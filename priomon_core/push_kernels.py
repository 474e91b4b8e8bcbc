"""The loops of strategies that push and compare by hashes; what is said of loops in kernels.py holds here too.

`told` is a row beside that of the versions: the version of each origin that all neighbours were told of. What is newer is *pending*.
Pushes are short lists of *entries* rather than rows: slots in rising order, and beside each its *rank*, its place among the known
origins, which is what names it where sender and receiver know the same ones. The hash of an origin at a version is 32 bits of a
multiplicative mix; hashes are added, so that a row has one whatever the order.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

KEY = 4  # bytes of an origin's key on the wire
AGE = 1  # bytes of an age code on the wire


def pending(
    versions: Sequence[int],
    told: Sequence[int],
    count: int,
    worst: int,
    now: int,
    ageing: int,
    priority: Sequence[int],
    published: Sequence[int],
    changed: Sequence[int],
    width: Sequence[int],
    depth: int,
    step: int,
    metrics: int,
    slots: MutableSequence[int],
    ranks: MutableSequence[int],
    sizes: MutableSequence[int],
    classes: MutableSequence[int],
) -> tuple[int, int, int]:
    """List the pending origins of class `worst` or better, as four sequences: slot, rank, size (B, at most) and class.

    The class is the most urgent priority among the metrics that changed, one better for every `ageing` nanoseconds since then. Returns
    (how many, bytes, new origins): an origin of which nobody was told yet is not listed, for it has to be introduced.
    """
    n = 0
    total = 0
    fresh = 0
    rank = -1
    mask = (metrics + 7) // 8
    for i in range(count):
        v = versions[i]
        rank += v > 0
        base = told[i]
        if v <= base:
            continue
        if base == 0:
            fresh += 1
            continue
        line = i * depth + v * step
        size = KEY + 2 + AGE + mask + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
        urgency = 3
        for m in range(metrics):
            if changed[line * metrics + m] > base:
                size += width[line * metrics + m]
                urgency = min(urgency, priority[m])
        urgency = max(urgency - (now - published[line]) // ageing, 0)
        if urgency <= worst:
            slots[n] = i
            ranks[n] = rank
            sizes[n] = size
            classes[n] = urgency
            n += 1
            total += size
    return n, total, fresh


def fit(
    slots: MutableSequence[int],
    ranks: MutableSequence[int],
    sizes: MutableSequence[int],
    classes: MutableSequence[int],
    count: int,
    budget: int,
) -> int:
    """Keep of a list by `pending` what fits in `budget` bytes, the most urgent classes first; returns how many."""
    left = budget
    for wanted in range(4):
        for j in range(count):
            if classes[j] == wanted:
                if sizes[j] <= left:
                    left -= sizes[j]
                else:
                    classes[j] = 4
    n = 0
    for j in range(count):
        if classes[j] < 4:
            slots[n] = slots[j]
            ranks[n] = ranks[j]
            n += 1
    return n


def later(
    versions: Sequence[int],
    stamps: Sequence[int],
    count: int,
    after: int,
    upto: int,
    slots: MutableSequence[int],
    ranks: MutableSequence[int],
) -> int:
    """List the origins that were told of in the pushes after `after` up to `upto`: slots and ranks; returns how many.

    Those that were dropped since, for a younger generation or because they were forgotten, are not listed.
    """
    n = 0
    rank = -1
    for i in range(count):
        rank += versions[i] > 0
        if versions[i] > 0 and after < stamps[i] <= upto:
            slots[n] = i
            ranks[n] = rank
            n += 1
    return n


def pack(
    slots: Sequence[int],
    ranks: Sequence[int],
    begin: int,
    count: int,
    versions: Sequence[int],
    told: Sequence[int],
    source: Sequence[int],
    link: int,
    complete: int,
    keyed: int,
    budget: int,
    changed: Sequence[int],
    width: Sequence[int],
    depth: int,
    step: int,
    metrics: int,
    out_slots: MutableSequence[int],
    out_versions: MutableSequence[int],
    out_bases: MutableSequence[int],
) -> tuple[int, int, int]:
    """The longest part of a list from entry `begin` on that fits in `budget` bytes, without what came from `link` itself.

    An entry carries what changed after its base: the version told before, or 0 (all values) where `complete` is 1. It is named by its
    key where `keyed` is 1, else by its distance from the rank before, doubled, plus 1 if its base is not the version before. Returns
    (end, entries, bytes); the first entry always fits.
    """
    n = 0
    total = 0
    mask = (metrics + 7) // 8
    previous = -1
    for j in range(begin, count):
        i = slots[j]
        if source[i] == link:
            continue
        v = versions[i]
        base = 0 if complete else told[i]
        steps = 0 if complete else v - base
        name = (ranks[j] - previous - 1) * 2
        size = 1 + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
        size += AGE + mask
        size += KEY if keyed else 1 + (name >= 1 << 7) + (name >= 1 << 14)
        if keyed or steps != 1:
            size += 1 + (steps >= 1 << 7) + (steps >= 1 << 14) + (steps >= 1 << 21) + (steps >= 1 << 28) + (steps >= 1 << 35)
        line = (i * depth + v * step) * metrics
        for m in range(metrics):
            size += (changed[line + m] > base) * width[line + m]
        if total + size > budget and n > 0:
            return j, n, total
        out_slots[n] = i
        out_versions[n] = v
        out_bases[n] = base
        n += 1
        total += size
        previous = ranks[j]
    return count, n, total


def settle(
    slots: Sequence[int], count: int, versions: Sequence[int], told: MutableSequence[int], stamps: MutableSequence[int], number: int
) -> None:
    """Take note that the origins listed were told of, at the latest by push `number`."""
    for j in range(count):
        told[slots[j]] = versions[slots[j]]
        stamps[slots[j]] = number


def take(
    own: MutableSequence[int],
    source: MutableSequence[int],
    slots: Sequence[int],
    versions: Sequence[int],
    bases: Sequence[int],
    count: int,
    link: int,
    gaps: MutableSequence[int],
) -> tuple[int, int]:
    """Take the entries of a push that are newer and leave no gap, and note that they came from `link`.

    An entry leaves none if its base is held, whichever version of it; base 0 stands for all values of a known origin. The slots of the
    others go to `gaps`. Returns (entries that were taken, gaps).
    """
    useful = 0
    missing = 0
    for j in range(count):
        i = slots[j]
        o = own[i]
        v = versions[j]
        if v <= o:
            continue
        if o > 0 and bases[j] <= o:
            own[i] = v
            source[i] = link
            useful += 1
        else:
            gaps[missing] = i
            missing += 1
    return useful, missing


def vain(own: Sequence[int], slots: Sequence[int], versions: Sequence[int], count: int, out: MutableSequence[int]) -> int:
    """Mark in `out` (1, else 0) the entries of a push that are no news; returns how many."""
    n = 0
    for j in range(count):
        known = versions[j] <= own[slots[j]]
        out[j] = known
        n += known
    return n


def pushed(slots: Sequence[int], count: int, counters: MutableSequence[int], out: MutableSequence[int]) -> None:
    """Move the counters of the entries of a push to `out`: it was of use until feedback says otherwise."""
    for j in range(count):
        out[j] = counters[slots[j]]
        counters[slots[j]] = 0


def judge(
    own: Sequence[int],
    told: MutableSequence[int],
    slots: Sequence[int],
    versions: Sequence[int],
    before: Sequence[int],
    marks: Sequence[int],
    count: int,
    hot: int,
    counters: MutableSequence[int],
) -> None:
    """Take feedback on a push: an entry that was no news counts one more than `before`, and at `hot` its update is told no more.

    Entries of which the node has published or learnt a newer version since stay as they are.
    """
    for j in range(count):
        i = slots[j]
        if marks[j] and own[i] == versions[j]:
            counters[i] = before[j] + 1
            if counters[i] >= hot:
                told[i] = own[i]
                counters[i] = 0


def checksum(versions: Sequence[int], keys: Sequence[int], count: int) -> int:
    """32 bits that differ where two rows differ, but for a chance of 2^-32."""
    total = 0
    for i in range(count):
        v = versions[i]
        if v > 0:
            h = (keys[i] + v * 0x9E3779B1) & 0xFFFFFFFF
            h = ((h ^ (h >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
            h = ((h ^ (h >> 15)) * 0x846CA68B) & 0xFFFFFFFF
            total += h ^ (h >> 16)
    return total & 0xFFFFFFFF


def buckets(versions: Sequence[int], keys: Sequence[int], count: int, shift: int, out: MutableSequence[int]) -> None:
    """Add the hash of each origin to its bucket of the key space (`key >> shift`) in `out`, modulo 2^16."""
    for i in range(count):
        v = versions[i]
        if v > 0:
            h = (keys[i] + v * 0x9E3779B1) & 0xFFFFFFFF
            h = ((h ^ (h >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
            h = ((h ^ (h >> 15)) * 0x846CA68B) & 0xFFFFFFFF
            out[keys[i] >> shift] = (out[keys[i] >> shift] + (h ^ (h >> 16))) & 0xFFFF


def covered(
    versions: Sequence[int], keys: Sequence[int], count: int, shift: int, marks: Sequence[int], out: MutableSequence[int]
) -> tuple[int, int]:
    """Copy the versions of the buckets that are marked to `out`, 0 elsewhere; returns (origins known there, bytes of their versions)."""
    known = 0
    size = 0
    for i in range(count):
        v = versions[i] if marks[keys[i] >> shift] else 0
        out[i] = v
        known += v > 0
        size += (v > 0) + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35)
    return known, size


def complete(own: Sequence[int], theirs: MutableSequence[int], keys: Sequence[int], count: int, shift: int, marks: Sequence[int]) -> None:
    """Make a row that covers some buckets say of all others what `own` says: nothing differs there."""
    for i in range(count):
        if not marks[keys[i] >> shift]:
            theirs[i] = own[i]


def introduce(
    versions: Sequence[int],
    told: Sequence[int],
    source: Sequence[int],
    link: int,
    count: int,
    out: MutableSequence[int],
    since: MutableSequence[int],
) -> tuple[int, int]:
    """Write the row of a delta that introduces the origins of which nobody was told, but for those from `link`, and zeros to `since`.

    Returns (introductions, bytes of their versions).
    """
    n = 0
    size = 0
    for i in range(count):
        v = versions[i]
        new = (v > 0) & (told[i] == 0) & (source[i] != link)
        out[i] = v if new else 0
        since[i] = 0
        n += new
        size += new * (1 + (v >= 1 << 7) + (v >= 1 << 14) + (v >= 1 << 21) + (v >= 1 << 28) + (v >= 1 << 35))
    return n, size


def introduced(versions: Sequence[int], told: MutableSequence[int], stamps: MutableSequence[int], count: int, number: int) -> None:
    """Take note that all origins of which nobody was told have been introduced, by push `number`."""
    for i in range(count):
        if told[i] == 0 and versions[i] > 0:
            told[i] = versions[i]
            stamps[i] = number


def everything(versions: Sequence[int], told: MutableSequence[int], count: int) -> None:
    """Take note that everything known was told."""
    for i in range(count):
        told[i] = versions[i]


def learnt(versions: Sequence[int], delta: Sequence[int], count: int, start: int, source: MutableSequence[int], link: int) -> None:
    """Note of what is held now, after a delta was taken, that it came over `link`, where the delta brought it."""
    for i in range(count):
        if delta[i] > 0 and delta[i] == versions[start + i]:
            source[start + i] = link
