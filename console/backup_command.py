"""``spiritsafe backup``: a copy of the store that is itself a store, made while people work."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from console.output import emit, open_store

Options = argparse.Namespace


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to, and how thoroughly."""
    parser.add_argument("file", type=Path, help="the file to write: yours alone (mode 0600)")
    parser.add_argument("--force", action="store_true", help="replace the file that is there")
    parser.add_argument(
        "--no-check", action="store_true", help="look only at the copy's last event, not at all of it"
    )


def backup(options: Options) -> int:
    """Write the copy, look at it, say what it holds."""
    from store.backup import backup as copy

    store = open_store(options)
    shown = Shown(enabled=sys.stderr.isatty() and not options.json)
    try:
        done = copy(
            store, options.file, force=options.force, check=not options.no_check, progress=shown.progress
        )
    finally:
        shown.end()
    return emit(options, done)


class Shown:
    """How far it is, on one line of standard error that is wiped in the end; nothing where that is no terminal."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled, self._percent = enabled, -1

    def progress(self, done: int, whole: int) -> None:
        """``done`` of ``whole`` bytes are copied."""
        percent = 100 * done // max(1, whole)
        if self._enabled and percent != self._percent:
            self._percent = percent
            text = (
                f"copying {percent:3} % of {whole / 1e6:,.0f} MB" if done < whole else "looking at the copy"
            )
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the line."""
        if self._enabled and self._percent >= 0:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
