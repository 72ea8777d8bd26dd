"""The header: parts that fit whole, the important ones last to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.widgets.bar import SEPARATOR, fitted, parts_of

PARTS = st.lists(
    st.tuples(st.integers(0, 5), st.text("abc 漢,", min_size=1, max_size=30)), min_size=1, max_size=8
)


@given(PARTS, st.integers(1, 200))
def test_what_is_shown_is_whole_in_order_and_fits(parts: list[tuple[int, str]], width: int) -> None:
    told = fitted(parts, width)
    shown = told.split(SEPARATOR)
    rest = iter(text for _, text in parts)
    assert all(text in rest for text in shown)  # a subsequence: none cut, none moved
    assert cell_len(told) <= width or len(shown) == 1


@given(PARTS, st.integers(1, 200))
def test_nothing_goes_while_something_less_important_stays(parts: list[tuple[int, str]], width: int) -> None:
    numbered = [(n, f"{i}{text}") for i, (n, text) in enumerate(parts)]
    shown = fitted(numbered, width).split(SEPARATOR)
    kept = [n for n, text in numbered if text in shown]
    gone = [n for n, text in numbered if text not in shown]
    assert not gone or max(kept) <= min(gone)


def test_of_a_line_with_separators_the_last_parts_go_first() -> None:
    text = "audit · 3 of 9 judged · ok 2 bad 1 · desk · teacher"
    assert fitted(parts_of(text), 40) == "audit · 3 of 9 judged · ok 2 bad 1"
    assert fitted(parts_of(text), 200) == text
