"""Outputs to prompts that are here already: ``import --predictions``.

What must be known of the project stays in memory while the files are read: 40 bytes a prompt (its id and the key of
its first arrival) and one byte a prompt for each model and sample that is mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.context import Context
from store.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ID_BYTES = "S32"
ROWS_AT_ONCE = 65_536
Answered = tuple[str, int]  # model and sample index


class Known:
    """The prompts of a project and who answered them, of every closed run."""

    def __init__(self, context: Context, models: Sequence[str]) -> None:
        import numpy as np

        runs = context.runs()
        parts = [
            _ids(context.store.rows_of_run(run.run_no, "arrival", ["prompt_id", "arrival_key"]))
            for run in runs
            if "arrival" in run.digests
        ]
        ids = np.concatenate([ids for ids, _ in parts]) if parts else np.empty(0, ID_BYTES)
        keys = np.concatenate([keys for _, keys in parts]) if parts else np.empty(0, np.int64)
        order = np.lexsort((keys, ids))  # by id; of one prompt's arrivals the first one first
        ids, keys = ids[order], keys[order]
        first = np.ones(len(ids), bool)
        first[1:] = ids[1:] != ids[:-1]
        self.ids, self.keys = ids[first], keys[first]
        self.answered: dict[Answered, Any] = {}
        for run in runs:
            if "output" in run.digests:
                self._note(
                    context.store.rows_of_run(run.run_no, "output", ["prompt_id", "model", "sample_index"]),
                    models,
                )

    def _note(self, outputs: pa.Table, models: Sequence[str]) -> None:
        """Outputs that are there before the import."""
        for start in range(0, outputs.num_rows, ROWS_AT_ONCE):
            piece = outputs.slice(start, ROWS_AT_ONCE)
            places, here = self.places(_texts(piece["prompt_id"]))
            for answered, rows in _groups(piece):
                if answered[0] in models:
                    self.mark(answered, places[rows[here[rows]]])

    def places(self, ids: Any) -> tuple[Any, Any]:
        """Where each id stands among the known ones, and whether it does."""
        import numpy as np

        at = np.searchsorted(self.ids, ids)
        if not len(self.ids):
            return at, np.zeros(len(ids), bool)
        at = np.minimum(at, len(self.ids) - 1)
        return at, self.ids[at] == ids

    def mark(self, answered: Answered, places: Any) -> None:
        """That a model answered the prompts at these places."""
        self.marks(answered)[places] = True

    def marks(self, answered: Answered) -> Any:
        """By place, whether a model answered the prompt with that sample."""
        import numpy as np

        if answered not in self.answered:
            self.answered[answered] = np.zeros(len(self.ids), bool)
        return self.answered[answered]


def matched(
    arrivals: pa.Table,
    outputs: pa.Table,
    known: Known,
    *,
    first_key: int,
    name: str,
    reject: Callable[[InputError], None] | None,
) -> pa.Table:
    """The outputs with the key of the first arrival of their prompt, and keys of their own from ``first_key`` on;
    ``known`` grows by them.

    A row that answers a prompt which is not here, or which the model answered before (no second chances), is a bad
    row: raises InputError with its place, or hands that to ``reject`` and leaves out all outputs of the row.
    """
    import numpy as np
    import pyarrow as pa

    row_of = dict(zip(arrivals["arrival_key"].to_pylist(), arrivals["file_row"].to_pylist(), strict=True))
    places, here = known.places(_texts(outputs["prompt_id"]))
    own = outputs["arrival_key"].to_numpy()
    faults: dict[int, InputError] = {}
    for index in np.flatnonzero(~here):
        where = f"{name}:{row_of[int(own[index])]}"
        faults.setdefault(
            int(own[index]), InputError("answers a prompt that was never imported", where=where)
        )
    groups = [(answered, rows[here[rows]]) for answered, rows in _groups(outputs)]
    for answered, rows in groups:
        again = known.marks(answered)[places[rows]]
        again |= ~_first_ones(places[rows])
        for index in rows[again]:
            what = f"{answered[0]} answered a prompt that it answered before: {outputs['prompt_id'][index]}"
            fault = InputError(
                what,
                where=f"{name}:{row_of[int(own[index])]}",
                todo="Import the other answers under another model's name.",
            )
            faults.setdefault(int(own[index]), fault)
    for key in sorted(faults):
        if reject is None:
            raise faults[key]
        reject(faults[key])
    kept = ~np.isin(own, list(faults))
    for answered, rows in groups:
        known.mark(answered, places[rows[kept[rows]]])
    own_keys = pa.array(range(first_key, first_key + int(kept.sum())), pa.int64())
    keys = {"output_key": own_keys, "arrival_key": pa.array(known.keys[places[kept]], pa.int64())}
    outputs = outputs.filter(pa.array(kept))
    for column, values in keys.items():
        outputs = outputs.set_column(outputs.schema.get_field_index(column), column, values)
    return outputs


def _first_ones(places: Any) -> Any:
    """For each place, whether it stands there for the first time."""
    import numpy as np

    first = np.zeros(len(places), bool)
    first[np.unique(places, return_index=True)[1]] = True
    return first


def _groups(outputs: pa.Table) -> list[tuple[Answered, Any]]:
    """The row numbers of every (model, sample index)."""
    import numpy as np

    models, samples = outputs["model"].to_pylist(), outputs["sample_index"].to_pylist()
    found: dict[Answered, list[int]] = {}
    for index, answered in enumerate(zip(models, samples, strict=True)):
        found.setdefault(answered, []).append(index)
    return [(answered, np.array(rows)) for answered, rows in found.items()]


def _texts(column: pa.ChunkedArray) -> Any:
    """Ids as numpy bytes."""
    import numpy as np

    return np.array(column.to_pylist(), ID_BYTES)


def _ids(arrivals: pa.Table) -> tuple[Any, Any]:
    """Prompt ids and arrival keys of a run, never all of them as Python objects."""
    import numpy as np

    pieces = [
        _texts(arrivals["prompt_id"].slice(at, ROWS_AT_ONCE))
        for at in range(0, arrivals.num_rows, ROWS_AT_ONCE)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, ID_BYTES), arrivals["arrival_key"].to_numpy()
