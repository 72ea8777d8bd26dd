"""``make bench``: what a key costs on a store of a million samples, through the hub, under a pty.

Prints each figure beside its floor and beside a reference of the same run (a bare Python loop), so that machines
can be compared. Builds the store once (``.bench/``), which takes a minute or two; exits 1 where a floor is missed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.pager_bench import loop, seconds
from tests.console.pty_harness import Terminal

ROOT = Path(__file__).parents[2]
STORE = ROOT / ".bench" / "million.duckdb"
READY = r"of 1,000,000 judged"
WIDE, NARROW, SMALL = (120, 40), (109, 40), (80, 24)  # side by side; list alone; the least


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and its floor."""

    what: str
    unit: str
    found: float
    floor: float


def main() -> int:
    """Measure, print the table."""
    if not STORE.exists():
        STORE.parent.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "tests.bench.make_store", str(STORE), "--rows", "1000000", "--student"]
        subprocess.run(words, check=True, cwd=ROOT)
    reference = seconds(loop) * 1000
    with tempfile.TemporaryDirectory() as folder:
        figures = [*side_by_side(Path(folder)), *list_alone(Path(folder)), *small(Path(folder))]
    print(
        f"reference: a bare loop over a million numbers, {reference:.1f} ms; a millisecond of it is 1.00 x below"
    )
    for f in figures:
        ratio = f"{f.found / reference:6.2f} x" if f.unit == "ms" else ""
        state = "ok" if f.found <= f.floor else "MISSED"
        print(f"{f.what:<52} {f.found:>10,.1f} {f.unit:<5} floor {f.floor:>8,.0f} {ratio:>9}  {state}")
    return int(any(f.found > f.floor for f in figures))


def console(folder: Path, size: tuple[int, int]) -> Terminal:
    """The audit of the million, in a pty."""
    words = [sys.executable, "-P", "-m", "console.cli", "--store", str(STORE), "console", "--screen", "audit"]
    return Terminal(words, *size, {"XDG_STATE_HOME": str(folder / f"{size[0]}")})


def presses(term: Terminal, key: str, times: int) -> tuple[list[int], list[float]]:
    """Bytes and processor milliseconds of each press."""
    sizes, costs = [], []
    for _ in range(times):
        before = term.cpu_ms()
        sizes.append(term.bytes_for(key))
        costs.append(term.cpu_ms() - before)
    return sizes, costs


def side_by_side(folder: Path) -> list[Figure]:
    """120x40: list and detail."""
    with console(folder, WIDE) as term:
        term.wait_for(READY, 60)
        term.until_quiet(0.5)
        start = term.cpu_ms()
        sizes, costs = presses(term, "down", 30)
        page_sizes, page_costs = presses(term, "pagedown", 20)
        began, quiet = time.monotonic(), term.until_quiet(2.0, 2.0)
        idle = quiet / (time.monotonic() - began)
        memory = resident_mb(term)
    return [
        Figure("start to full paint, hub running, 120x40", "ms", start, 800),
        Figure("cursor move, side by side, p50", "bytes", statistics.median(sizes), 3000),
        Figure("cursor move, side by side, p50", "ms", statistics.median(costs), 16),
        Figure("page, side by side, p50", "bytes", statistics.median(page_sizes), 5400),
        Figure("page, side by side, p50", "ms", statistics.median(page_costs), 16),
        Figure("idle", "B/s", idle, 0),
        Figure("console memory after paging", "MB", memory, 80),
    ]


def list_alone(folder: Path) -> list[Figure]:
    """109x40: the widest list without a detail beside it."""
    with console(folder, NARROW) as term:
        term.wait_for(READY, 60)
        term.until_quiet(0.5)
        sizes, costs = presses(term, "down", 30)
        page_sizes, page_costs = presses(term, "pagedown", 30)
        _, end_costs = presses(term, "end", 1)
    return [
        Figure("cursor move, list alone, p50", "bytes", statistics.median(sizes), 60),
        Figure("cursor move, list alone, p50", "ms", statistics.median(costs), 5),
        Figure("page, list alone, p50", "bytes", statistics.median(page_sizes), 5400),
        Figure("page, list alone, p50", "ms", statistics.median(page_costs), 12),
        Figure("End", "ms", end_costs[0], 30),
    ]


def small(folder: Path) -> list[Figure]:
    """80x24."""
    with console(folder, SMALL) as term:
        term.wait_for(READY, 60)
        term.until_quiet(0.5)
        start = len(term.raw)
        page_sizes, _ = presses(term, "pagedown", 20)
    return [
        Figure("start, 80x24", "bytes", start, 9000),
        Figure("page, 80x24, p50", "bytes", statistics.median(page_sizes), 2250),
    ]


def resident_mb(term: Terminal) -> float:
    """Resident memory of the console."""
    status = Path(f"/proc/{term.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
