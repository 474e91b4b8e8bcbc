"""Files that are replaced whole or not at all, so that a reader never meets half of one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from priomon_core.errors import PriomonError


class OutputError(PriomonError):
    """A file could not be written; what was there before is still there."""


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and move it there in one step; into a device or pipe it is written as it is. Raises `OutputError`."""
    draft = path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(content)
        if draft != path:
            draft.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: it could not be written ({error.strerror}); choose another place, or free some space") from error
    finally:
        if draft != path:
            with suppress(OSError):  # gone if all went well, never made if its folder is missing
                draft.unlink()
