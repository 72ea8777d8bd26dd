"""The sheet rooms: a short text above, a list of rows below, all computed by one question in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console.screens.present import Present
from console.text import fit
from console.widgets.detail import Section
from store.errors import SpiritsafeError

SHARE = 62  # percent of the width that the rows of a sheet have beside their detail, as in the app's style


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a sheet: its mark, its text, what Enter shows or does."""

    text: str
    mark: str = " "
    sections: tuple[Section, ...] = ()
    opens: tuple[str, dict[str, Any]] | None = None  # a room, and what it is entered with
    about: tuple[str, ...] = ()  # what a key of the room takes from the row


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a question found: header, heading of the list, rows."""

    header: str
    titles: str
    lines: list[Line]


class SheetRoom(Present):
    """A room that shows one sheet. Subclasses fill ``ask_sheet`` (in a thread)."""

    def __init__(self) -> None:
        super().__init__()
        self.sheet = Sheet("", "", [])
        self.add_class("sheet")

    def ask_sheet(self, width: int) -> Sheet:
        """Ask the store; raise SpiritsafeError where something must come first."""
        raise NotImplementedError

    def enter(self, **wanted: Any) -> None:
        """Load and show, the cursor where it was."""
        del wanted
        width = self.app.size.width * (SHARE if self.has_class("wide") else 100) // 100
        self.home.work(lambda: self.ask_sheet(width), self.show_sheet, failed=self._nothing)

    def _nothing(self, error: SpiritsafeError) -> None:
        self.show_sheet(
            Sheet(f"{self.name_} · {self.home.project}", error.what, [Line(error.todo or error.what)])
        )

    def show_sheet(self, sheet: Sheet) -> None:
        """Paint."""
        same = len(sheet.lines) == len(self.sheet.lines)
        at = (self.pager.position or 0) if same else 0
        self.sheet = sheet
        self.header.show(sheet.header)
        self.pager.set_source(
            len(sheet.lines),
            lambda row, width: fit(row.text, width),
            lambda row: row.mark,
            titles=lambda _: sheet.titles,
            position=at,
        )
        self.show_detail()

    def on_pager_need(self, need: Any) -> None:
        """Everything is here."""
        self.pager.put(need.window_no, self.sheet.lines[need.lo : need.hi], need.source)
        self.filled()

    def on_pager_moved(self, _moved: Any) -> None:
        """The detail follows at once: it is here."""
        self.show_detail()

    def show_detail(self) -> None:
        """The row's own text beside the list."""
        row = self.current
        self.detail.show(self.pager.position, row.sections if row is not None else ())

    @property
    def current(self) -> Line | None:
        """The row under the cursor."""
        at = self.pager.position
        return self.sheet.lines[at] if at is not None and at < len(self.sheet.lines) else None

    def action_open(self) -> None:
        """Enter: go where the row leads, else show its text."""
        row = self.current
        if row is not None and row.opens is not None and not self.has_class("opened"):
            name, wanted = row.opens
            self.home.goto(name, **wanted)
        else:
            super().action_open()
            self.show_detail()
