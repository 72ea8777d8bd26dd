"""Texts that nobody means well by, through the real commands: what is said, how long it takes, how much memory.

    python -m tests.bench.bad_texts [--only empty flood …] [--engines fast reference]

Each kind has a store of its own: import, lock, evaluation set, dedup by each engine, check, freeze.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from store.client import Client
from tests.bench.datasets import ROOT
from tests.bench.ingest import peak_mb

Row = dict[str, str]
SENTENCE = "Dear customer {}, your order has left our warehouse in Rotterdam and arrives on Monday."
FEW = 20  # ordinary rows beside the bad ones
CONTRACT = """
[task]
name = "desk"
kind = "text"
instruction = "Answer."
input_example = "?"
output_example = "!"
metric = "exact"
[teacher]
name = "big"
model = "big"
version = "1"
why = "it is good"
[gate]
margin = 0.03
minimum_n = 10
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "bench"
[[checks]]
name = "same"
kind = "exact"
[[checks]]
name = "number"
kind = "number"
[[checks]]
name = "form"
kind = "regex"
options = { pattern = "order|answer" }
[[checks]]
name = "json"
kind = "json_schema"
options = { schema = { type = "object" } }
[[checks]]
name = "labels"
kind = "labels"
options = { labels = ["card", "cash"] }
[[checks]]
name = "length"
kind = "length"
options = { min = 1, max = 4000 }
[[checks]]
name = "script"
kind = "language"
options = { scripts = ["Latin"] }
[[checks]]
name = "refusal"
kind = "refusal"
[[checks]]
name = "private"
kind = "pii"
"""
FLAGS = ("--prompt", "q", "--reference", "gold", "--output", "big=a", "--teacher", "big")


def ordinary(first: int, n: int) -> Iterator[Row]:
    for i in range(first, first + n):
        words = random.Random(i).sample(ROW_WORDS, 12)
        yield {"q": f"{' '.join(words)} {i}?", "a": f"answer {i}", "gold": f"answer {i}"}


ROW_WORDS = [
    f"{first}{second}"
    for first in ("car", "mon", "pho", "let", "tra", "win")
    for second in ("dow", "ter", "in", "ey")
]


def empty(n: int) -> Iterator[Row]:
    """No text, white space, invisible characters."""
    for i in range(n):
        yield {
            "q": ("", " ", "\u200b", "\n\t")[i // 2 % 4] if i % 2 else f"question {i}",
            "a": ("", "  ")[i % 2],
            "gold": "",
        }


def huge(n: int) -> Iterator[Row]:
    """One text of ``n`` bytes, and the same with a tail; as prompt and as output."""
    rng = random.Random(4)
    part = " ".join(f"w{rng.randrange(10**6)}" for _ in range(150_000))
    text = " ".join([part] * (n // len(part) + 1))[:n]
    yield {"q": text, "a": "short", "gold": "short"}
    yield {"q": text + " and a tail", "a": text, "gold": "short"}


def same(n: int) -> Iterator[Row]:
    """One answer to everything, and one question again and again."""
    for i in range(n):
        yield {"q": "the very same question", "a": "the very same answer", "gold": str(i)}


def flood(n: int) -> Iterator[Row]:
    """One template with another number each."""
    rng = random.Random(2)
    for _ in range(n):
        yield {
            "q": SENTENCE.format(rng.randrange(10**9)),
            "a": SENTENCE.format(rng.randrange(10**9)),
            "gold": "x",
        }


def long_flood(n: int) -> Iterator[Row]:
    """A long template: ``n`` texts of 20 kB with a word changed here and there."""
    rng = random.Random(6)
    words = [f"w{rng.randrange(10**5)}" for _ in range(3000)]
    for _ in range(n):
        text = [w if rng.random() > 0.01 else f"x{rng.randrange(10**6)}" for w in words]
        yield {"q": " ".join(text), "a": " ".join(text[:500]), "gold": "x"}


def surrogates(n: int) -> Iterator[Row]:
    """Halves of surrogate pairs, as broken JSON writers make them."""
    for i in range(n):
        yield {"q": f"broken \ud83d half {i}", "a": f"an\udfffswer {i}", "gold": "\udc00"}


KINDS: dict[str, tuple[Callable[[int], Iterator[Row]], int]] = {
    "empty": (empty, 1_000),
    "huge": (huge, 50_000_000),
    "huge.parquet": (huge, 50_000_000),
    "same": (same, 100_000),
    "flood": (flood, 100_000),
    "long_flood": (long_flood, 5_000),
    "surrogates": (surrogates, 1_000),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(KINDS))
    parser.add_argument("--engines", nargs="*", default=["fast", "reference"])
    parser.add_argument("--share", type=float, default=1.0, help="of the size of each")
    options = parser.parse_args()
    for kind in options.only:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            one_kind(kind, Path(name), options.engines, options.share)


def one_kind(kind: str, folder: Path, engines: list[str], share: float) -> None:
    made, size = KINDS[kind]
    size = max(4, int(size * share))
    print(f"\n{kind}, {size:,}", flush=True)
    train = folder / ("train.parquet" if kind.endswith(".parquet") else "train.jsonl")
    write(train, [*ordinary(0, FEW), *made(size)])
    write(folder / "test.jsonl", ordinary(1000, FEW))
    (folder / "contract.toml").write_text(CONTRACT)
    store = folder / "store.duckdb"
    told(store, "import", "--retrospective", "bench", train, "--split", "train", *FLAGS)
    told(store, "import", folder / "test.jsonl", "--split", "test", *FLAGS)
    told(store, "contract", "lock", folder / "contract.toml")
    told(store, "evaluation", "freeze")
    for engine in engines:
        told(store, "dedup", "--field", "both", "--engine", engine)
    told(store, "check")
    told(store, "dataset", "freeze", "--keep-failing")
    with Client(store) as client:
        client.call("stop")


def write(path: Path, rows: Iterable[Row]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    with path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def told(store: Path, *words: object) -> tuple[int, str]:
    """Run one command; print and give back its exit code and what it said."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "console.cli", "--store", str(store), "--json", *map(str, words)]
    out = store.with_name("told")
    began = time.perf_counter()
    with out.open("w") as file:
        child = subprocess.Popen(command, env=env, stdout=file, stderr=file)
        _, status, usage = os.wait4(child.pid, 0)
    took, child.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    with Client(store) as hub:
        hub_mb = peak_mb(hub.welcome.pid)
    said = out.read_text(errors="replace").strip()
    name = " ".join(str(w) for w in words[:2] if not str(w).startswith(("-", "/")))
    name += f" {words[-1]}" if words[0] == "dedup" else ""
    cpu = usage.ru_utime + usage.ru_stime
    memory = f"{usage.ru_maxrss / 1024:,.0f} MB + hub {hub_mb:,.0f} MB"
    print(
        f"  {name:<18} exit {child.returncode} {took:6.1f} s ({cpu:.1f} cpu) {memory:<24} {said[-260:]!r}",
        flush=True,
    )
    return child.returncode, said


if __name__ == "__main__":
    main()
