"""Time the text index through the hub, on a copy of a store of ``make_store.py`` (its index is made anew):

    python -m tests.bench.text PATH

First the indexing (outputs a second, bytes an output, the hub's memory) with a reviewer who gives a verdict each
50 ms, and the same verdicts with nothing being indexed; then searches, p50 and p95 by the client's clock.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store import address
from store.client import Client
from store.text_index import throw_away
from tests.bench.make_store import PROJECT, TEACHER, WORDS
from tests.factories import stop_hub

TIMES = 20  # searches of a kind
EVERY = 0.05  # seconds from one verdict to the next
SPEC: dict[str, Any] = {"kind": "audit", "project": PROJECT, "model": TEACHER}
FILTER = "tier = vip and len(output) > 400"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the index that is there")
    options = parser.parse_args()
    path = options.path.absolute()
    if not options.keep:
        stop_hub(path)
        throw_away(address.text_path(path))
    with Client(path) as client:
        if not options.keep:
            indexing(client, path)
        verdicts(client, "verdict, nothing indexed", lambda: False, at_least=200)
        searching(client)
    stop_hub(path)


def indexing(client: Client, path: Path) -> None:
    """Give verdicts while the hub indexes; say how fast both were."""
    began = time.perf_counter()

    def busy() -> bool:
        done = client.call("text_status")
        return not done["total"] or done["rows"] < done["total"]

    spent, before = cpu(client.welcome.pid), memory(client.welcome.pid)
    most = verdicts(client, "verdict, while indexing", busy)
    took, rows = time.perf_counter() - began, client.call("text_status")["rows"]
    spent = cpu(client.welcome.pid) - spent
    time.sleep(3)  # the last merges
    size = sum(file.stat().st_size for file in address.text_path(path).iterdir())
    print(f"{rows:,} outputs in {took:.1f} s: {rows / took:,.0f}/s, {size / rows:.0f} bytes an output")
    print(
        f"{spent / rows * 1e6:.0f} s of the hub's CPU time for a million, what people asked meanwhile included"
    )
    told = f"most {most[0] >> 20} MB of its own, {most[1] >> 20} MB with mapped files"
    print(f"hub memory: {told}; {before[0] >> 20} and {before[1] >> 20} MB before")


def verdicts(client: Client, name: str, going: Callable[[], bool], at_least: int = 20) -> tuple[int, int]:
    """One verdict each ``EVERY`` seconds; the most memory that the hub had meanwhile: (own, with mapped files)."""
    queue = client.call("open_queue", spec=SPEC)
    low = random.Random(time.time_ns()).randrange(max(1, queue["length"] - 1000))
    subjects = [row[1] for row in client.call("window", queue=queue["id"], low=low, high=low + 1000)]
    taken: list[float] = []
    windows: list[float] = []
    most = (0, 0)
    while len(taken) < at_least or going():
        payload = {"queue": "audit", "verdict": "ok", "subject": subjects[len(taken) % len(subjects)]}
        began = time.perf_counter()
        client.act("verdict", PROJECT, payload)
        taken.append(time.perf_counter() - began)
        at, began = random.randrange(queue["length"] - 50), time.perf_counter()
        client.call("window", queue=queue["id"], low=at, high=at + 50)
        windows.append(time.perf_counter() - began)
        most = max(most, memory(client.welcome.pid))
        time.sleep(max(0.0, EVERY - taken[-1] - windows[-1]))
    told(name, taken)
    told(name.replace("verdict", "window"), windows)
    return most


def memory(pid: int) -> tuple[int, int]:
    """Bytes of a process: anonymous ones, and all that are resident."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) << 10, int(lines["VmRSS"].split()[0]) << 10


def cpu(pid: int) -> float:
    """Seconds of CPU time that a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def searching(client: Client) -> None:
    """Needles of every kind; each first search of a needle, and the steps to its next hits."""
    rng = random.Random(5)
    number = lambda: str(rng.randrange(100_000, 1_000_000))  # noqa: E731 - a ticket of its own
    two = lambda: " ".join(rng.sample(WORDS, 2))  # noqa: E731
    needles: dict[str, Callable[[], str]] = {
        "rare word": number,
        "rare beginning": lambda: number()[:4],
        "common word": lambda: rng.choice(WORDS),
        "two words": two,
        "rare and common": lambda: f"{number()} {rng.choice(WORDS)}",
        "phrase": lambda: f'"{two()}"',
        "nothing like it": lambda: f"zebra{rng.randrange(100)}",
        "within words": lambda: number()[1:5] + "x",
        "part of a rare word": lambda: number()[2:],
    }
    for spec, title in ((SPEC, "import order"), (SPEC | {"filter": FILTER}, f"filter {FILTER}")):
        queue = client.call("open_queue", spec=spec)
        print(f"{title}: {queue['length']:,} positions")
        for name, make in needles.items():
            firsts: list[float] = []
            nexts: list[float] = []
            hits: list[int] = []
            spent = cpu(client.welcome.pid)
            for _ in range(TIMES):
                text, at = make(), rng.randrange(queue["length"])
                for taken in (firsts, nexts, nexts):
                    began = time.perf_counter()
                    found = client.call("search", queue=queue["id"], text=text, position=at, step=1)
                    taken.append(time.perf_counter() - began)
                    at = at if found["position"] is None else found["position"]
                hits.append(found["hits"])
            spent = (cpu(client.welcome.pid) - spent) / TIMES
            told(f"  {name} ({sorted(hits)[TIMES // 2]:,} hits)", firsts)
            told(f"    … next; {spent * 1e3:.0f} ms CPU for all three", nexts)


def told(name: str, taken: list[float]) -> None:
    """p50, p95, p99 and the longest."""
    taken = sorted(seconds * 1e3 for seconds in taken)
    at = [taken[min(len(taken) - 1, int(len(taken) * share))] for share in (0.5, 0.95, 0.99, 1)]
    print(f"{name:52} p50 {at[0]:7.1f}  p95 {at[1]:7.1f}  p99 {at[2]:7.1f}  most {at[3]:7.1f} ms")


if __name__ == "__main__":
    main()
