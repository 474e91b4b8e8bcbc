"""The walls between the packages: imports run one way, and an agent stays light.

The rules are in setup.cfg. Each is also tried on a house that breaks it, because a rule that cannot fail keeps nothing out.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("priomon_core", "priomon_sim", "priomon_node", "priomon_results")
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.startswith("priomon_node.orchestrator"):  # which no agent imports, by another rule
            importlib.import_module(module.name)
print(*sys.modules)
"""


def python(program: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_packages_keep_the_walls() -> None:
    done = python(LINT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("package", "line", "contract"),
    [
        ("priomon_core", "import time", "The core knows"),
        ("priomon_core", "from numpy import zeros", "The core knows"),
        ("priomon_core", "import numba", "The core knows"),
        ("priomon_core", "import priomon_sim", "The core knows"),
        ("priomon_sim", "import priomon_node", "The simulator knows"),
        ("priomon_results", "import priomon_sim", "The results know"),
        ("priomon_results", "import priomon_node", "The results know"),
        ("priomon_node", "import numba", "A node pulls"),
        ("priomon_node", "def late():\n    import priomon_results", "A node pulls"),
        ("priomon_node/run", "import priomon_node.orchestrator", "An agent knows"),
    ],
)
def test_a_hole_in_a_wall_is_found(tmp_path: Path, package: str, line: str, contract: str) -> None:
    (tmp_path / "setup.cfg").write_text((ROOT / "setup.cfg").read_text())
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "priomon_node" / "orchestrator").mkdir()
    for module in ("run", "orchestrator/__init__"):
        (tmp_path / "priomon_node" / f"{module}.py").touch()
    assert python(LINT, folder=tmp_path).returncode == 0
    hole = tmp_path / package
    (hole / "hole.py" if hole.is_dir() else hole.with_suffix(".py")).write_text(line)
    done = python(LINT, folder=tmp_path)
    assert done.returncode == 1
    assert f"{contract}" in done.stdout.split("Broken contracts")[1]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every import of a module as "module" or "module.name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_core_draws_only_from_streams_it_was_given() -> None:
    """`random.Random` is a stream with a seed; the module's own functions share one that nobody seeded."""
    found = {name for path in ROOT.glob("priomon_core/**/*.py") for name in imports(ast.parse(path.read_text()))}
    assert "priomon_core.errors.SettingError" in found
    assert {name for name in found if name.split(".")[0] == "random"} <= {"random.Random"}


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("priomon_core", {"numpy", "numba", "networkx", "matplotlib", "simpy", "sqlite3", "asyncio", "socket", "psutil", "click"}),
        ("priomon_node", {"numpy", "numba", "networkx", "matplotlib", "simpy", "sqlite_utils", "priomon_sim", "priomon_results"}),
    ],
)
def test_all_of_a_light_package_loads_nothing_heavy(package: str, heavy: set[str]) -> None:
    done = python(IMPORT_ALL, package)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert f"{package}.errors" in loaded or f"{package}.cli" in loaded
    assert loaded.isdisjoint(heavy), sorted(loaded & heavy)
