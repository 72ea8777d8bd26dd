"""Rows on their way into a run while the caller makes the next ones.

A hub that inserts and a client that parses are two processes: neither waits for the other here.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from store.records import ROW_GROUP
from store.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

# What is collected of one table before it is sent: a row group, which bypasses the hub's log; long rows go in less.
PIECE_ROWS = ROW_GROUP
PIECE_BYTES = 24 << 20
IN_FLIGHT = 2  # pieces that wait or are being sent: with more, memory would grow and nothing be won


class Feed:
    """Appends tables to an open run on a thread of its own, in the order of ``add``, until the block ends.

    While it is open the run's rows go through it alone. Where the block ends by an error, what was not sent yet is
    dropped; what the hub has is invisible for good, because the run is never closed.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: dict[str, int] = {}
        self._collected: dict[str, list[pa.Table]] = {}
        self._sent: deque[Future[int]] = deque()
        self._thread = ThreadPoolExecutor(1, "feed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for table in list(self._collected):
                    self._send(table)
                self._wait(0)
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def next_seq(self, table: str) -> int:
        """The seq that the next row of ``table`` will have."""
        return self.rows.get(table, 0)

    def add(self, table: str, batch: pa.Table) -> int:
        """Add rows with every column of ``table``, keys included. Returns how many.

        Raises, sooner or later, what ``Run.add_table`` raises for rows that were added here.
        """
        count = int(batch.num_rows)
        self.rows[table] = self.next_seq(table) + count
        pieces = self._collected.setdefault(table, [])
        while batch.num_rows:
            room = PIECE_ROWS - sum(piece.num_rows for piece in pieces)
            pieces.append(batch.slice(0, room))
            batch = batch.slice(room)
            full = sum(piece.num_rows for piece in pieces) == PIECE_ROWS
            if full or sum(piece.nbytes for piece in pieces) >= PIECE_BYTES:
                self._send(table)
                pieces = self._collected.setdefault(table, [])
        return count

    def _send(self, table: str) -> None:
        import pyarrow as pa

        pieces = self._collected.pop(table)
        if pieces:
            self._wait(IN_FLIGHT - 1)
            self._sent.append(self._thread.submit(self.run.add_table, table, pa.concat_tables(pieces)))

    def _wait(self, most: int) -> None:
        """Until at most so many pieces are under way; raises what became of the others."""
        while len(self._sent) > most:
            self._sent.popleft().result()
