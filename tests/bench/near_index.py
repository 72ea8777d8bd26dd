"""The near-duplicate index: made of millions of short texts, then met by ten thousand more.

    python -m tests.bench.near_index [--texts 3000000] [--folder .bench/near] [--bands 20 40] [--batch 250000]

Texts are drawn from made-up words as often as words are (Zipf), a tenth of them copies of an earlier text with one or
two words changed, and every such pair is known: so recall can be told over all of them that reach the threshold. The
texts lie in a file, outside the process that compares; seconds are those of one run, memory is its peak.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.clean.bands import Bands, choose_bands
from engine.clean.incremental import meet
from engine.clean.neardup import Params
from engine.clean.shingles import PROMPTS, normalise
from store.near_index import FORMAT, About, NearIndex, index_path

ROOT = Path(__file__).parents[2]
THRESHOLD = 0.7
COPIES = 0.1
ADDED = 10_000
GOALS = {20: (1.0, 200.0), 40: (2.0, 400.0)}  # seconds to add ADDED to 3 M, bytes a text
SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "ol")]


Pool = tuple[np.ndarray, np.ndarray, np.ndarray]  # keys, numbers of words, lengths


class Corpus:
    """Texts by key, in a file; and the pairs that were planted."""

    def __init__(self, path: Path, seed: int = 5) -> None:
        self._rng = np.random.default_rng(seed)
        sizes = self._rng.integers(1, 5, 30_000)
        self._words = pa.array(["".join(self._rng.choice(SYLLABLES, size)) for size in sizes])
        weights = np.cumsum(1 / (np.arange(len(self._words)) + 8.0))
        self._weights = weights / weights[-1]
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._ends = np.zeros(1, np.int64)
        self._pool: Pool | None = None
        self.planted: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._ends) - 1

    def more(self, n: int) -> pa.Table:
        """``n`` further texts: key, id, text."""
        rng, base = self._rng, len(self)
        lengths = rng.integers(8, 19, n)
        drawn = np.searchsorted(self._weights, rng.random((n, 18))).astype(np.int32)
        if self._pool is not None:
            keys, words, sizes = self._pool
            at = np.flatnonzero(rng.random(n) < COPIES)
            of = rng.integers(0, len(keys), len(at))
            fresh = np.searchsorted(self._weights, rng.random((len(at), 2))).astype(np.int32)
            drawn[at], lengths[at] = words[of], sizes[of]
            for change in range(2):
                place = rng.integers(0, lengths[at])
                changed = rng.random(len(at)) < (1.0, 0.5)[change]
                drawn[at[changed], place[changed]] = fresh[changed, change]
            self.planted.append(np.stack((keys[of], base + at)))
        kept = rng.integers(0, n, max(1, n // 20))
        pool = (base + kept, drawn[kept], lengths[kept])
        old = self._pool
        self._pool = pool if old is None else _joined(old, pool)
        flat = drawn[np.arange(18) < lengths[:, None]]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        texts = pc.binary_join(
            pa.ListArray.from_arrays(pa.array(offsets), self._words.take(pa.array(flat))), " "
        )
        self._write(texts)
        keys = np.arange(base, base + n)
        return _table(keys, texts)

    def _write(self, texts: pa.Array) -> None:
        ends = np.frombuffer(texts.buffers()[1], np.int32)[: len(texts) + 1].astype(np.int64)
        data = memoryview(texts.buffers()[2])[: ends[-1]]
        at = int(self._ends[-1])
        while data:
            done = os.pwrite(self._file, data, at)
            data, at = data[done:], at + done
        self._ends = np.concatenate((self._ends, self._ends[-1] + ends[1:]))

    def text(self, key: int) -> str:
        """One text."""
        start, end = self._ends[key : key + 2].tolist()
        return os.pread(self._file, end - start, start).decode()

    def fetch(self, keys: pa.Array) -> pa.Table:
        """Rows by key, as ``incremental.meet`` asks for them."""
        return _table(keys.to_numpy(), pa.array([self.text(key) for key in keys.to_pylist()], pa.string()))


def _joined(old: Pool, new: Pool) -> Pool:
    keys, words, sizes = (np.concatenate(pair) for pair in zip(old, new, strict=True))
    return keys, words, sizes


def _table(keys: np.ndarray, texts: pa.Array) -> pa.Table:
    ids = pc.utf8_lpad(pa.array(keys).cast(pa.string()), 32, "0")
    return pa.table({"key": keys, "id": ids, "text": texts})


def jaccard(left: str, right: str) -> float:
    """Of two texts, by plain slicing."""
    a, b = ({t[i : i + 4] for i in range(max(1, len(t) - 3))} for t in map(normalise, (left, right)))
    return len(a & b) / len(a | b)


@dataclass(frozen=True, slots=True)
class Made:
    """What it took: seconds in all and for the last ADDED texts, wall and processor; bytes a text; recall."""

    texts: int
    build: float
    build_cpu: float
    add: float
    add_cpu: float
    per_text: float
    edges: int
    recall: float
    peak: float  # GiB


def batches(texts: int, size: int) -> Iterator[int]:
    while texts > 0:
        yield min(size, texts)
        texts -= size


def measure(folder: Path, texts: int, bands: Bands, batch: int) -> Made:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    corpus, store = Corpus(folder / "texts"), folder / "store.duckdb"
    store.touch()
    params = Params(THRESHOLD, 0.995, bands.bands, bands.rows, bands.num_perm, 1, PROMPTS.name)
    about = About(FORMAT, "bench", params.record(), bands.bands, bands.num_perm)
    build = build_cpu = 0.0
    with NearIndex(index_path(store, "bench"), store, fresh=about) as index:
        for size in batches(texts, batch):
            rows = corpus.more(size)
            begun, cpu = time.perf_counter(), time.process_time()
            met = meet(index, rows, corpus.fetch, fast=True, report=lambda *_: None)
            met.keep(index)
            took, cpu = time.perf_counter() - begun, time.process_time() - cpu
            build, build_cpu = build + took, build_cpu + cpu
            few = {name: met.counts[name] for name in ("candidates", "compared", "verified", "untried_pairs")}
            print(f"  {len(corpus):>10,} {took:6.2f} s ({cpu:.2f} s of processor)  {few}", flush=True)
            del met, rows
        per_text = index.size() / texts
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    adds = []
    for _ in range(3):
        with NearIndex(index_path(store, "bench"), store) as index:  # opened cold, as a second run does
            rows = corpus.more(ADDED)
            begun, cpu = time.perf_counter(), time.process_time()
            meet(index, rows, corpus.fetch, fast=True, report=lambda *_: None).keep(index)
            adds.append((time.perf_counter() - begun, time.process_time() - cpu))
            edges = index.edges()
    add, add_cpu = min(adds)
    return Made(
        texts, build, build_cpu, add, add_cpu, per_text, edges.num_rows, recall_of(corpus, edges), peak
    )


def recall_of(corpus: Corpus, edges: pa.Table, most: int = 100_000) -> float:
    """Share found of the planted pairs that reach the threshold (of ``most`` of them, drawn)."""
    planted = np.concatenate(corpus.planted, axis=1)
    planted = planted[:, np.random.default_rng(1).permutation(planted.shape[1])[:most]]
    near = [jaccard(corpus.text(a), corpus.text(b)) >= THRESHOLD for a, b in planted.T.tolist()]
    star = {b: a for a, b, j in zip(*(edges[n].to_pylist() for n in ("left_key", "right_key", "jaccard")), strict=True)
            if j == 1.0}  # fmt: skip
    oldest = [[star.get(key, key) for key in side] for side in planted[:, near].tolist()]
    low, high = np.sort(np.array(oldest), axis=0)
    found = (edges["left_key"].to_numpy() << 32) | edges["right_key"].to_numpy()
    return float(np.isin((low << 32) | high, found)[low != high].mean())


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("--texts", type=int, default=3_000_000)
    asked.add_argument("--batch", type=int, default=250_000)
    asked.add_argument("--bands", type=int, nargs="+", default=[20, 40])
    asked.add_argument("--folder", type=Path, default=ROOT / ".bench" / "near")
    options = asked.parse_args()
    shapes = {20: Bands(20, 6, 120), 40: choose_bands(THRESHOLD, texts=options.texts)}
    for bands in options.bands:
        made = measure(options.folder, options.texts, shapes[bands], options.batch)
        seconds, size = GOALS[bands]
        lines = [
            f"{made.texts:>12,} texts, {shapes[bands].bands} bands of {shapes[bands].rows}",
            f"  built in {made.build:,.0f} s (processor {made.build_cpu:,.0f} s), peak {made.peak:.2f} GiB",
            f"  add {ADDED:,}: {made.add:.2f} s (processor {made.add_cpu:.2f} s)   goal {seconds:.0f} s",
            f"  {made.per_text:.0f} bytes a text   goal {size:.0f}",
            f"  {made.edges:,} edges; recall of planted pairs {made.recall:.4f}",
        ]
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
