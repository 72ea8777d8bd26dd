"""A pager over a million made-up rows, with a detail beside it on request: pager_demo.py [list|side]."""

from __future__ import annotations

import sys

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal

from console.widgets.detail import Detail, Section
from console.widgets.frames import QuietApp
from console.widgets.pager import Pager

ROWS = 1_000_000
TEXT = "the dataset shows a model answering how cards are charged when abroad and why transfers fail"
WORDS = TEXT.split()


def row(i: int) -> tuple[int, str, str]:
    """Row ``i``, the same every time."""
    words = [WORDS[(i * 7 + k * (i % 5 + 1)) % len(WORDS)] for k in range(100)]
    return i, f"task{i % 7}", " ".join(words)


class Demo(QuietApp[None]):
    """List, or list and detail."""

    CSS = "Horizontal > Pager { width: 55; } Horizontal > Detail { width: 1fr; }"
    BINDINGS = [Binding("q", "quit"), Binding("a", "judge('a')"), Binding("x", "judge('x')")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        """One widget or two."""
        if "side" in sys.argv:
            with Horizontal():
                yield Pager()
                yield Detail()
        else:
            yield Pager()

    def on_mount(self) -> None:
        """Open the queue."""
        self.pager = self.query_one(Pager)
        self.pager.set_source(
            ROWS,
            lambda r, width: f"{r[0]:>9} {r[1]:<6} {r[2][:width]}",
            lambda r: "·" if r[0] % 11 == 0 else " ",
        )
        self.pager.focus()
        self.timer = None
        self.dropped = 0

    def on_pager_need(self, need: Pager.Need) -> None:
        """Fetch in a thread."""
        self.fetch(need)

    @work(thread=True)
    def fetch(self, need: Pager.Need) -> None:
        """What a hub would answer."""
        rows = [row(i) for i in range(need.lo, need.hi)]
        self.call_from_thread(self.pager.put, need.window_no, rows, need.source)

    def on_pager_moved(self, _moved: Pager.Moved) -> None:
        """Paint the detail once keys pause."""
        if details := self.query(Detail):
            if self.timer is not None:
                self.timer.stop()
            self.timer = self.set_timer(0.03, lambda: self.show(details.first()))

    def show(self, detail: Detail) -> None:
        """Show the sample under the cursor."""
        if (found := self.pager.row) is not None:
            detail.show(found[0], [Section("prompt", found[2][:90]), Section("answer", found[2][:600])])

    def action_judge(self, letter: str) -> None:
        """One key: verdict and next; only for a sample that was seen."""
        position = self.pager.painted
        if position is None or position != self.pager.position:
            self.dropped += 1
            return
        self.pager.mark(position, letter)
        self.pager.action_move(1)


if __name__ == "__main__":
    Demo().run()
