"""The generation of an agent's start: higher than that of every start before it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from priomon_core.errors import PriomonError
from priomon_core.identity import LARGEST_GENERATION


class GenerationError(PriomonError):
    """The generation cannot be remembered, so a restart could pass for an older one."""


def next_generation(now: int, file: Path | None) -> int:
    """The generation of this start, remembered in `file`: the time in ms, or one more than the last if the clock went back since.

    Without a file it is the time alone. Raises `GenerationError` if the file cannot be written.
    """
    last = 0
    if file is not None:
        with suppress(OSError, ValueError):  # missing at the first start; if it is spoilt, the time is the best there is
            last = int(file.read_text())
    if not 0 <= last < LARGEST_GENERATION:
        last = 0
    generation = max(now, last + 1, 1)
    if file is not None:
        try:
            file.write_text(f"{generation}\n")
        except OSError as error:
            raise GenerationError(f"{file}: the generation cannot be remembered ({error.strerror}); check --state-dir") from error
    return generation
