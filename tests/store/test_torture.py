"""The hub killed at random moments, under eight writers, a bulk append and the checkpoints that it brings.

Five rounds in the suite; two hundred with SPIRITSAFE_TORTURE=1 (`make torture`).
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.verify import verify_store
from store.client import Client
from tests.store.fault_desk import TORTURE, comments

ROUNDS = 200 if TORTURE else 5
WRITERS = 8
LONGEST = 0.4  # seconds between two kills, at most, once every writer was heard

WRITER = """
import sys
from pathlib import Path
from store.client import Client
path, name = Path(sys.argv[1]), sys.argv[2]
with Client(path, claimed=name) as client:
    for i in range(1_000_000):
        client.act("comment", "demo", {"subject": f"{name}-{i}", "text": "x"}, act_id=f"{name}-{i}")
        print(i, flush=True)
"""

# A big append is one row group: it goes past the log, and its commit is a checkpoint.
APPENDER = """
import sys
from pathlib import Path
import pyarrow as pa
from store.client import Client
from store.records import columns_of, key_of
from store.run import Run
with Client(Path(sys.argv[1]), claimed="bulk") as client:
    while True:
        run = client.run("demo", "import", params={}, inputs={})
        first = key_of(run.run_no, 0)
        N = Run.BATCH if run.run_no < 12 or run.run_no % 8 == 0 else 1000  # two hundred rounds, and they are verified
        columns = [pa.array([run.run_no] * N), pa.array(range(first, first + N)), pa.array(range(N)), pa.array(range(N))]
        columns += [pa.array([text] * N) for text in ("p" * 32, "teacher", "chars")] + [pa.array([0.5] * N)]
        run.add_table("score", pa.Table.from_arrays(columns, names=list(columns_of("score"))))
        run.close()
        print(run.run_no, flush=True)
"""


class Worker:
    """A client in a process of its own, and the last number that it printed."""

    def __init__(self, code: str, path: Path, name: str) -> None:
        command = [sys.executable, "-c", code, str(path), name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=False)
        self.name, self.heard = name, [-1]
        self._rest = b""
        os.set_blocking(self.process.stdout.fileno(), False)

    def listen(self) -> None:
        """Take what it printed meanwhile."""
        while said := self.process.stdout.read():
            *lines, self._rest = (self._rest + said).split(b"\n")
            self.heard += map(int, lines)

    def end(self) -> None:
        """End it, and take what it had printed."""
        self.process.kill()
        self.process.wait()
        self.listen()
        self.process.stdout.close()


def hear(workers: list[Worker], *, seconds: float) -> None:
    """Listen to all of them for so long."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        select.select([worker.process.stdout for worker in workers], [], [], left)
        for worker in workers:
            worker.listen()


def hear_more(workers: list[Worker], *, by: int) -> None:
    """Listen until every one of them has said ``by`` numbers more: they carry on by themselves."""
    wanted = [len(worker.heard) + by for worker in workers]
    until = time.monotonic() + 60
    while any(len(w.heard) < n for w, n in zip(workers, wanted, strict=True)):
        assert time.monotonic() < until, "somebody does not carry on"
        hear(workers, seconds=0.02)


def test_a_hub_killed_again_and_again_under_eight_writers_and_an_import_loses_and_doubles_nothing(
    store: Client, store_path: Path
) -> None:
    moments = random.Random()  # the worst moment is none that we know of
    writers = [Worker(WRITER, store_path, f"w{n}") for n in range(WRITERS)]
    appender = Worker(APPENDER, store_path, "bulk")
    everybody = [*writers, appender]
    try:
        hear_more(everybody, by=1)
        for number in range(ROUNDS):
            hear_more(everybody if number % 3 == 2 else writers, by=1)
            hear(everybody, seconds=moments.uniform(0, LONGEST))
            with Client(store_path) as now:
                os.kill(now.welcome.pid, signal.SIGKILL)
        hear_more(everybody, by=1)
        assert [worker.name for worker in everybody if worker.process.poll() is not None] == []
    finally:
        for worker in everybody:
            worker.end()
    assert store.call("chain")["faults"] == []
    found = comments(store)
    assert len(found) == len(set(found))
    for writer in writers:
        last, own = writer.heard[-1], {i for i in found if i.startswith(f"{writer.name}-")}
        assert own >= {f"{writer.name}-{i}" for i in range(last + 1)}
        assert len(own) <= last + 2  # at most one was written and not yet acknowledged
    closed = {row[0] for row in store.call("sql", text="select run_no from run_closed")["rows"]}
    assert closed >= set(appender.heard[1:])
    assert verify_store(store).sound
