"""A queue on the screen: its rows, the detail of one, and the ways to look around in it. No verdicts here.

The queue itself lives in the hub, which forgets it when it dies: then it is opened again where we stand.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from textual.timer import Timer

from console.headless import spec_of
from console.screens.room import Room
from console.text import fit, line
from console.widgets.detail import Section
from console.widgets.pager import Pager
from store.errors import InputError, SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place

PAUSE = 0.03  # seconds without a key after which the detail is painted
KEPT = 64  # details held ready
SEED = 20  # of the random order: the same sample is drawn for everybody who asks
Row = tuple[int, str, str, tuple[str, ...]]  # position, subject, mark, cells
Opened = tuple[dict[str, Any], dict[str, Any], dict[str, int], list[str]]  # spec, queue, tally, columns


class QueueRoom(Room):
    """A queue of subjects to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: dict[str, Any] = {}
        self.spec: dict[str, Any] = {}
        self.filter, self.seed, self.wanted_position = "", 0, 0
        self.resumed = False
        self.details: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self.shown_at = time.monotonic()
        self.tally: dict[str, int] = {}
        self.needle = ""
        self.columns: list[str] = []
        self._unfiltered = 0  # where the cursor stood before the filter
        self._pause: Timer | None = None
        self._fetching: set[int] = set()
        self._text_only = False
        self._opening = 0  # how often the queue was asked for: only the last answer counts

    # ---- what subclasses say
    def row_line(self, row: Row, width: int) -> str:
        """One list line."""
        raise NotImplementedError

    def titles(self, width: int) -> str:
        """The heading of the list."""
        raise NotImplementedError

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        """The detail of one subject."""
        raise NotImplementedError

    def shown_ids(self, detail: dict[str, Any]) -> list[str]:
        """Ids of the exact texts on the screen, in order."""
        return [o["output_id"] for o in detail.get("outputs", [])]

    def heading(self) -> str:
        """The header."""
        raise NotImplementedError

    # ---- the queue
    def enter(self, *, filter: str | None = None, position: int | None = None, **wanted: Any) -> None:
        """Open the queue; the first time where the reviewer left it."""
        del wanted
        place = self.home.state.place(self.home.project, self.name_)
        if filter is not None:
            self._refilter(filter)
        elif not self.queue and place.length:
            self.filter, self.seed, self.wanted_position = place.filter, place.seed, place.position
            self.resumed = bool(place.position or place.filter)
        elif self.queue:
            self.wanted_position = self.pager.position or 0
        if position is not None:
            self.wanted_position = position
        if not self.queue:
            self.header.show(f"{self.name_} · opening… · {self.home.project}")
        self._reopen()

    def _refilter(self, filter: str) -> None:
        """Another filter starts at its first row; without one, we are back where we were before it."""
        if filter and not self.filter:
            self._unfiltered = self.pager.position or 0
        self.wanted_position = self._unfiltered if self.filter and not filter else 0
        self.filter = filter

    def _reopen(self) -> None:
        self._opening += 1
        if self.queue:
            self.queue["lost"] = (
                True  # answers that find the old one gone meanwhile open nothing by themselves
            )
        number, old = self._opening, self.queue.get("id", "")
        wanted = {"filter": self.filter, "seed": self.seed}

        def opened(found: Opened) -> None:
            if number == self._opening:
                self._opened(found)
            else:
                self.home.work(
                    lambda: self.home.store.call("close_queue", queue=found[1]["id"]), lambda _: None
                )

        def failed(error: SpiritsafeError) -> None:
            if number == self._opening:
                self._not_opened(error)

        self.home.work(lambda: self._open(wanted, old), opened, failed=failed)

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        store = self.home.store
        spec = spec_of(self.home.context, self.name_, **wanted)
        queue = store.call("open_queue", spec=spec)
        if old and old != queue["id"]:  # a new hub counts from one again
            store.call("close_queue", queue=old)
        return spec, queue, self._tally(), self.columns or self._columns()

    def _tally(self) -> dict[str, int]:
        from store import read

        tally: dict[str, int] = {}
        for row in self.home.store.ask(read.TALLIES, project=self.home.project, seq=None):
            if row.queue == self.name_ and row.actor == self.home.who:
                tally[row.verdict] = tally.get(row.verdict, 0) + row.count
        return tally

    def _columns(self) -> list[str]:
        from store import read

        keys = [k.key for k in self.home.store.ask(read.METADATA_KEYS, project=self.home.project)]
        return ["prompt", "output", "reference", "split", "reviewed", "flagged", "unsure", "reason", *keys]

    def _opened(self, found: Opened) -> None:
        self.spec, self.queue, self.tally, self.columns = found
        self.details.clear()
        self._fetching.clear()
        at = min(self.wanted_position, max(0, self.queue["length"] - 1))
        self.pager.set_source(
            self.queue["length"],
            self.row_line,
            lambda row: row[2],
            titles=self.titles,
            position=at,
        )
        self.header.show(self.heading())
        if not self.queue["length"]:
            self._say_only("nothing here", self.nothing())
        elif self._text_only:
            self._text_only = False
            self.close_detail()
        if not self.queue["length"]:
            return
        if self.resumed:
            self.resumed = False
            self.tell(
                f"resumed at {at + 1:,} of {self.queue['length']:,}"
                + (f", filter {self.filter}" if self.filter else "")
            )
        self._show_soon()

    def nothing(self) -> str:
        """Why the queue is empty, and what to do about it."""
        if self.filter:
            return f"No row fits the filter: {self.filter}\n\nf, then ctrl+u and Enter: all rows."
        return self.empty()

    def empty(self) -> str:
        """Why there is nothing, with no filter set."""
        return "The queue is empty."

    def _say_only(self, title: str, text: str) -> None:
        """No list: a text instead, on the whole screen where it would not stand beside the list."""
        self.pager.set_source(0, lambda *_: "", lambda _: "")
        self.detail.show("none", [Section(title, text)])
        if not self.detail_shown:
            super().action_open()
            self._text_only = True

    def _not_opened(self, error: SpiritsafeError) -> None:
        self.queue.pop("lost", None)
        refused, self.filter = self.filter, self.spec.get("filter", "")
        if refused != self.filter:
            self.tell(str(error).replace("\n", " "))
            if not self.queue:
                self._reopen()
            return
        self.header.show(f"{self.name_} · {self.home.project}")
        self._say_only("not yet", f"{error.what}\n\n{error.todo}")

    def on_pager_need(self, need: Pager.Need) -> None:
        """Fetch a window in a thread."""
        queue = self.queue.get("id", "")

        def failed(error: SpiritsafeError) -> None:
            self.pager.failed(need.window_no, need.source)
            self._lost(error)

        self.home.work(
            lambda: self.home.store.call("window", queue=queue, low=need.lo, high=need.hi),
            lambda rows: self._arrived(need, rows),
            failed=failed,
        )

    def _arrived(self, need: Pager.Need, rows: list[Row]) -> None:
        self.pager.put(need.window_no, rows, need.source)
        self.filled()

    def _lost(self, error: SpiritsafeError) -> None:
        """The hub was restarted and forgot the queue: open it again where we are. Anything else is said."""
        if not (isinstance(error, InputError) and "is not open" in error.what):
            self.home.fail(error)
        elif self.queue.get("id") and not self.queue.get("lost"):
            self.wanted_position = self.pager.position or 0
            self._reopen()

    # ---- the detail
    def on_pager_moved(self, _moved: Pager.Moved) -> None:
        """Show the detail once keys pause."""
        self.moved()
        self._show_soon()

    def moved(self) -> None:
        """The cursor went elsewhere."""

    def action_open(self) -> None:
        """Enter: show the detail at once."""
        if self.pager.length or self.has_class("opened"):
            super().action_open()
            self._show_soon()

    @property
    def detail_shown(self) -> bool:
        """Whether the detail stands on the screen."""
        return self.has_class("wide") or self.has_class("opened")

    def _show_soon(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE, self._show)

    def _show(self) -> None:
        """Paint the detail of the row under the cursor if it is here, else fetch it; look one ahead."""
        self._pause = None
        at = self.pager.position
        if at is None:
            return
        if at in self.details:
            self._paint(at)
            if at + 1 < self.pager.length:
                self._fetch(at + 1)
        else:
            self._fetch(at)

    def _fetch(self, at: int) -> None:
        if at in self.details or at in self._fetching:
            return
        self._fetching.add(at)
        queue = self.queue.get("id", "")

        def failed(error: SpiritsafeError) -> None:
            self._fetching.discard(at)
            self._lost(error)

        self.home.work(
            lambda: self.home.store.call("detail", queue=queue, position=at),
            lambda found: self._got(queue, at, found),
            failed=failed,
        )

    def _got(self, queue: str, at: int, found: dict[str, Any]) -> None:
        self._fetching.discard(at)
        if queue != self.queue.get("id"):
            return
        self.details[at] = found
        while len(self.details) > KEPT:
            self.details.popitem(last=False)
        if at == self.pager.position:
            self._show()

    def _paint(self, at: int) -> None:
        found = self.details[at]
        if self.detail.key != (self.queue["id"], at):
            self.shown_at = time.monotonic()
        if self.detail_shown:
            self.detail.show((self.queue["id"], at), self.sections(found))

    def jump_to(self, position: int) -> None:
        """``:17``, also when typed ahead of the queue."""
        self.wanted_position = position
        super().jump_to(position)

    # ---- place
    def note_place(self, place: Place) -> None:
        """The queue's filter, order and position."""
        if self.queue:
            place.filter, place.seed = self.filter, self.seed
            place.position, place.length = self.pager.position or 0, self.pager.length


def number(position: int, length: int) -> str:
    """A row's number, as wide as the queue's largest."""
    return f"{position + 1:>{len(f'{length:,}')},}"


def two_columns(left: str, right: str, width: int) -> str:
    """Two texts on one line, the second a little wider."""
    first = max(8, (width - 3) * 45 // 100)
    return f"{fit(line(left, first), first)} │ {line(right, width - first - 3)}"
