"""Stage ``coverage``: which buckets the data fills, beside production and the evaluation set.

Dimensions are the contract's (any expression over metadata, prompt, reference; numbers cut at edges), else
the length of the prompt. ``bucket_rows`` is also what a dataset freeze keeps as its coverage report.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.clean.coverage import Cell, Dimension, grid, parse_dimension
from engine.context import Context
from engine.contract_records import Contract
from engine.stages import as_mapping, option
from store import grammar, read
from store.canonical import canonical_text
from store.errors import RuleError
from store.records import Bucket

DEFAULT = (Dimension("len(prompt)", (0, 80, 200, 500, 2000)),)


@dataclass(frozen=True, slots=True)
class Params:
    """Along which dimensions, and which arrivals are the data."""

    by: tuple[str, ...] = option(
        (), "EXPRESSION[: EDGE, EDGE, …]; repeat for a grid (default: the contract's)"
    )
    split: str = option("train", "the split that is the data; the others are only compared with")
    target: int = option(0, "samples wanted in each bucket (default: the contract's)")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Cover. Result: dimensions, buckets, thin, missing, rows."""
    dimensions, target = dimensions_of(context, params.by, params.target)
    arrivals = context.store.ask(read.ARRIVALS, project=context.project, split=None)
    if not arrivals:
        raise RuleError(f"project {context.project} has no arrivals", todo="Import some.")
    split = params.split
    data = {a.arrival_key for a in arrivals if a.split == split}
    if not data:  # nothing to train on, as in a retrospective project: cover what there is
        data, split = {a.arrival_key for a in arrivals}, "all"
    cells = cover(context, dimensions, target, data, arrivals)
    opened = context.open("coverage", dict(as_mapping(params)), {})
    opened.add("bucket", bucket_rows(cells))
    result = {
        "dimensions": [
            {"expression": d.expression, "edges": [f"{e:g}" for e in d.edges]} for d in dimensions
        ],
        "split": split,
        **summary(cells),
    }
    opened.close(result)
    return result


def dimensions_of(context: Context, by: Sequence[str], target: int) -> tuple[tuple[Dimension, ...], int]:
    """The dimensions and the target in force."""
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
    return chosen, target or (contract.coverage.target if contract is not None else 0)


def cover(
    context: Context,
    dimensions: Sequence[Dimension],
    target: int,
    data: Collection[int],
    arrivals: Sequence[read.ArrivalRow],
) -> list[Cell]:
    """Cells over ``arrivals``; ``data`` are the keys of those that we have."""
    test = _evaluation_set(context)
    failed = {c.output_key for c in context.store.ask(read.CHECKS, project=context.project) if not c.passed}
    dirty: set[int] = set()
    if failed:
        teacher = context.model("teacher")
        outputs = context.store.fetch(read.OUTPUTS, project=context.project, model=teacher, split=None)
        keys = zip(outputs["output_key"].to_pylist(), outputs["arrival_key"].to_pylist(), strict=True)
        dirty = {arrival for output, arrival in keys if output in failed}
    # Metadata has no type: what is cut at edges is read as a number.
    parsed = {
        d.expression: grammar.parse(f"number({d.expression})" if d.edges else d.expression)
        for d in dimensions
    }
    rows: list[dict[str, Any]] = []
    for a in arrivals:
        row = {
            "prompt": a.text,
            "text": a.text,
            "reference": a.reference,
            "split": a.split,
            "source": a.source,
        }
        metadata = msgspec.json.decode(a.metadata)
        values = {text: grammar.evaluate(expression, row, metadata) for text, expression in parsed.items()}
        have = a.arrival_key in data
        rows.append(
            values
            | {
                "have": have,
                "clean": have and a.arrival_key not in dirty,
                "production": a.source == "production",
                "evaluation": a.arrival_key in test,
            }
        )
        if len(rows) % 5000 == 0:
            context.progress("coverage", len(rows), len(arrivals))
    return grid(rows, dimensions, targets=target)


def _evaluation_set(context: Context) -> set[int]:
    """Arrivals of the frozen evaluation set; none before it is frozen."""
    try:
        frozen = context.evaluation_set()
    except RuleError:
        return set()
    table = context.store.fetch(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    return set(table["arrival_key"].to_pylist())


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
