"""Stage ``coverage``: which buckets the data fills, beside production and the evaluation set.

Dimensions are the contract's (any expression over metadata, prompt, reference; numbers cut at edges), else
the length of the prompt. ``bucket_rows`` is also what a dataset freeze keeps as its coverage report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engine.clean.coverage import Cell, Dimension, parse_dimension, placed, restored
from engine.clean.targets import Target, named, parse_target, refuse_idle, wanted
from engine.context import Closed, Context
from engine.contract_records import Contract
from engine.stages import as_mapping, option
from store import read
from store.canonical import canonical_text
from store.errors import RuleError
from store.records import Bucket

if TYPE_CHECKING:
    import polars as pl

DEFAULT = (Dimension("len(prompt)", (0, 80, 200, 500, 2000)),)


@dataclass(frozen=True, slots=True)
class Params:
    """Along which dimensions, and which arrivals are the data."""

    by: tuple[str, ...] = option(
        (), "EXPRESSION[: EDGE, EDGE, …]; repeat for a grid (default: the contract's)"
    )
    split: str = option("train", "the split that is the data; the others are only compared with")
    target: tuple[str, ...] = option(
        (), "samples wanted in each bucket, N, or in some, FILTER: N; repeat (default: the contract's)"
    )


def run(context: Context, params: Params) -> dict[str, Any]:
    """Cover. Result: dimensions, buckets, thin, missing, rows."""
    dimensions, targets = dimensions_of(context, params.by, params.target)
    cells, split = cover(context, dimensions, targets, params.split), params.split
    if not any(
        cell.have for cell in cells
    ):  # nothing to train on, as in a retrospective project: cover what there is
        cells, split = cover(context, dimensions, targets, ""), "all"
    if not cells:
        raise RuleError(f"project {context.project} has no arrivals", todo="Import some.")
    refuse_idle(targets, [dict(c.cell) for c in cells])
    opened = context.open("coverage", dict(as_mapping(params)), {})
    opened.add("bucket", bucket_rows(cells))
    result = {
        "dimensions": stated(dimensions),
        "split": split,
        **summary(cells),
    }
    opened.close(result)
    return result


def dimensions_of(
    context: Context, by: Sequence[str], target: Sequence[str] = ()
) -> tuple[tuple[Dimension, ...], tuple[Target, ...]]:
    """The dimensions and the targets in force; targets that are stated replace the contract's, all of them."""
    contract: Contract | None
    try:
        contract = context.contract()
    except RuleError:
        contract = None
    if by:
        chosen = tuple(parse_dimension(text) for text in by)
    elif contract is not None and contract.coverage.dimensions:
        chosen = tuple(
            Dimension(d.expression, tuple(float(b) for b in d.bins)) for d in contract.coverage.dimensions
        )
    else:
        chosen = DEFAULT
    if target or contract is None:
        return chosen, tuple(parse_target(text) for text in target)
    asked = contract.coverage
    return chosen, (Target("", asked.target), *(Target(t.where, t.samples) for t in asked.targets))


def newest_grid(context: Context) -> Closed | None:
    """The run whose buckets are shown: the newest coverage run or dataset version; None before the first.

    A version that was restored before restoring took the buckets along has none.
    """
    counted = [run for run in context.runs("dataset") if "bucket" in run.digests]
    runs = context.runs("coverage") + counted
    return max(runs, key=lambda r: r.seq, default=None)


def cells_of_run(context: Context, run: Closed) -> list[Cell]:
    """The buckets of a coverage run, or of a dataset's coverage report, in its order; values in that of its dimensions."""
    order = [d.expression for d in dimensions_of_run(context, run)]
    found = context.store.ask(read.BUCKETS, project=context.project, run_no=run.run_no)
    counts = ("have", "clean", "production", "evaluation", "target")
    cells = [msgspec.json.decode(b.cell) for b in found]  # canonical JSON: its keys stand by the alphabet
    named = [{name: cell[name] for name in order} for cell in cells]
    return restored(
        [(cell, {n: getattr(b, n) for n in counts}) for cell, b in zip(named, found, strict=True)]
    )


def dimensions_of_run(context: Context, run: Closed) -> tuple[Dimension, ...]:
    """The dimensions of a coverage run, or of a dataset's coverage report."""
    stated = run.result.get("dimensions") or run.result.get("coverage", {}).get("dimensions")
    if stated is None:  # a version of before reports said so
        return dimensions_of(context, ())[0]
    return tuple(Dimension(d["expression"], tuple(float(e) for e in d["edges"])) for d in stated)


def stated(dimensions: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Dimensions as a run's result keeps them: no floats."""
    return [{"expression": d.expression, "edges": [f"{e:g}" for e in d.edges]} for d in dimensions]


def cover(
    context: Context,
    dimensions: Sequence[Dimension],
    targets: Sequence[Target],
    split: str,
    *,
    only: pl.Series | None = None,
) -> list[Cell]:
    """Cells over all arrivals; those of ``split`` ("": all) are the data, or, given ``only``, those with these keys."""
    import polars as pl

    frame = frame_of(context, dimensions, split, rows=only is not None)
    if only is not None:
        ours = pl.col("arrival_key").is_in(only.unique().implode())
        frame = frame.with_columns(ours.alias("have"), (ours & pl.col("clean")).alias("clean"))
    also = [key for target in targets if (key := named(target, dimensions)) is not None]
    return placed(frame, dimensions, targets=lambda cell: wanted(targets, cell), also=also)


def frame_of(
    context: Context, dimensions: Sequence[Dimension], split: str, *, rows: bool = True
) -> pl.DataFrame:
    """What the hub says of buckets (``store.covering.cover``): one row per arrival, or per bucket with its counts."""
    import polars as pl

    return pl.DataFrame(context.store.table("cover", **asked(context, dimensions, split), rows=rows))


def asked(context: Context, dimensions: Sequence[Dimension], split: str) -> dict[str, Any]:
    """What the hub is asked for buckets; the evaluation set and the teacher's checks are those in force."""
    frozen = context.runs("evaluation")
    teachers = [m.model for m in context.models("teacher")]
    return {
        "project": context.project,
        "axes": [{"expression": d.expression, "edges": list(d.edges)} for d in dimensions],
        "split": split,
        "evaluation": frozen[-1].run_id if frozen else "",
        "model": context.model("teacher") if teachers else "",
    }


def bucket_rows(cells: Sequence[Cell]) -> list[Bucket]:
    """Cells as artifact rows, in the order of the report."""
    return [
        Bucket(0, 0, canonical_text(dict(c.cell)), c.have, c.clean, c.production, c.evaluation, c.target)
        for c in cells
    ]


def summary(cells: Sequence[Cell]) -> dict[str, Any]:
    """Counts of the grid."""
    return {
        "buckets": len(cells),
        "thin": sum(c.thin for c in cells),
        "missing": sum(c.missing for c in cells),
        "have": sum(c.have for c in cells),
        "clean": sum(c.clean for c in cells),
    }
