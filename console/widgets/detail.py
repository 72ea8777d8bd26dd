"""The sample beside or behind the list: titled sections of text, cut into lines only as far as looked at."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.text import as_chat, as_json, cells, fit, visible
from console.themes import SHAPES
from console.widgets.frames import QuietApp
from console.wrapped import Wrapped

View: TypeAlias = Literal["wrapped", "raw", "JSON", "chat"]
VIEWS: tuple[View, ...] = ("wrapped", "raw", "JSON", "chat")
Kind: TypeAlias = Literal["unsure", "very unsure", "insert", "delete", "shared", "hit"]
Range: TypeAlias = tuple[int, int, Kind]

PLAIN, TITLE = Style(), Style(bold=True)
UNSURE, VERY_UNSURE = -0.1054, -0.6931  # log 0.9, log 0.5
LEGEND = "underlined: p < 0.9 · bold: p < 0.5"
MOST_HITS = 2_000  # marked in one text


@dataclass(frozen=True, slots=True)
class Section:
    """A titled text. ``ranges`` style parts of it (offsets into ``visible(text, lines=True)``).

    ``tokens`` are (token, natural log of its probability) where the model gave them; they shade the text.
    ``layout(width)`` replaces text and ranges by what suits the width (a diff in two columns).
    """

    title: str
    text: str
    ranges: tuple[Range, ...] = ()
    tokens: tuple[tuple[str, float], ...] = ()
    layout: Callable[[int], tuple[str, tuple[Range, ...]]] | None = None


def shaded(tokens: Sequence[tuple[str, float]]) -> tuple[str, tuple[Range, ...]]:
    """Return the visible text of tokens and the ranges of the unsure ones.

    >>> shaded([("Paris", -0.01), (" or", -1.2), (" so", -0.2)])
    ('Paris or so', ((5, 8, 'very unsure'), (8, 11, 'unsure')))
    """
    ranges: list[Range] = []
    pieces: list[str] = []
    at = 0
    for token, logprob in tokens:
        piece = visible(token, lines=True)
        pieces.append(piece)
        if logprob < UNSURE:
            ranges.append((at, at + len(piece), "very unsure" if logprob < VERY_UNSURE else "unsure"))
        at += len(piece)
    return "".join(pieces), tuple(ranges)


def with_hits(text: str, ranges: tuple[Range, ...], needle: str) -> tuple[Range, ...]:
    """The ranges of a text with every occurrence of ``needle`` marked, in any case; a hit covers what it stands on.

    >>> with_hits("Red or red", ((0, 6, "unsure"),), "red")
    ((0, 3, 'hit'), (3, 6, 'unsure'), (7, 10, 'hit'))
    """
    if not needle:
        return ranges
    found = re.finditer(re.escape(visible(needle, lines=True)), text, re.IGNORECASE)
    hits: list[Range] = [(m.start(), m.end(), "hit") for m, _ in zip(found, range(MOST_HITS), strict=False)]
    if not ranges or not hits:
        return tuple(hits) or ranges
    out, starts, ends = list(hits), [h[0] for h in hits], [h[1] for h in hits]
    for lo, hi, kind in ranges:
        at = lo
        for i in range(bisect_right(ends, lo), bisect_left(starts, hi)):
            out += [(at, starts[i], kind)] if at < starts[i] else []
            at = max(at, ends[i])
        out += [(at, hi, kind)] if at < hi else []
    return tuple(sorted(out))


def line_at(body: Wrapped, offset: int) -> int:
    """The line on which a character stands, cut as far as that."""
    while not body.complete and (not body.ends or body.ends[-1] <= offset):
        body.reach(body.known + 64)
    return max(0, bisect_right(body.starts, offset) - 1)


@dataclass(slots=True)
class _Part:
    """A section laid out: its heading, its lines, its styled ranges by start."""

    title: str
    body: Wrapped
    ranges: tuple[Range, ...] = ()
    ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ends = [end for _, end, _ in self.ranges]

    def mark(self, needle: str) -> None:
        """Mark where ``needle`` stands."""
        self.ranges = with_hits(self.body.text, self.ranges, needle)
        self.ends = [end for _, end, _ in self.ranges]

    def segments(self, i: int, styles: Mapping[str, Style]) -> list[Segment]:
        """Line ``i`` of the body as segments."""
        text, start = self.body.line(i), self.body.starts[i]
        stop, at, out = self.body.ends[i], start, []
        for lo, hi, kind in self.ranges[bisect_right(self.ends, start) :]:
            if lo >= stop:
                break
            first, last = max(lo, at), min(hi, stop)
            out += [
                Segment(text[at - start : first - start], PLAIN),
                Segment(text[first - start : last - start], styles[kind]),
            ]
            at = last
        out.append(Segment(text[at - start :], PLAIN))
        return [segment for segment in out if segment.text]


class Detail(Widget, can_focus=True):
    """A scrolling text that repaints only the lines that differ, and knows whether all of it was shown."""

    DEFAULT_CSS = "Detail { height: 1fr; background: transparent; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "scroll(1)", "scroll", id="detail.down", show=False),
        Binding("b", "scroll(-1)", "back", id="detail.up", show=False),
        Binding("t", "view", "text view", id="detail.view", show=False),
    ]

    class Seen(Message):
        """The whole text of ``key`` has been scrolled through."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.key: Hashable = None
        self.view: View = "wrapped"
        self.whole_seen = False
        self._sections: Sequence[Section] = ()
        self._parts: list[_Part] = []
        self._top = self._seen_to = 0
        self._rows: list[list[Segment]] = []
        self._drawn: deque[tuple[int, Hashable]] = deque(maxlen=16)
        self._needle = ""

    def show(self, key: Hashable, sections: Sequence[Section], needle: str = "") -> None:
        """Show sections from their top; ``key`` says of what they are; ``needle`` is marked wherever it stands."""
        if key != self.key:
            self.key, self.whole_seen = key, False
        self._sections, self._needle = sections, needle
        self._lay_out()

    def show_hit(self) -> None:
        """Scroll to the first marked occurrence, where it is below what is shown."""
        at = 0
        for i, part in enumerate(self._parts):
            at += 2 if i else 1
            first = next((lo for lo, _, kind in part.ranges if kind == "hit"), None)
            if first is not None:
                at += line_at(part.body, first)
                if at >= self._top + self._body_height():
                    self.scroll_lines(at - self._top - 2)
                return
            at += part.body.count()

    @property
    def painted(self) -> Hashable:
        """The key whose text stood on the screen when the current key was pressed, or ``None``."""
        app = self.app
        limit = app.frames.seen if isinstance(app, QuietApp) else None
        return next((key for frame, key in reversed(self._drawn) if limit is None or frame <= limit), None)

    def set_view(self, view: View) -> None:
        """Show the texts wrapped at words, raw (cut at the edge, breaks shown), as JSON or as chat."""
        self.view = view
        self._lay_out()

    def action_view(self) -> None:
        """Go to the next view."""
        self.set_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def action_scroll(self, pages: int) -> None:
        """Scroll by pages, one line kept in sight."""
        self.scroll_lines(pages * max(1, self._body_height() - 1))

    def scroll_lines(self, lines: int) -> None:
        """Scroll by lines; not beyond the end."""
        height = self._body_height()
        top = max(0, self._top + lines)
        known = self._reach(top + height)
        self._top = min(top, max(0, known - height))
        self._repaint()

    # ---- lines

    def _lay_out(self) -> None:
        width = max(2, self.size.width)
        self._parts = [self._part(section, width) for section in self._sections]
        for part in self._parts:
            part.mark(self._needle)
        self._top = self._seen_to = 0
        self._repaint()

    def _part(self, section: Section, width: int) -> _Part:
        title = visible(section.title)
        if self.view == "raw":
            return _Part(
                title + " · raw",
                Wrapped(visible(section.text, lines=True).replace("\n", "⏎\n"), width, words=False),
            )
        if self.view != "wrapped":
            found = as_json(section.text) if self.view == "JSON" else as_chat(section.text)
            note = f" · {self.view}" if found is not None else f" · no {self.view}"
            return _Part(
                title + note, Wrapped(visible(section.text if found is None else found, lines=True), width)
            )
        if section.layout is not None:
            text, ranges = section.layout(width)
            return _Part(title, Wrapped(text, width), ranges)
        if section.tokens:
            text, ranges = shaded(section.tokens)
            if "".join(token for token, _ in section.tokens) == section.text:
                return _Part(f"{title} · {LEGEND}", Wrapped(text, width), ranges)
            title += " · confidences do not match the text"
        return _Part(title, Wrapped(visible(section.text, lines=True), width), section.ranges)

    def _reach(self, lines: int) -> int:
        """Cut until ``lines`` lines of all sections are known; return how many are, all of them if complete."""
        known = 0
        for i, part in enumerate(self._parts):
            known += (2 if i else 1) + part.body.reach(max(1, lines - known))
        return known

    @property
    def _complete(self) -> bool:
        return all(part.body.complete for part in self._parts)

    def _line(self, number: int) -> list[Segment]:
        for i, part in enumerate(self._parts):
            blank = 1 if i else 0
            if number < blank:
                return []
            number -= blank
            if number == 0:
                return [Segment(fit(part.title, self.size.width).rstrip(), TITLE)]
            number -= 1
            if number < part.body.reach(number + 1):
                return part.segments(number, self._styles)
            number -= part.body.known
        return []

    @property
    def _styles(self) -> Mapping[str, Style]:
        app = self.app
        return app.palette.ranges if isinstance(app, QuietApp) else SHAPES

    # ---- painting

    def repaint(self) -> None:
        """Paint all anew: the colours are others."""
        self._rows = []
        self._repaint()

    def on_resize(self, _event: Resize) -> None:
        """Lay out for the new width; what was seen stays seen."""
        self._rows = []
        self._lay_out()

    def _body_height(self) -> int:
        """Rows for text: one is kept for the marker where the text is longer than the widget."""
        height = self.size.height
        return height if self._reach(height + 1) <= height and self._complete else max(1, height - 1)

    def _repaint(self) -> None:
        width, height = self.size
        if not width or not height:
            return
        body = self._body_height()
        known = self._reach(self._top + body + 1)
        rows = [self._line(self._top + y) for y in range(body)]
        self._note_seen(body, known)
        if body < height:
            rows.append([Segment(fit(self._marker(body, known), width).rstrip(), TITLE)])
        old, self._rows = self._rows, rows
        if len(old) != height:
            self.refresh()
            return
        regions = [
            Region(0, y, max(1, _spoilt(old[y], width), _spoilt(rows[y], width)), 1)
            for y in range(height)
            if old[y] != rows[y] or not y  # the first line always: its frame tells which sample was seen
        ]
        self.refresh(*regions)

    def _note_seen(self, body: int, known: int) -> None:
        if self._top <= self._seen_to:
            self._seen_to = max(self._seen_to, self._top + body)
        if self._parts and not self.whole_seen and self._complete and self._seen_to >= known:
            self.whole_seen = True
            self.post_message(self.Seen(self.key))

    def _marker(self, body: int, known: int) -> str:
        last = min(self._top + body, known)
        of = str(known) if self._complete else f"{known}+"
        state = "■ whole text seen" if self.whole_seen else "▼ space: more"
        return f"{state} · line {last} of {of}"

    def render_line(self, y: int) -> Strip:
        """Return line ``y``, padded."""
        width = self.size.width
        if y >= len(self._rows):
            return Strip.blank(width)
        if y == 0:
            self._note_drawn()
        used = _reach_of(self._rows[y])
        pad = [Segment(" " * (width - used), PLAIN)] if used < width else []
        return Strip([*self._rows[y], *pad], max(width, used))

    def _note_drawn(self) -> None:
        app = self.app
        frame = app.frames.sent + 1 if isinstance(app, QuietApp) else 0
        if not self._drawn or self._drawn[-1] != (frame, self.key):
            self._drawn.append((frame, self.key))


def _spoilt(segments: list[Segment], width: int) -> int:
    """How far a line may reach on a terminal that measures wide and combining characters otherwise than we do."""
    reach = _reach_of(segments)
    return reach if reach == sum(len(segment.text) for segment in segments) else width


def _reach_of(segments: list[Segment]) -> int:
    return sum(cells(segment.text) for segment in segments)
