"""Where numbers come from: the code and the machine that made them."""

from __future__ import annotations

import os
import platform
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from priomon_core import __version__

PACKAGES = ("priomon_core", "priomon_sim", "priomon_results")
LIBRARIES = ("numpy", "numba", "simpy", "networkx")


@cache
def code_version() -> str:
    """The version and eight digits of a hash of the source, so that two states of the code never pass for one."""
    root = Path(__file__).parent.parent
    digest = blake2b(digest_size=4)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{__version__}+{digest.hexdigest()}"


def installed(library: str) -> str:
    """The version of a library, or that it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, str]:
    """The machine, the interpreter and the libraries that results may depend on."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "python": platform.python_version(),
        **{name: installed(name) for name in LIBRARIES},
    }
