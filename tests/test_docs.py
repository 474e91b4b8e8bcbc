"""The documentation says what the product does: generated pages are fresh, links lead somewhere, and examples work.

In docs, a line `$ command` in a ```console block is a command that a reader may type. All of them must parse; those in a block marked
```console run are run, one after another, in a folder with the scenarios and the page's ```yaml run blocks, each a file that its first
line names. A ```python run block is run likewise.
"""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from priomon_node.cli.main import main as node_cli
from priomon_node.events import EventSource
from priomon_node.http_api import create_app
from priomon_node.metric_settings import KEYS
from priomon_node.settings import FILE_ONLY, READERS, load
from priomon_node.settings_file import SettingsError
from priomon_sim.cli.main import main as sim_cli
from priomon_sim.scenario.document import schema

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "scenarios/traces/README.md", ROOT / "results/reference/README.md"])
CLIS: dict[str, click.Group] = {"priomon_sim": sim_cli, "priomon_node": node_cli}
BLOCK = re.compile(r"^```(console|python|yaml)( run)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`((?:tests|docs|scenarios|results/reference|priomon_\w+)/[a-z0-9_./-]+)(?:::(\w+))?`")  # NAME is a placeholder
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_settings", ROOT / "docs/generate_settings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_fresh(generator: ModuleType) -> None:
    assert generator.TARGET.read_text("utf-8") == generator.page(), "run python docs/generate_settings.py"


def test_the_generator_tells_a_stale_page(generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "TARGET", tmp_path / "settings.md")
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    generator.TARGET.write_text(generator.page() + "edited by hand\n", "utf-8")
    assert generator.main(["--check"]) == 1
    assert generator.main(["--chekc"]) == 2


def commands(program: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield program, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(f"{program} {name}", inner)


@pytest.mark.parametrize(("title", "command"), [one for name, cli in CLIS.items() for one in commands(f"python -m {name}", cli)])
def test_every_verb_and_option_is_in_the_reference(generator: ModuleType, title: str, command: click.Command) -> None:
    _, heading, rest = generator.page().partition(f"### {title}\n")
    assert heading
    section = rest.partition("\n### ")[0]
    for parameter in command.params:
        for name in parameter.opts if isinstance(parameter, click.Option) else [str(parameter.name).upper()]:
            assert f"`{name}`" in section


def test_every_setting_of_a_scenario_is_in_the_reference(generator: ModuleType) -> None:
    described: dict[str, Any] = schema()
    page = generator.page()
    names = {name for part in [described, *described["$defs"].values()] for name in part.get("properties", {})}
    assert "fanout" in names
    assert {name for name in names if f"\n| `{name}` |" not in page} == set()


def test_every_setting_of_an_agent_is_in_the_reference(generator: ModuleType) -> None:
    section = generator.page().partition("\n## Agents\n")[2].partition("\n## ")[0]
    options = {parameter.name: parameter.opts[0] for parameter in node_cli.commands["run"].params}
    for name in READERS:
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
        if name in FILE_ONLY:
            assert "only in a file" in row
            continue
        assert f"| `{options[name]}`" in row
        (variable,) = re.findall(r"`(PRIOMON_\w+)` \|", row)
        try:
            told = load({}, {variable: "::"})[1][name]
        except SettingsError as error:
            told = str(error)
        assert f"environment {variable}" in told
        assert "there is no setting" not in told


def test_every_path_and_every_key_of_a_metric_is_told_to_those_who_run_agents() -> None:
    page = (ROOT / "docs/agents.md").read_text("utf-8")
    agent: Any = SimpleNamespace(metrics=())
    paths = {
        getattr(route, "path", "").replace(":path", "")
        for route in create_app(SimpleNamespace(agent=agent), None, EventSource(), lambda: None).routes
    }
    assert "/v1/state" in paths
    assert {path for path in paths if not re.search(rf"^\| `(GET|POST) {re.escape(path)}` \|", page, re.MULTILINE)} == set()
    assert {key for key in KEYS if f"`{key}`" not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(generator: ModuleType, page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        goal = page.parent / path if path else page
        assert goal.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in {generator.slug(title) for title in HEADING.findall(goal.read_text("utf-8"))}, f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    for path, test in SOURCE.findall(page.read_text("utf-8")):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), f"{path}::{test}"


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/pictures/*")), ids=lambda picture: picture.name)
def test_every_picture_is_shown_somewhere(picture: Path) -> None:
    assert any(f"pictures/{picture.name})" in page.read_text("utf-8") for page in PAGES)


def examples(page: Path, language: str, *, only_run: bool = False) -> list[str]:
    return [text for kind, run, text in BLOCK.findall(page.read_text("utf-8")) if kind == language and (run or not only_run)]


def typed(blocks: list[str]) -> list[list[str]]:
    return [shlex.split(line[2:], comments=True) for text in blocks for line in text.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_docs_parses(page: Path) -> None:
    for words in typed(examples(page, "console")):
        for path in re.findall(r"\bscenarios/[\w./-]+", " ".join(words)):
            assert (ROOT / path).exists(), path
        for program in CLIS.keys() & set(words):  # perhaps behind time or strace
            cli, arguments = CLIS[program], words[words.index(program) + 1 :]
            if not arguments[0].startswith("-"):
                assert arguments[0] in cli.commands or arguments[0].endswith(".yaml"), words
            shown = CliRunner().invoke(cli, [*arguments, "--help"])
            assert shown.exit_code == 0, (words, shown.output)


def lay_out(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` the place where a reader of the page types."""
    (folder / "scenarios").symlink_to(ROOT / "scenarios")
    for text in examples(page, "yaml", only_run=True):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, "utf-8")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page, "console", only_run=True)], ids=lambda page: page.name)
def test_the_commands_that_are_marked_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(page, tmp_path, monkeypatch)
    for words in typed(examples(page, "console", only_run=True)):
        monkeypatch.setattr(sys, "argv", words[2:])  # the report tells how to repeat a run
        done = CliRunner().invoke(CLIS[words[2]], words[3:])
        assert done.exit_code == 0, (words, done.output)


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page, "python", only_run=True)], ids=lambda page: page.name)
def test_the_python_examples_that_are_marked_work(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(page, tmp_path, monkeypatch)
    for text in examples(page, "python", only_run=True):
        exec(compile(text, str(page), "exec"), {})
