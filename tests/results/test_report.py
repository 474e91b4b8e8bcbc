"""The report is one file that stands alone, tells the truth in words and escapes what it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from priomon_results.files import OutputError
from priomon_results.plots.run import PLOTS, draw_all
from priomon_results.plots.style import LARGEST_SVG
from priomon_results.report import measures, sentences, write_report
from priomon_results.schema import RunRows
from priomon_results.store import Store

MakeRun = Callable[..., RunRows]
COMMAND = "python -m priomon_sim scenarios/fake.yaml --seed 1"
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """The text, the attributes and the nesting of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def write(tmp_path: Path, runs: list[int], pictures: list[Path] | None = None) -> Page:
    with Store(tmp_path / "fake.sqlite", readonly=True) as store:
        drawn = draw_all(store, runs, tmp_path / "plots") if pictures is None else pictures
        write_report(store, runs, tmp_path / "report.html", pictures=drawn, command=COMMAND)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_the_report_stands_alone_and_has_every_part(make_run: MakeRun, tmp_path: Path) -> None:
    page = write(tmp_path, [make_run().run.id])
    addresses = [value or "" for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "srcset")]
    addresses.remove("data:,")  # no icon, so that a browser asks for none
    assert len(addresses) == len(PLOTS) - 1  # one scenario has no strategies to compare
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert "url(" not in page.text
    assert "@import" not in page.text
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    for part in (
        "fake · 40 nodes · seed 1",
        "40 nodes replay 1 recorded machine",
        "0.4 s (p50), 2.5 s (p99), 9.75 s (max)",
        "4 s (t50), 6 s (t99), never (t100)",
        "100 of 1,000",
        "1 (p50), 4.5 (p99), 7.5 (max) %",
        "0.2 (p50), 0.9 (p99), 1.5 (max)",
        COMMAND,
        "hash-of-fake",
        "5eed",
        "two cores",
        "period: 1 s",
    ):
        assert part in page.text, part


def test_a_saving_stands_beside_lag_and_error_of_both(make_run: MakeRun, tmp_path: Path) -> None:
    page = write(tmp_path, [make_run().run.id], [])
    (section,) = re.findall(r"Beside the baseline(.*)Plots", page.text, re.DOTALL)
    for part in ("1 kB/s", "25 kB/s (25 times this run)", "0.2 s (p50), 1.5 s (p99), 3 s (max)", "0 (p50), 0.6 (p99), 1.25 (max)"):
        assert part in section, part


def test_what_comes_from_outside_is_escaped(make_run: MakeRun, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    fields: dict[str, Any] = {
        "scenario": evil,
        "notes": [evil],
        "machine": {evil: evil},
        "parameters": {"name": evil},
        "code_version": evil,
    }
    page = write(tmp_path, [make_run(**fields).run.id], [])
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(evil) >= 6


def test_a_large_drawing_is_embedded_as_pixels(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run().run.id
    svg, png = tmp_path / "lag.svg", tmp_path / "lag.png"
    png.write_bytes(b"pixels")
    for size, kind in ((LARGEST_SVG, "svg+xml"), (LARGEST_SVG + 1, "png")):
        svg.write_bytes(b"x" * size)
        page = write(tmp_path, [run], [png, svg])
        (source,) = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
        assert (source or "").startswith(f"data:image/{kind};base64,")


def test_an_interrupted_run_gets_a_report_that_says_so(make_header: Callable[..., Any], tmp_path: Path) -> None:
    with Store(tmp_path / "fake.sqlite") as store, pytest.raises(KeyboardInterrupt), store.begin(make_header()) as writer:
        writer.add("sample", [(float(t), t / 100, 40, t * 900, t, t, t, t, None, None, None, None, None) for t in range(24)])
        raise KeyboardInterrupt
    page = write(tmp_path, [writer.run])
    assert "40 nodes gossiped for 23 s by scuttlebutt (seed 1). The run is interrupted" in page.text
    assert "Measures" not in page.text


def test_the_words_follow_the_numbers(make_run: MakeRun) -> None:
    run = make_run().run
    assert sentences(run) == [
        "40 nodes gossiped for 30 s by scuttlebutt (seed 1).",
        "Every node knew every other after 14 s.",
        "A node sent 1 kB per second.",
        "In 99 of 100 cases an observer had all news of another node that was older than 2.5 s.",
        "That is 25 times less traffic than baseline-demon on the same workload; lag and error of both are below.",
    ]
    worse = {
        **run.summary,
        "convergence_seconds": None,
        "coverage_final": 0.875,
        "saving_vs_baseline": {"scenario": "b", "bytes_ratio": 0.5},
    }
    told = sentences(replace(run, summary=worse))
    assert told[1] == "At the end 87.5 % of the pairs of nodes knew each other, so not all."
    assert told[-1].startswith("That is 2 times more traffic than b ")


DETECTION = {
    "crashes": 5,
    "unnoticed": 1,
    "seconds": {
        "suspected": {"mean": 1.5, "p50": 1.25, "p99": 2.0, "max": 2.0},
        "first": {"mean": 4.5, "p50": 4.0, "p99": None, "max": 5.0},
        "t99": {"mean": 6.5, "p50": 6.25, "p99": None, "max": 7.0},
    },
    "false_suspicions": {"healthy": 0, "parted": 0},
    "false_deaths": {"healthy": 2, "starved subject": 1_000, "parted": 0},
}


def test_detection_is_in_the_words_and_in_the_table(make_run: MakeRun) -> None:
    run = make_run().run
    judged = {**run.summary, "detection": DETECTION}
    told = " ".join(sentences(replace(run, summary=judged)))
    assert "Half of 5 crashes were known to 99 % of the nodes within 6.25 s." in told
    assert "Healthy nodes held healthy ones dead in 2 cases." in told
    lines = {measure.name: measure.read(judged) for measure in measures([judged])}
    assert lines["Crashes"] == "5, 1 unnoticed"
    assert lines["First verdict"] == "4 s (p50), 5 s (max)"
    assert lines["False suspicions"] == "0"
    assert lines["False deaths"] == "1,002 (2 healthy, 1,000 starved subject)"


def test_detection_without_a_crash_has_no_times(make_run: MakeRun) -> None:
    run = make_run().run
    calm = DETECTION | {"crashes": 0, "seconds": dict.fromkeys(("suspected", "first", "t99")), "false_deaths": {"healthy": 0}}
    judged = {**run.summary, "detection": calm}
    told = " ".join(sentences(replace(run, summary=judged)))
    assert "crashes" not in told
    assert "No healthy node held another one dead." in told
    assert {measure.name: measure.read(judged) for measure in measures([judged])}["Known to 99 %"] == "-"


def test_a_run_in_which_nobody_judges_has_no_lines_for_it(make_run: MakeRun) -> None:
    summary = make_run().run.summary
    assert "False deaths" not in {measure.name for measure in measures([summary, {**summary, "detection": DETECTION}])}


def test_what_checkers_said_of_real_agents_is_in_the_table(make_run: MakeRun) -> None:
    summary = make_run().run.summary
    examined = {**summary, "examination": {"verdict": "VersionsGrow at 3 s: ..."}}
    assert {measure.name: measure.read(examined) for measure in measures([examined])}["Checkers"] == "VersionsGrow at 3 s: ..."
    assert "Checkers" not in {measure.name for measure in measures([{**summary, "examination": None}])}


def test_a_report_that_cannot_be_written_leaves_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run().run.id
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "kept").touch()
    with Store(tmp_path / "fake.sqlite", readonly=True) as store:
        with pytest.raises(OutputError, match=r"taken: it could not be written \(.*\); choose another place"):
            write_report(store, [run], tmp_path / "taken", pictures=[], command=COMMAND)
        with pytest.raises(OutputError, match="No such file or directory"):
            write_report(store, [run], tmp_path / "missing" / "report.html", pictures=[], command=COMMAND)
    assert not list(tmp_path.glob(".*"))
