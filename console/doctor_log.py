"""The newest fault in a hub's log, in one line."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

TAIL = 256 << 10  # bytes of the log that are read
LONGEST = 200
RECENT = 86_400.0  # seconds
TRACEBACK = "Traceback (most recent call last):"
COULD_NOT = "spiritsafe: "  # how a hub that cannot serve begins its last word
HARMLESS = "another hub serves this store"
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)\S* (ERROR|CRITICAL|WARNING|INFO|DEBUG) (.*)")


def is_recent(log: Path) -> bool:
    """Whether anything was written within a day."""
    try:
        return time.time() - log.stat().st_mtime < RECENT
    except OSError:
        return False


def last_error(log: Path) -> str:
    """The newest error that a hub wrote, with its time and how a traceback ended; empty where there is none.

    Raises nothing: a log that is not there or may not be read holds no error for the caller.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL), os.SEEK_SET)
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return newest(lines)


def newest(lines: list[str]) -> str:
    """The newest error in lines of a log.

    >>> newest(["2026-01-02 03:04:05,6 ERROR act", "Traceback (most recent call last):", "  …", "KeyError: 'x'",
    ...         "2026-01-02 03:05:00,1 INFO stopped"])
    "2026-01-02 03:04:05 act: KeyError: 'x'"
    >>> newest(["spiritsafe: x.duckdb: is damaged", "  Restore it."])
    'a hub could not serve: x.duckdb: is damaged'
    """
    for at in range(len(lines) - 1, -1, -1):
        line = _LINE.match(lines[at])
        if line and line[2] in ("ERROR", "CRITICAL"):
            return _short(f"{line[1]} {line[3]}{_cause(lines[at + 1 :])}")
        if lines[at].startswith(COULD_NOT) and HARMLESS not in lines[at]:
            return _short(f"a hub could not serve: {lines[at].removeprefix(COULD_NOT)}")
        if lines[at] == TRACEBACK and not (at and _LINE.match(lines[at - 1])):
            return _short(f"a hub broke off{_cause(lines[at:])}")
    return ""


def _cause(following: list[str]) -> str:
    """The last line of the traceback that stands behind an error."""
    if not following or following[0] != TRACEBACK:
        return ""
    last = ""
    for line in following[1:]:
        if _LINE.match(line) or line.startswith(COULD_NOT):
            break
        if line and not line[0].isspace():
            last = line
    return f": {last}" if last else ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
