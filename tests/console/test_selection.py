"""Marks, ranges, the verdict that is meant for many, the count that must be typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import actions
from console.key_names import show_key
from console.selection import (
    BULK,
    Choice,
    Selection,
    choices,
    count_typed,
    fingerprint,
    named_bulk,
    payload_of_bulk,
    rows_named,
    selection_of,
)
from store import acts
from store.errors import InputError

EDGES = st.integers(0, 30)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove", "toggle"]), EDGES, EDGES), max_size=30)
KEYS = {key: show_key(key) for action in actions.ACTIONS for key in action.keys.split(",")}


@given(STEPS)
def test_a_selection_is_the_set_of_its_positions(steps: list[tuple[str, int, int]]) -> None:
    chosen, expected = Selection(), set[int]()
    for what, low, high in steps:
        if what == "toggle":
            chosen = chosen.toggle(low)
            expected ^= {low}
        elif what == "add":
            chosen = chosen.add(low, high)
            expected |= set(range(low, high))
        else:
            chosen = chosen.remove(low, high)
            expected -= set(range(low, high))
        assert {p for p in range(40) if p in chosen} == expected
        assert len(chosen) == len(expected)
        flat = [edge for r in chosen.ranges for edge in r]
        assert flat == sorted(set(flat)), "ranges neither touch nor overlap"
    assert selection_of(reversed(chosen.ranges)) == chosen
    assert bool(chosen) == bool(expected)


def test_a_selection_that_reaches_beyond_the_queue_is_noticed() -> None:
    assert Selection(((2, 5),)).within(5)
    assert not Selection(((2, 5),)).within(4)
    assert not Selection(((-1, 5),)).within(9)


@pytest.mark.parametrize("text", ["", "0", "4-2", "21", "5-21", "a", "1;2", "1-2-3", "-3"])
def test_rows_that_the_queue_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="no rows"):
        rows_named(text, 20)


def test_the_keys_of_a_room_and_their_words_name_a_bulk_verdict() -> None:
    audit = choices("audit", actions.of_screen("audit"), KEYS)
    assert audit["a"] == audit["ok"] == Choice("ok")
    assert audit["5"] == audit["bad 5"] == Choice("bad", 5)
    assert audit["z"] == Choice("unsure")
    pairs = choices("duplicates", actions.of_screen("duplicates"), KEYS)
    assert pairs.keys() == {"a", "keep", "n", "distinct"}
    differ = choices("disagreements", actions.of_screen("disagreements"), KEYS)
    assert differ["="] == Choice("both")
    assert differ["2"] == Choice("neither", 2)
    assert "<" not in differ
    assert choices("ledger", actions.of_screen("ledger"), KEYS) == {}


def test_what_a_bulk_verdict_may_say_is_what_the_ledger_takes() -> None:
    for kind, verdicts in BULK.items():
        assert set(verdicts) <= acts.VERDICTS[kind]
        for verdict in verdicts:
            choice = Choice(verdict, 3 if verdict in ("bad", "neither") else None)
            acts.parse("verdicts", payload_of_bulk(kind, choice, ["x"], "tier = vip"))
    for kind, verdict in (("disagreements", "left"), ("duplicates", "choose"), ("ledger", "ok")):
        with pytest.raises(InputError, match="one at a time"):
            payload_of_bulk(kind, Choice(verdict), ["x"], "")


@pytest.mark.parametrize("typed", ["", "12", "1205", "-1204", "1204.0", "all", "１２０４"])
def test_only_the_very_count_counts(typed: str) -> None:
    assert not count_typed(typed, 1204)


def test_a_fingerprint_tells_other_samples_and_another_order() -> None:
    assert fingerprint(["a", "b"]) == fingerprint(["a", "b"])
    assert len({fingerprint(x) for x in (["a", "b"], ["b", "a"], ["ab"], [])}) == 4


def test_one_sample_is_no_samples() -> None:
    assert named_bulk({"verdict": "ok", "subjects": ["x"]}) == "bulk ok on 1 sample"
