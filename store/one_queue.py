"""One open queue: how positions become keys, and how texts are searched in a range of positions."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from store import queue_sql
from store.errors import InputError
from store.queue_kind import Kind, Member, View
from store.rows import one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Extents:
    """Ranges of packed keys, ascending, as one run of positions.

    >>> extents = Extents([(100, 3), (200, 2)])
    >>> extents.keys(1, 4), extents.position(201), extents.position(103)
    ([101, 102, 200], 4, None)
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        """``ranges``: (first key, how many)."""
        self._lows = [low for low, _ in ranges]
        self._firsts = list(itertools.accumulate((n for _, n in ranges), initial=0))
        self.length = self._firsts[-1]

    def keys(self, low: int, high: int) -> list[int]:
        """The keys at positions low … high - 1, which must lie within."""
        found: list[int] = []
        at = bisect.bisect_right(self._firsts, low) - 1
        while low < high:
            stop = min(high, self._firsts[at + 1])
            key = self._lows[at] + low - self._firsts[at]
            found += range(key, key + stop - low)
            low, at = stop, at + 1
        return found

    def position(self, key: int) -> int | None:
        """The position of a key, None where no range has it."""
        at = bisect.bisect_right(self._lows, key) - 1
        if at < 0:
            return None
        position = self._firsts[at] + key - self._lows[at]
        return position if position < self._firsts[at + 1] else None

    def count(self, cursor: DuckDBPyConnection, model: str, output_ids: list[str]) -> int:
        """How many positions have one of these outputs."""
        rows = cursor.execute(
            "select output_key from output where model = ? and output_id in (select unnest(?::varchar[]))",
            [model, output_ids],
        ).fetchall()
        return sum(self.position(key) is not None for (key,) in rows)


@dataclass(slots=True)
class Queue:
    """One open queue of one reviewer, in one client."""

    id: str
    kind: Kind
    view: View
    instance: str
    ledger_seq: int
    length: int = 0
    reviewed: int = 0  # positions that the reviewer had judged when it was opened
    extents: Extents | None = None
    table: str = ""

    def members(self, cursor: DuckDBPyConnection, low: int, high: int) -> list[Member]:
        """The (key, other) pairs at positions low … high - 1, cut to the queue."""
        low, high = max(0, low), min(self.length, high)
        if low >= high:
            return []
        if self.extents is not None:
            return [(key, None) for key in self.extents.keys(low, high)]
        sql = f"select key, other from {self.table} where pos between ? and ? order by pos"  # noqa: S608 - our name
        with self._still_open():
            return cursor.execute(sql, [low, high - 1]).fetchall()

    def search(
        self, cursor: DuckDBPyConnection, text: str, low: int, high: int, *, forward: bool
    ) -> int | None:
        """The first (or last) position within low … high - 1 whose texts contain ``text``."""
        needles = [text] * len(self.kind.search.texts)
        if self.extents is not None:
            ends = self.extents.keys(low, low + 1) + self.extents.keys(high - 1, high)
            return self._search_extents(cursor, needles, ends, forward=forward)
        source = f"select pos, key, other from {self.table} where pos between ? and ?"  # noqa: S608 - our name
        sql = queue_sql.search(self.kind, source, forward=forward)
        with self._still_open():
            found: int | None = one_value(cursor, sql, [low, high - 1, *needles])
        return found

    def _search_extents(
        self, cursor: DuckDBPyConnection, needles: list[Any], ends: list[int], *, forward: bool
    ) -> int | None:
        source = (
            "select output_key as pos, output_key as key, null as other from output"
            " where output_key between ? and ? and model = ?"
        )
        sql = queue_sql.search(self.kind, source, forward=forward)
        low, high = ends
        while low <= high:
            key = one_value(cursor, sql, [low, high, self.view.spec.model, *needles])
            if key is None:
                return None
            position = self.extents.position(key) if self.extents else None
            if position is not None:
                return position
            low, high = (key + 1, high) if forward else (low, key - 1)  # closed after the queue was opened
        return None

    @contextmanager
    def _still_open(self) -> Iterator[None]:
        try:
            yield
        except duckdb.CatalogException as error:  # closed by another thread of the same client
            raise InputError(f"queue {self.id} is not open", todo="Open it again.") from error
