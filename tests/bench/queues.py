"""Time the reviewers' questions through the hub, on a store of ``make_store.py --student``:

    python -m tests.bench.queues PATH

Milliseconds, client's clock, socket and all. A bare loop over the socket (``status``) is the yardstick.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store import read
from store.client import Client
from tests.bench.make_store import METRIC, PROJECT, STUDENT, TEACHER

FILTER = "tier = vip and len(output) > 400"
Call = Callable[[], Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    with Client(path.absolute()) as client:
        audit: dict[str, Any] = {"kind": "audit", "project": PROJECT, "model": TEACHER}
        timed("status (yardstick)", lambda: client.call("status"), 300)
        queue = opened(client, "open, import order", audit, 20)
        looking(client, queue, "import order")
        finding(client, queue, "import order")
        queue = opened(client, f"open, filter {FILTER}", audit | {"filter": FILTER}, 3)
        looking(client, queue, "filtered")
        finding(client, queue, "filtered")
        for name, more in {
            "sort len(output) desc": {"sort": "len(output) desc"},
            "sort score": {"sort": "score"},
            "seed 7": {"seed": 7},
        }.items():
            queue = opened(client, f"open, {name}", audit | more, 3)
        looking(client, queue, "drawn")
        run_id = client.ask(read.RUNS, project=PROJECT)[0].run_id
        pairs = {"kind": "disagreements", "project": PROJECT, "run_id": run_id, "model": STUDENT}
        queue = opened(client, "open, disagreements", pairs | {"teacher": TEACHER, "metric": METRIC}, 3)
        looking(client, queue, "disagreements")
        subjects = [row[1] for row in client.call("window", queue=queue["id"], low=0, high=50)]
        acts = iter(subjects * 20)
        payload = {"queue": "disagreements", "verdict": "left"}
        timed("act: verdict", lambda: client.act("verdict", PROJECT, payload | {"subject": next(acts)}), 200)
        opened(client, "open, disagreements, 50 judged", pairs | {"teacher": TEACHER, "metric": METRIC}, 2)
        client.call("close_queue", queue=queue["id"])


def opened(client: Client, name: str, spec: dict[str, Any], times: int) -> dict[str, Any]:
    """Open a queue often; the last one stays."""
    found: list[dict[str, Any]] = []

    def once() -> None:
        if found:
            client.call("close_queue", queue=found[-1]["id"])
        found.append(client.call("open_queue", spec=spec))

    timed(name, once, times)
    print(f"{'':44}{found[-1]['length']:>10,} positions")
    return found[-1]


def looking(client: Client, queue: dict[str, Any], name: str) -> None:
    """Cold windows of 200 rows anywhere, details anywhere."""
    rng, length, queue_id = random.Random(1), queue["length"], queue["id"]
    at = [rng.randrange(max(1, length - 200)) for _ in range(200)]
    windows, details = iter(at), iter(at)

    def window() -> None:
        low = next(windows)
        client.call("window", queue=queue_id, low=low, high=low + 200)

    timed(f"window, {name}", window, 200)
    timed(f"detail, {name}", lambda: client.call("detail", queue=queue_id, position=next(details)), 200)


def finding(client: Client, queue: dict[str, Any], name: str) -> None:
    """A text that is near, and one that is nowhere."""
    arguments = {"queue": queue["id"], "position": 1000, "step": 1}
    timed(f"find near, {name}", lambda: client.call("find", text="password", **arguments), 20)
    timed(f"find nothing, {name}", lambda: client.call("find", text="zebra", **arguments), 2)
    timed(f"unreviewed, {name}", lambda: client.call("unreviewed", **arguments), 20)


def timed(name: str, call: Call, times: int) -> None:
    """p50 and p95 of ``times`` calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    taken.sort()
    print(f"{name:44} p50 {taken[times // 2]:8.1f}   p95 {taken[int(times * 0.95)]:8.1f} ms")


if __name__ == "__main__":
    main()
