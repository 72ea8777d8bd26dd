"""The team's review checklist in ``gd``: each item is ticked by a key, nothing ships before, and the record carries it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .desk import Desk

CONTRACT = """
[task]
name = "queues"
kind = "label"
instruction = "Name the queue."
metric = "label"
labels = ["shipping", "billing"]
[teacher]
name = "big"
model = "big-1"
version = "1"
[gate]
margin = 0.05
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
"""
ITEMS = ("errors read by the owner", "licence shown to legal")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A student that is always right, evaluated, under standards with two items."""
    found = Desk(tmp_path)
    rows = [{"q": f"mail {i}", "gold": "shipping" if i % 2 else "billing"} for i in range(120)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        found.run("import", "--retrospective", "p", "rows.jsonl", "--prompt", "q", "--reference", "gold", "--split", "test",
                  "--output", "big=gold", "--output", "small=gold", "--teacher", "big", "--student", "small")  # fmt: skip
        me = found.json("whoami")["signs_as"]
        text = f"stewards = {json.dumps([me])}\n[review]\nchecklist = {json.dumps(ITEMS)}\n"
        (tmp_path / "standards.toml").write_text(text)
        (tmp_path / "contract.toml").write_text(CONTRACT)
        for words in (("standards", "lock"), ("contract", "lock"), ("evaluation", "freeze"), ("evaluate",)):
            found.run(*words)
        yield found
    finally:
        found.close()


def test_an_item_is_ticked_by_key_kept_over_a_dropped_line_and_on_record_with_the_decision(
    desk: Desk,
) -> None:
    with desk.console() as term:
        term.wait_for(r"p\b")
        term.send(b"gd")
        term.wait_for(r"\?checklist +errors read by the owner")
        term.send(b":ship\r")
        term.wait_for("ship is refused; t answers: errors read by the owner; licence shown to legal")
        term.send(b"t")
        term.wait_for("errors read by the owner — found:")
        term.send(b"40, none severe\r")
        term.wait_for(r"✓checklist +errors read by the owner: 40, none severe")
    with desk.console() as term:  # the line had dropped
        term.wait_for(r"p\b")
        term.send(b"gd")
        term.wait_for(r"✓checklist +errors read by the owner: 40, none severe")
        term.send(b"t")
        term.wait_for("licence shown to legal — found:")
        term.send(b"they agree\r")
        term.wait_for("goes on record")
        term.send(b":ship\r")
        term.wait_for("rationale:")
        term.send(b"all bars pass\r")
        term.wait_for("type p to decide")
        term.send(b"p\r")
        term.wait_for("decided: ship")
        term.wait_for(r"\?checklist +errors read by the owner")  # the next decision is asked anew
    desk.run("export", "--to", "out")
    (path,) = (desk.folder / "out").glob("*.json")
    record = json.loads(path.read_text())
    answers = ["40, none severe", "they agree"]
    assert record["standards"]["checklist"] == [
        {"item": item, "answer": answer} for item, answer in zip(ITEMS, answers, strict=True)
    ]
    assert desk.json("verify", str(path))["sound"]
