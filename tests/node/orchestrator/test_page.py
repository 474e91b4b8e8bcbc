"""The files of the page: all there, those of others unchanged, and nothing that the page's own policy would refuse."""

from __future__ import annotations

import re
from configparser import ConfigParser
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "priomon_node/orchestrator/page"
STATIC = PAGE / "static"
VENDOR = STATIC / "vendor"
TEMPLATES = sorted(PAGE.glob("*.html"))
SCRIPTS = sorted(STATIC.glob("*.js"))


def vendored() -> list[list[str]]:
    lines = (VENDOR / "VENDOR").read_text("utf-8").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("name", [line[0] for line in vendored()])
def test_files_of_others_are_as_they_came(name: str) -> None:
    (digest,) = (line[4] for line in vendored() if line[0] == name)
    assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_every_file_of_others_is_listed_with_its_licence() -> None:
    listed = {line[0]: line[1:4] for line in vendored()}
    assert set(listed) == {path.name for path in VENDOR.iterdir()} - {"VENDOR"}
    for name, (package, version, licence) in listed.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert licence == "MIT"
        assert f"{name.partition('.')[0]}.LICENSE" in listed, package
    for path in VENDOR.glob("*.LICENSE"):
        assert "Permission is hereby granted, free of charge" in path.read_text("utf-8")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_script_or_style_of_their_own(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text)
    for reference in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        assert (PAGE / reference.removeprefix("/")).is_file(), reference


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_modules_import_files_that_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    imported = re.findall(r'^import .* from "([^"]+)";$', text, re.MULTILINE)
    assert len(imported) == len(re.findall(r"^import\b", text, re.MULTILINE))
    for name in imported:
        assert (STATIC / name).is_file(), name


def test_the_script_speaks_of_elements_that_are_there() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', (PAGE / "live.html").read_text("utf-8")))
    asked = set(re.findall(r'(?:\$|say)\("([\w-]+)"', (STATIC / "page.js").read_text("utf-8")))
    assert {"coverage", "topology", "log"} <= asked
    assert asked <= ids


def test_columns_of_the_table_are_those_of_the_script() -> None:
    heads = re.findall(r'\("(\w+)", "[A-Z][\w ]+"\)', (PAGE / "live.html").read_text("utf-8"))
    assert heads == re.findall(r'^  \["(\w+)", ', (STATIC / "table.js").read_text("utf-8"), re.MULTILINE)


def test_the_style_that_cytoscape_would_add_is_in_ours() -> None:
    """Its own style element would be refused, so the page has one under the same id."""
    added = re.search(r'"(_+cytoscape_stylesheet)",\w="(_+cytoscape_container)"', (VENDOR / "cytoscape.esm.min.mjs").read_text("utf-8"))
    assert added
    assert f'id="{added[1]}"' in (PAGE / "base.html").read_text("utf-8")
    assert f".{added[2]} {{ position: relative; }}" in (STATIC / "style.css").read_text("utf-8")


def test_the_package_brings_all_files() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.package_data"]["priomon_node.orchestrator"].split(", ")
    brought = {path for pattern in patterns for path in PAGE.parent.glob(pattern) if path.is_file()}
    assert brought == {path for path in PAGE.rglob("*") if path.is_file()}
