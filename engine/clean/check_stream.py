"""The outputs of a model as Arrow, in pieces from the hub, and the results on their way back."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from engine.clean.outcome import UNKNOWN, YES, Said
from engine.clean.runners import Batch
from engine.context import Context
from store.errors import StoreError
from store.records import key_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from store.client import Run

TABLE = "check_result"
BATCH_BYTES = 16 << 20  # of texts that are looked at between two signs of life


class Draw(Protocol):
    """What says which outputs are drawn."""

    @property
    def sample(self) -> int:
        """How many."""

    @property
    def seed(self) -> int:
        """Of the draw."""


def column_names(*, prompts: bool) -> list[str]:
    """The expressions of a batch's columns e0, e1, …; those of slices come behind."""
    return ["output", "reference", "tokens", *(["prompt"] if prompts else [])]


def stream(
    context: Context,
    model: str,
    expressions: list[str],
    take: Callable[[pa.Table], None],
    again: Callable[[], None] = lambda: None,
) -> None:
    """Call ``take`` with tables (key, subject, e0, …) of all outputs of a model, by ascending key.

    ``again`` is called before the first, and where the hub died and all comes anew. Raises StoreError where the keys do
    not ascend: what goes on behind the last key would leave outputs out.
    """

    def begin() -> list[int]:
        again()
        return [0]

    def see(last: list[int], table: pa.Table) -> None:
        keys = table["key"].to_numpy()
        if len(keys):
            if keys[0] <= last[0] or (keys[1:] <= keys[:-1]).any():
                raise StoreError("outputs came out of their order", todo="This is a fault of ours.")
            last[0] = int(keys[-1])
            take(table)

    spec = {"kind": "audit", "project": context.project, "model": model, "filter": "", "blind": False}
    context.store.fold("evaluate", begin, see, spec=spec, expressions=expressions)


def drawn(context: Context, model: str, draw: Draw) -> set[int]:
    """Keys of ``draw.sample`` outputs: those whose ids come first under a hash with the seed, on any machine."""
    best: list[tuple[int, int]] = []  # negated hash, key: the largest hash of the chosen is at the top

    def take(table: pa.Table) -> None:
        for key, subject in zip(table["key"].to_pylist(), table["subject"].to_pylist(), strict=True):
            place = hashlib.blake2b(f"{draw.seed}:{subject}".encode(), digest_size=8).digest()
            one = (-int.from_bytes(place), key)
            if len(best) < draw.sample:
                heapq.heappush(best, one)
            elif one > best[0]:
                heapq.heapreplace(best, one)

    stream(context, model, [], take, best.clear)
    return {key for _, key in best}


def among(table: pa.Table, chosen: set[int] | None, behind: int) -> pa.Table:
    """The rows of the chosen outputs (None: all) whose keys are greater than ``behind``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if table["key"][0].as_py() <= behind:
        table = table.filter(pc.greater(table["key"], behind))
    if chosen is None:
        return table
    return table.filter(pa.array([key in chosen for key in table["key"].to_pylist()], pa.bool_()))


def in_batches(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """A table in slices of at most ``rows`` rows, of fewer where their texts are long."""
    rows = max(1, min(rows, table.num_rows * BATCH_BYTES // max(1, table.nbytes)))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


def batch_of(model: str, table: pa.Table, *, prompts: bool) -> Batch:
    """A table of the stream as what runners take."""
    tokens = [None if told is None else int(float(told)) for told in table["e2"].to_pylist()]
    return Batch(
        model,
        table["key"].to_pylist(),
        table["e0"].to_pylist(),
        table["e1"].to_pylist(),
        tokens,
        table["e3"].to_pylist() if prompts else [],
    )


def slices_of(table: pa.Table, names: Mapping[str, str], first: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Of each slice, which outputs lie in it; their columns begin at e``first``."""
    import pyarrow.compute as pc

    return {
        name: pc.fill_null(pc.equal(table[f"e{first + i}"], "true"), False).to_numpy()
        for i, name in enumerate(names)
    }


class Rows:
    """Results on their way into a run: handed over in large pieces, since each is a transaction of the hub's."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._waiting = 0

    def add(self, label: str, table: pa.Table, said: Said) -> None:
        """What one check said of a table of the stream; what it could not check is left out."""
        import numpy as np
        import pyarrow as pa

        passed = np.frombuffer(said.passed, np.uint8)
        found = pa.table({
            "output_key": table["key"],
            "output_id": table["subject"],
            "name": pa.repeat(label, len(passed)),
            "passed": pa.array(passed == YES),
            "detail": pa.array(said.details, pa.string()),
        })  # fmt: skip
        if UNKNOWN in said.passed:
            found = found.filter(pa.array(passed != UNKNOWN))
        self._tables.append(found)
        self._waiting += found.num_rows

    def hand_over(self, opened: Run, least: int = 1) -> None:
        """Append what waits, if it is at least so many rows."""
        import pyarrow as pa

        if self._waiting < least:
            return
        rows = pa.concat_tables(self._tables)
        first = key_of(opened.run_no, opened.next_seq(TABLE))
        rows = rows.append_column("run_no", pa.repeat(opened.run_no, len(rows)))
        rows = rows.append_column("check_key", pa.array(range(first, first + len(rows)), pa.int64()))
        opened.add_table(TABLE, rows)
        self._tables, self._waiting = [], 0
