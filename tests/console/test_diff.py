"""Word diffs: exact, quick, readable without colour."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from console.text import cells
from console.widgets.diff import Span, changed_words, inline, side_by_side, word_diff

TEXT = st.text(st.sampled_from("ab .\n漢"), max_size=60)


@given(TEXT, TEXT)
def test_the_spans_are_both_texts_again(left: str, right: str) -> None:
    spans = word_diff(left, right)
    assert "".join(span.left for span in spans) == left
    assert "".join(span.right for span in spans) == right
    for span in spans:
        assert (span.left == span.right) == (span.kind == "equal")
    assert all(a.kind != "equal" or b.kind != "equal" for a, b in pairwise(spans))


@given(TEXT, TEXT, st.integers(20, 90))
def test_side_by_side_is_exactly_as_wide_as_asked(left: str, right: str, width: int) -> None:
    assert {cells(line) for line in side_by_side(word_diff(left, right), width)} <= {width}


def test_what_changed_is_marked_without_colour() -> None:
    spans = word_diff("the red cat sat", "the blue cat sat down")
    assert inline(spans)[0] == "the [-red-]{+blue+} cat sat{+ down+}"
    assert changed_words(spans) == (1, 2)


def test_the_letter_between_the_sides_says_which_side_differs() -> None:
    spans = [Span("equal", "a\n", "a\n"), Span("delete", "b", ""), Span("equal", "\nc", "\nc")]
    assert [line[10] for line in side_by_side(spans, 21)] == [" ", "<", " "]


def test_hostile_characters_are_shown_in_a_diff() -> None:
    assert "\x1b" not in inline(word_diff("a\x1b[31m", "b\u202e"))[0]


def test_two_megabyte_texts_do_not_exhaust_memory() -> None:
    spans = word_diff("word " * 200_000, "ward " * 200_000)
    assert [span.kind for span in spans] == ["replace"]
