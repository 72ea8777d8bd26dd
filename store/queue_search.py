"""Searching an open queue: by words, through the text index as far as it goes and by a scan beyond; else by substring.

Only what is in the queue is found, by its own keys: nothing of another model, and of a disagreement either answer
alike. What was found is kept with the queue until the needle or the index is another.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store import queue_sql
from store.one_queue import Condition, Extents, Queue, stretches
from store.queue_kind import Member
from store.records import SEQ_BITS
from store.text_index import Mark, Snapshot
from store.text_query import Hits, Scope, of_substring, of_words
from store.text_words import Needle, needle_of, words_sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_JOINED = 50_000  # hits that are joined with a stored queue, once a needle; more are found by scanning it
MOST_LISTED = 5_000  # hits in import order that are listed at once; more are asked for one by one
MOST_SCANNED = 20_000  # rows beyond the index that are scanned to their end, so that hits can be counted
MOST_RANGES = 32
FEW = 16  # places that are looked at one by one
FIRST_STRETCH, MOST_STRETCH = 4_096, 1 << 17  # rows scanned at once
FIRST_ASKED, MOST_ASKED = 256, 8_192  # members that the index is asked about at once
INDEXED = ("audit", "adjudicate", "disagreements")
# Which texts of a kind's ``search.texts`` are one sample: a pair matches by either answer with the prompt.
GROUPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "disagreements": ((0, 1), (0, 2)),
    "duplicates": ((0,), (1,), (2,), (3,)),
    "semantic": ((0,), (1,), (2,), (3,)),
}

Way = Callable[["DuckDBPyConnection", int, int, bool], int | None]  # first (True) or last in low … high - 1


@dataclass(slots=True)
class Found:
    """What a needle found in a queue: how to ask for the next one, cheap ways first, and how many there are."""

    needle: str
    commits: int  # of the index that was asked
    by: str
    ways: list[Way]
    hits: int
    more: bool  # there may be more hits than were counted
    indexed: float  # share of the queue that ``hits`` speaks of


def search(
    cursor: DuckDBPyConnection, queue: Queue, snapshot: Snapshot | None, text: str, *, at: tuple[int, int]
) -> dict[str, Any]:
    """The next position with ``text`` from ``at`` (position, step), wrapping around, and how many hits there are.

    ``hits`` is exact unless ``more``; ``indexed`` is the share of the queue that it speaks of; ``by`` is ``words``
    or ``substring``, which is tried where no words are found. Raises IndexDamaged.
    """
    position, step = at
    commits = snapshot.mark.commits if snapshot is not None else 0
    found: Found | None = queue.found
    if found is None or (found.needle, found.commits) != (text, commits):
        found = _Look(cursor, queue, snapshot, needle_of(cursor, text)).found()
    place = _next(cursor, found.ways, queue.length, position, forward=step > 0)
    if place is None and found.by == "words":
        found = _Look(cursor, queue, snapshot, needle_of(cursor, text), by="substring").found()
        place = _next(cursor, found.ways, queue.length, position, forward=step > 0)
    queue.found = found
    return {
        "position": place,
        "hits": max(found.hits, int(place is not None)),
        "more": found.more and place is not None,
        "indexed": found.indexed,
        "by": found.by,
    }


def _next(
    cursor: DuckDBPyConnection, ways: list[Way], length: int, position: int, *, forward: bool
) -> int | None:
    """The nearest place that any way knows; the ways that come later need only look nearer."""
    cut = max(0, min(length, position + 1 if forward else position))
    for low, high in ((cut, length), (0, cut)) if forward else ((0, cut), (cut, length)):
        best: int | None = None
        for way in ways:
            first, last = low, high
            if best is not None:
                first, last = (low, best) if forward else (best + 1, high)
            found = way(cursor, first, last, forward) if first < last else None
            best = found if found is not None else best
        if best is not None:
            return best
    return None


class _Look:
    """One needle in one queue, looked for once."""

    def __init__(
        self,
        cursor: DuckDBPyConnection,
        queue: Queue,
        snapshot: Snapshot | None,
        needle: Needle,
        by: str = "words",
    ) -> None:
        self.cursor, self.queue, self.needle = cursor, queue, needle
        self.kind = queue.view.spec.kind
        self.snapshot = snapshot if self.kind in INDEXED else None
        self.commits = snapshot.mark.commits if snapshot is not None else 0
        self.by = by if needle.parts else "substring"
        self.exact = (
            self.by == "words" or needle.text.strip().isalnum()
        )  # what the index says needs no look at texts
        self.condition = self._condition()

    def _condition(self) -> Condition:
        texts = self.queue.kind.search.texts
        if self.by == "substring":
            return queue_sql.substring(self.queue.kind, self.needle.text)
        return words_sql(self.needle, texts, GROUPS.get(self.kind, (tuple(range(len(texts))),)))

    def found(self) -> Found:
        """Ask the index for what it covers, and scan the rest, if that is short."""
        length = self.queue.length
        if self.snapshot is None or not self.needle.parts:
            return self._scanned([(0, length)], length)
        closed = _closed(self.cursor, self.queue.view.spec.project)
        beyond = _beyond(self.snapshot.mark, closed)
        of = of_substring if self.by == "substring" else of_words
        hits = Hits(self.snapshot, _scope(self.queue, closed), of(self.snapshot, self.needle))
        if self.queue.extents is not None:
            return self._in_import_order(hits, self.queue.extents, beyond)
        return self._in_stored(hits, beyond)

    def _scanned(self, parts: list[tuple[int, int]], rows: int) -> Found:
        """These positions, without an index: counted where they are few, else looked through when asked."""
        if rows <= MOST_SCANNED:
            places = [at for part in parts for at in self._all(*part)]
            return self._made([_listed(places)], len(places))
        ways = [self._scan(low, high) for low, high in parts]
        return self._made(ways, 0, more=True, unseen=rows)

    def _in_import_order(self, hits: Hits, extents: Extents, beyond: list[tuple[int, int]]) -> Found:
        spans = [extents.span(*keys) for keys in beyond]
        spans = [span for span in spans if span[0] < span[1]]
        tail = self._scanned(spans, sum(high - low for low, high in spans))
        count = hits.count()
        if count <= MOST_LISTED:
            places = self._places(hits.keys(count)) if count else []
            way, count = _listed(places), len(places)
        elif self.by == "substring":
            return self._scanned_whole()
        else:
            way = _indexed(hits, extents)
        tail.ways.insert(0, way)
        tail.hits += count
        return tail

    def _in_stored(self, hits: Hits, beyond: list[tuple[int, int]]) -> Found:
        queue, length = self.queue, self.queue.length
        if len(beyond) > MOST_RANGES:
            beyond = [*beyond[: MOST_RANGES - 1], (beyond[MOST_RANGES - 1][0], beyond[-1][1])]
        unseen = queue.holds(self.cursor, beyond)
        count = hits.count()
        if unseen > MOST_SCANNED or (count > MOST_JOINED and (unseen or not self.exact)):
            return self._scanned_whole()
        if count > MOST_JOINED and length > MOST_SCANNED:
            return self._made([_checked(hits, queue)], 0, more=True)
        if count > MOST_JOINED:
            return self._made(
                [_listed(places := _marked(hits, queue.members(self.cursor, 0, length), 0))], len(places)
            )
        if not count and not unseen:
            return self._made([], 0)
        places = self._places(hits.keys(count)) if count else []
        if unseen:
            places = sorted({*places, *queue.every(self.cursor, self.condition, 0, length, within=beyond)})
        return self._made([_listed(places)], len(places))

    def _places(self, keys: list[int]) -> list[int]:
        """The positions of hits. The index knows words: what stands between several of them is looked up."""
        queue, places = self.queue, self.queue.places(self.cursor, keys)
        if self.exact or not places:
            return places
        if len(places) <= FEW:
            return [at for at in places if queue.every(self.cursor, self.condition, at, at + 1)]
        return queue.every(self.cursor, self.condition, places[0], places[-1] + 1, among=keys)

    def _scanned_whole(self) -> Found:
        """Hits are many: the next one is near. They are not counted, where the queue is long."""
        found = self._scanned([(0, self.queue.length)], self.queue.length)
        found.indexed = 1.0
        return found

    def _made(self, ways: list[Way], hits: int, *, more: bool = False, unseen: int = 0) -> Found:
        share = 1 - unseen / self.queue.length if self.queue.length else 1.0
        return Found(self.needle.text, self.commits, self.by, ways, hits, more, share)

    def _all(self, low: int, high: int) -> list[int]:
        return self.queue.every(self.cursor, self.condition, low, high) if low < high else []

    def _scan(self, low: int, high: int) -> Way:
        """A way through positions low … high - 1 that looks at the rows."""
        queue, condition = self.queue, self.condition

        def way(cursor: DuckDBPyConnection, first: int, last: int, forward: bool) -> int | None:
            first, last = max(low, first), min(high, last)
            step, start = (1, first - 1) if forward else (-1, last)
            sizes = {"first": FIRST_STRETCH, "most": MOST_STRETCH}
            for some, stop in stretches(last, start, step, **sizes):
                if stop <= first:
                    break
                found = queue.nearest(cursor, condition, max(first, some), stop, forward=forward)
                if found is not None:
                    return found
            return None

        return way


def _listed(places: list[int]) -> Way:
    """A way through places that are known, ascending."""

    def way(_: DuckDBPyConnection, low: int, high: int, forward: bool) -> int | None:
        at = bisect.bisect_left(places, low if forward else high) - (not forward)
        return places[at] if 0 <= at < len(places) and low <= places[at] < high else None

    return way


def _indexed(hits: Hits, extents: Extents) -> Way:
    """A way through the index, in import order."""

    def way(_: DuckDBPyConnection, low: int, high: int, forward: bool) -> int | None:
        first, last = extents.keys(low, low + 1)[0], extents.keys(high - 1, high)[0]
        while first <= last:
            key = hits.nearest(first, last, forward=forward)
            place = extents.position(key) if key is not None else None
            if key is None or place is not None:
                return place
            first, last = (key + 1, last) if forward else (first, key - 1)
        return None

    return way


def _checked(hits: Hits, queue: Queue) -> Way:
    """A way through a stored queue that asks the index about its members, stretch by stretch."""

    def way(cursor: DuckDBPyConnection, low: int, high: int, forward: bool) -> int | None:
        step, start = (1, low - 1) if forward else (-1, high)
        for some, stop in stretches(high, start, step, first=FIRST_ASKED, most=MOST_ASKED):
            first = max(low, some)
            if stop <= low:
                break
            places = _marked(hits, queue.members(cursor, first, stop), first)
            if places:
                return places[0 if forward else -1]
        return None

    return way


def _marked(hits: Hits, members: list[Member], first: int) -> list[int]:
    """The positions of members that are hits; ``first``: the position of the first of them."""
    found = hits.among([key for pair in members for key in pair if key is not None])
    return [at for at, (key, other) in enumerate(members, first) if key in found or other in found]


def _closed(cursor: DuckDBPyConnection, project: str) -> list[tuple[int, int]]:
    """The closed runs of a project, ascending, each with the event that closed it."""
    sql = "select run_no, closed_seq from closed_run where project = ? order by run_no"
    return cursor.execute(sql, [project]).fetchall()


def _scope(queue: Queue, closed: list[tuple[int, int]]) -> Scope:
    """Whose outputs a queue may show, without those of runs that were closed after it was opened."""
    spec = queue.view.spec
    models = tuple(model for model in (spec.model, spec.teacher) if model)
    if queue.extents is None:
        return Scope(spec.project, models)
    own = queue.extents.runs()
    later = (run_no for run_no, seq in closed if seq > queue.ledger_seq and run_no not in own)
    return Scope(spec.project, models, tuple(later))


def _beyond(mark: Mark, closed: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of keys of closed runs that the index does not cover, ascending."""
    ranges: list[tuple[int, int]] = []
    joined = False  # whether the run before is beyond as well: one range for both
    for run_no, seq in closed:
        low, high = run_no << SEQ_BITS, (run_no + 1 << SEQ_BITS) - 1
        if run_no == mark.run_no and not mark.whole:
            low = mark.key + 1
        elif seq <= mark.seq:
            joined = False
            continue
        if joined:
            ranges[-1] = (ranges[-1][0], high)
        else:
            ranges.append((low, high))
        joined = True
    return ranges
