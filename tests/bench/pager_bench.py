"""What the console's widgets cost, as ratios to references measured in the same run.

python -m tests.bench.pager_bench prints one JSON object and exits 1 where a budget is missed.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from console.text import visible
from console.widgets.diff import word_diff
from tests.console.pty_harness import Terminal

ROOT = Path(__file__).parents[2]


def seconds(work: Callable[[], object], times: int = 7) -> float:
    """The best of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def loop() -> object:
    """The reference: a bare Python loop over a million numbers (about 20 ms)."""
    return [i for i in range(1_000_000) if i < 0]


def diff_seconds() -> float:
    """A word diff of 1,500 words, a tenth of them changed."""
    rng = random.Random(1)
    words = [rng.choice(["alpha", "beta", "gamma", f"x{i}"]) for i in range(1500)]
    left, right = " ".join(words), " ".join(w if rng.random() > 0.1 else "other" for w in words)
    return seconds(lambda: word_diff(left, right))


def key_ms(key: str, times: int) -> float:
    """Median processor time of a key in the demo at 120x40."""
    demo = str(ROOT / "tests" / "console" / "pager_demo.py")
    with Terminal([sys.executable, demo, "list"], 120, 40, {"PYTHONPATH": str(ROOT)}) as term:
        term.wait_for("task0")
        term.until_quiet(0.5)
        costs = []
        for _ in range(times):
            before = term.cpu_ms()
            term.bytes_for(key)
            costs.append(term.cpu_ms() - before)
    return statistics.median(costs)


def main() -> int:
    """Measure, print, judge."""
    reference = seconds(loop)
    text = "hello w\u00f6rld " * 90_000
    found = {
        "visible_1mb": (seconds(lambda: visible(text, lines=True)) / reference, 0.75),
        "word_diff_1500": (diff_seconds() / reference, 0.25),
        "move": (key_ms("down", 30) / 1000 / reference, 0.25),
        "page": (key_ms("pagedown", 15) / 1000 / reference, 0.5),
    }
    rows = {name: {"ratio": round(ratio, 3), "budget": budget} for name, (ratio, budget) in found.items()}
    print(json.dumps({"reference_ms": round(reference * 1000, 2), **rows}))
    return int(any(ratio > budget for ratio, budget in found.values()))


if __name__ == "__main__":
    sys.exit(main())
