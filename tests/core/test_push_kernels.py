"""The loops of strategies that push: compiled as interpreted, bit for bit, and what each one promises."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from priomon_core import push_kernels
from priomon_core.octets import varint_size
from priomon_sim.compiled import COMPILED

METRICS = 3
KEYS = sorted((0x1F3A7C55 * (i + 1)) & 0xFFFFFFFF for i in range(40))
WIDTHS = [1, 2, 1]
PRIORITY = [1, 3, 0]

Numbers = tuple[int, int, int, int]


def packed(numbers: list[int]) -> Any:
    """A row as the simulator has it."""
    return np.array(numbers, np.int32 if max(numbers, default=0) < 1 << 31 else np.int64)


def both(name: str, *arguments: Any) -> tuple[Any, list[Sequence[int]]]:
    """The result of a kernel and its sequences afterwards, which must be equal interpreted and compiled."""
    plain = [array("q", each) if isinstance(each, list) else each for each in arguments]
    fast = [packed(each) if isinstance(each, list) else each for each in arguments]
    result, fast_result = getattr(push_kernels, name)(*plain), getattr(COMPILED.pushes, name)(*fast)
    assert result == fast_result
    after = [each for each in plain if isinstance(each, array)]
    assert [each.tolist() for each in after] == [each.tolist() for each in fast if isinstance(each, np.ndarray)]
    return result, [each.tolist() for each in after]


ROWS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40)


def tables(versions: list[int], told: list[int]) -> tuple[list[int], list[int], list[int]]:
    """`published`, `changed` and `width` of a flat table (depth 1): metric m changed last m versions ago."""
    changed = [max(v - m, 0) for v in versions for m in range(METRICS)]
    return [1000 * v for v in versions], changed, WIDTHS * len(versions)


@given(ROWS, st.integers(0, 3), st.integers(1, 500), st.integers(0, 10**6))
def test_pending_lists_what_is_new_with_its_class_and_size(rows: list[Numbers], worst: int, ageing: int, late: int) -> None:
    versions, told = [row[0] for row in rows], [row[1] for row in rows]
    published, changed, width = tables(versions, told)
    n = len(rows)
    now = max(published) + late
    blank = [0] * n
    arguments = (versions, told, n, worst, now, ageing, PRIORITY, published, changed, width, 1, 0, METRICS, blank, blank, blank, blank)
    (count, total, fresh), after = both("pending", *arguments)
    slots, ranks, sizes, classes = after[-4:]
    expected = []
    for i, (v, base) in enumerate(zip(versions, told, strict=True)):
        new = [m for m in range(METRICS) if v > base > 0 and changed[i * METRICS + m] > base]
        urgency = max(min((PRIORITY[m] for m in new), default=3) - (now - published[i]) // ageing, 0)
        if v > base > 0 and urgency <= worst:
            rank = sum(version > 0 for version in versions[: i + 1]) - 1
            expected.append((i, rank, 4 + 2 + 1 + 1 + varint_size(v) - 1 + sum(WIDTHS[m] for m in new), urgency))
    assert list(zip(slots, ranks, sizes, classes, strict=True))[:count] == expected
    assert total == sum(each[2] for each in expected)
    assert fresh == sum(v > base == 0 for v, base in zip(versions, told, strict=True))


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=40), st.integers(0, 300))
def test_fit_keeps_the_urgent_within_the_budget(entries: list[tuple[int, int]], budget: int) -> None:
    n = len(entries)
    sizes, classes = [size for size, _ in entries], [rank for _, rank in entries]
    kept, (slots, *_) = both("fit", list(range(n)), list(range(n)), sizes, classes, n, budget)
    chosen = slots[:kept]
    assert sum(sizes[i] for i in chosen) <= budget
    assert chosen == sorted(chosen)
    left = budget - sum(sizes[i] for i in chosen)
    for i in set(range(n)) - set(chosen):
        assert sizes[i] > left, "it would still have fitted"
        assert not any(classes[j] > classes[i] and sizes[j] >= sizes[i] for j in chosen), "a less urgent one took its room"


@given(ROWS, st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 120))
def test_pack_counts_the_bytes_and_leaves_out_the_source(rows: list[Numbers], link: int, complete: bool, keyed: bool, budget: int) -> None:
    versions = [max(row[0], 2) for row in rows]
    told = [min(row[1] % versions[i] or 1, versions[i] - 1) for i, row in enumerate(rows)]
    source = [row[2] for row in rows]
    _, changed, width = tables(versions, told)
    n = len(rows)
    blank = [0] * n
    slots = list(range(n))
    arguments = (slots, slots, 0, n, versions, told, source, link, int(complete), int(keyed), budget, changed, width, 1, 0, METRICS)
    (end, count, total), after = both("pack", *arguments, blank, blank, blank)
    chosen, chosen_versions, bases = (each[:count] for each in after[-3:])
    assert chosen == [i for i in range(end) if source[i] != link]
    assert chosen_versions == [versions[i] for i in chosen]
    assert bases == [0 if complete else told[i] for i in chosen]
    size, previous = 0, -1
    for i, base in zip(chosen, bases, strict=True):
        steps = versions[i] - base if base else 0
        name = 4 if keyed else varint_size((i - previous - 1) * 2)
        written = varint_size(steps) if keyed or steps != 1 else 0
        values = sum(WIDTHS[m] for m in range(METRICS) if changed[i * METRICS + m] > base)
        size += name + written + varint_size(versions[i]) + 1 + 1 + values
        previous = i
    assert total == size
    assert total <= budget or count == 1


@given(ROWS)
def test_take_leaves_no_gap(rows: list[Numbers]) -> None:
    own, versions, bases = [row[0] % 5 for row in rows], [row[1] % 6 + 1 for row in rows], [row[3] % 5 for row in rows]
    n = len(rows)
    (useful, missing), after = both("take", own, [0] * n, list(range(n)), versions, bases, n, 7, [0] * n)
    held, source, *_, gaps = after
    for i in range(n):
        applies = versions[i] > own[i] > 0 and bases[i] <= own[i]
        assert held[i] == (versions[i] if applies else own[i])
        assert source[i] == (7 if applies else 0)
        assert (i in gaps[:missing]) == (versions[i] > own[i] and not applies)
    assert useful == sum(a != b for a, b in zip(own, held, strict=True))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.lists(st.integers(0, 300), min_size=40, max_size=40), st.integers(1, 6))
def test_hashes_differ_exactly_where_rows_do(versions: list[int], others: list[int], bits: int) -> None:
    n = len(versions)
    keys = KEYS[:n]
    assert (both("checksum", versions, keys, n)[0] == both("checksum", others[:n], keys, n)[0]) == (versions == others[:n])
    mine = both("buckets", versions, keys, n, 32 - bits, [0] * (1 << bits))[1][-1]
    theirs = both("buckets", others[:n], keys, n, 32 - bits, [0] * (1 << bits))[1][-1]
    differ = {keys[i] >> 32 - bits for i in range(n) if versions[i] != others[i]}
    assert {bucket for bucket in range(1 << bits) if mine[bucket] != theirs[bucket]} == differ


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), st.integers(1, 6), st.integers(0, 2**64))
def test_a_selection_covers_its_buckets_and_is_completed_elsewhere(versions: list[int], bits: int, chosen: int) -> None:
    n, shift = len(versions), 32 - bits
    marks = [chosen >> bucket & 1 for bucket in range(1 << bits)]
    (known, size), after = both("covered", versions, KEYS[:n], n, shift, marks, [0] * n)
    row = after[-1]
    assert row == [v if marks[key >> shift] else 0 for v, key in zip(versions, KEYS, strict=False)]
    assert (known, size) == (sum(v > 0 for v in row), sum(varint_size(v) for v in row if v))
    completed = both("complete", versions, row, KEYS[:n], n, shift, marks)[1][1]
    assert completed == versions


@given(ROWS, st.integers(1, 3))
def test_feedback_cools_what_was_pushed_in_vain_often_enough(rows: list[Numbers], hot: int) -> None:
    own, told, counters = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    n = len(rows)
    pushed = [v + (row[3] == 0) for v, row in zip(own, rows, strict=True)]  # some have changed since
    marks = [row[3] % 2 for row in rows]
    slots = list(range(n))
    before = both("pushed", slots, n, counters, [0] * n)[1][-1]
    assert before == counters
    _, after = both("judge", own, told, slots, pushed, before, marks, n, hot, [0] * n)
    for i in range(n):
        vain = marks[i] and own[i] == pushed[i]
        cold = vain and counters[i] + 1 >= hot
        assert after[1][i] == (own[i] if cold else told[i])
        assert after[-1][i] == (counters[i] + 1 if vain and not cold else 0)


@given(ROWS)
def test_the_small_ones(rows: list[Numbers]) -> None:
    versions, told, source = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    n = len(rows)
    slots = list(range(0, n, 2))
    _, after = both("settle", slots, len(slots), versions, told, [0] * n, 9)
    assert after[2] == [versions[i] if i % 2 == 0 else told[i] for i in range(n)]
    assert after[3] == [9 if i % 2 == 0 else 0 for i in range(n)]
    count, after = both("later", versions, told, n, 50, 100, [0] * n, [0] * n)
    assert after[2][:count] == [i for i in range(n) if versions[i] and 50 < told[i] <= 100]
    (introductions, _), after = both("introduce", versions, told, source, 2, n, [0] * n, [0] * n)
    assert after[3] == [v if v and not base and link != 2 else 0 for v, base, link in zip(versions, told, source, strict=True)]
    assert introductions == sum(v > 0 for v in after[3])
    _, after = both("introduced", versions, told, [0] * n, n, 4)
    assert after[1] == [base or v for v, base in zip(versions, told, strict=True)]
    assert both("everything", versions, told, n)[1][1] == versions
    assert both("learnt", versions, told, n, 0, source, 5)[1][2] == [
        5 if base and base == v else link for v, base, link in zip(versions, told, source, strict=True)
    ]
    assert both("vain", versions, list(range(n)), told, n, [0] * n)[1][-1] == [int(v <= o) for v, o in zip(told, versions, strict=True)]
