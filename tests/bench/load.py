"""What an act costs while rows pour in:

    python -m tests.bench.load [--store PATH] [--seconds 60] [--reviewers 16] [--rate 0]

Reviewers act once a second each (send to acknowledged, client's clock) first alone, then beside one run that appends
rows of about 600 bytes as fast as the hub takes them (or ``--rate`` rows a second). The rows are made and encoded
before the clock starts, in a process of their own: what is measured is the hub. ``--store`` is written to: name a copy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store import acts
from store.client import Client
from store.errors import SpiritsafeError

if TYPE_CHECKING:
    import pyarrow as pa

PROJECT = "load"
SEED_TABLES = 4  # tables of rows that are appended in turn, with new keys each time
TEXT = 430  # characters of a row's text: with ids and numbers about 600 bytes


@dataclass(slots=True)
class Taken:
    """Round trips of acts in milliseconds, and when each was asked."""

    ms: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        """p50, p99 and the worst, in words."""
        ranked = sorted(self.ms)
        if not ranked:
            return f"{name:<34} no acts; errors {len(self.errors)}"
        p50, p99 = ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
        return (
            f"{name:<34} {len(ranked):>6,} acts  p50 {p50:7.1f}  p99 {p99:7.1f}  max {ranked[-1]:7.1f} ms"
            f"  errors {len(self.errors)} {'; '.join(sorted(set(self.errors))[:2])}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--alone", type=float, default=15.0, help="seconds of acts without appends")
    parser.add_argument("--reviewers", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.0, help="rows a second; 0: as many as the hub takes")
    parser.add_argument("--batch", type=int, default=0, help="rows of a frame; 0: a row group")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (options.store or Path(folder) / "load.duckdb").absolute()
        with Client(path, create=True) as client:
            if not any(row[0] == PROJECT for row in client.call("ask", question="projects", params={})):
                client.act("project.create", PROJECT, {"title": "load"})
            print(reviewing(path, options.reviewers, options.alone).line("acts alone"))
            beside(path, options)
            hub = resident_mb(client.welcome.pid)
            wal = path.with_name(path.name + ".wal")
            size = wal.stat().st_size / 1e6 if wal.exists() else 0.0
            print(f"{'hub':<34} {hub:,.0f} MB resident, log {size:.1f} MB, load {os.getloadavg()[0]:.1f}")
            client.call("stop")


def beside(path: Path, options: argparse.Namespace) -> None:
    """Acts while one run appends."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    told = context.SimpleQueue()
    how = {"seconds": options.seconds, "rate": options.rate, "batch": options.batch}
    appender = context.Process(target=append_for, args=(path, how, ready, go, told))
    appender.start()
    ready.wait()
    go.set()
    taken = reviewing(path, options.reviewers, options.seconds)
    rows, seconds, appends, error = told.get()
    appender.join()
    print(taken.line("acts beside a bulk append"))
    appends = sorted(appends)
    print(
        f"{'bulk append':<34} {rows:,} rows in {seconds:.1f} s: {rows / seconds:,.0f} rows/s;"
        f" an append p50 {appends[len(appends) // 2]:.0f}, max {appends[-1]:.0f} ms; {error or 'no error'}"
    )
    slow = sorted(zip(taken.ms, taken.began, strict=True), reverse=True)[:8]
    print(" " * 34, "slowest: " + ", ".join(f"{ms:.0f} ms at {at:.1f} s" for ms, at in slow))


def reviewing(path: Path, reviewers: int, seconds: float) -> Taken:
    """Round trips of ``reviewers`` who act once a second each."""
    taken, start = Taken(), time.monotonic() + 0.2
    threads = [
        threading.Thread(target=_reviewer, args=(path, number, [start + number / reviewers, seconds], taken))
        for number in range(reviewers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _reviewer(path: Path, number: int, when: list[float], taken: Taken) -> None:
    rng, (start, seconds) = random.Random(number), when
    with Client(path, claimed=f"r{number}", start=False) as client:
        for second in range(int(seconds)):
            due = start + second + rng.uniform(-0.03, 0.03)
            time.sleep(max(0.0, due - time.monotonic()))
            payload = {"queue": "audit", "subject": acts.new_id(), "verdict": "ok"}
            began = time.perf_counter()
            try:
                client.act("verdict", PROJECT, payload)
            except SpiritsafeError as error:
                taken.errors.append(str(error))
            taken.ms.append((time.perf_counter() - began) * 1e3)
            taken.began.append(time.monotonic() - start)


def append_for(path: Path, how: dict[str, Any], ready: Any, go: Any, told: Any) -> None:
    """Append prepared rows for so long; tells rows, seconds, milliseconds of each append, the error that ended it."""
    from store.run import Run

    seconds, rate, size = how["seconds"], how["rate"], how["batch"] or Run.BATCH
    bodies = frames(size)
    with Client(path, start=False) as client:
        run = client.run(PROJECT, "import", params={}, inputs={})
        ready.set()
        go.wait()
        rows, took, error, began = 0, [], "", time.monotonic()
        while time.monotonic() - began < seconds:
            body = bodies(run.run_no, rows)
            sent = time.perf_counter()
            try:
                client.call("append", run_no=run.run_no, table="output", first_seq=rows, arrow=body)
            except SpiritsafeError as problem:
                error = str(problem)
                break
            took.append((time.perf_counter() - sent) * 1e3)
            rows += size
            if rate:
                time.sleep(max(0.0, began + rows / rate - time.monotonic()))
        told.put((rows, time.monotonic() - began, took, error))


def frames(size: int) -> Any:
    """A function (run_no, first seq) → an Arrow stream of ``size`` outputs with the keys that are due."""
    import pyarrow as pa

    from store.records import key_of

    tables = list(_tables(size))

    def body(run_no: int, first: int) -> bytes:
        table = tables[first // size % len(tables)]
        key = key_of(run_no, first)
        table = table.set_column(
            0, table.schema.field(0), pa.array([run_no], pa.int32()).take(pa.array([0] * size))
        )
        table = table.set_column(1, table.schema.field(1), pa.array(range(key, key + size), pa.int64()))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    return body


def _tables(size: int) -> Iterator[pa.Table]:
    """Some tables of outputs; their keys are filled in later."""
    import numpy as np
    import pyarrow as pa

    from store.arrow import arrow_schema
    from tests.bench.make_store import WORDS

    schema = arrow_schema("output")
    for seed in range(SEED_TABLES):
        rng = np.random.default_rng(seed)
        long = " ".join(rng.choice(WORDS, size=200_000))
        starts = rng.integers(0, len(long) - TEXT, size=size)
        ids = rng.bytes(16 * size).hex()
        hexes = [ids[i : i + 32] for i in range(0, 32 * size, 32)]
        values = {
            "run_no": [0] * size, "output_key": [0] * size, "arrival_key": list(range(size)), "prompt_id": hexes,
            "output_id": hexes[::-1], "model": ["teacher"] * size, "sample_index": [0] * size,
            "text": [long[i : i + TEXT] for i in starts], "finish_reason": ["stop"] * size,
            "tokens_in": [120] * size, "tokens_out": [TEXT // 5] * size, "cost_nano": [None] * size,
            "latency_us": rng.integers(100_000, 3_000_000, size=size), "logprobs": [None] * size,
        }  # fmt: skip
        arrays = [pa.array(values[name], schema.field(name).type) for name in schema.names]
        yield pa.Table.from_arrays(arrays, schema=schema)


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    main()
