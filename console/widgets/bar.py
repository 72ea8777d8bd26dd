"""One line of text: the header above a screen, the footer below it. Repaints only what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.text import cells, fit, visible

Part: TypeAlias = tuple[int, str]  # how important (0: the last to go), text
SEPARATOR = " · "


def fitted(parts: Sequence[Part], width: int) -> str:
    """Parts on one line: where they do not fit, the least important go, of equals the last first; none is cut.

    >>> fitted([(0, "audit"), (1, "3 of 9 judged"), (3, "desk"), (2, "ok 2")], 30)
    'audit · 3 of 9 judged · ok 2'
    """
    kept = [part for part in parts if part[1]]
    while len(kept) > 1 and cells(SEPARATOR.join(text for _, text in kept)) > width:
        kept.pop(max(range(len(kept)), key=lambda i: (kept[i][0], i)))
    return SEPARATOR.join(text for _, text in kept)


def parts_of(text: str) -> list[Part]:
    """The parts of a line written with separators: each less important than the one before it."""
    return list(enumerate(text.split(SEPARATOR)))


class Bar(Widget):
    """A line; ``show`` replaces it."""

    DEFAULT_CSS = "Bar { height: 1; background: transparent; }"

    def __init__(self, style: Style, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._style = style
        self.text = ""

    def show(self, text: str) -> None:
        """Show another text."""
        old, new = self.text, visible(text)
        if old == new:
            return
        self.text = new
        if cells(old) != len(old) or cells(new) != len(
            new
        ):  # wide characters: where columns are is not known
            self.refresh()
            return
        width = max(len(old), len(new))
        was, now = old.ljust(width), new.ljust(width)
        first = next(i for i in range(width) if was[i] != now[i])
        last = next(i for i in range(width - 1, -1, -1) if was[i] != now[i])
        self.refresh(Region(first, 0, last + 1 - first, 1))

    def render_line(self, y: int) -> Strip:
        """The line, padded."""
        width = self.size.width
        return Strip([Segment(fit(self.text, width) if y == 0 else " " * width, self._style)], width)


class Header(Bar):
    """The line above a room: its parts, as many as fit. ``notes`` stand behind the first part, ``tail`` at the end."""

    def __init__(self, style: Style, *, id: str | None = None) -> None:
        super().__init__(style, id=id)
        self.notes: tuple[Part, ...] = ()
        self.tail: tuple[Part, ...] = ()
        self._parts: Sequence[Part] = ()

    def show(self, text: str | Sequence[Part]) -> None:
        """Show other parts; of a text, what stands between its separators."""
        self._parts = parts_of(text) if isinstance(text, str) else text
        self._fit()

    def on_resize(self, _event: Resize) -> None:
        """More or fewer parts."""
        self._fit()

    def _fit(self) -> None:
        if self._parts:
            parts = (*self._parts[:1], *self.notes, *self._parts[1:], *self.tail)
            shown = [(n, visible(text)) for n, text in parts]
            super().show(fitted(shown, self.size.width or self.app.size.width))
