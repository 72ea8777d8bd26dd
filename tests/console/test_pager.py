"""The pager under a real pty: bytes, pages, and what counts as seen."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.app import ComposeResult
from textual.pilot import Pilot

from console.text import cells
from console.widgets.frames import AHEAD, Frames, QuietApp
from console.widgets.pager import Pager

from .pty_harness import Terminal, key_bytes

ROOT = Path(__file__).parents[2]
DEMO = Path(__file__).with_name("pager_demo.py")
ENV = {"PYTHONPATH": str(ROOT)}


def demo(cols: int, rows: int, mode: str = "list", *, answers: bool = True) -> Terminal:
    term = Terminal([sys.executable, str(DEMO), mode], cols, rows, ENV, answers=answers)
    term.wait_for(r">\S? +0 task0")
    term.until_quiet(0.3)
    return term


@pytest.fixture
def wide() -> Iterator[Terminal]:
    with demo(120, 40) as term:
        yield term


@pytest.fixture
def small() -> Iterator[Terminal]:
    with demo(80, 24) as term:
        yield term


def test_a_move_a_mark_and_a_page_keep_their_bytes_on_a_wide_terminal(wide: Terminal) -> None:
    assert max(wide.bytes_for("down") for _ in range(8)) <= 60
    assert wide.bytes_for("a") <= 160
    assert max(wide.bytes_for("pagedown") for _ in range(3)) <= 5_400


def test_a_move_and_a_page_keep_their_bytes_on_a_small_terminal(small: Terminal) -> None:
    assert len(small.raw) <= 9_000
    assert max(small.bytes_for("down") for _ in range(8)) <= 60
    assert small.bytes_for("pagedown") <= 2_250


def test_an_idle_pager_writes_nothing(small: Terminal) -> None:
    small.keys("down pagedown")
    small.until_quiet(0.3)
    assert small.until_quiet(1.0) == 0


def test_the_page_flips_at_its_edge(small: Terminal) -> None:
    small.send(key_bytes("down") * 23)
    small.until_quiet()
    assert small.screen()[23].startswith("> ") or small.screen()[23].startswith(">·")
    small.keys("down")
    assert re.match(r">\S? +24 task3", small.screen()[0])
    small.keys("up")
    assert re.match(r">\S? +23 task2", small.screen()[23])


def test_end_and_home_reach_the_last_and_the_first_row(small: Terminal) -> None:
    small.keys("end")
    small.wait_for(r">\S? +999999 ")
    small.keys("home")
    small.wait_for(r">\S? +0 task0")


def test_a_resize_keeps_the_cursor_in_sight(wide: Terminal) -> None:
    wide.send(key_bytes("down") * 30)
    wide.resize(80, 12)
    wide.wait_for(r">\S? +30 ")


def test_a_verdict_marks_what_was_seen_and_moves_on(small: Terminal) -> None:
    small.keys("a x")
    screen = small.screen()
    assert screen[0].startswith(" a")
    assert screen[1].startswith(" x")
    assert screen[2].startswith("> ")


def test_a_held_key_accepts_nothing_unseen(small: Terminal) -> None:
    small.send(key_bytes("a") * 20)
    small.until_quiet(0.3)
    judged = sum(line.startswith((" a", ">a")) for line in small.screen())
    assert judged == 1


def test_a_terminal_that_answers_nothing_still_works() -> None:
    with demo(80, 24, answers=False) as term:
        term.keys("down down a pagedown")
        assert term.until_quiet(0.3) == 0
        term.send(key_bytes("pagedown") * 3)
        term.wait_for(r">\S? +96 ")


def test_moving_side_by_side_costs_at_most_three_kilobytes() -> None:
    with demo(120, 40, "side") as term:
        costs = [term.bytes_for("down", quiet=0.25) for _ in range(6)]
        assert max(costs) <= 3_000
        assert "answer" in term.text()


class Few(QuietApp[None]):
    """A pager nobody fetches rows for."""

    def compose(self) -> ComposeResult:
        yield Pager()

    def on_mount(self) -> None:
        self.pager = self.query_one(Pager)
        self.pager.focus()
        self.needs: list[tuple[int, int]] = []

    def on_pager_need(self, need: Pager.Need) -> None:
        self.needs.append((need.window_no, need.source))

    def lines(self) -> list[str]:
        return [self.pager.render_line(y).text.rstrip() for y in range(self.pager.size.height)]


def within(work: Callable[[Few, Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Few()
        async with app.run_test(size=(30, 6)) as pilot:
            await work(app, pilot)

    asyncio.run(run())


def test_hostile_and_wide_rows_stay_in_their_line() -> None:
    async def work(app: Few, pilot: Pilot[None]) -> None:
        rows = ["a\x1b[2Jb\nc\u202e", "漢" * 40, "x" * 1_000_000, "", "e\u0301" * 50]
        app.pager.set_source(5, lambda row, _width: row, lambda _row: "\x1b")
        app.pager.put(0, rows)
        await pilot.pause()
        assert app.lines()[0] == ">␛a␛[2Jb⏎c⟨U+202E⟩"
        assert {app.pager.render_line(y).cell_length for y in range(6)} == {30}
        assert {sum(cells(s.text) for s in app.pager.render_line(y)) for y in range(6)} == {30}

    within(work)


def test_rows_of_an_older_queue_are_dropped_and_none_is_judged_before_it_came() -> None:
    async def work(app: Few, pilot: Pilot[None]) -> None:
        app.pager.set_source(3, lambda row, _width: row, lambda _row: " ")
        await pilot.pause()
        app.pager.set_source(2, lambda row, _width: row, lambda _row: " ", titles=lambda _width: "text")
        await pilot.pause(0.05)
        app.pager.put(0, ["old"] * 3, app.needs[0][1])
        assert app.lines()[:3] == ["  text", "> …", "  …"]
        assert app.pager.painted is None
        app.pager.put(0, ["new", "rows"], app.needs[1][1])
        await pilot.pause(0.05)
        assert app.lines()[:3] == ["  text", "> new", "  rows"]
        assert app.pager.painted == 0

    within(work)


def test_an_empty_queue_has_no_position() -> None:
    async def work(app: Few, pilot: Pilot[None]) -> None:
        app.pager.set_source(0, lambda row, _width: row, lambda _row: " ")
        await pilot.press("down", "pagedown", "end", "home")
        assert app.pager.position is None
        assert app.pager.painted is None
        assert app.needs == []

    within(work)


def test_no_stale_frame_waits_behind_a_page_under_way() -> None:
    frames = Frames()
    assert frames.close(5_000)
    assert frames.busy
    assert not frames.answered(1.0)
    assert not frames.busy


def test_small_frames_flow_without_waiting() -> None:
    frames = Frames()
    frames.close(AHEAD // 2)
    assert not frames.busy
    assert not frames.close(AHEAD)
    assert frames.busy
    assert frames.answered(1.0)  # asks again for the second frame
    assert not frames.answered(2.0)


def test_what_was_seen_is_judged_by_when_the_key_was_pressed() -> None:
    frames = Frames()
    frames.close(10)
    frames.answered(100.0)
    frames.close(10)
    frames.answered(200.0)
    frames.key(150.0)
    assert frames.seen == 1
    frames.key(200.5)
    assert frames.seen == 2
    frames.key(50.0)
    assert frames.seen == 0


def test_the_widgets_load_nothing_heavy() -> None:
    code = (
        "import sys, console.widgets.pager, console.widgets.detail, console.widgets.diff, console.widgets.bars, "
        "console.widgets.line; print(*sorted(m for m in sys.modules if m.split('.')[0] in "
        "('duckdb', 'numpy', 'scipy', 'pandas', 'pyarrow', 'polars', 'sklearn', 'rapidfuzz')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENV)
    assert done.stdout.strip() == ""
