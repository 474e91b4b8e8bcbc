"""The loops over rows: compiled as interpreted, bit for bit, and the algebra that the protocol rests on."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from priomon_core import kernels
from priomon_core.messages import Row
from priomon_core.octets import LARGEST_VERSION, varint_size
from priomon_core.replica import PLAIN, RowKind
from priomon_sim.compiled import COMPILED
from priomon_sim.compiled import LARGEST_VERSION as LARGEST_COMPILED

ASK = PLAIN.ask
VERSION = st.integers(0, 5) | st.integers(0, LARGEST_COMPILED)
PAIRS = st.lists(st.tuples(VERSION, VERSION), max_size=40)
LARGE_PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, LARGEST_VERSION)).map(lambda p: (p[0] * p[1] // 3, p[1])), max_size=40)
Entry = tuple[bool, int]  # whether it is a request, version
ENTRIES = st.tuples(st.booleans(), VERSION)


def plain(versions: Sequence[int]) -> Row:
    return array("q", versions)


def row(kind: RowKind, versions: Sequence[int]) -> Row:
    filled = kind.blank(len(versions))
    for i, version in enumerate(versions):
        filled[i] = version
    return filled


def delta_row(kind: RowKind, entries: Sequence[Entry]) -> Row:
    return row(kind, [version | kind.ask if request else version for request, version in entries])


def entries_of(kind: RowKind, found: Row) -> list[Entry]:
    return [(int(entry) >= kind.ask, int(entry) & kind.ask - 1) for entry in found]


def agree(run: Callable[[RowKind], tuple[Any, Row]]) -> None:
    """`run` returns a kernel's result and the row it wrote: both kinds of row must give the same."""
    (result, written), (fast_result, fast_written) = run(PLAIN), run(COMPILED)
    assert result == fast_result
    assert entries_of(PLAIN, written) == entries_of(COMPILED, fast_written)


@dataclass(frozen=True)
class Case:
    """A delta with the tables of its values, as lists; one line per origin where `step` is 0, else one per version."""

    entries: list[Entry]
    since: list[int]
    depth: int
    step: int
    metrics: int
    priority: list[int]
    introduction: list[int]
    published: list[int]
    changed: list[int]
    width: list[int]

    def line(self, i: int) -> int:
        return i * self.depth + self.entries[i][1] * self.step

    def entry(self, i: int) -> int:
        """Bytes that entry i takes."""
        request, version = self.entries[i]
        if request:
            return 4 + varint_size(version)
        line = self.line(i) * self.metrics
        values = sum(self.width[line + m] for m in range(self.metrics) if self.changed[line + m] > self.since[i])
        return 4 + varint_size(version) + 1 + (self.metrics + 7) // 8 + values + (0 if self.since[i] else self.introduction[i])

    def present(self, i: int) -> bool:
        return self.entries[i] != (False, 0)

    def tables(self, kind: RowKind) -> tuple[Any, ...]:
        """What cut_delta takes after `budget`, in the types of an agent or of the simulator's ledger."""
        if kind is PLAIN:
            return array("q", self.changed), array("q", self.width), self.introduction, self.depth, self.step, self.metrics
        changed, width = np.array(self.changed, np.uint16), np.array(self.width, np.uint8)
        return changed, width, np.array(self.introduction, np.int64), self.depth, self.step, self.metrics

    def urgencies(self, kind: RowKind) -> tuple[Any, Any]:
        if kind is PLAIN:
            return self.priority, array("q", self.published)
        return np.array(self.priority, np.int64), np.array(self.published, np.int64)

    def cut(self, kind: RowKind, begin: int, budget: int) -> tuple[int, int, int, int, int]:
        delta, since = delta_row(kind, self.entries), row(kind, self.since)
        end, *rest = kind.kernels.cut_delta(delta, since, begin, len(self.entries), 0, kind.ask, budget, *self.tables(kind))
        return end, *rest

    def shed(self, kind: RowKind, offset: int, budget: int, now: int, ageing: int) -> tuple[int, Row]:
        delta, since, count = delta_row(kind, self.entries), row(kind, self.since), len(self.entries)
        when = (budget, now, ageing, *self.urgencies(kind))
        return kind.kernels.shed(delta, since, count, 0, offset, kind.ask, *when, *self.tables(kind)), delta


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count, metrics, step = draw(st.integers(1, 12)), draw(st.integers(1, 9)), draw(st.integers(0, 1))
    highest = 6 if step else LARGEST_COMPILED
    depth = highest + 1 if step else 1
    version = st.integers(0, highest)
    lines = count * depth
    random = draw(st.randoms(use_true_random=False))
    return Case(
        entries=draw(st.lists(st.tuples(st.booleans(), version), min_size=count, max_size=count)),
        since=draw(st.lists(version, min_size=count, max_size=count)),
        depth=depth,
        step=step,
        metrics=metrics,
        priority=[random.randrange(kernels.CLASSES) for _ in range(metrics)],
        introduction=[random.randrange(10, 100) for _ in range(count)],
        published=[random.randrange(1000) for _ in range(lines)],
        changed=[random.randrange(highest + 1) for _ in range(lines * metrics)],
        width=[random.randrange(1, 9) for _ in range(lines * metrics)],
    )


@given(st.lists(VERSION, max_size=40))
def test_snapshot(versions: list[int]) -> None:
    def run(kind: RowKind) -> tuple[Any, Row]:
        out = kind.blank(len(versions))
        return kind.kernels.snapshot(row(kind, versions), len(versions), out), out

    agree(run)
    result, out = run(PLAIN)
    assert list(out) == versions
    assert result == (sum(v > 0 for v in versions), sum(varint_size(v) for v in versions if v))


@given(st.lists(VERSION, max_size=40), st.randoms(use_true_random=False))
def test_roster(versions: list[int], random: Any) -> None:
    keys = [random.randrange(1 << 32) for _ in versions]
    result = kernels.roster(plain(versions), keys, len(versions))
    known = [key for key, v in zip(keys, versions, strict=True) if v]
    assert result == (len(known), sum(known) % (1 << 32))
    assert result == COMPILED.kernels.roster(row(COMPILED, versions), np.array(keys, np.int64), len(versions))


@given(st.lists(VERSION, min_size=1, max_size=40), st.integers(0, 4), st.integers(10, 60))
def test_cut_digest_takes_the_longest_interval_that_fits(versions: list[int], entry: int, budget: int) -> None:
    def size(start: int, stop: int) -> int:
        return sum(entry + varint_size(v) for v in versions[start:stop] if v)

    at = 0
    while at < len(versions):
        end = kernels.cut_digest(plain(versions), at, len(versions), entry, budget)
        assert end == COMPILED.kernels.cut_digest(row(COMPILED, versions), at, len(versions), entry, budget)
        assert at < end and size(at, end) <= budget
        assert end == len(versions) or size(at, end + 1) > budget
        at = end


@given(PAIRS)
def test_answer_compiled(pairs: list[tuple[int, int]]) -> None:
    def run(kind: RowKind) -> tuple[Any, Row]:
        out = kind.blank(len(pairs))
        rows = row(kind, [a for a, _ in pairs]), row(kind, [b for _, b in pairs])
        return kind.kernels.answer(*rows, len(pairs), kind.ask, out), out

    agree(run)


@given(LARGE_PAIRS)
def test_answer_says_what_each_side_lacks(pairs: list[tuple[int, int]]) -> None:
    own, theirs, out = plain([a for a, _ in pairs]), plain([b for _, b in pairs]), plain([9] * len(pairs))
    news, introductions, requests, size = kernels.answer(own, theirs, len(pairs), ASK, out)
    assert entries_of(PLAIN, out) == [(b > a, a if a != b else 0) for a, b in pairs]
    assert news == sum(a > b for a, b in pairs)
    assert introductions == sum(a > b == 0 for a, b in pairs)
    assert requests == sum(b > a for a, b in pairs)
    assert size == sum(varint_size(a) for a, b in pairs if a != b)


@given(st.lists(st.tuples(VERSION, ENTRIES), max_size=40))
def test_merge_and_fulfil_compiled(pairs: list[tuple[int, Entry]]) -> None:
    def merge(kind: RowKind) -> tuple[Any, Row]:
        own = row(kind, [a for a, _ in pairs])
        return kind.kernels.merge(own, delta_row(kind, [b for _, b in pairs]), len(pairs), kind.ask), own

    def fulfil(kind: RowKind) -> tuple[Any, Row]:
        own, out = row(kind, [a for a, _ in pairs]), kind.blank(len(pairs))
        return kind.kernels.fulfil(own, delta_row(kind, [b for _, b in pairs]), len(pairs), kind.ask, out), out

    agree(merge)
    agree(fulfil)


@given(st.lists(st.tuples(st.integers(0, 4), st.tuples(st.booleans(), st.integers(0, 4))), max_size=40))
def test_fulfil_serves_requests_of_what_is_older(pairs: list[tuple[int, Entry]]) -> None:
    own, asked, out = plain([a for a, _ in pairs]), delta_row(PLAIN, [b for _, b in pairs]), plain([9] * len(pairs))
    news, introductions, _ = kernels.fulfil(own, asked, len(pairs), ASK, out)
    assert list(out) == [a if ask and a > version else 0 for a, (ask, version) in pairs]
    assert news == sum(ask and a > version for a, (ask, version) in pairs)
    assert introductions == sum(ask and a > version == 0 for a, (ask, version) in pairs)


@given(st.lists(st.tuples(ENTRIES, ENTRIES, st.booleans()), max_size=40), st.integers(0, 3))
def test_who_is_withheld_is_not_introduced(entries: list[tuple[Entry, Entry, bool]], start: int) -> None:
    """News of what the other side knows stay, and so do requests."""
    delta, since, withheld = [d for d, _, _ in entries], [s for _, s, _ in entries], [False] * start + [w for _, _, w in entries]
    gone = [held and not ask and version > 0 == known for (ask, version), (_, known), held in entries]

    def run(kind: RowKind) -> tuple[Any, Row]:
        out, marks = delta_row(kind, delta), kind.zeros(len(withheld))
        for i, held in enumerate(withheld):
            marks[i] = held
        return kind.kernels.withhold(out, delta_row(kind, since), marks, len(delta), start, kind.ask), out

    agree(run)
    result, out = run(PLAIN)
    assert entries_of(PLAIN, out) == [(False, 0) if dropped else entry for entry, dropped in zip(delta, gone, strict=True)]
    assert result == (sum(gone), sum(varint_size(version) for (_, version), dropped in zip(delta, gone, strict=True) if dropped))


@given(st.lists(st.tuples(VERSION, ENTRIES, ENTRIES), max_size=40))
def test_merge_is_monotone_idempotent_and_commutative(triples: list[tuple[int, Entry, Entry]]) -> None:
    count, before = len(triples), [own for own, _, _ in triples]
    first, second = delta_row(PLAIN, [a for _, a, _ in triples]), delta_row(PLAIN, [b for _, _, b in triples])
    one, other = plain(before), plain(before)
    useful, discovered = kernels.merge(one, first, count, ASK)
    assert useful == sum(after > v for after, v in zip(one, before, strict=True))
    assert discovered == sum(after > v == 0 for after, v in zip(one, before, strict=True))
    assert all(after >= v for after, v in zip(one, before, strict=True))
    assert kernels.merge(one, first, count, ASK) == (0, 0)
    kernels.merge(one, second, count, ASK)
    kernels.merge(other, second, count, ASK)
    kernels.merge(other, first, count, ASK)
    assert one == other
    assert list(one) == [max(v, *(0 if ask else n for ask, n in told)) for v, *told in triples]


@given(LARGE_PAIRS)
def test_an_exchange_makes_both_sides_equal_to_their_maximum(pairs: list[tuple[int, int]]) -> None:
    count, best = len(pairs), [max(pair) for pair in pairs]
    a, b = plain([p for p, _ in pairs]), plain([p for _, p in pairs])
    digest, delta, reply = plain([0] * count), plain([0] * count), plain([0] * count)
    kernels.snapshot(a, count, digest)
    _, _, requests, _ = kernels.answer(b, digest, count, ASK, delta)
    kernels.merge(a, delta, count, ASK)
    news, introductions, size = kernels.fulfil(a, delta, count, ASK, reply)
    kernels.merge(b, reply, count, ASK)
    assert list(a) == list(b) == best
    assert news == requests == sum(p > q for p, q in pairs)
    assert introductions == sum(p > q == 0 for p, q in pairs)
    assert size == sum(varint_size(p) for p, q in pairs if p > q)


@given(cases(), st.integers(30, 400))
def test_cut_delta_parts_add_up(case: Case, budget: int) -> None:
    count, at = len(case.entries), 0
    total = [0, 0, 0, 0]
    while at < count:
        end, size, *counts = case.cut(PLAIN, at, budget)
        assert (end, size, *counts) == case.cut(COMPILED, at, budget)
        taken = [case.entry(i) for i in range(at, end) if case.present(i)]
        assert at < end and size == sum(taken)
        assert size <= budget or len(taken) == 1
        assert end == count or (case.present(end) and size + case.entry(end) > budget)
        total = [a + b for a, b in zip(total, (size, *counts), strict=True)]
        at = end
    news = [i for i in range(count) if case.present(i) and not case.entries[i][0]]
    assert total == [
        sum(case.entry(i) for i in range(count) if case.present(i)),
        sum(case.since[i] == 0 for i in news),
        sum(case.since[i] > 0 for i in news),
        sum(request for request, _ in case.entries),
    ]


@given(cases(), st.integers(0, 11), st.integers(0, 600), st.integers(1000, 5000), st.integers(1, 2000))
def test_shed_keeps_within_its_budget(case: Case, offset: int, budget: int, now: int, ageing: int) -> None:
    agree(lambda kind: case.shed(kind, offset % len(case.entries), budget, now, ageing))
    size, delta = case.shed(PLAIN, offset % len(case.entries), budget, now, ageing)
    found = entries_of(PLAIN, delta)
    assert all(kept in (entry, (False, 0)) for kept, entry in zip(found, case.entries, strict=True))
    kept = [i for i, entry in enumerate(found) if entry != (False, 0)]
    assert size == sum(case.entry(i) for i in kept) <= budget
    assert sum(case.entry(i) for i in kept if found[i][0]) <= budget // 4


def queue(priorities: Sequence[int], published: Sequence[int]) -> Case:
    """One metric per class; origin i has news of metric `priorities[i]` only, 7 bytes (4 key, 1 version, 1 age, 1 mask) and 1 of values."""
    count = len(priorities)
    changed = [2 * (m == p) for p in priorities for m in range(4)]
    return Case([(False, 2)] * count, [1] * count, 1, 0, 4, [0, 1, 2, 3], [0] * count, list(published), changed, [1] * 4 * count)


@given(st.permutations([0, 0, 1, 1, 2, 2, 3, 3]), st.integers(0, 7), st.integers(0, 8))
def test_shed_keeps_the_urgent_before_the_rest(priorities: list[int], offset: int, room: int) -> None:
    _, delta = queue(priorities, [0] * 8).shed(PLAIN, offset, 8 * room, now=0, ageing=1000)
    assert sorted(p for p, entry in zip(priorities, delta, strict=True) if entry) == sorted(priorities)[:room]


@given(st.integers(0, 4))
def test_waiting_makes_a_low_update_urgent(classes: int) -> None:
    # A low update that has waited for `classes` steps, against a fresh one of each class: how much room until it is kept?
    case = queue([3, 0, 1, 2, 3], [0, *[classes * 1000] * 4])
    rooms = [room for room in range(1, 6) if case.shed(PLAIN, 0, 8 * room, classes * 1000, ageing=1000)[1][0]]
    assert rooms == list(range(max(3 - classes, 0) + 1, 6))


@given(st.integers(2, 40), st.integers(1, 3))
def test_none_starves_where_critical_updates_never_end(count: int, room: int) -> None:
    """Every round each critical origin has something new; the receiver takes what fits; the one low update gets through."""
    for turn in range(200):
        now = turn * 1000
        case = queue([3] + [0] * (count - 1), [0] + [now] * (count - 1))
        offset = (turn * (count // 3 + 1)) % count
        if case.shed(PLAIN, offset, 8 * room, now, ageing=5000)[1][0]:
            break
    assert 15 <= turn <= 15 + 3 * count or count <= room


GENERATIONS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.booleans()), min_size=1, max_size=30)  # version, name, barred


def younger_of(names: Sequence[int]) -> list[int]:
    """Of origins whose generation is their place in the list: the next one of the same name."""
    return [next((j for j in range(i + 1, len(names)) if names[j] == name), -1) for i, name in enumerate(names)]


@given(GENERATIONS)
def test_only_the_youngest_generation_stays(origins: list[tuple[int, int, bool]]) -> None:
    known, names, _ = zip(*origins, strict=True)
    expected = [v if v and not any(known[j] and names[j] == names[i] for j in range(i + 1, len(names))) else 0 for i, v in enumerate(known)]

    def run(kind: RowKind) -> tuple[Any, Row]:
        versions, dropped = row(kind, known), array("q", bytes(8 * len(known)))
        count = kind.kernels.supersede(versions, plain(younger_of(names)), len(known), dropped)
        assert list(versions) == expected
        assert list(dropped[:count]) == [i for i, v in enumerate(known) if v and not expected[i]]
        return count, versions

    agree(run)


@given(GENERATIONS)
def test_the_barred_are_dropped(origins: list[tuple[int, int, bool]]) -> None:
    known, _, barred = zip(*origins, strict=True)

    def run(kind: RowKind) -> tuple[Any, Row]:
        versions = row(kind, known)
        kind.kernels.refuse(versions, array("b", barred), len(known))
        assert list(versions) == [0 if out else v for v, out in zip(known, barred, strict=True)]
        return None, versions

    agree(run)


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), max_size=30), st.integers(0, 20_000), st.integers(0, 1000))
def test_listen_compiled(growth: list[list[int]], factor: int, grace: int) -> None:
    """Three origins whose versions grow by 0 to 2 a step of 1,000 ns: the same silences and the same averages."""
    told = []
    for kind in (PLAIN, COMPILED):
        versions = row(kind, [0, 1, 5])
        rows = [array("q", [fill] * 3) for fill in (0, 0, 5000, 2500)]
        found = []
        for step, grown in enumerate(growth):
            for i, more in enumerate(grown):
                versions[i] += more
            silent = array("q", [0] * 3)
            count = kind.kernels.listen(versions, *rows, 3, step * 1000, factor, grace, silent)
            found.append(list(silent[:count]))
        told.append((found, rows))
    assert told[0] == told[1]


def test_listen_averages_the_silences_between() -> None:
    heard, last, mean, deviation, silent = (array("q", [fill]) for fill in (1, 0, 5000, 2500, 0))
    assert kernels.listen([1], heard, last, mean, deviation, 1, 9999, 2000, 0, silent) == 0
    assert kernels.listen([1], heard, last, mean, deviation, 1, 10_001, 2000, 0, silent) == 1
    assert kernels.listen([1], heard, last, mean, deviation, 1, 10_001, 2000, 1, silent) == 0
    assert kernels.listen([2], heard, last, mean, deviation, 1, 13_000, 2000, 0, silent) == 0
    assert (heard[0], last[0], mean[0], deviation[0]) == (2, 13_000, 5000 + 8000 // 8, 2500 + (8000 - 2500) // 4)
