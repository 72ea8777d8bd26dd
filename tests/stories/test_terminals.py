"""Other terminals than the good one: no colour, sixteen colours, none at all."""

from __future__ import annotations

import re

import pytest

from .desk import Desk

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
