"""One line of text: the header above a screen, the footer below it. Repaints only what differs."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.text import fit, visible


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
        same = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
        )
        if old[:same].isascii():
            self.refresh(Region(same, 0, max(len(old), len(new)) * 2 - same, 1))
        else:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line, padded."""
        width = self.size.width
        return Strip([Segment(fit(self.text, width) if y == 0 else " " * width, self._style)], width)
