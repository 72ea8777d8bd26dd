"""A queue on the screen: its rows, the detail of one, and the ways to look around in it. No verdicts here.

The queue itself lives in the hub, which forgets it when it dies: then it is opened again where we stand.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console import actions
from console.headless import spec_of
from console.screens.reading import REST, Reading
from console.screens.room import Room
from console.text import fit, line
from console.widgets.bar import Part
from console.widgets.detail import Section
from console.widgets.pager import Pager
from store.errors import InputError, RuleError, SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place
    from engine.context import Context

SEED = 20  # of the random order: the same sample is drawn for everybody who asks
Row = tuple[int, str, str, tuple[str, ...]]  # position, subject, mark, cells
Opened = tuple[dict[str, Any], dict[str, Any], dict[str, int], list[str]]  # spec, queue, tally, columns


class QueueRoom(Reading):
    """A queue of subjects to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {}
        self.filter, self.sort, self.seed, self.wanted_position = "", "", 0, 0
        self.resumed = False
        self.tally: dict[str, int] = {}
        self.columns: list[str] = []
        self.values: dict[str, list[str]] = {}  # of some columns, for completion
        self._before = ("", 0)  # the filter before this one, and where the cursor stood in it
        self._whole = 0  # rows without a filter, where known
        self._stood: int | None = None  # where the cursor was when the queue was read again
        self._text_only = False
        self._opening = 0  # how often the queue was asked for: only the last answer counts

    # ---- what subclasses say
    def row_line(self, row: Row, width: int) -> str:
        """One list line."""
        raise NotImplementedError

    def titles(self, width: int) -> str:
        """The heading of the list."""
        raise NotImplementedError

    def shown_ids(self, detail: dict[str, Any]) -> list[str]:
        """Ids of the exact texts on the screen, in order."""
        return [o["output_id"] for o in detail.get("outputs", [])]

    def heading(self) -> str | list[Part]:
        """The header."""
        raise NotImplementedError

    # ---- the queue
    def enter(
        self,
        *,
        filter: str | None = None,
        position: int | None = None,
        sort: str | None = None,
        **wanted: Any,
    ) -> None:
        """Open the queue; the first time where the reviewer left it."""
        del wanted
        place = self.home.state.place(self.home.project, self.name_)
        if filter is not None:
            self._refilter(filter)
        elif not self.queue and place.length:
            self.filter, self.sort, self.seed = place.filter, place.sort, place.seed
            self.wanted_position = place.position
            self.resumed = bool(place.position or place.filter)
        elif self.queue:
            self.wanted_position = self._stood = self.pager.position or 0
        if sort is not None:
            self.sort, self.wanted_position = sort, 0
        if position is not None:
            self.wanted_position = position
        if not self.queue:
            self.header.show(f"{self.name_} · opening… · {self.home.project}")
        self._reopen()

    def _refilter(self, filter: str) -> None:
        """Another filter starts at its first row; without one, we are back where we were before it."""
        back, position = self._before
        self.wanted_position = position if filter == back and filter != self.filter else 0
        if self.pager.length and filter != self.filter:
            self._before = (self.filter, self.pager.position or 0)
        self.filter = filter

    def _reopen(self) -> None:
        self._opening += 1
        if self.queue:
            self.queue["lost"] = (
                True  # answers that find the old one gone meanwhile open nothing by themselves
            )
        number, old = self._opening, self.queue.get("id", "")
        wanted = {"filter": self.filter, "sort": self.sort, "seed": 0 if self.sort else self.seed}

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
        queue["codes"] = codes_in(self.home.context)
        return spec, queue, self._tally(), self.columns or self._columns()

    def meant(self, text: str) -> str:
        """The label that an output's code stands for, as `` = label``; "" where it is no code."""
        label = self.queue.get("codes", {}).get(text.strip(), "")
        return f" = {label}" if label else ""

    def _tally(self) -> dict[str, int]:
        from store import read

        tally: dict[str, int] = {}
        for row in self.home.store.ask(read.TALLIES, project=self.home.project, seq=None):
            if row.queue == self.name_ and row.actor == self.home.who:
                tally[row.verdict] = tally.get(row.verdict, 0) + row.count
        return tally

    def _columns(self) -> list[str]:
        """What a filter or a sort may name here: the columns of this kind of queue, then the metadata keys."""
        from store import read
        from store.queue_kind import tells
        from store.queue_kinds import KINDS

        kind, store, project = KINDS[self.name_], self.home.store, self.home.project
        if kind.metadata is None:
            return list(kind.columns)
        models = [model.model for model in store.ask(read.MODELS, project=project)]
        keys = [k.key for k in store.ask(read.METADATA_KEYS, project=project)]
        return [*kind.columns, *(key for key in keys if not (kind.secret and tells(key, models)))]

    def _opened(self, found: Opened) -> None:
        self.spec, self.queue, self.tally, self.columns = found
        self.details.clear()
        self._fetching.clear()
        here = self.pager.position
        if here is not None and self._stood is not None and self.wanted_position == self._stood:
            self.wanted_position = here  # moved on while the queue was read again
        self._stood = None
        at = min(self.wanted_position, max(0, self.queue["length"] - 1))
        self.pager.set_source(
            self.queue["length"],
            self.row_line,
            lambda row: row[2],
            titles=self.titles,
            position=at,
        )
        part = self.filter or self.spec.get("similar")
        self._whole = self._whole if part else self.queue["length"]
        self.header.notes = self._notes()
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
        queue = self.queue["id"]
        self.set_timer(REST, lambda: self._fetch_ends(queue))

    def _notes(self) -> tuple[Part, ...]:
        """What the header says of every queue behind its first part."""
        fit = f"{self.queue['length']:,} of {self._whole:,} fit" if self.filter and self._whole else ""
        looks = "read-only" if self.home.read_only else ""
        return (0, looks), (2, fit), (1, f"sort {self.sort}" if self.sort else "")

    def nothing(self) -> str:
        """Why the queue is empty, and what to do about it."""
        if not self.filter:
            return self.empty()
        back, other = (actions.key_of(name, self.home.table) for name in ("back", "queue.filter"))
        before = f"those of the filter before: {self._before[0]}" if self._before[0] else "all rows"
        return f"No row fits the filter: {self.filter}\n\n{back} or Esc: {before}. {other}: another filter."

    def _unfit(self) -> bool:
        """Whether the list is empty because of its filter: one key leads back to the rows before."""
        if self.pager.length or not self.filter or not self.queue:
            return False
        self.enter(filter=self._before[0] if self._before[0] != self.filter else "")
        return True

    def action_back(self) -> None:
        """``q``: out of a filter that nothing fits, else out of the text, else out of the room."""
        if not self._unfit():
            super().action_back()

    def action_close_detail(self) -> None:
        """Esc"""
        if not self._unfit():
            super().action_close_detail()

    def empty(self) -> str:
        """Why there is nothing, with no filter set."""
        return "The queue is empty."

    def _say_only(self, title: str, text: str) -> None:
        """No list: a text instead, on the whole screen where it would not stand beside the list."""
        self.pager.set_source(0, lambda *_: "", lambda _: "")
        self.detail.show("none", [Section(title, text)])
        if not self.detail_shown:
            Room.action_open(self)  # also without a row
            self._text_only = True

    def _not_opened(self, error: SpiritsafeError) -> None:
        self.queue.pop("lost", None)
        refused = (self.filter, self.sort)
        self.filter, self.sort = self.spec.get("filter", ""), self.spec.get("sort", "")
        if refused != (self.filter, self.sort):
            self.refuse(error, of=refused)
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

    # ---- place
    def jump_to(self, position: int) -> None:
        """``:17``, also when typed ahead of the queue."""
        self.wanted_position = position
        super().jump_to(position)

    def note_place(self, place: Place) -> None:
        """The queue's filter, order and position."""
        if self.queue:
            place.filter, place.sort, place.seed = self.filter, self.sort, self.seed
            place.position, place.length = self.pager.position or 0, self.pager.length


def codes_in(context: Context) -> dict[str, str]:
    """One-token code -> label of the locked contract: nobody can judge by a code alone."""
    from engine.evaluate.answers import codes_of

    try:
        return codes_of(context.contract())
    except RuleError:  # nothing is locked yet
        return {}


def number(position: int, length: int) -> str:
    """A row's number, as wide as the queue's largest."""
    return f"{position + 1:>{len(f'{length:,}')},}"


def two_columns(left: str, right: str, width: int) -> str:
    """Two texts on one line, the second a little wider."""
    first = max(8, (width - 3) * 45 // 100)
    return f"{fit(line(left, first), first)} │ {line(right, width - first - 3)}"


def moment(at_us: int | str) -> str:
    """A time to the second, UTC."""
    return datetime.fromtimestamp(int(at_us) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
