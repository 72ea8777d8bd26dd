"""Plain checks on every core: batches go to processes of their own, answers come back in whatever order they are done.

Python runs one thread at a time, and a check is Python. What travels is texts there and results back, as msgpack over
pipes: nothing is pickled, and a process leaves when its pipe ends, also when whoever asked was killed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from engine.clean.check_process import Asked, Begin, Told, got, put
from engine.clean.outcome import Check, Said
from engine.clean.runners import Batch
from store.errors import InputError, StoreError

MOST = 8  # processes: each holds 40 MB, with a language model 150
LEFT = 2  # tries of a batch whose process dies, the first included


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Apart:
    """Processes that run the same checks; a context manager that ends them."""

    def __init__(self, checks: Sequence[Check], codes: Mapping[str, str], processes: int) -> None:
        """``checks``: kinds of ``checks.CHECKS``; ``codes``: code → label, for those that compare meanings."""
        self.processes = min(processes, MOST)
        self._begin = Begin([(c.kind, dict(c.options), c.name) for c in checks], dict(codes))
        self._threads = ThreadPoolExecutor(self.processes, "checks")
        self._running: set[subprocess.Popen[bytes]] = set()
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        for process in list(self._running):
            process.kill()  # whatever it does just now, nobody waits for it
        self._threads.shutdown(cancel_futures=True)
        for process in list(self._running):
            self._end(process)

    def ask(self, batch: Batch) -> Future[list[Said]]:
        """What each check says of a batch, later. It raises InputError for an option that turns out wrong, StoreError
        where the processes die."""
        return self._threads.submit(self._answer, Asked(batch.texts, batch.references, batch.tokens))

    def _answer(self, asked: Asked) -> list[Said]:
        for _ in range(LEFT):
            process = self._one()
            told = _told(process, asked)
            if told is not None:
                self._free.put(process)
                if told.problem is not None:
                    what, where, todo = told.problem
                    raise InputError(what, where=where, todo=todo)
                return [Said(passed, details) for passed, details in told.said]
            self._end(process)
            if self._over:
                break
        raise StoreError(
            f"a process that ran checks died, {LEFT} times (exit {process.returncode})",
            todo="Perhaps memory ran out. Run the same command again to go on behind the last part.",
        )

    def _one(self) -> subprocess.Popen[bytes]:
        """A process that is free, or a new one: a thread never holds more than one."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.clean.check_process"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self._running.add(process)
        assert process.stdin is not None  # noqa: S101 - it was opened with a pipe
        with contextlib.suppress(OSError):  # it is dead: the answer that is missing says so
            put(process.stdin, self._begin)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        try:
            process.communicate()
        except (OSError, ValueError):
            process.wait()
        self._running.discard(process)


def _told(process: subprocess.Popen[bytes], asked: Asked) -> Told | None:
    """The answer of a process, None where it died."""
    assert process.stdin is not None  # noqa: S101 - it was opened with pipes
    assert process.stdout is not None  # noqa: S101
    try:
        put(process.stdin, asked)
        return got(process.stdout, Told)
    except (OSError, ValueError):
        return None
