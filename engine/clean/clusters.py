"""From verified edges to clusters (to look at) and to removals (to act on): two things.

A component joins texts through others: a fifth of the pairs inside one lie below the threshold. So clusters
are for navigation, and a text leaves only along a verified edge to the text that stands for it. Columns, not
objects: a flood of one template has sixteen edges for each of its texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.clean.neardup import Pair

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    I64 = npt.NDArray[np.int64]
    F64 = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Columns:
    """Edges, ``left`` < ``right``, one array a column."""

    left: I64
    right: I64
    jaccard: F64


Edges: TypeAlias = Iterable[Pair] | Columns


def clusters(n: int, pairs: Edges) -> list[int]:
    """The component of each of ``n`` texts, named by its oldest (lowest) index.

    >>> clusters(4, [Pair(0, 2, 0.8, 0.9, "words"), Pair(2, 3, 0.8, 0.9, "words")])
    [0, 1, 0, 0]
    """
    edges = _columns(pairs)
    named: list[int] = _components(n, edges.left, edges.right).tolist()
    return named


def _columns(pairs: Edges) -> Columns:
    import numpy as np

    if isinstance(pairs, Columns):
        return pairs
    rows = [(p.left, p.right, p.jaccard) for p in pairs]
    left, right, jaccard = zip(*rows, strict=True) if rows else ((), (), ())
    return Columns(np.array(left, np.int64), np.array(right, np.int64), np.array(jaccard, np.float64))


def _components(n: int, left: I64, right: I64) -> I64:
    """Hook the higher root of each edge to the lower, and every text to its root, until no edge joins two."""
    import numpy as np

    root = np.arange(n)
    while len(left):
        a, b = root[left], root[right]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root = root[root]
        apart = root[left] != root[right]
        left, right = left[apart], right[apart]
    return root


def representatives(
    n: int,
    pairs: Edges,
    *,
    threshold: float,
    choose: Literal["oldest", "medoid"] = "oldest",
    rank: Sequence[int] | None = None,
    preferred: Iterable[int] = (),
    cannot_link: Iterable[tuple[int, int]] = (),
) -> list[int]:
    """Who stands for each of ``n`` texts: itself, or one it has a verified edge to (J >= ``threshold``).

    Greedy: ``preferred`` texts (a reviewer's choice) first, then those of the least ``rank``, then the oldest, or the
    medoid (most similar to its neighbours); each takes its neighbours that nobody stands for yet. A long chain so keeps several
    representatives, and no two kept texts have an edge. Texts of one surface share their edges, for the
    exact comparison was one and the same. ``cannot_link`` pairs never stand for each other.

    >>> chain = [Pair(0, 1, 0.8, 0.9, "words"), Pair(1, 2, 0.8, 0.9, "words"), Pair(2, 3, 0.7, 0.9, "words")]
    >>> representatives(4, chain, threshold=0.7)
    [0, 0, 2, 2]
    """
    import numpy as np

    edges = _columns(pairs)
    barred = np.array([min(pair) * n + max(pair) for pair in cannot_link], np.int64)
    allowed = (edges.jaccard >= threshold) & ~np.isin(edges.left * n + edges.right, barred)
    left, right, jaccard = edges.left[allowed], edges.right[allowed], edges.jaccard[allowed]
    same = jaccard == 1.0
    surface = _components(n, left[same], right[same])
    near = _Near(n, surface[left], surface[right], jaccard)
    first, wanted = _firsts(surface, rank, list(preferred))
    ranks = np.zeros(n) if rank is None else np.asarray(rank)[first]
    worth = near.worth() if choose == "medoid" else np.zeros(n)
    nodes = np.unique(surface)
    turn = np.lexsort((nodes, worth[nodes], ranks[nodes], ~wanted[nodes]))
    stands = first[near.keepers(nodes[turn])[surface]]
    texts = np.arange(n)
    alone = np.isin(np.minimum(texts, stands) * n + np.maximum(texts, stands), barred)
    kept: list[int] = np.where(alone, texts, stands).tolist()
    return kept


def _firsts(surface: I64, rank: Sequence[int] | None, preferred: list[int]) -> tuple[I64, Bools]:
    """Of each surface (by its oldest) the text that stands for it, and whether a reviewer chose it.

    The last that is preferred, else that of the least rank, the oldest of several.
    """
    import numpy as np

    first = np.arange(len(surface))
    if rank is not None:
        order = np.lexsort((first, np.asarray(rank), surface))
        best = (
            order[np.concatenate(([True], surface[order][1:] != surface[order][:-1]))]
            if len(order)
            else order
        )
        first[surface[best]] = best
    wanted = np.zeros(len(surface), np.bool_)
    for text in preferred:
        first[surface[text]] = text
        wanted[surface[text]] = True
    return first, wanted


class _Near:
    """The neighbours of each surface: those of ``node`` lie from ``starts[node]`` up to ``starts[node + 1]``."""

    def __init__(self, n: int, a: I64, b: I64, jaccard: F64) -> None:
        import numpy as np

        apart = a != b
        low, high = np.minimum(a, b)[apart], np.maximum(a, b)[apart]
        _, once = np.unique(low * n + high, return_index=True)  # copies of a surface repeat its edges
        low, high, weights = low[once], high[once], jaccard[apart][once]
        source = np.concatenate((low, high))
        order = np.argsort(source, kind="stable")
        self.n, self.starts = n, np.searchsorted(source[order], np.arange(n + 1))
        self.others = np.concatenate((high, low))[order]
        self._source, self._weights = source, np.concatenate((weights, weights))

    def worth(self) -> F64:
        """Less for who resembles its neighbours more; rounded, so that the order of adding decides nothing."""
        import numpy as np

        sums = np.zeros(self.n)
        np.add.at(sums, self._source, self._weights)
        return -np.round(sums, 9)

    def keepers(self, turn: I64) -> I64:
        """Each surface in its turn takes its neighbours that nobody stands for yet."""
        import numpy as np

        keeper = np.full(self.n, -1)
        for node in turn.tolist():
            if keeper[node] < 0:
                keeper[node] = node
                others = self.others[self.starts[node] : self.starts[node + 1]]
                keeper[others[keeper[others] < 0]] = node
        return keeper


def removable(representative: Sequence[int]) -> list[int]:
    """The texts that another one stands for: each has a verified edge to it.

    >>> removable([0, 0, 2, 2])
    [1, 3]
    """
    return [i for i, stands in enumerate(representative) if stands != i]
