"""The table of actions: what the keys do is said once and holds everywhere."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from console import actions
from console.screens import ROOMS, make_room

SCREENS = tuple(actions.GROUPS)


def test_the_table_has_no_conflicts_and_two_on_one_key_would_be_named() -> None:
    assert actions.conflicts() == []
    double = actions.Action("other", "audit", "a", "a", "another", "x")
    assert actions.conflicts([*actions.ACTIONS, double]) == ["audit: a is both audit.ok and other"]


@pytest.mark.parametrize("name", SCREENS)
def test_every_action_of_a_screen_has_a_method_behind_it(name: str) -> None:
    place = make_room(name)
    for action in actions.of_screen(name):
        method = action.call.split("(")[0]
        if not method.startswith("app."):
            assert hasattr(place, f"action_{method}"), (name, action.id)


@pytest.mark.parametrize("name", SCREENS)
def test_every_binding_has_an_id_of_its_own_and_a_key_of_its_own(name: str) -> None:
    made = actions.bindings(name)
    assert len({b.id for b in made}) == len(made)
    assert len({b.key for b in made}) == len(made)


def test_every_place_has_a_room_and_a_letter() -> None:
    assert set(actions.PLACES.values()) == set(ROOMS) == set(actions.GROUPS)


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_footer_fits_ends_with_help_and_cuts_no_word(name: str, width: int) -> None:
    text = actions.footer(name, width)
    assert cell_len(text) <= width
    assert text.endswith(actions.LAST)
    known = {f"{a.shown} {a.footer}" for a in actions.ACTIONS}
    assert set(text.split("  ")) <= known


@pytest.mark.parametrize("width", [80, 120])
def test_the_places_behind_g_fit(width: int) -> None:
    text = actions.places(width)
    assert cell_len(text) <= width
    assert all(f"{letter} " in text for letter in actions.PLACES)


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("width", [80, 120])
def test_help_names_every_key_once_and_fits(name: str, width: int) -> None:
    lines = actions.help_lines(name, width)
    assert max(map(cell_len, lines)) <= width
    shown = [a.shown for a in actions.of_screen(name) if a.shown]
    assert len(shown) == len(set(shown))
    for a in actions.of_screen(name):
        assert not a.shown or sum(a.help in line for line in lines) == 1, a.id
    if width >= 120:
        assert len(lines) <= 38


def test_where_two_groups_want_a_key_the_screens_own_wins() -> None:
    keys = {b.key: b.action for b in actions.bindings("duplicates")}
    assert keys["n"] == "judge('distinct')"
    assert keys["r"] == "judge('choose')"
    assert {b.key: b.action for b in actions.bindings("audit")}["n"] == "again(1)"
    assert {b.key: b.action for b in actions.bindings("audit")}["3"] == "judge_bad(3)"
