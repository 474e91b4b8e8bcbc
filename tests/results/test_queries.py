"""What reads come to: rows, sums, and the plot of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from priomon_results.plots.queries import queries
from priomon_results.queries import Query, QueryTotals
from priomon_results.schema import RunRows

SECOND = 1_000_000_000
ANSWERED = Query(2 * SECOND, 1, 3, "from(3)", True, False, SECOND // 4, 6, 3 * SECOND, 2)
PARTIAL = Query(3 * SECOND, 2, 3, "from(3)", False, True, 2 * SECOND, 10, SECOND, 0)
NOTHING = Query(4 * SECOND, 2, 3, "from(3)", False, False, None, 0, None, None)


def totals(*ended: Query) -> QueryTotals:
    total = QueryTotals()
    total.add(ended)
    return total


def test_a_row_is_in_seconds_and_says_what_was_missing() -> None:
    assert ANSWERED.row() == (2.0, 1, 3, "from(3)", 1, 0, 0.25, 6, 3.0, 2)
    assert NOTHING.row() == (4.0, 2, 3, "from(3)", 0, 0, None, 0, None, None)


def test_nobody_read_anything() -> None:
    assert totals().summary() is None


def test_a_read_that_found_nothing_counts_but_has_no_latency() -> None:
    summary: Any = totals(ANSWERED, PARTIAL, NOTHING, NOTHING).summary()
    assert (summary["count"], summary["success"], summary["partial"], summary["messages_per_query"]) == (4, 0.25, 0.25, 4)
    assert summary["latency_seconds"] == {"p50": 2.0, "p99": 2.0, "max": 2.0}
    assert summary["age_seconds"]["max"] == 3.0 and summary["versions_behind"]["max"] == 2
    only: Any = totals(NOTHING).summary()
    assert only["latency_seconds"] == {"p50": None, "p99": None, "max": None}


@given(st.lists(st.sampled_from((ANSWERED, PARTIAL, NOTHING)), max_size=20), st.integers(0, 20))
def test_it_does_not_matter_in_which_portions_they_come(ended: list[Query], cut: int) -> None:
    total = totals(*ended[:cut])
    total.add(ended[cut:])
    assert total.summary() == totals(*ended).summary()


def test_the_plot_shows_shares_of_all_reads(make_run: Callable[..., RunRows]) -> None:
    figure = queries([make_run(nodes=10)])
    latency, messages, age = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == ["latency (s)", "messages per read", "age of the answer (s)"]
    assert max(latency.lines[0].get_ydata()) == max(age.lines[0].get_ydata()) == 49 / 50  # one of the reads had no answer
    assert max(messages.lines[0].get_ydata()) == 1
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text().endswith("88 % of 50 reads met their level")
