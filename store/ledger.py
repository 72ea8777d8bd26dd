"""The ledger: events in one hash chain, applied exactly once, undone by name.

Runs inside the hub, under its write lock. The chain: each event's hash is SHA-256 over the canonical JSON
of its fields and the hash before it; the first one's previous hash is that of the store's own id.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from store import acts
from store.canonical import canonical, canonical_text, digest
from store.errors import ReusedIdError, RuleError
from store.records import Event
from store.rows import one_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EVENT_COLUMNS = "seq, id, project, kind, actor, claimed, at_us, payload, previous, hash"


def event_hash(event: Event) -> str:
    """SHA-256 of an event's fields (without ``hash``), the previous hash among them."""
    return digest(
        canonical(
            [
                event.seq,
                event.id,
                event.project,
                event.kind,
                event.actor,
                event.claimed,
                str(event.at_us),
                event.payload,
                event.previous,
            ]
        )
    )


def reviewer(actor: str, claimed: str | None) -> str:
    """Who acts, as one name: the kernel's, and behind it the one claimed on a shared account."""
    return f"{actor}/{claimed}" if claimed else actor


class Ledger:
    """The head of the chain, the ids applied, and every reviewer's undo stacks; rebuilt from the events."""

    def __init__(self, cursor: DuckDBPyConnection, root: str) -> None:
        self.seq, self.head, self.at_us = 0, root, 0
        self.ids: dict[str, int] = {}
        self.projects: set[str] = set()
        self._done: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._undone: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._undo_of: dict[int, int] = {}
        rows = cursor.execute(
            "select e.seq, id, project, kind, actor, claimed, at_us, hash, u.target"
            " from event e left join undo_event u on u.seq = e.seq order by e.seq"
        )
        while batch := rows.fetchmany(10_000):
            for seq, act_id, project, kind, actor, claimed, at_us, hash_, target in batch:
                self.ids[act_id] = seq
                self.seq, self.head, self.at_us = seq, hash_, at_us
                self._stack(kind, (project, reviewer(actor, claimed)), seq, target)

    def next_event(
        self, act_id: str, project: str, kind: str, payload: object, *, actor: str, claimed: str | None
    ) -> Event:
        """The event that would come next; ``record`` makes it so once it is committed.

        Times never run backwards in the chain: a clock that did is held at the last event's time.
        """
        at_us = max(time.time_ns() // 1000, self.at_us)
        text = canonical_text(payload)
        event = Event(self.seq + 1, act_id, project, kind, actor, claimed, at_us, text, self.head, "")
        return replace(event, hash=event_hash(event))

    def insert(self, cursor: DuckDBPyConnection, event: Event) -> None:
        """Write the event's row, in the caller's transaction."""
        cursor.execute(f"insert into event ({EVENT_COLUMNS}) values (?,?,?,?,?,?,?,?,?,?)", _fields(event))  # noqa: S608 - constants

    def record(self, event: Event, target: int | None = None) -> None:
        """The event is committed: it is the head now. ``target``: what it undid or redid."""
        self.seq, self.head, self.at_us = event.seq, event.hash, event.at_us
        self.ids[event.id] = event.seq
        self._stack(event.kind, (event.project, reviewer(event.actor, event.claimed)), event.seq, target)

    def earlier(
        self, cursor: DuckDBPyConnection, act_id: str, project: str, kind: str, payload: object, *, who: str
    ) -> int | None:
        """Seq of the event that ``act_id`` already made, None if it is new.

        Raises ReusedIdError when the id stands for another act, or for somebody else's. An undo's payload is
        completed by the hub, so only its kind is compared.
        """
        seq = self.ids.get(act_id)
        if seq is None:
            return None
        row = one_row(cursor, "select project, kind, payload, actor, claimed from event where seq = ?", [seq])
        same = row is not None and (row[0], row[1], reviewer(row[3], row[4])) == (project, kind, who)
        if row is None or not same or (kind not in ("undo", "redo") and row[2] != canonical_text(payload)):
            raise ReusedIdError(f"act id {act_id} was already used for another act", todo="Make a new id.")
        return seq

    def target(self, kind: str, project: str, who: str, frozen: Callable[[int], bool]) -> int:
        """Seq of the event that an undo or redo by ``who`` means: always one's own, in this project, the latest that
        is not ``frozen`` (its sample was adjudicated, so that it stays on record)."""
        stack = (self._done if kind == "undo" else self._undone)[project, who]
        if kind == "redo" and stack:
            return self._undo_of[stack[-1]]
        found = next((seq for seq in reversed(stack) if not frozen(seq)), None) if kind == "undo" else None
        if found is None:
            todo = (
                "What was adjudicated stays."
                if stack
                else "Only your own acts in this project can be undone."
            )
            raise RuleError(f"nothing to {kind}", todo=todo)
        return found

    def _stack(self, kind: str, key: tuple[str, str], seq: int, target: int | None) -> None:
        """An undo takes its target out of ``done``, a redo the top of ``undone``; a new undoable act clears ``undone``."""
        if kind == "project.create":
            self.projects.add(key[0])
        done, undone = self._done[key], self._undone[key]
        if kind in acts.UNDOABLE:
            done.append(seq)
            undone.clear()
        elif kind == "undo" and target is not None:
            _take_out(done, target)
            self._undo_of[target] = seq
            undone.append(target)
        elif kind == "redo":
            done.append(undone.pop())


def _take_out(stack: list[int], seq: int) -> None:
    """Remove what nearly always is the last."""
    at = len(stack) - 1
    while at >= 0 and stack[at] != seq:
        at -= 1
    if at >= 0:
        del stack[at]


def _fields(event: Event) -> list[object]:
    return [getattr(event, name) for name in Event.__slots__]


def verify_chain(cursor: DuckDBPyConnection, root: str) -> list[str]:
    """Every fault of the chain, in words; an empty list when it is whole."""
    faults: list[str] = []
    previous, expected = root, 1
    rows = cursor.execute(f"select {EVENT_COLUMNS} from event order by seq")  # noqa: S608 - a constant
    while batch := rows.fetchmany(10_000):
        for row in batch:
            event = Event(*row)
            if event.seq != expected:
                faults.append(f"event {expected} is missing: event {event.seq} follows {expected - 1}")
            if event.previous != previous:
                faults.append(f"event {event.seq} does not follow event {event.seq - 1}: the chain is cut")
            if event_hash(event) != event.hash:
                faults.append(
                    f"event {event.seq} ({event.kind} by {event.actor}) was changed after it was written"
                )
            previous, expected = event.hash, event.seq + 1
    return faults
