"""The fast engine (extra ``fast``): the same edges as the reference, in machine code on every core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clean.bands import Bands, Gate, uncrowded
from engine.clean.fast_compile import compiled, workers
from engine.clean.fast_fold import I64, U8, U32, Folded, fold, text_buffers
from engine.clean.fast_pairs import verify, worth_verifying
from engine.clean.fast_sign import corpus_arguments, sign
from engine.clean.neardup_parts import Edges, edges_of
from engine.clean.shingles import Profile

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    F64 = npt.NDArray[np.float64]

Progress = Callable[[str, int, int], None]


def find(
    texts: pa.Array | pa.ChunkedArray | Sequence[str],
    profile: Profile,
    choose: Callable[[int], Bands],
    *,
    threshold: float,
    seed: int,
    report: Progress,
    threads: int = 0,
) -> Edges:
    """As ``neardup_reference.find``."""
    threads = threads or workers()
    data, offsets = text_buffers(texts)
    total = len(offsets) - 1
    folded = fold(data, offsets, threads=threads, progress=lambda n: report("normalise", n, total))
    first = oldest_of_surface(folded)
    exact = _same_bytes(data, offsets, first)
    rows = np.flatnonzero(first == np.arange(total))
    bands = choose(len(rows))
    signed = sign(
        folded, rows, profile, bands, seed=seed, threads=threads,
        progress=lambda n: report("sign", n, len(rows)),
    )  # fmt: skip
    gate = Gate(threshold, bands.num_perm)
    worth = worth_verifying(
        signed, bands, gate, threads=threads, progress=lambda n: report("group", n, bands.bands)
    )
    shingle_counts = signed.counts
    del signed
    found = verify(
        worth.pairs, folded, rows, shingle_counts, profile, gate, threads=threads,
        progress=lambda n: report("verify", n, len(worth.pairs)),
    )  # fmt: skip
    kept = uncrowded(found.left, found.right)
    counts = {
        "shingles": int(shingle_counts.sum()),
        "candidates": worth.met,
        "compared": len(worth.pairs),
        "flooded_buckets": worth.flooded,
        "untried_pairs": worth.untried + int((~kept).sum()),
    }
    columns: F64 = np.stack(
        (found.left, found.right, found.jaccard, found.containment, found.kind), dtype=np.float64
    )
    return edges_of(first, exact, rows, columns[:, kept], counts)


def oldest_of_surface(folded: Folded) -> I64:
    """For each text the oldest with the same normalised content, shape (texts,)."""
    order = np.argsort(folded.digest)
    ordered = folded.digest[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(order) else order
    first = np.empty(len(order), np.int64)
    if len(order):
        oldest = np.minimum.reduceat(order, starts)
        first[order] = np.repeat(oldest, np.diff(np.append(starts, len(order))))
    _part_unlike(corpus_arguments(folded), first)
    return first


def alike(data: U8, offsets: I64, folded: Folded, other: I64) -> tuple[Any, Any]:
    """Which texts have the normalised content of their ``other``, and which its bytes: booleans, shape (texts,).

    A text that is its own other has neither.
    """
    first = other.copy()
    _part_unlike(corpus_arguments(folded), first)
    exact = np.zeros(len(first), np.bool_)
    _compare_bytes(data, offsets, first, exact)
    return first != np.arange(len(first)), exact


@compiled
def _part_unlike(corpus: Any, first: I64) -> None:
    """Texts that share 64 bits of digest with their oldest, but not its content, stand for themselves."""
    narrow, wide, start, length, is_wide = corpus
    for d in range(len(first)):
        other = first[d]
        if other == d:
            continue
        same = length[d] == length[other]
        for i in range(length[d] if same else 0):
            a = wide[start[d] + i] if is_wide[d] else np.uint32(narrow[start[d] + i])
            b = wide[start[other] + i] if is_wide[other] else np.uint32(narrow[start[other] + i])
            if a != b:
                same = False
                break
        if not same:
            first[d] = d


def _same_bytes(data: U8, offsets: I64, first: I64) -> I64:
    same = np.zeros(len(first), np.bool_)
    _compare_bytes(data, offsets, first, same)
    return np.flatnonzero(same)


@compiled
def _compare_bytes(data: U8, offsets: I64, first: I64, same: Any) -> None:
    for d in range(len(first)):
        begin, other = offsets[d], offsets[first[d]]
        size = offsets[d + 1] - begin
        if first[d] == d or offsets[first[d] + 1] - other != size:
            continue
        same[d] = True
        for i in range(size):
            if data[begin + i] != data[other + i]:
                same[d] = False
                break


def signatures(texts: Sequence[str], profile: Profile, bands: Bands, *, seed: int = 1) -> U32:
    """Whole signatures of texts, shape (texts, K): rows are datasketch's hash values (scheme affine32)."""
    data, offsets = text_buffers(texts)
    folded = fold(data, offsets, threads=1)
    return sign(folded, np.arange(len(folded)), profile, bands, seed=seed, keep=True).full
