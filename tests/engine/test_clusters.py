"""Clusters and representatives, held against a plain union-find and a plain greedy walk over dictionaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clean.clusters import clusters, removable, representatives
from engine.clean.neardup import Pair

Words = frozenset[int]


def likeness(a: Words, b: Words) -> float:
    return len(a & b) / len(a | b)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[Words], list[Pair], dict[str, Any]]:
    """Texts as sets of words, some of their pairs with true Jaccards, and what people and checks say of them."""
    texts = draw(st.lists(st.frozensets(st.integers(0, 3), min_size=1), max_size=9))
    n = len(texts)
    every = [(i, j) for i, j in combinations(range(n), 2) if texts[i] & texts[j]]
    known = draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    pairs = [Pair(i, j, likeness(texts[i], texts[j]), 1.0, "words") for i, j in sorted(known)]
    number = st.integers(0, n - 1)
    said: dict[str, Any] = {
        "threshold": draw(st.sampled_from([0.0, 0.5, 0.7])),
        "choose": draw(st.sampled_from(["oldest", "medoid"])),
        "rank": draw(st.none() | st.lists(st.integers(0, 2), min_size=n, max_size=n)),
        "preferred": draw(st.lists(number, max_size=3)) if n else [],
        "cannot_link": draw(st.lists(st.tuples(number, number), max_size=4)) if n else [],
    }
    return texts, pairs, said


def joined(n: int, pairs: Sequence[Pair]) -> list[int]:
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for pair in pairs:
        a, b = root(pair.left), root(pair.right)
        parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(n)]


def plainly(n: int, pairs: Sequence[Pair], said: dict[str, Any]) -> list[int]:
    """``representatives``, word for word as it promises."""
    barred = {(min(pair), max(pair)) for pair in said["cannot_link"]}
    allowed = [p for p in pairs if p.jaccard >= said["threshold"] and (p.left, p.right) not in barred]
    surface = joined(n, [p for p in allowed if p.jaccard == 1.0])
    near: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for pair in allowed:
        a, b = surface[pair.left], surface[pair.right]
        if a != b:
            near[a][b] = near[b][a] = pair.jaccard
    rank = said["rank"] or [0] * n
    chosen = {surface[i]: i for i in said["preferred"]}
    first = {
        s: min((j for j in range(n) if surface[j] == s), key=lambda j: (rank[j], j)) for s in set(surface)
    }
    first |= chosen

    def turn(node: int) -> tuple[bool, int, float, int]:
        worth = -round(sum(near[node].values()), 9) if said["choose"] == "medoid" else 0.0
        return node not in chosen, rank[first[node]], worth, node

    keeper: dict[int, int] = {}
    for node in sorted(first, key=turn):
        if node not in keeper:
            keeper[node] = node
            for other in near[node]:
                keeper.setdefault(other, node)
    stands = [first[keeper[surface[i]]] for i in range(n)]
    return [i if (min(i, r), max(i, r)) in barred else r for i, r in enumerate(stands)]


@settings(max_examples=150, deadline=None)
@given(corpora())
def test_arrays_give_what_a_plain_walk_gives(corpus: tuple[list[Words], list[Pair], dict[str, Any]]) -> None:
    texts, pairs, said = corpus
    assert clusters(len(texts), pairs) == joined(len(texts), pairs)
    assert representatives(len(texts), pairs, **said) == plainly(len(texts), pairs, said)


@settings(max_examples=150, deadline=None)
@given(corpora())
def test_a_text_goes_only_for_one_that_stays_and_is_as_near_as_was_asked(
    corpus: tuple[list[Words], list[Pair], dict[str, Any]],
) -> None:
    texts, pairs, said = corpus
    stands = representatives(len(texts), pairs, **said)
    component, gone = clusters(len(texts), pairs), removable(stands)
    barred = {frozenset(pair) for pair in said["cannot_link"]}
    for i in gone:
        assert stands[stands[i]] == stands[i]
        assert component[i] == component[stands[i]]
        assert likeness(texts[i], texts[stands[i]]) >= said["threshold"]
        assert frozenset((i, stands[i])) not in barred
