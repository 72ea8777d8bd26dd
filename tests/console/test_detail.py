"""The detail: what is shown, what was seen, what is sure; and the bar that takes every key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.app import ComposeResult
from textual.pilot import Pilot

from console.widgets.detail import Detail, Section, shaded
from console.widgets.diff import inline, word_diff
from console.widgets.frames import QuietApp
from console.widgets.line import LineBar


class Bench(QuietApp[None]):
    """One detail and one bar."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield Detail()
        yield LineBar()

    def on_line_bar_submitted(self, message: LineBar.Submitted) -> None:
        self.got.append(("submitted", message.text))

    def on_line_bar_cancelled(self, message: LineBar.Cancelled) -> None:
        self.got.append(("cancelled", message.text))


def within(work: Callable[[Bench, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (40, 13)) -> None:
    async def run() -> None:
        app = Bench()
        async with app.run_test(size=size) as pilot:
            await work(app, pilot)

    asyncio.run(run())


def lines(app: Bench) -> list[str]:
    detail = app.query_one(Detail)
    return [detail.render_line(y).text.rstrip() for y in range(detail.size.height)]


def test_a_short_text_is_seen_whole_at_once() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        app.query_one(Detail).show(1, [Section("prompt", "what is it?"), Section("answer", "a\x1bcat")])
        await pilot.pause()
        assert lines(app)[:5] == ["prompt", "what is it?", "", "answer", "a␛cat"]
        assert app.query_one(Detail).whole_seen

    within(work)


def test_a_long_text_counts_as_seen_only_when_scrolled_through() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        detail = app.query_one(Detail)
        detail.show(1, [Section("answer", "word " * 300)])
        detail.focus()
        await pilot.pause()
        assert not detail.whole_seen
        assert lines(app)[-1].startswith("▼ space: more")
        await pilot.press("space")
        assert not detail.whole_seen
        for _ in range(8):
            await pilot.press("space")
        assert detail.whole_seen
        assert lines(app)[-1].startswith("■ whole text seen")
        await pilot.press("b")
        assert detail.whole_seen
        detail.show(2, [Section("answer", "word " * 300)])
        assert not detail.whole_seen

    within(work)


def test_leaping_to_the_end_is_not_seeing_the_whole() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        detail = app.query_one(Detail)
        detail.show(1, [Section("answer", "word " * 900), Section("notes", "end")])
        await pilot.pause()
        detail.scroll_lines(10_000)
        assert not detail.whole_seen
        assert "whole text seen" not in lines(app)[-1]
        detail.scroll_lines(-10_000)
        assert not detail.whole_seen

    within(work)


def test_a_megabyte_in_one_line_is_cut_only_where_looked_at() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        detail = app.query_one(Detail)
        detail.show(1, [Section("answer", "x" * 1_000_000), Section("notes", "end")])
        await pilot.pause()
        assert detail._parts[0].body.known < 100
        assert not detail.whole_seen

    within(work)


def test_the_views_show_the_same_text_wrapped_raw_and_as_json() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        detail = app.query_one(Detail)
        detail.show(1, [Section("answer", '{"a": 1,\n"b": 2}')])
        await pilot.pause()
        detail.set_view("raw")
        assert lines(app)[:3] == ["answer · raw", '{"a": 1,⏎', '"b": 2}']
        detail.set_view("JSON")
        assert lines(app)[1:5] == ["{", '  "a": 1,', '  "b": 2', "}"]
        detail.set_view("chat")
        assert lines(app)[0] == "answer · no chat"

    within(work)


def test_unsure_tokens_are_underlined_and_the_legend_says_so() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        tokens = (("Paris", -0.01), (" or", -1.2), (" so", -0.2))
        app.query_one(Detail).show(1, [Section("answer", "Paris or so", tokens=tokens)])
        await pilot.pause()
        strip = app.query_one(Detail).render_line(1)
        styled = {
            seg.text: (bool(seg.style.underline), bool(seg.style.bold))
            for seg in strip
            if seg.style is not None
        }
        assert styled["Paris"] == (False, False)
        assert styled[" or"] == (True, True)
        assert styled[" so"] == (True, False)
        assert "underlined" in lines(app)[0]

    within(work, (60, 13))


def test_confidences_of_another_text_are_not_drawn() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        app.query_one(Detail).show(1, [Section("answer", "other", tokens=(("Paris", -3.0),))])
        await pilot.pause()
        assert "do not match" in lines(app)[0]
        assert lines(app)[1] == "other"

    within(work, (60, 13))


def test_a_diff_shows_in_the_detail_with_its_marks() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        text, ranges = inline(word_diff("a red cat", "a blue cat"))
        app.query_one(Detail).show(1, [Section("diff", text, ranges=ranges)])
        await pilot.pause()
        assert lines(app)[1] == "a [-red-]{+blue+} cat"

    within(work)


def test_ranges_follow_escaped_text() -> None:
    text, ranges = shaded([("a\x1b", -0.01), ("\u202e", -2.0)])
    assert [text[a:b] for a, b, _ in ranges] == ["⟨U+202E⟩"]


def test_the_bar_takes_letters_that_are_commands_elsewhere() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        bar = app.query_one(LineBar)
        bar.open("/")
        bar.focus()
        await pilot.press("q", "u", "space", "j", "left", "x", "enter")
        assert app.got == [("submitted", "qu xj")]
        assert bar.render_line(0).text.startswith("/ qu xj")

    within(work)


def test_the_bar_remembers_completes_and_cancels() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        bar = app.query_one(LineBar)
        bar.open("filter:", complete=lambda _text, _column: ["score", "slice"])
        bar.focus()
        await pilot.press("tab")
        assert bar.text == "s"
        await pilot.press("l", "enter", "ctrl+u", "up")
        assert bar.text == "sl"
        bar.complete = lambda _text, _column: ["slice"]
        await pilot.press("tab")
        assert bar.text == "slice"
        await pilot.press("ctrl+w", "backspace")
        await pilot.pause()
        assert app.got == [("submitted", "sl"), ("cancelled", "")]

    within(work)


def test_wide_and_hostile_text_does_not_break_the_bar() -> None:
    async def work(app: Bench, pilot: Pilot[None]) -> None:
        bar = app.query_one(LineBar)
        bar.open(":", "漢字\u202e" * 30)
        await pilot.pause()
        assert bar.render_line(0).cell_length == 40
        bar.first()
        assert bar.render_line(0).cell_length == 40

    within(work)
