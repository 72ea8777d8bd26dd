"""The reference engine: Python and numpy alone, always there, and what the fast one must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.clean.bands import Bands, Candidates, Gate, agreement, candidates, signatures, uncrowded
from engine.clean.neardup_parts import Edges, Kinds, edges_of
from engine.clean.shingles import Profile, Shingles, normalise, shingle_hashes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    I64 = npt.NDArray[np.int64]

Progress = Callable[[str, int, int], None]
_LARGE_SET = 20_000  # shingles: above it sorted arrays beat sets of Python integers
_SETS_KEPT = 50_000


def find(
    texts: Sequence[str],
    profile: Profile,
    choose: Callable[[int], Bands],
    *,
    threshold: float,
    seed: int,
    report: Progress,
) -> Edges:
    """Edges of ``texts``; ``choose(distinct texts)`` gives the bands."""
    import numpy as np

    normalised = [normalise(text) for text in texts]
    report("normalise", len(texts), len(texts))
    oldest: dict[str, int] = {}
    first = np.array([oldest.setdefault(text, i) for i, text in enumerate(normalised)], np.int64)
    rows = np.flatnonzero(first == np.arange(len(texts)))
    del oldest
    bands = choose(len(rows))
    shingles = shingle_hashes(
        [normalised[i] for i in rows.tolist()], profile, progress=lambda n: report("shingle", n, len(rows))
    )
    del normalised
    signed = signatures(shingles, bands.num_perm, seed=seed, progress=lambda n: report("sign", n, len(rows)))
    met = candidates(signed, bands, progress=lambda n: report("group", n, bands.bands))
    gate = Gate(threshold, bands.num_perm)
    sizes = np.diff(shingles.offsets)
    keep = gate.passes(agreement(signed, met.left, met.right), sizes[met.left], sizes[met.right])
    worth = list(zip(met.left[keep].tolist(), met.right[keep].tolist(), strict=True))
    held = np.array(list(verified(shingles, worth, gate, report)), np.float64).reshape(-1, 5)
    kept = uncrowded(held[:, 0].astype(np.int64), held[:, 1].astype(np.int64))
    columns = held[kept].T
    exact = [i for i, text in enumerate(texts) if first[i] != i and text == texts[first[i]]]
    return edges_of(
        first,
        np.array(exact, np.int64),
        rows,
        columns,
        _counts(met, shingles, len(worth), len(held) - int(kept.sum())),
    )


def _counts(met: Candidates, shingles: Shingles, compared: int, crowded: int) -> dict[str, int]:
    return {
        "shingles": len(shingles.hashes),
        "candidates": met.met,
        "compared": compared,
        "flooded_buckets": met.flooded,
        "untried_pairs": met.untried + crowded,
    }


def verified(
    shingles: Shingles, worth: list[tuple[int, int]], gate: Gate, report: Progress
) -> Iterator[tuple[int, int, float, float, int]]:
    """Those that hold: left, right, exact Jaccard and containment of their shingle sets, kind."""
    hashes, offsets = shingles.hashes, shingles.offsets.tolist()
    set_of = lru_cache(_SETS_KEPT)(lambda i: frozenset(hashes[offsets[i] : offsets[i + 1]].tolist()))
    for done, (i, j) in enumerate(worth):
        if done % 10_000 == 0:
            report("verify", done, len(worth))
        if max(offsets[i + 1] - offsets[i], offsets[j + 1] - offsets[j]) > _LARGE_SET:
            shared, small, large = _large_overlap(hashes, offsets, i, j)
        else:
            a, b = set_of(i), set_of(j)
            shared, small, large = len(a & b), min(len(a), len(b)), max(len(a), len(b))
        jaccard, containment = shared / (small + large - shared), shared / small
        truncated = containment >= gate.truncated and small <= gate.truncated * large and small >= gate.fewest
        if jaccard >= gate.threshold or truncated:
            yield i, j, jaccard, containment, Kinds.TRUNCATION if truncated else Kinds.WORDS
    report("verify", len(worth), len(worth))


def _large_overlap(
    hashes: npt.NDArray[np.uint64], offsets: list[int], i: int, j: int
) -> tuple[int, int, int]:
    """Sizes of overlap, smaller and larger set by sorted merge."""
    import numpy as np

    a = np.unique(hashes[offsets[i] : offsets[i + 1]])
    b = np.unique(hashes[offsets[j] : offsets[j + 1]])
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared, min(len(a), len(b)), max(len(a), len(b))
