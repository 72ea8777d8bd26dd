"""Pieces of the screens that can be asked without a terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from console.gate_words import bar_name
from console.screens.decision import _agreement_line, gate_text
from console.screens.disagreements import last_words
from console.screens.home import command_of, next_stage, run_job
from console.screens.page import TOUR
from console.screens.queue import number, two_columns
from console.screens.review import packed, revealed
from engine.stages import STAGES


@pytest.mark.parametrize(
    ("have", "retrospective", "following"),
    [
        (set(), False, "import"),
        ({"import", "arrivals", "contract"}, False, "evaluation"),
        ({"import", "arrivals", "contract", "evaluation", "baselines"}, False, "generate"),
        ({"import", "arrivals", "outputs", "contract", "evaluation", "baselines"}, True, "check"),
        ({"import", "arrivals", "outputs"}, True, ""),  # the contract comes first
        ({*STAGES, "contract", "arrivals", "outputs"} - {"generate", "train"}, True, ""),
        ({*STAGES, "contract", "arrivals", "outputs"} - {"train"}, False, "train"),
    ],
)
def test_next_is_the_first_stage_that_can_be_and_makes_sense(
    have: set[str], retrospective: bool, following: str
) -> None:
    assert next_stage(have, retrospective=retrospective) == following


def test_a_measured_row_is_called_what_it_measures() -> None:
    assert bar_name({"kind": "p95_latency_ms", "slice": "all"}) == "p95 latency ms"
    assert bar_name({"kind": "margin", "slice": "VIP"}) == "VIP"


def test_what_reviewers_agree_on_is_rounded_and_not_cut() -> None:
    found = {"overlapped": 9, "alpha": "0.6669", "ac1": "0.0996", "positive_agreement": None, "pairs": 9,
             "pairs_alike": 8, "flagged_by_both": 0, "flagged_by_one": 1}  # fmt: skip
    assert "alpha 0.667, AC1 0.100, positive undefined" in _agreement_line(found).text
    row = {"kind": "margin", "slice": "VIP", "bar": "-0.03", "lower": "-0.209589", "upper": "0.1", "n": 64}
    assert gate_text(row) == "VIP: margin bar -0.03, bound -0.2096, n 64"
    cost = row | {"kind": "p95_latency_ms", "bar": "10", "upper": "0.613000"}
    assert "bound 0.6130" in gate_text(cost)  # the one that stays below the bar


def test_a_job_that_fails_says_why() -> None:
    assert run_job(["python3", "-c", "pass"]) == "done"
    told = run_job(["python3", "-c", "import sys; sys.exit('spiritsafe: no\\n  do this')"])
    assert told == "spiritsafe: no — do this"


def test_the_command_of_a_stage_is_what_one_would_type() -> None:
    assert [command_of(STAGES[name]) for name in ("dedup", "evaluation", "dataset")] == [
        "dedup", "evaluation freeze", "dataset freeze",
    ]  # fmt: skip


def test_what_is_known_stands_on_lines_that_break_no_item() -> None:
    items = [f"key{i} value{i}" for i in range(9)]
    for width in (10, 12, 40, 80):
        lines = packed(items, width)
        assert "  ".join(lines).split("  ") == items
        assert all(cell_len(line) <= max(width, 11) for line in lines)


def test_a_detail_that_lacks_what_the_hub_hid_is_shown_all_the_same() -> None:
    found = {"revealed": True, "verdicts": None, "outputs": [{"output_id": "x", "text": ""}]}
    assert list(revealed(found)) == ["model None"]
    assert list(revealed({"revealed": True, "verdicts": [("root", "ok", None, 1)]})) == ["", "root: ok"]


def test_numbers_and_columns_line_up() -> None:
    assert number(0, 1319) == "    1"
    assert number(1318, 1319) == "1,319"
    for left, right in (("a" * 99, "漢字" * 40), ("", ""), ("\x1b[2J", "tab\t")):
        assert cell_len(two_columns(left, right, 70)) == 70


def test_an_answer_ends_where_its_last_words_are() -> None:
    assert last_words("first\n\nA: 3\n\n") == "A: 3"
    assert last_words("") == ""


def test_the_tour_fits_the_smallest_usual_terminal() -> None:
    lines = TOUR.splitlines()
    assert len(lines) <= 22
    assert max(map(cell_len, lines)) <= 80


def test_an_answer_that_is_a_code_is_shown_with_the_label_that_it_stands_for() -> None:
    from console.screens.audit import Audit

    room = Audit()
    room.queue = {"codes": {"a12": "card_arrival"}}
    prompt = {"messages": None, "text": "Where is it?", "reference": None, "split": "train", "metadata": "{}"}
    detail = {
        "prompt": prompt,
        "outputs": [{"text": "a12", "logprobs": None}],
        "revealed": False,
        "comments": [],
    }
    assert room.sections(detail)[1].title == "output = card_arrival"
    assert room.meant(" a12\n") == " = card_arrival"
    assert room.meant("a12, or so") == ""
