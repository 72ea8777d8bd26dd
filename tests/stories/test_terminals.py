"""Other terminals than the good one: no colour, sixteen colours, none at all."""

from __future__ import annotations

import re

import pytest

from ..console.pty_harness import Terminal
from .desk import Desk

SGR = re.compile(rb"\x1b\[([0-9;]*)m")
COLOUR = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;[25]|4[0-7]|48;[25])[0-9;]*m")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}])
def test_every_state_is_a_letter_so_that_no_colour_is_needed(sample: Desk, env: dict[str, str]) -> None:
    with sample.console(80, 24, **env) as term:
        term.wait_for(r"✓gate")
        term.send(b"ga")
        term.wait_for(r"> +1 ")
        term.until_quiet()
        term.send(b"3")
        term.wait_for(r"^ 3 +1 ")
        term.send(b"ge")
        term.wait_for(r"!all\* +FAIL")
        black = re.search(rb"\x1b\[[0-9;]*30[;m]|\x1b\[[0-9;]*38;2;0;0;0", bytes(term.raw))
        assert not black  # nothing is written in black on a background that we do not know
        if "NO_COLOR" in env:
            assert not COLOUR.search(bytes(term.raw))


def test_plain_prints_every_screen_in_short(shown: Desk) -> None:
    told = shown.run("console", "--plain")
    for name in (
        "home: support-desk",
        "evaluation: gate FAIL",
        "coverage: coverage by",
        "decision: decision",
    ):
        assert f"\n{name}" in told
    assert re.search(r"audit: 0 of 681 judged", told)
    assert re.search(r"… and \d+ more: spiritsafe report coverage", told)
    sections = re.split(r"\n\n", told)
    assert max(section.count("\n") for section in sections) <= 15
    assert max(map(len, told.splitlines())) <= 200


def test_without_a_terminal_the_console_prints_instead(shown: Desk) -> None:
    assert shown.run() == shown.run("console", "--plain")


def colours(raw: bytes) -> set[str]:
    """The colour codes among all styles that were written; 39 and 49 are the terminal's own."""
    found: set[str] = set()
    for codes in SGR.findall(raw):
        parts = codes.decode().split(";")
        if parts[0] in ("38", "48") or any(part in ("38", "48") for part in parts):
            found.add("256")
        found |= {part for part in parts if re.fullmatch(r"3[0-7]|4[0-7]|9[0-7]|10[0-7]", part)}
    return found


def judged_and_compared(term: Terminal) -> None:
    """Everything that a theme colours: a good and a bad mark, a diff, gate rows, a search hit."""
    term.wait_for(r"✓gate")
    term.send(b"ga")
    term.wait_for(r"> +1 ")
    for n, key in enumerate((b"a", b"3", b"z"), 1):
        term.until_quiet()
        term.send(key)
        term.wait_for(rf"{n} of 681 judged")
    term.send(b"/card\r")
    term.wait_for("'card' in row")
    term.send(b"\r")
    term.wait_for("^prompt")
    term.send(b"ge")
    term.wait_for(r"!all\* +FAIL")
    term.send(b"gp")
    term.wait_for("duplicates · 0 of")
    term.until_quiet()
    term.send(b"\r")
    term.wait_for(r"\[-.*-\]")
    term.until_quiet()


@pytest.mark.parametrize("theme", ["light", "dark", "colour-blind", "16"])
def test_a_theme_colours_marks_beside_their_letters_and_a_line_without_colour_gets_none(
    sample: Desk, theme: str
) -> None:
    words = ("console", "--theme", theme)
    with sample.console(80, 24, *words) as term:
        judged_and_compared(term)
        assert colours(bytes(term.raw))
        term.send(b"gaqgg")
        term.wait_for(r"^>a +1 ")
        term.wait_for(r"^ 3 +2 ")
        term.wait_for(r"^ z +3 ")
    with sample.console(80, 24, *words, TERM="xterm") as term:
        term.wait_for(r"^.a +1 ")
        term.send(b"ge")
        term.wait_for(r"gate FAIL")
        term.send(b"ga")
        term.wait_for(r"^.a +1 ")
        term.until_quiet()
        found = colours(bytes(term.raw))
        assert found
        assert "256" not in found  # sixteen colours are all it has
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}):
        with sample.console(80, 24, *words, **env) as term:
            term.wait_for(r"^.a +1 ")
            term.send(b"ge")
            term.wait_for(r"gate FAIL")
            term.send(b"ga")
            term.wait_for(r"^.a +1 ")
            term.until_quiet()
            assert colours(bytes(term.raw)) == set()


def test_the_usual_theme_writes_no_colour_and_one_chosen_stays(sample: Desk) -> None:
    with sample.console() as term:
        judged_and_compared(term)
        assert colours(bytes(term.raw)) == set()
        term.send(b"gaqgg")
        term.wait_for(r"^>a +1 ")
        term.send(b":theme nice\r")
        term.wait_for(r"no theme 'nice'; there are default, light, dark, colour-blind, 16")
        term.send(b":theme dark\r")
        term.wait_for(r"theme dark: for a dark background")
        term.until_quiet()
        assert colours(bytes(term.raw)) == {"256"}
    with sample.console() as term:
        term.wait_for(r"✓gate|^.a +1 ")
        term.until_quiet(0.3)
        assert colours(bytes(term.raw)) == {"256"}


def test_colours_keep_the_budgets_of_the_line(sample: Desk) -> None:
    with sample.console(80, 24, "console", "--screen", "audit", SPIRITSAFE_THEME="colour-blind") as term:
        term.wait_for(r"> +1 ")
        term.until_quiet(0.4)
        term.bytes_for("a", quiet=0.25)  # the first says once that it was judged from the list
        term.bytes_for("j")
        marks = [term.bytes_for(key, quiet=0.25) for key in ("a", "3", "z", "a", "1")]
        assert max(marks) <= 160, marks
        assert max(term.bytes_for(key) for key in ("k", "k", "k", "j", "j")) <= 60
        term.send(b"G")
        term.until_quiet()
        assert term.bytes_for("home") <= 2_250


def test_a_theme_that_is_none_is_refused_before_anything_opens(shown: Desk) -> None:
    with shown.console(80, 24, "console", "--theme", "pink") as term:
        term.wait_for(r"no theme 'pink'")
        assert term.wait() == 2
