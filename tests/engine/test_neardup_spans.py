"""Matched spans: what Python aligns and what machine code aligns is one thing, for every pair."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clean import edits, spans
from engine.clean.edits import align
from engine.clean.neardup import Engine, near_duplicate_columns, near_duplicates
from engine.clean.shingles import Profile, tokens
from store.canonical import canonical_text
from tests.engine.test_neardup_fast import HOSTILE, TRICKY, made_up

pytest.importorskip("numba", reason="the extra fast is not installed")

from engine.clean.fast_fold import text_buffers
from engine.clean.fast_spans import spans_of

WORDS = st.lists(
    st.sampled_from(["a", "b", "B", "7", "12", "Ana", "中", "é", "e\u0301", "\u17b4", "x,"]), max_size=90
).map(" ".join)


def aligned(left: str, right: str) -> tuple[str, bool]:
    """Spans and slot by machine code."""
    one = np.zeros(1, np.int64)
    told, slot, _ = spans_of(*text_buffers([left, right]), one, one + 1, np.zeros(1, np.bool_), threads=1)
    return told[0].as_py(), bool(slot[0])


def by_python(left: str, right: str) -> tuple[str, bool]:
    found, slot = align(left, right, tokens(left, edits.SPAN_LIMIT), tokens(right, edits.SPAN_LIMIT))
    return canonical_text(found), slot


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.tuples(TRICKY, TRICKY), st.tuples(WORDS, WORDS)))
def test_machine_code_shows_the_spans_that_python_shows(pair: tuple[str, str]) -> None:
    assert aligned(*pair) == by_python(*pair)


@pytest.mark.parametrize("vocabulary", [2, 5, 50, 1000])
def test_long_texts_are_aligned_alike_with_many_ways_to_do_it(vocabulary: int) -> None:
    rng = random.Random(vocabulary)
    for size in (63, 64, 65, 130, 700):
        words = [str(rng.randrange(vocabulary)) for _ in range(size)]
        other = [w for w in words if rng.random() > 0.1]
        for _ in range(size // 10):
            other[rng.randrange(len(other))] = str(rng.randrange(vocabulary))
        assert aligned(" ".join(words), " ".join(other)) == by_python(" ".join(words), " ".join(other))


def test_what_lies_beyond_the_limits_is_left_out_alike() -> None:
    rng = random.Random(3)
    long = [f"{rng.randrange(10**6)}" for _ in range(edits.ALIGNED_TOKENS + 40)]
    unlike = ["start", *long, "end"], ["start", *reversed(long), "end"]  # a middle too long to be aligned
    far = [
        "head " + "w" * (edits.SPAN_LIMIT - 8) + " één twee",
        "head " + "v" * (edits.SPAN_LIMIT - 8) + " één twee",
    ]
    for left, right in ([" ".join(words) for words in unlike], far, ["x " * 60_000, "x " * 60_000 + "é"]):
        assert aligned(left, right) == by_python(left, right)


def test_every_edge_of_a_corpus_has_the_same_evidence_from_both_engines() -> None:
    texts = made_up(2500, seed=4) + HOSTILE + ["Pay 30 EUR to Ana today", "Pay 45 EUR to Ben today"]
    for profile in (Profile("char", 4), Profile("word", 3)):
        both: list[Engine] = ["fast", "reference"]
        fast, reference = (near_duplicate_columns(texts, profile=profile, engine=engine) for engine in both)
        assert fast.table.to_pylist() == reference.table.to_pylist()
        assert fast.stats == reference.stats
        assert fast.stats.without_spans == 0
    kinds = near_duplicate_columns(texts, threshold=0.4, engine="fast").table["kind"].unique().to_pylist()
    assert set(kinds) == {"exact", "surface", "slot", "truncation", "words"}


def test_machine_code_leaves_no_pair_without_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "MAX_SPANNED", 100)
    texts = made_up(1500, seed=5)
    python, fast = near_duplicates(texts, engine="reference"), near_duplicates(texts, engine="fast")
    assert python.stats.without_spans == len(python.edges) - 100 > 100
    assert fast.stats.without_spans == 0
    assert all(p.spans for p in fast.edges if texts[p.left] and texts[p.right] and p.kind != "words")
