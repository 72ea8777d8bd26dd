"""A page of text over the room: help, guidelines. Any of q, Esc, Enter, backspace closes it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap

from console.actions import ACTIONS, Table
from console.widgets.detail import Detail, Section
from console.widgets.frames import QuietScreen

TOUR = """spiritsafe: may the small model replace the big one?
You see this once; :tour shows it again.

1  home (gh) is the run sheet: what was done, what it found, what is next.
2  audit (ga): is the teacher's answer right? a ok, 1–9 bad and why (i lists the
   reasons), z unsure. One key judges and shows the next. u takes it back.
   The source stays hidden until you have judged.
3  duplicates (gp): a keeps the first text, r the other, n says they differ.
4  disagreements (gx): two answers, not named. < left, > right, = both fine.
5  evaluation (ge): student against teacher, slice by slice, worst first.
   Enter on a slice opens its disagreements.
6  decision (gd): all the evidence on one page. Type :ship, :iterate or :kill.

Arrows or j k move, Enter opens, q goes back. f filters, / finds, :17 goes to
row 17, ] to the next that you have not judged.
? shows all keys of a screen. Nothing that you judged is ever lost.
"""


class Text(Detail, inherit_bindings=False):
    """A detail whose keys are those of the table of actions, and none of its own."""


class Page(QuietScreen[None]):
    """Text to read and close. What opens a page, goes back or moves in a room does so here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.add_class("page")
        title, _, body = text.partition("\n")
        self._section = Section(f"{title}   (q closes, space scrolls)", body.lstrip("\n"))

    def rebind(self, table: Table) -> None:
        """Take the keys of this console."""
        keys = {action.id: action.keys for action in table}
        closing = [keys[name] for name in ("back", "close", "list.open", "help", "guidelines")]
        self._bindings = BindingsMap(
            [
                Binding(
                    ",".join(dict.fromkeys(",".join(["escape", *closing]).split(","))), "close", show=False
                ),
                Binding(keys["list.move"], "scroll(1)", show=False),
                Binding(keys["list.up"], "scroll(-1)", show=False),
                Binding(keys["queue.scroll"] + "," + keys["list.page"], "pages(1)", show=False),
                Binding(keys["queue.scroll_up"] + "," + keys["list.page_up"], "pages(-1)", show=False),
            ]
        )

    def compose(self) -> ComposeResult:
        """The text."""
        yield Text()

    def on_mount(self) -> None:
        """Show it."""
        self.rebind(getattr(self.app, "table", ACTIONS))
        detail = self.query_one(Detail)
        detail.show("page", [self._section])
        detail.focus()

    def action_scroll(self, lines: int) -> None:
        """Line by line."""
        self.query_one(Detail).scroll_lines(lines)

    def action_pages(self, pages: int) -> None:
        """Page by page."""
        self.query_one(Detail).action_scroll(pages)

    def action_close(self) -> None:
        """Back to the room."""
        self.dismiss(None)
