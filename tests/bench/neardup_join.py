"""The exact join behind the near-duplicate benchmark's truth: AllPairs with prefix and size filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    I64 = npt.NDArray[np.int64]
    I32 = npt.NDArray[np.int32]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def join(tokens: I32, starts: I64, vocabulary: int, threshold: float) -> tuple[I64, I64, I64]:
    """Pairs of sets at Jaccard >= threshold: left, right, size of the overlap.

    ``tokens``: the sets end to end, each in ascending order of one ranking (rare first); ``starts``: where
    each begins, and the end of the last. Two sets this similar share a token among their first
    n - ceil(T n) + 1.
    """
    n = len(starts) - 1
    lists = np.zeros(vocabulary + 1, np.int64)
    for i in range(n):
        size = starts[i + 1] - starts[i]
        for k in range(starts[i], starts[i] + size - int(np.ceil(threshold * size - 1e-9)) + 1):
            lists[tokens[k] + 1] += 1
    begins = np.cumsum(lists)
    posted, ends = np.empty(begins[-1], np.int32), begins.copy()
    seen = np.full(n, -1, np.int64)
    left, right, shared, q = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64), 0
    for i in range(n):
        size = starts[i + 1] - starts[i]
        for k in range(starts[i], starts[i] + size - int(np.ceil(threshold * size - 1e-9)) + 1):
            token = tokens[k]
            for z in range(begins[token], ends[token]):
                j = posted[z]
                if seen[j] == i:
                    continue
                seen[j] = i
                other = starts[j + 1] - starts[j]
                if min(size, other) < threshold * max(size, other):
                    continue
                needed = threshold / (1 + threshold) * (size + other) - 1e-9
                overlap, a, b = 0, starts[i], starts[j]
                while a < starts[i + 1] and b < starts[j + 1]:
                    if overlap + min(starts[i + 1] - a, starts[j + 1] - b) < needed:
                        break
                    x, y = tokens[a], tokens[b]
                    overlap += x == y
                    a += x <= y
                    b += y <= x
                if overlap >= needed:
                    if q == len(left):
                        left = np.concatenate((left, np.empty(q, np.int64)))
                        right = np.concatenate((right, np.empty(q, np.int64)))
                        shared = np.concatenate((shared, np.empty(q, np.int64)))
                    left[q], right[q], shared[q] = j, i, overlap
                    q += 1
            posted[ends[token]] = i
            ends[token] += 1
    return left[:q], right[:q], shared[:q]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def compare_all(tokens: I32, starts: I64, threshold: float) -> tuple[I64, I64, I64]:
    """As ``join``, by comparing every set with every other until it cannot be: what the join is held against."""
    left, right, shared, q = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024, np.int64), 0
    for i in range(len(starts) - 1):
        for j in range(i):
            overlap, a, b = 0, starts[i], starts[j]
            needed = threshold / (1 + threshold) * (starts[i + 1] - a + starts[j + 1] - b) - 1e-6
            while (
                overlap + min(starts[i + 1] - a, starts[j + 1] - b) >= needed
                and a < starts[i + 1]
                and b < starts[j + 1]
            ):
                x, y = tokens[a], tokens[b]
                overlap += x == y
                a += x <= y
                b += y <= x
            union = starts[i + 1] - starts[i] + starts[j + 1] - starts[j] - overlap
            if overlap >= threshold * union - 1e-9:
                if q == len(left):
                    left = np.concatenate((left, np.empty(q, np.int64)))
                    right = np.concatenate((right, np.empty(q, np.int64)))
                    shared = np.concatenate((shared, np.empty(q, np.int64)))
                left[q], right[q], shared[q] = j, i, overlap
                q += 1
    return left[:q], right[:q], shared[:q]
