"""A page of text over the room: help, guidelines. Any of q, Esc, Enter, backspace closes it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from console.widgets.detail import Detail, Section
from console.widgets.frames import QuietScreen


class Page(QuietScreen[None]):
    """Text to read and close."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,enter,backspace,question_mark,i", "close", "close", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        title, _, body = text.partition("\n")
        self._section = Section(f"{title}   (q closes, space scrolls)", body.lstrip("\n"))

    def compose(self) -> ComposeResult:
        """The text."""
        yield Detail()

    def on_mount(self) -> None:
        """Show it."""
        detail = self.query_one(Detail)
        detail.show("page", [self._section])
        detail.focus()

    def action_scroll(self, lines: int) -> None:
        """Line by line."""
        self.query_one(Detail).scroll_lines(lines)

    def action_close(self) -> None:
        """Back to the room."""
        self.dismiss(None)
