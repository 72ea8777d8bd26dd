"""Starting a hub from a client: a process in a session of its own, and how it says that it cannot serve."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from store import address
from store.errors import StoreError
from store.wire import Problem, error_of

BUSY = 75  # exit of a hub that found another one serving (EX_TEMPFAIL in sysexits.h)
CHILD = "--child"  # tells the hub to write its problem as one line of JSON


class HubProcess:
    """A hub that this process started. It outlives us; we only look whether it is still there."""

    def __init__(self, store: Path) -> None:
        """Start it; raises StoreError where its log cannot be written."""
        self.store, self.log = store, address.log_path(store)
        try:
            with open(self.log, "ab", opener=_private) as log:
                self._log_start = log.tell()
        except OSError as error:
            raise StoreError(
                f"cannot write beside the store: {error.strerror}",
                where=str(self.log),
                todo="A store needs a folder that you may write to.",
            ) from error
        append = os.O_WRONLY | os.O_APPEND
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "store.hub", CHILD, str(store)],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def ended(self) -> bool:
        """Whether it is gone again: idle, stopped, or because another one serves. Raises why it could not serve."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody reaped it for us
            return True
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(status)
        if code > 0 and code != BUSY:
            raise self._problem(code)
        return True

    def _problem(self, code: int) -> Exception:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().strip().splitlines()
        try:
            return error_of(msgspec.json.decode(lines[-1], type=Problem))
        except (IndexError, msgspec.DecodeError):
            return StoreError(
                f"its hub ended with exit {code}", where=str(self.store), todo=f"See {self.log}."
            )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o660)
