"""Hostile text is shown and measured, never sent."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import text as t

HOSTILE = {
    "escape": "\x1b]52;c;AAAA\x07",
    "c1 csi": "\x9b31m",
    "bidi override": "\u202eevil",
    "bidi isolate": "\u2067x\u2069",
    "zero width": "a\u200bb\u200dc\u2060",
    "bom": "\ufeffx",
    "lone surrogate": "\ud800",
    "tag": "\U000e0041",
    "line separator": "a\u2028b\u2029c",
    "variation selectors": "x\ufe00\ufe01\U000e0100",
    "carriage return": "safe\rEVIL",
    "backspace": "a\x08b",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_would_obey_or_hide_is_shown(name: str) -> None:
    shown = t.visible(HOSTILE[name])
    assert shown.encode("utf-8")
    for char in shown:
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, hex(ord(char))


@given(st.text(st.characters(), max_size=60))
def test_no_text_at_all_smuggles_a_control_through(text: str) -> None:
    shown = t.visible(text)
    assert "\n" not in shown
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(c) for c in shown}
    assert t.visible(shown) == shown


def test_escapes_name_what_they_stand_for() -> None:
    assert t.visible("\x1b[0m\x00\x7f\u202e\ud800") == "␛[0m␀␡⟨U+202E⟩⟨U+D800⟩"


def test_newlines_stay_only_where_lines_are_wanted() -> None:
    assert t.visible("a\nb") == "a⏎b"
    assert t.visible("a\nb\tc", lines=True) == "a\nb   c"


def test_an_emoji_selector_is_dropped_but_a_run_of_selectors_is_shown() -> None:
    assert t.visible("\u26a0\ufe0f") == "\u26a0"
    assert "FE0F" in t.visible("\u26a0\ufe0f\ufe0e")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.integers(1, 40))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    fitted = t.fit(t.visible(text), width)
    assert sum(t.cells(c) for c in fitted) == width


@given(st.text(st.sampled_from("ab é漢😀 \n\u0301"), max_size=200), st.integers(2, 30), st.booleans())
def test_wrapped_lines_fit_and_lose_only_breaks(text: str, width: int, words: bool) -> None:
    wrapped = t.Wrapped(text, width, words)
    lines = [wrapped.line(i) for i in range(wrapped.count())]
    assert all(sum(t.cells(c) for c in line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace("\n", "").replace(" ", "")
    rebuilt = sorted(
        {*range(len(text))}
        - {i for a, b in zip(wrapped.starts, wrapped.ends, strict=True) for i in range(a, b)}
    )
    assert all(text[i] in " \n" for i in rebuilt)


def test_wrapping_a_megabyte_cuts_only_the_lines_asked_for() -> None:
    wrapped = t.Wrapped("word " * 200_000, 60)
    assert wrapped.line(49).startswith("word")
    assert wrapped.known == 50
    assert not wrapped.complete


def test_a_stack_of_combining_marks_does_not_hang_a_line() -> None:
    wrapped = t.Wrapped("a" + "\u0301" * 100_000, 40)
    assert len(wrapped.line(0)) <= 40 * 9


def test_a_row_of_a_huge_text_looks_at_its_head_only() -> None:
    assert t.line("x" * 1_000_000, 10) == "x" * 10
    assert t.line("\x1b[31mred\n", 12) == "␛[31mred⏎   "


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSONS, max_size=3))
def test_pretty_json_means_the_same(value: list[object]) -> None:
    pretty = t.as_json(json.dumps(value))
    assert pretty is not None
    assert json.loads(pretty) == value


def test_pretty_json_keeps_numbers_and_repeated_keys_as_written() -> None:
    pretty = t.as_json('```json\n{"a":1.500e3,"a":12345678901234567890.0}\n```')
    assert pretty == '{\n  "a": 1.500e3,\n  "a": 12345678901234567890.0\n}'


def test_text_that_is_no_json_has_no_json_view() -> None:
    assert t.as_json("hello") is None
    assert t.as_json("{broken") is None
    assert t.as_json("[" * 100_000) is None


def test_chat_shows_roles_parts_and_what_else_a_message_holds() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image", "url": "u"}]},
        {"role": "assistant", "content": None, "tool_calls": [1]},
    ]
    shown = t.as_chat(json.dumps({"messages": messages}))
    assert shown is not None
    assert shown.startswith("user:\nhi\n")
    assert '"url": "u"' in shown
    assert "tool_calls" in shown
    assert t.as_chat('"hi"') is None
