"""A screen with a line that takes all keys while it is open, and keeps as a draft what was not entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.events import Key
from textual.widget import Widget

from console.widgets.frames import QuietScreen
from console.widgets.line import LineBar

if TYPE_CHECKING:
    from console.app import SpiritsafeApp

Then = Callable[[str], None]


class AskLine(LineBar):
    """The line of a room: what was entered goes to the room at once, not through a queue of messages."""

    def __init__(self, room: Asking) -> None:
        super().__init__(id="line")
        self.room = room

    def submit(self) -> None:
        """Enter."""
        text = self.text
        self.remember(text)
        self.room.entered(text)

    def cancel(self) -> None:
        """Esc, or backspace in an empty line."""
        self.room.cancel_line()


class Asking(QuietScreen[None]):
    """A screen that asks for a line of text. Subclasses show ``line`` where ``asking`` is among their classes."""

    name_: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.line = AskLine(self)
        self._then: Then | None = None
        self._draft = ""  # under which name the open line is kept where it is not entered

    @property
    def home(self) -> SpiritsafeApp:
        """The app, typed."""
        return cast("SpiritsafeApp", self.app)

    @property
    def reading(self) -> Widget:
        """What has the focus while no line is open."""
        raise NotImplementedError

    def ask(
        self,
        label: str,
        then: Then,
        text: str = "",
        *,
        complete: Callable[[str, int], list[str]] | None = None,
        draft: str = "",
    ) -> None:
        """Open the line; ``then`` gets what was entered.

        With a ``draft`` what was typed and not entered (Esc, a dropped line) stands there again next time.
        """
        self._then = then
        self._draft = f"{self.home.project}/{self.name_}/{draft}" if draft else ""
        kept = self.home.state.drafts.get(self._draft, "") if draft and not text else ""
        self.add_class("asking")
        self.line.open(f"{label} (as you left it)" if kept else label, text or kept, complete=complete)
        self.line.focus()

    def entered(self, text: str) -> None:
        """Enter was pressed in the line."""
        then, draft = self._close_line(), self._draft
        if draft:
            self.home.note_draft(draft, "")
        if then is not None:
            then(text)

    def cancel_line(self) -> bool:
        """Close the line, keeping what stands in it as a draft; whether one was open."""
        open_ = self._then is not None
        self.note_draft()
        if open_ and self._draft:
            self.home.save_state()
        self._close_line()
        return open_

    def note_draft(self) -> None:
        """Keep what stands in the open line, where it is worth it."""
        if self._then is not None and self._draft:
            self.home.note_draft(self._draft, self.line.text)

    def _close_line(self) -> Then | None:
        then, self._then = self._then, None
        self.remove_class("asking")
        self.reading.focus()
        return then

    def type_key(self, event: Key) -> bool:
        """Whether the open line took a key: it takes all."""
        if self._then is None:
            return False
        self.line.on_key(event)
        self.note_draft()
        return True
