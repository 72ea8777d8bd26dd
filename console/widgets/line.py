"""A one-line bar that takes every key: filter, note, search, jump. No blink, so idle it writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.events import Key, Paste
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.text import cells, fit, visible

PLAIN, CURSOR, LABEL = Style(), Style(reverse=True), Style(bold=True)
HISTORY = 200

Complete = Callable[[str, int], list[str]]


class LineBar(Widget, can_focus=True):
    """Enter submits, Esc (or backspace in an empty bar) cancels, up and down go through what was entered.

    Tab asks ``complete(text, column)`` for words that may stand where the word before the cursor is; one is
    put in, of several what they share, and the list is shown behind the text.
    """

    DEFAULT_CSS = "LineBar { height: 1; background: transparent; }"

    class Submitted(Message):
        """Enter was pressed."""

        def __init__(self, bar: LineBar, text: str) -> None:
            super().__init__()
            self.bar, self.text = bar, text

    class Changed(Submitted):
        """The text is another now."""

    class Cancelled(Submitted):
        """Esc was pressed; ``text`` is what stood there, so that a draft can be kept."""

    def __init__(
        self,
        label: str = "",
        *,
        complete: Complete | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.label, self.complete = label, complete
        self.text = ""
        self.column = 0
        self.history: list[str] = []
        self._at: int | None = None
        self._choices: list[str] = []
        self._reach = 0

    def open(self, label: str, text: str = "", *, complete: Complete | None = None) -> None:
        """Start a new line: a label such as ``/`` or ``filter:``, and a draft to go on with."""
        self.label, self.complete = label, complete
        self._at, self._choices = None, []
        self._set(text, len(text))

    def on_key(self, event: Key) -> None:
        """Take every key; letters are text here and never commands."""
        event.stop()
        event.prevent_default()
        self._choices = []
        if (name := self.KEYS.get(event.key)) is not None:
            getattr(self, name)()
        elif event.character is not None and event.is_printable:
            self._insert(event.character)
        self._repaint()

    def on_paste(self, event: Paste) -> None:
        """Put pasted text in, on one line."""
        event.stop()
        self._insert(" ".join(event.text.split("\n")).strip("\r"))

    # ---- what the keys do; the table is at the end of the class body so that it can be read at once

    def submit(self) -> None:
        """Enter."""
        self.remember(self.text)
        self.post_message(self.Submitted(self, self.text))

    def remember(self, text: str) -> None:
        """Keep a text for up and down."""
        if text and self.history[-1:] != [text]:
            self.history.append(text)
            del self.history[:-HISTORY]
        self._at = None

    def cancel(self) -> None:
        """Esc."""
        self.post_message(self.Cancelled(self, self.text))

    def rub(self) -> None:
        """Backspace: the character before the cursor; in an empty bar, leave."""
        if not self.text:
            self.cancel()
        elif self.column:
            self._set(self.text[: self.column - 1] + self.text[self.column :], self.column - 1)

    def delete(self) -> None:
        """Delete the character under the cursor."""
        self._set(self.text[: self.column] + self.text[self.column + 1 :], self.column)

    def rub_word(self) -> None:
        """Delete the word before the cursor."""
        head = self.text[: self.column].rstrip()
        head = head[: head.rfind(" ") + 1]
        self._set(head + self.text[self.column :], len(head))

    def rub_all(self) -> None:
        """Delete everything before the cursor."""
        self._set(self.text[self.column :], 0)

    def cut_rest(self) -> None:
        """Delete everything behind the cursor."""
        self._set(self.text[: self.column], self.column)

    def left(self) -> None:
        """One character to the left."""
        self.column = max(0, self.column - 1)

    def right(self) -> None:
        """One character to the right."""
        self.column = min(len(self.text), self.column + 1)

    def first(self) -> None:
        """To the start."""
        self.column = 0

    def last(self) -> None:
        """To the end."""
        self.column = len(self.text)

    def older(self) -> None:
        """What was entered before."""
        self._recall((len(self.history) if self._at is None else self._at) - 1)

    def newer(self) -> None:
        """What was entered after it."""
        if self._at is not None:
            self._recall(self._at + 1)

    def tab(self) -> None:
        """Complete the word before the cursor."""
        choices = self.complete(self.text, self.column) if self.complete is not None else []
        if not choices:
            return
        shared = choices[0] if len(choices) == 1 else os.path.commonprefix(choices)  # noqa: RUF071 - words, not paths
        start = max(
            (k for k in range(len(shared) + 1) if self.text[: self.column].endswith(shared[:k])), default=0
        )
        self._insert(shared[start:])
        self._choices = choices if len(choices) > 1 else []

    KEYS: ClassVar[dict[str, str]] = {
        "enter": "submit", "escape": "cancel", "ctrl+c": "cancel", "tab": "tab",
        "backspace": "rub", "ctrl+h": "rub", "delete": "delete", "ctrl+d": "delete",
        "ctrl+w": "rub_word", "ctrl+u": "rub_all", "ctrl+k": "cut_rest",
        "left": "left", "right": "right", "home": "first", "end": "last", "ctrl+a": "first", "ctrl+e": "last",
        "up": "older", "down": "newer", "ctrl+p": "older", "ctrl+n": "newer",
    }  # fmt: skip

    def _recall(self, at: int) -> None:
        if at >= len(self.history):
            self._at = None
            self._set("", 0)
        elif at >= 0:
            self._at = at
            self._set(self.history[at], len(self.history[at]))

    def _insert(self, text: str) -> None:
        if text:
            self._set(self.text[: self.column] + text + self.text[self.column :], self.column + len(text))

    def _set(self, text: str, column: int) -> None:
        changed = text != self.text
        self.text, self.column = text, column
        if changed:
            self.post_message(self.Changed(self, text))
        self._repaint()

    def _repaint(self) -> None:
        """Refresh as far as the old or the new text reaches."""
        if self.size.width:
            reach = cells(self._strip().text.rstrip()) + 1  # the cursor may stand behind the last letter
            self.refresh(Region(0, 0, min(self.size.width, max(reach, self._reach)), 1))
            self._reach = reach

    def render_line(self, y: int) -> Strip:
        """Return the bar: label, text around the cursor, choices behind it."""
        width = self.size.width
        return Strip.blank(width) if y or not width else self._strip()

    def _strip(self) -> Strip:
        width = self.size.width
        label = visible(self.label) + (" " if self.label else "")
        room = max(2, width - cells(label) - 1)
        head = visible(self.text[: self.column])
        while cells(head) > room - 1:
            head = head[max(1, (cells(head) - room) // 2) :]
        under = visible(self.text[self.column : self.column + 1]) or " "
        rest = visible(self.text[self.column + 1 :])
        if self._choices:
            rest += "   " + visible("  ".join(self._choices))
        used = cells(label) + cells(head) + cells(under)
        if used > width:
            under, used = " ", min(width, cells(label) + cells(head) + 1)
        tail = fit(rest, max(0, width - used))
        segments = [Segment(label, LABEL), Segment(head, PLAIN), Segment(under, CURSOR), Segment(tail, PLAIN)]
        return Strip([s for s in segments if s.text]).adjust_cell_length(width)
