"""From a million texts to a frozen dataset, through the store, each stage timed with the memory of client and hub:

    python -m tests.bench.datasets [--rows 1000000] [--folder .bench/neardup]

Short texts as in neardup_corpora.py (a fifth of them mutated copies), labels as the teacher's answers, 1,000 prompts
kept for the test. Stages run as processes of their own, as people run them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from store.client import Client
from tests.bench.ingest import peak_mb
from tests.bench.neardup_corpora import corpus

ROOT = Path(__file__).parents[2]
LABELS = ("card", "cash", "other")
TIERS = ("basic", "plus", "gold", "vip", *(f"region {n}" for n in range(5, 21)))  # by eleven lengths
TEST = 1_000
CONTRACT = """
[task]
name = "routing"
kind = "label"
instruction = "Name the queue."
input_example = "Where is my card?"
output_example = "card"
metric = "label"
labels = ["card", "cash", "other"]
[teacher]
name = "big"
model = "big"
version = "1"
why = "it is big"
[gate]
level = "0.95"
margin = 0.05
[[gate.slice]]
name = "vip"
where = "tier = vip"
margin = 0.20
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
exclude = ["prompt ~ 'secret word'"]
[people]
owner = "bench"
[coverage]
dimensions = ["tier", { expression = "len(prompt)", bins = [20, 40, 60, 80, 100, 120, 140, 160, 180, 200] }]
[[checks]]
name = "a label"
kind = "labels"
options = { labels = ["card", "cash", "other"] }
"""
FLAGS = ("--prompt", "q", "--reference", "gold", "--output", "big=big", "--meta", "tier", "--teacher", "big")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench" / "neardup")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    texts = corpus("short", options.rows, options.folder)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        write(folder / "train.jsonl", texts[TEST:], 0)
        write(folder / "test.jsonl", [f"{text} (kept apart {i})" for i, text in enumerate(texts[:TEST])], 7)
        (folder / "contract.toml").write_text(CONTRACT)
        store = folder / "store.duckdb"
        timed(store, "import", "--retrospective", "bench", folder / "train.jsonl", "--split", "train", *FLAGS)
        timed(store, "import", folder / "test.jsonl", "--split", "test", *FLAGS)
        timed(store, "contract", "lock", folder / "contract.toml")
        timed(store, "evaluation", "freeze")
        timed(store, "dedup")
        timed(store, "check")
        timed(store, "coverage")
        timed(store, "filter")
        timed(store, "dataset", "freeze")
        timed(store, "dataset", "freeze", code=4)
        timed(store, "dataset", "freeze", "--keep-duplicates")
        timed(store, "dataset", "diff")
        with Client(store) as client:
            client.call("stop")


def write(path: Path, texts: list[str], first: int) -> None:
    """Rows of the import."""
    with path.open("w") as file:
        for i, text in enumerate(texts, first):
            row = {
                "q": text,
                "gold": LABELS[i % 3],
                "big": LABELS[(i + (i % 11 == 0)) % 3],
                "tier": TIERS[i % len(TIERS)],
            }
            file.write(json.dumps(row) + "\n")


def timed(store: Path, *words: object, code: int = 0) -> None:
    """Run one command, print what it took."""
    env = os.environ | {"SPIRITSAFE_TEXT_ROWS": "1000000000", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "console.cli", "--store", str(store), "--json", *map(str, words)]
    told = store.with_name("told")
    began = time.perf_counter()
    with told.open("w") as file:
        child = subprocess.Popen(command, env=env, stdout=file, stderr=file)
        _, status, usage = os.wait4(child.pid, 0)
    took, child.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    if child.returncode != code:
        raise SystemExit(f"{words}: exit {child.returncode}\n{told.read_text()[-2000:]}")
    with Client(store) as hub:
        hub_mb = peak_mb(hub.welcome.pid)
    name = " ".join(str(w) for w in words[:2] if not str(w).startswith(("-", "/")))
    memory = f"{usage.ru_maxrss / 1024:,.0f} MB + hub {hub_mb:,.0f} MB"
    print(f"{name:<20} {took:>7.1f} s  at most {memory:<26} {told.read_text()[:120].strip()}", flush=True)


if __name__ == "__main__":
    main()
