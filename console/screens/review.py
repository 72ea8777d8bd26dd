"""The queue rooms: a list, a detail, a verdict in one key. Audit, disagreements and duplicates only say what
a row shows, what a detail shows, and what a verdict is bound to.

A verdict applies to the sample last painted, and only if the cursor still stands there; keys that come while
one is being committed are dropped and counted, so that a held key accepts nothing unseen.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.timer import Timer

from console import clipboard
from console.headless import spec_of
from console.screens.room import Room, payload_of
from console.text import fit, line
from console.widgets.detail import Section
from console.widgets.pager import Pager
from store import grammar
from store.errors import InputError, SpiritsafeError
from store.queue_letters import letter

if TYPE_CHECKING:
    from console.state import Place

PAUSE = 0.03  # seconds without a key after which the detail is painted
KEPT = 64  # details held ready
Row = tuple[int, str, str, tuple[str, ...]]  # position, subject, mark, cells


class Review(Room):
    """A queue of subjects to judge."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: dict[str, Any] = {}
        self.spec: dict[str, Any] = {}
        self.filter, self.seed, self.wanted_position = "", 0, 0
        self.resumed = False
        self.busy = False
        self.dropped = 0
        self.last: tuple[str, int | None] | None = None
        self.details: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self.shown_at = self.began = time.monotonic()
        self.judged_now = 0
        self.tally: dict[str, int] = {}
        self.needle = ""
        self._pause: Timer | None = None
        self._fetching: set[int] = set()
        self.columns: list[str] = []

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
    def enter(self, *, filter: str | None = None, position: int | None = None, **wanted: Any) -> None:  # noqa: A002
        """Open the queue; the first time where the reviewer left it."""
        del wanted
        place = self.home.state.place(self.home.project, self.name_)
        if filter is not None:
            self.filter, self.wanted_position = filter, 0
        elif not self.queue and place.length:
            self.filter, self.seed, self.wanted_position, self.resumed = (
                place.filter,
                place.seed,
                place.position,
                True,
            )
        elif self.queue:
            self.wanted_position = self.pager.position or 0
        if position is not None:
            self.wanted_position = position
        self.header.show(f"{self.home.project} · {self.name_} · opening…")
        self.home.work(self._open, self._opened, failed=self._not_opened)

    def _open(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, int], list[str]]:
        store, old = self.home.store, self.queue.get("id")
        options = {"filter": self.filter, "seed": self.seed}
        spec = spec_of(self.home.context, self.name_) | options
        queue = store.call("open_queue", spec=spec)
        if old:
            store.call("close_queue", queue=old)
        return spec, queue, self._tally(), self.columns or self._columns()

    def _tally(self) -> dict[str, int]:
        from store import read

        tally: dict[str, int] = {}
        me = self.home.store.welcome.actor
        for row in self.home.store.ask(read.TALLIES, project=self.home.project, seq=None):
            if row.queue == self.name_ and row.actor.split("/")[0] == me:
                tally[row.verdict] = tally.get(row.verdict, 0) + row.count
        return tally

    def _columns(self) -> list[str]:
        from store import read

        keys = [k.key for k in self.home.store.ask(read.METADATA_KEYS, project=self.home.project)]
        return ["prompt", "output", "reference", "split", "reviewed", "flagged", "unsure", "reason", *keys]

    def _opened(self, found: tuple[dict[str, Any], dict[str, Any], dict[str, int], list[str]]) -> None:
        self.spec, self.queue, self.tally, self.columns = found
        self.details.clear()
        self.busy = False
        at = min(self.wanted_position, max(0, self.queue["length"] - 1))
        self.pager.set_source(
            self.queue["length"],
            lambda row, width: self.row_line(row, width),
            lambda row: row[2],
            titles=self.titles,
            position=at,
        )
        self.header.show(self.heading())
        if not self.queue["length"]:
            self.detail.show("none", [Section("nothing here", self._empty())])
        elif self.resumed:
            self.resumed = False
            self.tell(
                f"resumed at {at + 1:,} of {self.queue['length']:,}"
                + (f", filter {self.filter}" if self.filter else "")
            )
        self._show_soon()

    def _empty(self) -> str:
        return (
            f"No row fits the filter: {self.filter}\n\nf then Enter shows all."
            if self.filter
            else "The queue is empty."
        )

    def _not_opened(self, error: SpiritsafeError) -> None:
        if self.filter:
            self.filter = self.spec.get("filter", "") if self.spec.get("filter") != self.filter else ""
            self.tell(str(error).replace("\n", " "))
            if not self.queue:
                self.home.work(self._open, self._opened, failed=self.home.fail)
            return
        self.header.show(f"{self.home.project} · {self.name_}")
        self.pager.set_source(0, lambda *_: "", lambda _: "")
        self.detail.show("none", [Section("not yet", f"{error.what}\n\n{error.todo}")])
        self.action_open() if not self.has_class("wide") and not self.has_class("opened") else None

    def on_pager_need(self, need: Pager.Need) -> None:
        """Fetch a window in a thread."""
        queue = self.queue["id"]

        def failed(error: SpiritsafeError) -> None:
            self.pager.failed(need.window_no, need.source)
            self._lost(error)

        self.home.work(
            lambda: self.home.store.call("window", queue=queue, low=need.lo, high=need.hi),
            lambda rows: self.pager.put(need.window_no, rows, need.source),
            failed=failed,
        )

    def _lost(self, error: SpiritsafeError) -> None:
        """The hub was restarted and forgot the queue: open it again where we are. Anything else is said."""
        if isinstance(error, InputError) and "is not open" in error.what:
            self.wanted_position = self.pager.position or 0
            self.home.work(self._open, self._opened, failed=self.home.fail)
        else:
            self.home.fail(error)

    # ---- the detail
    def on_pager_moved(self, _moved: Pager.Moved) -> None:
        """Show the detail once keys pause."""
        self._show_soon()

    def action_open(self) -> None:
        """Enter: show the detail at once."""
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
        queue = self.queue["id"]

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

    def about(self, found: dict[str, Any]) -> str:
        """The last section: what may be known of the subject besides its texts."""
        prompt, lines = found.get("prompt") or {}, []
        meta = payload_of(prompt.get("metadata", "{}"))
        lines.append(
            "  ".join(
                [f"split {prompt.get('split', '')}", *(f"{key} {value}" for key, value in meta.items())]
            )
        )
        if found["revealed"]:
            models = ", ".join(
                f"{side} {o['model']}" for side, o in zip(("left", "right"), found["outputs"], strict=False)
            )
            lines.append(
                f"source {prompt.get('source')} · "
                + (models if len(found["outputs"]) > 1 else f"model {found['outputs'][0]['model']}")
            )
            lines += [
                f"{actor}: {verdict}{f' {reason}' if reason else ''}"
                for actor, verdict, reason, _ in found["verdicts"] or []
            ]
            lines += [f"{'pass' if ok else 'FAIL'} {name}  {why}" for name, ok, why in found["checks"] or []]
        else:
            lines.append("source, checks and others' verdicts: after yours")
        lines += [f"{actor} remarked: {text}" for actor, _, text in found["comments"]]
        return "\n".join(lines)

    # ---- judging
    def action_judge(self, verdict: str, reason: int | None = None) -> None:
        """One key: the verdict is committed, then the next sample is shown."""
        at = self.pager.painted
        found = self.details.get(at) if at is not None else None
        seen = not self.detail_shown or self.detail.painted == (self.queue.get("id"), at)
        if self.busy or at is None or at != self.pager.position or found is None or not seen:
            self.dropped += 1
            return
        if self.home.read_only:
            self.tell("this console is read-only")
            return
        self.busy, self.last = True, (verdict, reason)
        payload: dict[str, Any] = {
            "queue": self.name_,
            "subject": found["subject"],
            "verdict": verdict,
            "shown": self.shown_ids(found),
            "queue_id": self.queue["id"],
            "position": at,
            "revealed": bool(found["revealed"]),
            "whole": self.detail.whole_seen if self.detail_shown else False,
            "dwell_ms": int((time.monotonic() - self.shown_at) * 1000),
        }
        if reason is not None:
            payload["reason"] = reason
        self._before_judging(payload, found)
        home = self.home
        home.work(
            lambda: home.store.act("verdict", home.project, payload),
            lambda _: self._judged(at, payload, found),
            failed=self._unjudged,
        )

    def _before_judging(self, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """For rooms whose verdict is bound to more."""

    def action_judge_bad(self, reason: int) -> None:
        """A digit: bad, for that reason."""
        self.action_judge("bad", reason)

    def _judged(self, at: int, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """Committed: mark it, go on."""
        self.busy = False
        self.judged_now += 1
        if not found["mark"]:
            self.queue["reviewed"] += 1
            self.tally[payload["verdict"]] = self.tally.get(payload["verdict"], 0) + 1
        self.details.pop(at, None)
        self.pager.mark(at, letter(payload["verdict"], payload.get("reason")))
        self.header.show(self.heading())
        self._save_place()
        if at + 1 < self.pager.length:
            self.pager.jump(at + 1)
            if at + 1 in self.details:
                self._show()
        else:
            self.tell("that was the last row; [ goes to the previous one that you have not judged")
            self._fetch(at)

    def _unjudged(self, error: SpiritsafeError) -> None:
        self.busy = False
        self.home.fail(error)

    def action_repeat(self) -> None:
        """``.``"""
        if self.last is not None:
            self.action_judge(*self.last)

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        """Go to what was undone or redone, and show its mark as it is now."""
        super().taken_back(kind, what)
        at = what.get("position", -1)
        self.details.clear()
        here = (
            what.get("queue") == self.name_
            and what.get("queue_id") == self.queue.get("id")
            and 0 <= at < self.pager.length
        )
        if not here:
            self.home.work(self._tally, self._recounted)
            return
        queue = self.queue["id"]

        def show(found: dict[str, Any]) -> None:
            self.pager.mark(at, found["mark"] or " ")
            self.queue["reviewed"] += (
                (1 if found["mark"] else -1) if kind == "redo" or not found["mark"] else 0
            )
            self._got(queue, at, found)
            self.pager.jump(at)
            self.home.work(self._tally, self._recounted)

        self.home.work(lambda: self.home.store.call("detail", queue=queue, position=at), show)

    def _recounted(self, tally: dict[str, int]) -> None:
        self.tally = tally
        self.header.show(self.heading())

    # ---- looking around
    def action_unreviewed(self, step: int) -> None:
        """``]`` and ``[``"""
        self._seek(
            "unreviewed", "everything that way is judged", position=self.pager.position or 0, step=step
        )

    def action_search(self) -> None:
        """``/``"""
        self.ask("/", self._search)

    def _search(self, text: str) -> None:
        self.needle = text or self.needle
        self.action_again(1)

    def action_again(self, step: int) -> None:
        """``n`` and ``N``"""
        if self.needle:
            self._seek(
                "find",
                f"no {self.needle!r} here",
                text=self.needle,
                position=self.pager.position or 0,
                step=step,
            )

    def _seek(self, op: str, nothing: str, **arguments: Any) -> None:
        queue = self.queue["id"]
        self.home.work(
            lambda: self.home.store.call(op, queue=queue, **arguments),
            lambda at: self.tell(nothing) if at is None else self.pager.jump(at),
            failed=self._lost,
        )

    def action_filter(self) -> None:
        """``f``"""
        self.ask(
            "filter:",
            self._filter,
            self.filter,
            complete=lambda text, column: grammar.complete(text, column, self.columns, {}),
        )

    def _filter(self, text: str) -> None:
        try:
            if text.strip():
                grammar.parse(text)
        except InputError as error:
            self.tell(str(error).replace("\n", " "))
            return
        self.enter(filter=text.strip())

    def action_order(self) -> None:
        """``o``: random order by a seed, and back to the order of arrival."""
        self.seed = 0 if self.seed else 20
        self.enter(filter=self.filter)

    def action_comment(self) -> None:
        """``;``"""
        found = self.details.get(self.pager.position or 0)
        if found is not None:
            self.ask("comment:", lambda text: self._comment(found["subject"], text))

    def _comment(self, subject: str, text: str) -> None:
        home, at = self.home, self.pager.position or 0
        if not text.strip():
            return

        def noted(_: Any) -> None:
            self.details.pop(at, None)
            self.tell("comment recorded")
            self._show()

        home.work(
            lambda: home.store.act("comment", home.project, {"subject": subject, "text": text.strip()}), noted
        )

    def action_copy(self) -> None:
        """``y``"""
        found = self.details.get(self.pager.position or 0)
        if found is not None:
            text = "\n\n".join(f"{s.title}\n{s.text}" for s in self.sections(found))
            told = clipboard.copy(text, Path.cwd() / "spiritsafe-copy.txt", self.app)
            self.tell(told)

    def action_scroll(self, pages: int) -> None:
        """``space`` and ``b``"""
        if self.detail_shown:
            self.detail.action_scroll(pages)
        else:
            self.pager.action_page(pages)

    def action_view(self) -> None:
        """``t``"""
        self.detail.action_view()

    # ---- place
    def note_place(self, place: Place) -> None:
        """The queue's filter, order and position."""
        if self.queue:
            place.filter, place.seed = self.filter, self.seed
            place.position, place.length = self.pager.position or 0, self.pager.length

    def _save_place(self) -> None:
        if self.judged_now % 10 == 0:
            self.home.keep_place()

    def per_hour(self) -> str:
        """Items an hour in this room, once there are ten."""
        if self.judged_now < 10:
            return ""
        return f" · {self.judged_now / (time.monotonic() - self.began) * 3600:,.0f}/h"


def number(position: int, length: int) -> str:
    """A row's number, as wide as the queue's largest."""
    return f"{position + 1:>{len(f'{length:,}')},}"


def two_columns(left: str, right: str, width: int) -> str:
    """Two texts on one line, the second a little wider."""
    first = max(8, (width - 3) * 45 // 100)
    return f"{fit(line(left, first), first)} │ {line(right, width - first - 3)}"
