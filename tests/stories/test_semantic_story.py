"""The room of pairs alike in meaning: what it calls them, what a key does, and that one key takes it back."""

from __future__ import annotations

from tests.engine.tiny_model import Tiny, suggest

from .desk import Desk

FLAGS = "select count(*) as n from current_verdict where queue = 'audit' and bulk"


def test_a_pair_is_told_apart_flagged_and_both_taken_back_by_one_key(sample: Desk) -> None:
    told = suggest(sample.store, Tiny(), "support-desk", threshold=0.6, most=300)
    assert told["new"] > 3
    with sample.console(80, 24) as term:
        term.wait_for("support-desk")
        term.send(b"gm")
        term.wait_for(r"alike in meaning · suggested, not verified · 0 of \d+ judged")
        term.until_quiet()
        term.send(b"\r")
        term.wait_for(r"stays \[-…-\]   second \{\+…\+\}")
        term.wait_for(r"cosine [01]\.\d{3} by tiny · prompts · splits ")
        term.send(b"n")
        term.wait_for(r"not verified · 1 of \d+ judged")
        term.until_quiet()
        term.send(b"o9")
        term.wait_for(r"not verified · 2 of \d+ judged")
        term.until_quiet()
        assert sample.json("sql", FLAGS)["rows"][0][0] > 0
        term.send(b"u")
        term.wait_for(r"undid verdict bad on semantic row 2")
        term.wait_for(r"not verified · 1 of \d+ judged")
        assert sample.json("sql", FLAGS)["rows"] == [[0]]
        term.send(b"\x12")
        term.wait_for(r"not verified · 2 of \d+ judged")
        term.until_quiet()
        assert sample.json("sql", FLAGS)["rows"][0][0] > 0
        assert all(len(line) <= 80 for line in term.text().splitlines())
    assert [row[:3] for row in sample.verdicts() if row[0] == "semantic"] == [
        ("semantic", "distinct", None), ("semantic", "bad", 9),
    ]  # fmt: skip
