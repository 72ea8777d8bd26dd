"""The near-duplicate engines beside datasketch and rensa on the same corpora, in one run.

    python -m tests.bench.neardup [--folder .bench/neardup] [--big] [--seeds 5]

Every engine gets the same bands (of ``choose_bands``) and the same shingle profile. datasketch: ``bulk`` and an
LSH of these bands, queried, *without* verification. rensa: its signatures (of shingle sets in Python, and of our
flat hashes), our reference's banding, exact verification by sets. Ratios are of wall time, and of processor time
in brackets: a shared machine disturbs the first. ``--big`` adds a million short texts in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.clean import bands as banding
from engine.clean.bands import Bands, candidates, choose_bands
from engine.clean.neardup import find_edges, near_duplicate_columns
from engine.clean.shingles import OUTPUTS, PROMPTS, Profile, normalise, shingle_hashes
from engine.clean.spans import with_spans
from tests.bench.neardup_corpora import corpus, profile_of, true_pairs

ROOT = Path(__file__).parents[2]
THRESHOLD = 0.7
_TIMES = 3
GOALS = {
    ("short", 10_000, "datasketch"): "  (goal >= 40x)",
    ("long", 10_000, "datasketch"): "  (goal >= 40x)",
    ("short", 100_000, "datasketch"): "  (goal >= 50x)",
    ("short", 10_000, "rensa"): "  (goal >= 5x)",
    ("short", 100_000, "rensa"): "  (goal >= 5x)",
    ("long", 10_000, "rensa"): "  (goal >= 10x)",
    ("long", 100_000, "rensa"): "  (goal >= 10x)",
}
Pairs = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of wall and processor, and what came of it."""

    wall: float
    cpu: float
    result: Any


def took(work: Callable[[], Any], times: int = 1) -> Took:
    """The best of ``times``."""
    best = Took(1e9, 1e9, None)
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        best = Took(min(best.wall, wall), min(best.cpu, cpu), result)
    return best


def shingle_sets(texts: list[str], profile: Profile) -> list[set[str]]:
    found = []
    for text in map(normalise, texts):
        if profile.unit == "char":
            found.append({text[i : i + profile.n] for i in range(max(1, len(text) - profile.n + 1))})
        else:
            words = text.split()
            count = max(1, len(words) - profile.n + 1)
            found.append({" ".join(words[i : i + profile.n]) for i in range(count)})
    return found


def with_datasketch(texts: list[str], profile: Profile, bands: Bands, *, xxhash: bool = False) -> Pairs:
    from datasketch import MinHash, MinHashLSH

    options: dict[str, Any] = {}
    if xxhash:
        from xxhash import xxh32_intdigest

        options = {"hashfunc": xxh32_intdigest}
    sets = [
        [s.encode("utf-8", "surrogatepass") for s in shingles] for shingles in shingle_sets(texts, profile)
    ]
    signed = MinHash.bulk(sets, num_perm=bands.num_perm, **options)
    index = MinHashLSH(num_perm=bands.num_perm, params=(bands.bands, bands.rows))
    with index.insertion_session() as session:
        for i, minhash in enumerate(signed):
            session.insert(i, minhash)
    return {
        (min(i, j), max(i, j)) for i, minhash in enumerate(signed) for j in index.query(minhash) if i != j
    }


def with_rensa(texts: list[str], profile: Profile, bands: Bands, *, flat: bool = False) -> Pairs:
    from rensa import RMinHash

    if flat:
        hashed = shingle_hashes([normalise(t) for t in texts], profile)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashed.hashes, hashed.offsets.astype(np.uint64),
                                                               bands.num_perm, 1)  # fmt: skip
        ends = hashed.offsets.tolist()
        sets: list[Any] = [set(hashed.hashes[a:b].tolist()) for a, b in pairwise(ends)]
    else:
        sets = shingle_sets(texts, profile)
        matrix = RMinHash.digest_matrix_from_token_sets([list(s) for s in sets], bands.num_perm, 1)
    signed = np.ascontiguousarray(np.array(matrix.to_rows(), np.uint32).T)
    met = candidates(signed, bands)
    found = set()
    for i, j in zip(met.left.tolist(), met.right.tolist(), strict=True):
        shared = len(sets[i] & sets[j])
        if shared >= THRESHOLD * (len(sets[i]) + len(sets[j]) - shared):
            found.add((i, j))
    return found


def quality(texts: list[str], profile: Profile, table: pa.Table) -> str:
    """Recall at and just above T, and precision, over pairs of different surfaces."""
    true, jaccard = true_pairs(texts, profile, THRESHOLD)
    columns = [table[name].to_numpy() for name in ("left", "right", "jaccard")]
    compared = columns[2] < 1.0
    kept = compared & (columns[2] >= THRESHOLD)
    found = (columns[0][kept] << 32) | columns[1][kept]
    real = (true[:, 0] << 32) | true[:, 1]
    hit = np.isin(real, found) | (jaccard == 1.0)  # different texts with one set of shingles: among the stars
    near = jaccard < THRESHOLD + 0.05
    near_recall, right = hit[near].mean() if near.any() else 1.0, np.isin(found, real).mean()
    return (
        f"recall {hit.mean():.5f} (goal >= .999), within .05 above T {near_recall:.5f} (>= .995),"
        f" precision {right:.5f} (1.0); {len(real):,} true pairs, {near.sum():,} of them near T"
    )


def evidence(batch: pa.Array, table: pa.Table) -> str:
    """Seconds that matched spans of all edges take beside finding them."""
    done = took(lambda: with_spans(batch, table, fast=True, report=lambda *_: None), 2)
    spanned = done.result[0]
    kinds = Counter(spanned["kind"].to_pylist())
    told = ", ".join(f"{name} {count:,}" for name, count in kinds.most_common())
    return f"spans of all {spanned.num_rows:,} edges {done.wall:.2f} s ({done.cpu:.2f} processor): {told}"


def exact_truth(kind: str, n: int, folder: Path) -> None:
    """The join that gives the true pairs, beside comparing every text with every other."""
    texts, profile = corpus(kind, n, folder), profile_of(kind)
    joined = took(lambda: true_pairs(texts, profile, THRESHOLD))
    compared = took(lambda: true_pairs(texts, profile, THRESHOLD, all_with_all=True))
    same = all(np.array_equal(a, b) for a, b in zip(joined.result, compared.result, strict=True))
    print(
        f"{kind} {n:,}: {len(joined.result[0]):,} true pairs; the join says what comparing all with all says: {same}"
        f" ({joined.cpu:.1f} and {compared.cpu:.1f} s processor)",
        flush=True,
    )


def one_corpus(kind: str, n: int, folder: Path, seeds: int, peers: str) -> None:
    texts, profile = corpus(kind, n, folder), profile_of(kind)
    batch = pa.array(texts, pa.large_string())
    bands = choose_bands(THRESHOLD, texts=n)
    find_edges(batch, profile=profile, engine="fast")  # compiled code is read
    fast = took(lambda: find_edges(batch, profile=profile, engine="fast"), _TIMES)
    print(f"\n{kind} {n:,}, {bands.bands} bands of {bands.rows}; fast engine {n / fast.wall:,.0f} docs/s"
          f" ({n / fast.cpu:,.0f} a processor second), {fast.result.stats.candidates:,} candidates")  # fmt: skip
    print("  " + quality(texts, profile, fast.result.table))
    print("  " + evidence(batch, fast.result.table))
    rows: list[tuple[str, Callable[[], Any]]] = [
        ("reference engine", lambda: find_edges(texts, profile=profile, engine="reference")),
    ]
    rows += [
        row
        for row in (
            ("datasketch bulk + LSH", lambda: with_datasketch(texts, profile, bands)),
            ("datasketch bulk, xxhash + LSH", lambda: with_datasketch(texts, profile, bands, xxhash=True)),
            ("rensa + verification", lambda: with_rensa(texts, profile, bands)),
            ("rensa flat hashes + verification", lambda: with_rensa(texts, profile, bands, flat=True)),
        )
        if peers in row[0]
    ]
    for name, work in rows:
        peer = took(work)
        ratio = f"{peer.wall / fast.wall:6.1f}x ({peer.cpu / fast.cpu:.1f}x)"
        goal = GOALS.get((kind, n, name.split(" ")[0]), "")
        print(f"  {name:34} {n / peer.wall:10,.0f} docs/s   ours {ratio}{goal}", flush=True)
        if name == "reference engine":
            print(f"  same edges as the reference: {peer.result.table.equals(fast.result.table)}")
    counts = sorted(
        find_edges(batch, profile=profile, seed=seed, engine="fast").stats.candidates
        for seed in range(1, seeds + 1)
    )
    median = counts[len(counts) // 2]
    print(
        f"  candidates over {seeds} seeds: {counts[-1] / median:.2f}x the median at most (goal <= 1.5x), the default"
        f" seed {fast.result.stats.candidates / median:.2f}x"
    )


def shingling(folder: Path) -> None:
    """MB/s on one core: normalising raw bytes, and shingling what is normalised (goal >= 200)."""
    from engine.clean.fast_fold import fold, text_buffers
    from engine.clean.fast_sign import shingle_all

    for kind, n in (("short", 100_000), ("long", 10_000)):
        data, offsets = text_buffers(corpus(kind, n, folder))
        folded = fold(data, offsets, threads=1)
        folding = took(lambda d=data, o=offsets: fold(d, o, threads=1), 5)  # type: ignore[misc]
        print(
            f"shingling (goal >= 200 MB/s a core), {kind}, {len(data) / n:.0f} bytes:"
            f" normalising {len(data) / 1e6 / folding.cpu:,.0f} MB/s a core",
            end="",
        )
        for profile in (PROMPTS, OUTPUTS):
            shingle_all(folded, profile)
            done = took(lambda f=folded, p=profile: shingle_all(f, p), 5)  # type: ignore[misc]
            both = len(data) / 1e6 / (folding.cpu + done.cpu)
            print(f"; {profile.name} {len(data) / 1e6 / done.cpu:,.0f} MB/s, both {both:,.0f} MB/s", end="")
        print()


def million(folder: Path, n: int) -> None:
    """Peak memory and seconds of a process that reads, folds, signs, groups and verifies ``n`` short texts."""
    texts = corpus("short", n, folder)
    batch = pa.array(texts, pa.large_string())
    del texts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stages: dict[str, float] = {}
    last = [time.perf_counter()]

    def note(stage: str, _done: int, _total: int) -> None:
        now = time.perf_counter()
        stages[stage] = stages.get(stage, 0.0) + now - last[0]
        last[0] = now

    done = took(lambda: near_duplicate_columns(batch, profile=PROMPTS, engine="fast", progress=note))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"short {n:,}: {done.wall:.1f} s wall, {done.cpu:.1f} s processor, peak {peak / 1e6:.2f} GB"
          f" ({before / 1e6:.2f} before), {done.result.stats}")  # fmt: skip
    print("  " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items()), flush=True)
    print("  " + quality(batch.to_pylist(), PROMPTS, done.result.table))


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench" / "neardup")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--big", action="store_true", help="a million texts too")
    parser.add_argument("--million", type=int, default=0, help="only this many short texts")
    parser.add_argument("--peers", default="", help="only peers whose name holds this")
    parser.add_argument(
        "--truth", action="store_true", help="only hold the truth against comparing all with all"
    )
    parser.add_argument(
        "--only", nargs="*", default=["short-10000", "long-10000", "short-100000", "long-100000"]
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.million:
        million(options.folder, options.million)
        return
    if options.truth:
        exact_truth("short", 10_000, options.folder)
        exact_truth("long", 10_000, options.folder)
        return
    print("compiling, or reading what was compiled:", end=" ", flush=True)
    print(f"{took(lambda: find_edges(['a text', 'a téxt'], engine='fast')).wall:.1f} s")
    print(f"bands at T = {THRESHOLD}: {banding.choose_bands(THRESHOLD)}")
    shingling(options.folder)
    for name in options.only:
        kind, _, n = name.partition("-")
        one_corpus(kind, int(n), options.folder, options.seeds, options.peers)
    if options.big:
        words = [sys.executable, "-m", "tests.bench.neardup", "--folder", str(options.folder)]
        subprocess.run([*words, "--million", "1000000"], check=True, cwd=ROOT)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\npeak of this process, peers and truth included: {peak / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
