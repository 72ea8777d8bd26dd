"""Themes: what is coloured can be read, and nothing but colour is lost without it."""

from __future__ import annotations

import pytest

from console.themes import ROLES, SHAPES, SIXTEEN, THEMES, VGA, XTERM, Theme, contrast, depth_of, palette, rgb
from store.errors import UsageError
from store.queue_letters import LETTERS

READABLE = 4.5  # WCAG 2.2, 1.4.3 (AA)


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda t: t.name)
@pytest.mark.parametrize("sixteen", [XTERM, VGA], ids=["xterm", "vga"])
def test_every_pair_of_colours_can_be_read(theme: Theme, sixteen: tuple[tuple[int, int, int], ...]) -> None:
    for role, (front, back) in theme.paints.items():
        assert front is not None
        grounds = theme.grounds if back is None else (rgb(back, sixteen),)
        assert grounds, (theme.name, role, "has neither a background of its own nor one that it is made for")
        ratio = min(contrast(rgb(front, sixteen), ground) for ground in grounds)
        assert ratio >= READABLE, (theme.name, role, round(ratio, 2))


def test_good_and_bad_differ_for_the_colour_blind_also_in_lightness_or_hue() -> None:
    paints = THEMES["colour-blind"].paints
    good, bad = (rgb(paints[role][1] or 0) for role in ("good", "bad"))
    assert good[2] > good[0]  # blue against orange: told apart by all three kinds of dichromats
    assert bad[0] > bad[2]


@pytest.mark.parametrize("name", THEMES)
def test_without_colours_every_theme_is_its_shapes(name: str) -> None:
    found = palette(name, 0)
    assert found.marks == {}
    assert found.ranges == SHAPES
    assert all(style.color is None and style.bgcolor is None for style in found.ranges.values())


@pytest.mark.parametrize("name", THEMES)
def test_sixteen_colours_are_enough_for_every_theme(name: str) -> None:
    found = palette(name, 16)
    for style in [*found.marks.values(), *found.ranges.values()]:
        for colour in (style.color, style.bgcolor):
            assert colour is None or (colour.number is not None and colour.number < 16)


def test_every_verdict_letter_has_a_role_or_tells_no_good_from_bad() -> None:
    letters = {*LETTERS.values(), *"123456789"}
    assert letters - ROLES.keys() == {
        "<",
        ">",
        "r",
        "n",
    }  # left, right, choose, distinct: neither good nor bad
    assert {ROLES[c] for c in "✓!?"} == {"good", "bad", "open"}
    assert SIXTEEN.keys() == THEMES["dark"].paints.keys() == THEMES["colour-blind"].paints.keys()


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no theme 'pink'"):
        palette("pink", 256)


@pytest.mark.parametrize(
    ("env", "depth"),
    [
        ({"TERM": "xterm-256color"}, 256), ({"TERM": "tmux-256color"}, 256), ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16), ({"TERM": "xterm", "COLORTERM": "truecolor"}, 256), ({"TERM": "dumb"}, 0), ({}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 0), ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
    ],
)  # fmt: skip
def test_the_terminal_says_how_many_colours_it_has(env: dict[str, str], depth: int) -> None:
    assert depth_of(env) == depth
