"""Near-duplicates in ``gp``: group by group, what is kept on top, the other as a diff against it, and what one says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..console.pty_harness import Terminal
from .desk import Desk, stop_hub
from .test_sample_story import assert_fits

CONTRACT = """
[task]
name = "desk"
kind = "label"
instruction = "Name the queue."
input_example = "Where is my card?"
output_example = "card"
metric = "label"
labels = ["transfer", "card", "phone", "complaint", "other"]
[teacher]
name = "gold"
model = "gold"
version = "1"
why = "people"
[gate]
level = "0.95"
margin = 0.03
minimum_n = 3
attempts = 3
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
"""
PAY = "Please send {} EUR from my savings account over to {} before Friday noon, and tell me when it has arrived there."
CARD = "Where is the new card that I ordered {} weeks ago from your branch in Leeds?"
PHONE = (
    "My phone \x1b[2J\x1b]0;pwned\x07 was stolen \u202e{} and I cannot log in to the app any more, what now?"
)
LONG = " ".join(f"word{i} of a very long complaint" for i in range(1700))  # 58 kB
TEXTS: tuple[tuple[str, str, str], ...] = (
    *((PAY.format(*filled), "transfer", "train") for filled in ((30, "Ana"), (45, "Ben"), (50, "Eva"), (75, "Tom"))),
    (PAY.format(30, "Ana").replace("Please", "PLEASE").replace("before", "before "), "transfer", "train"),
    (CARD.format("two"), "card", "train"),
    (CARD.format("three"), "card", "test"),
    (PHONE.format("yesterday"), "phone", "train"),
    (PHONE.format("today"), "phone", "train"),
    (LONG, "complaint", "train"),
    (LONG.replace("word850 ", "WORD-850 "), "complaint", "train"),
    ("How do I change my address?", "other", "test"),
    ("Close my account, please.", "other", "train"),
)  # fmt: skip
PAIRS = 10  # 7 of the transfers, whose other slots are too far apart, and one of each other
FIRST = r"> +1 +1 0\.81 slot"


@pytest.fixture(scope="session")
def pairs_built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Thirteen messages, of which eleven are near another; the hub is stopped."""
    desk = Desk(tmp_path_factory.mktemp("pairs"))
    rows = [json.dumps({"p": p, "a": a, "s": s}) + "\n" for p, a, s in TEXTS]
    (desk.folder / "rows.jsonl").write_text("".join(rows))
    (desk.folder / "contract.toml").write_text(CONTRACT)
    desk.run(
        "import", "--retrospective", "desk", "rows.jsonl", "--prompt", "p", "--split", "s", "--output", "gold=a",
        "--reference", "a", "--teacher", "gold",
    )  # fmt: skip
    desk.run("contract", "lock")
    desk.run("evaluation", "freeze")
    desk.run("dedup")
    stop_hub(desk.store)
    return desk


@pytest.fixture
def desk(pairs_built: Desk, tmp_path: Path) -> Iterator[Desk]:
    """A copy of that store."""
    copy = pairs_built.copy_to(tmp_path)
    yield copy
    copy.close()


@contextmanager
def gp(desk: Desk, cols: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """The pairs, everything painted."""
    with desk.console(cols, rows, "console", "--screen", "duplicates") as term:
        term.wait_for(FIRST)
        term.wait_for(r"group 1 of 4: 5 texts, 4 go")
        term.until_quiet(0.3)
        yield term


def pairs(desk: Desk) -> dict[frozenset[str], dict[str, Any]]:
    """What is exported of every pair, by its two texts."""
    path = desk.folder / "pairs.jsonl"
    path.unlink(missing_ok=True)
    desk.run("queue", "duplicates", "--to", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {frozenset((row["left"], row["right"])): row for row in rows}


def frozen(desk: Desk, text: str) -> bool:
    """Whether a dataset frozen now takes a prompt."""
    desk.run("dataset", "freeze")
    sql = (
        "select a.text from set_members m join arrival a using (arrival_key)"
        " where m.run_no = (select max(run_no) from set_members where stage = 'dataset')"
    )
    return any(text in found for (found,) in desk.json("sql", sql)["rows"])


@pytest.mark.parametrize(("cols", "rows"), [(80, 24), (120, 40)])
def test_groups_come_largest_first_the_kept_text_on_top_and_the_other_as_a_diff_against_it(
    desk: Desk, cols: int, rows: int
) -> None:
    with gp(desk, cols, rows) as term:
        assert_fits(term)
        if cols < 110:
            term.send(b"\r")
        term.wait_for(r"kept · group 1 of 4: 5 texts, 4 go")
        term.wait_for(r"goes, against it +only kept \[-…-\] +only goes \{\+…\+\}")
        term.wait_for(r"\[-30-\]\{\+45\+\} EUR")
        term.wait_for(r"slot: another value in the")
        term.wait_for(r"Jaccard 0\.81\d · containment 0\.\d+")
        term.wait_for(r"shared: 3 stretches, \d+% of the kept one")
        term.wait_for(r"run: threshold 0\.7 · recall 0\.995 · profile \S+")
        term.wait_for(r"spiritsafe dedup")
        term.send(b":4\r")
        term.wait_for(r"surface: the same but for")
        term.send(b":5\r")  # the representative's pairs are through
        term.wait_for(r"one · group 1 of 4")
        term.wait_for(r"neither is the one kept: this pair keeps\s+nothing out")
        assert_fits(term)
        term.until_quiet()
        term.send(b"}")
        term.wait_for(r"group 2 of 4: 2 texts, 1 go")
        term.until_quiet()
        term.send(b"{")
        term.wait_for(r"group 1 of 4")
        term.wait_for(r"\[-30-\]\{\+45\+\}")  # its first row
        term.send(b"}}}")  # faster than they are answered
        term.wait_for(r"group 4 of 4")
        term.send(b"}")
        term.wait_for(r"no other group that way")


def test_a_leak_shows_in_its_row_and_names_who_is_the_tests(desk: Desk) -> None:
    with gp(desk) as term:
        term.wait_for(r"1 LEAK\b")
        assert [line for line in term.screen()[1:] if "LEAK" in line] == [term.screen()[9]]
        term.send(b"f\x15leak\r")
        term.wait_for(r"1 of 10 fit")
        term.until_quiet()
        term.send(b"\r")
        term.wait_for(r"LEAK · kept")
        term.wait_for(r"LEAK: the other is the test's, the kept one came in train: a freeze leaves that")
        assert_fits(term)
    told = desk.json("queue", "duplicates", "--filter", "leak = true")
    assert (told["length"], told["rows"][0]["cells"][0][-4:]) == (1, "LEAK")


def test_plus_and_minus_move_what_is_shown_and_say_what_it_leaves(desk: Desk) -> None:
    with gp(desk) as term:
        term.send(b"-")
        term.wait_for(r"nothing below 0\.7 was looked for; spiritsafe dedup --threshold 0\.65")
        term.send(b":8\r")
        term.wait_for(r"> +8 +2 0\.86")
        term.until_quiet()
        term.send(b"+++")
        term.wait_for(r"J ≥ 0\.85: 4 go")
        term.wait_for(r"> +\d +2 0\.86")  # still the same pair
        term.wait_for(r"4 pairs, 4 texts go; only a view: dedup --threshold decides")
        term.until_quiet()
        term.send(b"+")
        term.wait_for(r"J ≥ 0\.9: 2 go")
        term.until_quiet()
        term.send(b"f\x15edit = slot and jaccard >= 0.8\r")
        term.wait_for(r"edit = slot")
        term.until_quiet()
        term.send(b"-")
        term.wait_for(r"J ≥ 0\.75.*· edit = slot")
        term.until_quiet()
        term.send(b"-")
        term.wait_for(r"^duplicates(?!.*≥).* edit = slot")


def test_pairs_told_apart_stay_apart_until_that_is_undone(desk: Desk) -> None:
    pair = frozenset((CARD.format("two"), CARD.format("three")))
    mine = frozenset((PHONE.format("yesterday"), PHONE.format("today")))
    assert not frozen(desk, "today and I cannot")
    with gp(desk) as term:
        term.send(b":9\r")
        term.wait_for(r"> +9 ")
        term.until_quiet(0.3)
        term.send(b"n")
        term.wait_for(r"1 of 10 judged")
        desk.run("dedup")
        found = pairs(desk)
        assert mine not in found
        assert pair in found
        assert frozen(desk, "today and I cannot")
        term.send(b"u")
        term.wait_for(r"undid verdict distinct on duplicates row 9")
    desk.run("dedup")
    assert mine in pairs(desk)


def test_the_text_one_chose_is_the_kept_one_from_the_next_run_on(desk: Desk) -> None:
    mine = frozenset((PHONE.format("yesterday"), PHONE.format("today")))
    kept = pairs(desk)[mine]["kept_id"]
    with gp(desk) as term:
        term.send(b":9\r")
        term.wait_for(r"> +9 ")
        term.until_quiet(0.3)
        term.send(b"r")
        term.wait_for(r"1 of 10 judged")
    assert pairs(desk)[mine]["kept_id"] == kept  # not before the next run
    desk.run("dedup")
    assert pairs(desk)[mine]["kept_id"] != kept
    with desk.console(80, 24, "console", "--screen", "duplicates") as term:
        term.wait_for(r"resumed at 10 of 10")
        term.send(b"k\r")
        term.wait_for(r"\[-today-\]\{\+yesterday\+\}")


def test_a_filter_of_slot_refills_is_told_apart_at_once_and_one_u_takes_it_back(desk: Desk) -> None:
    with gp(desk) as term:
        term.send(b"f\x15edit = slot and jaccard < 0.82\r")
        count = int(term.wait_for(r"(\d) of 10 fit")[1])
        term.until_quiet()
        term.send(b"B")
        term.wait_for(rf"one verdict on all {count} rows here \(a keep, n distinct\)")
        term.send(b"n\r")
        term.wait_for(rf"type {count}:")
        term.send(f"{count}\r".encode())
        term.wait_for(rf"{count} of {count} judged")
        assert len(desk.verdicts()) == count
        term.until_quiet()
        term.send(b"u")
        term.wait_for(rf"0 of {count} judged")
    assert desk.verdicts() == []


def test_what_would_upset_a_terminal_and_58_kb_texts_are_shown_as_they_can_be(desk: Desk) -> None:
    with gp(desk, 120, 40) as term:
        before = len(term.raw)
        for place, kept in ((9, r"⟨U\+202E⟩\[-yesterday-\]"), (10, r"▼ space: more")):
            term.send(f":{place}\r".encode())
            term.wait_for(kept)
            for key in ("d", "d", "d"):
                term.bytes_for(key)
                assert_fits(term)
        sent = bytes(term.raw[before:])
        assert b"\x1b[2J" not in sent
        assert b"pwned\x07" not in sent
        assert "\u202e".encode() not in sent
        term.send(b":9\rdd")
        term.wait_for(r"kept · group 3 of 4: 2 texts, 1 go · underlined: shared")


def test_side_by_side_a_move_costs_3_kb_and_in_the_list_200_bytes(desk: Desk) -> None:
    with gp(desk) as term:
        assert max(term.bytes_for("j", quiet=0.25) for _ in range(6)) <= 200
        term.send(b"gg")
        term.until_quiet()
        term.resize(120, 40)
        moves = sorted(term.bytes_for("j", quiet=0.25) for _ in range(8))
        assert moves[-1] <= 3_000, moves


def test_without_a_run_and_without_a_pair_the_room_says_what_to_do(bare: Desk) -> None:
    (bare.folder / "few.jsonl").write_text('{"p": "one"}\n{"p": "quite another"}\n')
    bare.run("import", "--retrospective", "few", "few.jsonl", "--prompt", "p")
    with bare.console(80, 24, "console", "--screen", "duplicates") as term:
        term.wait_for(r"Find them first: spiritsafe dedup")
        bare.run("dedup")
        term.send(b"ghgp")
        term.wait_for(r"The newest run found no near-duplicates")
        term.wait_for(r"prompts: 2 texts, none with Jaccard 0\.7 or more to another")
        term.wait_for(r"spiritsafe dedup --threshold 0\.6 ")
        term.wait_for(r"--field both")
        assert_fits(term)


def test_the_same_pairs_are_listed_without_a_screen(desk: Desk) -> None:
    rows = desk.json("queue", "duplicates", "--rows", "20")["rows"]
    assert len(rows) == PAIRS
    groups = [int(row["cells"][0].split()[0]) for row in rows]
    assert groups == sorted(groups)
    assert [n for n, row in enumerate(rows) if re.search("LEAK", row["cells"][0])] == [7]
    removing = desk.json("queue", "duplicates", "--filter", "removes and cluster = 1", "--rows", "20")["rows"]
    assert {row["cells"][1] for row in removing} == {PAY.format(30, "Ana")}
