"""Two answers without names: nothing on the wire tells which is whose before the verdict."""

from __future__ import annotations

import re

from .desk import Desk

NAMES = (b"desk-teacher", b"desk-student")


def listed_left(desk: Desk, who: str) -> list[str]:
    """The left answers of the first forty rows, as the headless twin lists them."""
    rows = desk.json("queue", "disagreements", "--rows", "40", "--as", who)["rows"]
    return [row["cells"][1] for row in rows]


def left_answers(desk: Desk, who: str, rows: int) -> list[str]:
    """The left answers that a reviewer sees, row by row, in the list."""
    with desk.console(120, 30, "console", "--as", who, "--screen", "disagreements") as term:
        term.wait_for(r"disagreements · 0 of \d+ judged")
        before = len(term.raw)
        seen = []
        for row in range(1, rows + 1):
            term.send(f":{row}\r".encode())
            term.wait_for(rf"> +{row} ")
            term.wait_for(r"after yours")
            term.until_quiet(0.08)
            lines = [line[55:].strip() for line in term.screen()]
            seen.append(lines[lines.index("left") + 1])
        raw = bytes(term.raw[before:])
        assert not [name for name in NAMES if name in raw]
        return seen


def test_two_reviewers_see_the_sides_in_orders_of_their_own(sample: Desk) -> None:
    listed = {who: listed_left(sample, who) for who in ("anna", "ben")}
    same = sum(a == b for a, b in zip(listed["anna"], listed["ben"], strict=True))
    assert 0 < same < len(listed["anna"])  # by chance alone wrong once in 2^38
    assert listed_left(sample, "anna") == listed["anna"]  # and the same each time
    for who in ("anna", "ben"):
        assert left_answers(sample, who, 2) == listed[who][:2]  # on the screen too


def test_names_show_after_the_verdict_and_a_change_after_that_is_recorded_as_one(sample: Desk) -> None:
    with sample.console(120, 40, "console", "--as", "anna", "--screen", "disagreements") as term:
        term.wait_for(r"disagreements · 0 of \d+ judged")
        term.wait_for("after yours")
        term.until_quiet()
        assert not [name for name in NAMES if name in bytes(term.raw)]
        term.send(b"<")
        term.wait_for(r"disagreements · 1 of \d+ judged")
        term.until_quiet()
        assert not [name for name in NAMES if name in bytes(term.raw)]
        term.send(b"k")
        term.wait_for(r"left: desk-(teacher|student) \((teacher|student)\)")
        term.until_quiet()
        term.send(b"=")
        term.wait_for(r">  2 ")
        term.until_quiet()
    sql = "select payload->>'verdict', payload->>'revealed' from event where kind = 'verdict' order by seq"
    assert [tuple(row) for row in sample.json("sql", sql)["rows"]] == [("left", "false"), ("both", "true")]
    assert [row[1:] for row in sample.verdicts()] == [("both", None, sample.verdicts()[0][3])]
    assert re.search("/anna$", sample.verdicts()[0][3])


def test_anothers_verdict_is_hidden_until_ones_own(sample: Desk) -> None:
    for who, key in (("anna", b"3"), ("ben", b"a")):
        with sample.console(120, 40, "--as", who, "console", "--screen", "audit") as term:
            term.wait_for("after yours")
            term.until_quiet()
            assert "/anna" not in term.text()
            term.send(key)
            term.wait_for(r"1 of 681 judged")
            term.until_quiet()
            assert "/anna" not in term.text()
    with sample.console(120, 40, "--as", "ben", "console", "--screen", "audit") as term:
        term.wait_for("1 of 681 judged")
        term.send(b":1\r")
        term.wait_for(r"/anna: bad 3")
        term.wait_for(r"/ben: ok")
