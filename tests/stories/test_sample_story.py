"""Every screen of the sample project, as a terminal shows it: the lines that must be there, and nothing beside them."""

from __future__ import annotations

import re
import unicodedata

import pytest
from rich.cells import cell_len

from console.actions import PLACES

from ..console.pty_harness import Terminal
from .desk import Desk

SIZES = ((80, 24), (120, 40))
SEEN = {
    "home": (r"support-desk \(retrospective\) · 0 verdicts", r"✓contract +locked, version 1", r"✓gate +fail"),
    "audit": (r"audit · 0 of 681 judged · ok 0 bad 0 unsure 0", r">   1 quiero mi dinero", r"681|a ok  1–9 bad  z unsure"),
    "duplicates": (r"duplicates · 0 of \d+ judged", r"group J    edit", r"a keep  r choose  n distinct"),
    "semantic": (r"spiritsafe semantic",),
    "coverage": (r"coverage by route × channel × tier · run \d+ \(dataset\) · \d+ missing", r"^.!shipp", r"^.-how_to"),
    "evaluation": (r"gate FAIL · attempt 1 of 3 · desk-student against", r"!all\* +FAIL +270", r"p95 latency ms", r"tdesk-teacher"),
    "disagreements": (r"disagreements · 0 of \d+ judged · right: teacher \d+", r'\{"route": "'),
    "decision": (r"decision · none on record yet", r"type :ship, :iterate or :kill", r"!gate +FAIL +all: margin", r"#ledger"),
    "ledger": (r"ledger · \d+ events here · chain of \d+ whole", r"> +\d+ 20\d\d-.* run.close"),
    "adjudicate": (r"adjudicate · 0 of 0 settled", r"Nothing is to be settled: nobody contradicts anybody"),
    "reviewers": (r"reviewers · 0 people", r"no unit was judged by two reviewers", r"nobody judged anything yet"),
}  # fmt: skip


def assert_fits(term: Terminal) -> None:
    """No line is longer than the terminal, and nothing on it is a control character."""
    lines = term.screen()
    assert len(lines) == term.rows
    for line in lines:
        assert cell_len(line) <= term.cols, line
        assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf")], line


@pytest.mark.parametrize(("cols", "rows"), SIZES)
def test_every_screen_shows_what_it_is_about_and_fits(shown: Desk, cols: int, rows: int) -> None:
    with shown.console(cols, rows) as term:
        term.wait_for(SEEN["home"][0])
        for letter, place in PLACES.items():
            term.send(f"g{letter}".encode())
            for pattern in SEEN[place]:
                term.wait_for(pattern)
            assert_fits(term)
            term.wait_for(r"\? help *$")


def test_a_tiny_terminal_still_judges(sample: Desk) -> None:
    with sample.console(60, 15) as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r">   1 quiero")
        assert_fits(term)
        term.until_quiet()
        term.send(b"a")
        term.wait_for(r"1 of 681 judged")
        term.wait_for(r">   2 ")
        assert_fits(term)


def test_a_huge_terminal_shows_list_and_detail_side_by_side(shown: Desk) -> None:
    with shown.console(200, 60) as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r">   1 quiero.* +prompt|prompt +prompt")
        term.wait_for(r"source, checks and others' verdicts: after yours")
        assert_fits(term)


def test_the_first_start_shows_one_screen_of_tour_and_only_once(shown: Desk) -> None:
    with shown.console(toured=False) as term:
        term.wait_for(r"may the small model replace the big one\?")
        assert_fits(term)
        assert not re.search("space: more", term.text())
        term.keys("q")
        term.wait_for(r"support-desk \(retrospective\)")
        term.keys("q")
        assert term.wait() == 0
    with shown.console(toured=False) as term:
        term.wait_for(r"support-desk \(retrospective\)")


def test_home_names_as_next_only_what_makes_sense(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        found = re.findall(r"^ ?\S?(\w+) +next: ", term.text(), re.MULTILINE)
        assert found == ["audit"]  # retrospective: answers and students came by import
        assert re.search(r"^  ?generate +ask the teacher", term.text(), re.MULTILINE)


def test_a_stage_runs_from_home_with_its_command_in_sight(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for(r"✓gate")
        term.send(b":7\r")
        term.wait_for(r">✓dedup")
        term.send(b"r")
        term.wait_for(r"run \(Enter starts it\): spiritsafe dedup")
        term.send(b"\r")
        term.wait_for(r"dedup: done")
        term.wait_for(r"dedup +\d+ prompt pairs .*\(run 2 times\)")


def test_what_is_typed_into_the_run_line_is_no_shell(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b":7\rr")
        term.wait_for(r"spiritsafe dedup")
        term.send(b"\x15; touch here\r")
        term.wait_for(r"not run: only stages run from here")


def test_help_lists_every_key_once_and_closes(shown: Desk) -> None:
    with shown.console(120, 40) as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for("quiero")
        term.send(b"?")
        term.wait_for(r"audit +\(q closes")
        keys = [line.split()[0] for line in term.screen()[2:] if line.startswith("  ") and line.strip()]
        assert len(keys) == len(set(keys))
        assert "space: more" not in term.text()  # two columns: all of it on one screen
        assert_fits(term)
        term.send(b"q")
        term.wait_for("quiero")


def test_guidelines_say_what_the_task_is_and_what_the_digits_mean(shown: Desk) -> None:
    with shown.console(120, 40) as term:
        term.wait_for(r"✓gate")
        term.send(b"i")
        term.wait_for(r"support desk routing|support-desk routing")
        term.send(b"  ")
        term.wait_for(r"1  wrong|9  prompt")


def test_g_waits_for_its_letter_and_an_unknown_one_does_nothing(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"g")
        term.wait_for(r"g….*h home.*l log")
        assert_fits(term)
        term.send(b"Z")
        term.wait_for(r"\? help")
        assert "✓gate" in term.text()
        term.send(b"ga")
        term.wait_for("quiero")
        term.until_quiet()
        term.send(b"ga")  # the letter of the room we are in: no verdict
        term.until_quiet()
        assert "0 of 681 judged" in term.text()


def test_a_number_jumps_and_the_line_closes_by_escape_and_by_backspace(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for("quiero")
        term.send(b":17\r")
        term.wait_for(r"> +17 ")
        for leave in (b"\x7f", b"\x1b"):
            term.send(b":")
            term.wait_for(r"^: *$")
            term.send(leave)
            term.wait_for(r"\? help *$")
        term.send(b":nonsense\r")
        term.wait_for(r":nonsense is no command")
        term.send(b"\x15\x7f:audit.bad\r")  # takes a digit, so it is no word to type
        term.wait_for(r":audit.bad is no command")
        assert "0 of 681 judged" in term.text()


def test_text_typed_ahead_of_an_opening_line_is_text(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for("quiero")
        term.until_quiet()
        term.send(b"ftier = vip\r")  # one packet: none of its letters is a verdict or another command
        term.wait_for(r"0 of \d+ judged · filter tier = vip")
        term.send(b"f\x15\r")
        term.wait_for(r"0 of 681 judged · ok")
        assert shown.verdicts() == []


def test_a_filter_that_is_wrong_or_finds_nothing_says_so(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for("quiero")
        term.send(b"ftier = \r")
        term.wait_for(r"(?i)expected|missing|end")
        term.wait_for(r"0 of 681 judged")
        term.send(b"f\x15source = production\r")
        term.wait_for(r"blind queue cannot be filtered")
        term.send(b"f\x15tier = nobody\r")
        term.wait_for(r"No row fits the filter: tier = nobody")
        term.send(b"f\x15\r")
        term.wait_for(r">   1 quiero")


def test_q_goes_back_and_from_home_leaves(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for("quiero")
        term.send(b"\r")
        term.wait_for(r"^output")
        term.send(b"q")
        term.wait_for(r">   1 quiero")
        term.send(b"q")
        term.wait_for(r"✓gate")
        term.send(b"q")
        assert term.wait() == 0


def test_ctrl_c_leaves_at_once(shown: Desk) -> None:
    with shown.console() as term:
        term.wait_for(r"✓gate")
        term.send(b"\x03")
        assert term.wait() == 0
