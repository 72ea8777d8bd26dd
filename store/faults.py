"""What DuckDB says when a disk is full, a file damaged or memory short, as errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import StoreError

if TYPE_CHECKING:
    import duckdb

FULL = ("No space left on device", "Disk quota exceeded", "File too large")  # ENOSPC, EDQUOT, EFBIG
DAMAGED = (
    "Corrupt",
    "checksum",
    "Failure while replaying",
    "decompress",
    "deserialize",
    "Could not read",
)
BACKUP = "Restore a backup: `spiritsafe backup --help` says how."


def fault_of(error: duckdb.Error, path: Path, doing: str) -> StoreError:
    """``error``, met while ``doing`` something with the store at ``path``, as the error that a user is told."""
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if is_full(text):
        todo = "Free some space, then do it again. What was acknowledged before is safe."
        return StoreError(f"{doing}: the disk is full", where=str(path), todo=todo)
    if is_damage(text):
        return StoreError(f"{doing}: the file is damaged: {first}", where=str(path), todo=BACKUP)
    if "Out of Memory" in text:
        todo = "Ask for less at once, or give the machine more memory."
        return StoreError(f"{doing}: memory ran out", where=str(path), todo=todo)
    return StoreError(f"{doing}: {text}", where=str(path))


def gave_up(error: duckdb.Error) -> bool:
    """Whether DuckDB serves the store no more: it has to be opened anew, by another hub.

    So after a checkpoint that failed: the commit that brought it on stands. DuckDB says that in a FatalException, and
    where other databases are attached (our scratch is one) in an IOException.
    """
    import duckdb as known

    return isinstance(error, known.FatalException) or "has been invalidated" in str(error)


def is_damage(text: str) -> bool:
    """Whether an error's text says that a file's bytes are not those that were written."""
    return any(sign in text for sign in DAMAGED)


def is_full(text: str) -> bool:
    """Whether an error's text says that a disk is full."""
    return any(sign in text for sign in FULL)
