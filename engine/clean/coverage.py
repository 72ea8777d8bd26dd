"""Coverage: what the data holds, against what production asks for, cell by cell of a grid.

A dimension is an expression over a row's metadata, with bin edges where its values are numbers:
``channel`` or ``len(text): 0, 80, 200, 500``. The caller evaluates the expressions; here a column named by the
expression holds the values. Bins are half-open: [0, 80), [80, 200), [200, 500), and what lies outside has its
own. A grid lists the cells that some row falls into: a combination that nobody ever saw is not a gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from store.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

COUNTS = ("have", "clean", "production", "evaluation", "judged", "bad")
NONE = "(none)"  # the value of rows that have none: a null, or a number that is none
MOST_VALUES = 1_000  # distinct values of a dimension; beyond it nobody reads the grid
THIN_SHARE = 0.5  # of the production share
# Rows wanted in a cell: in every one, by values in the order of the dimensions, or told of a cell's label by expression.
Targets = int | Mapping[tuple[str, ...], int] | Callable[[Mapping[str, str]], int]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis: an expression, and ascending bin edges (none: its values as they are)."""

    expression: str
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One bucket. Shares are of all production rows and of all rows we have; intervals are Wilson's."""

    cell: tuple[tuple[str, str], ...]  # (dimension, value) in the order of the dimensions
    have: int
    clean: int
    production: int
    evaluation: int
    target: int
    production_share: float | None  # None where there is no production row at all
    share: float | None
    judged: int
    bad: int
    bad_low: float
    bad_high: float
    missing: bool  # production asks for it and we have nothing
    thin: bool  # fewer than the target, or less than half of the production share


def parse_dimension(text: str) -> Dimension:
    """Read ``expression`` or ``expression: edge, edge, …``. Raises InputError for edges that do not ascend.

    >>> parse_dimension("len(text): 0, 80, 200")
    Dimension(expression='len(text)', edges=(0.0, 80.0, 200.0))
    >>> parse_dimension("channel")
    Dimension(expression='channel', edges=())
    """
    expression, colon, tail = text.rpartition(":")
    try:
        edges = tuple(float(part) for part in tail.split(",")) if colon else ()
    except ValueError:
        expression, edges = "", ()  # the colon belongs to the expression, as in "a = ':'"
    dimension = Dimension((expression if edges else text).strip(), edges)
    if not dimension.expression:
        raise InputError(
            "a dimension has no expression", where=text, todo="Write: channel, or len(text): 0, 80"
        )
    if not all(math.isfinite(e) for e in edges) or any(a >= b for a, b in pairwise(edges)):
        raise InputError(
            "bin edges must ascend", where=text, todo="Write them from small to large: 0, 80, 200"
        )
    return dimension


def grid(
    rows: pl.DataFrame | pa.Table | Sequence[Mapping[str, object]],
    dimensions: Sequence[Dimension],
    *,
    targets: Targets = 0,
    level: float = 0.95,
) -> list[Cell]:
    """The cells that rows fall into: missing first, then thin, each by what production lacks most.

    ``rows``: one column per dimension (named by its expression) and counts or booleans named as COUNTS; those
    left out are 0 (``clean``: as ``have``). ``targets``: rows wanted in a cell.
    A target of a cell that no row falls into makes that cell, so that it shows as thin.
    Raises InputError for a missing column, values that are no numbers under bin edges, or too many values.
    """
    frame = _frame(rows, dimensions)
    axes = [_axis(frame, d).alias(f"axis {i}") for i, d in enumerate(dimensions)]
    return placed(frame.with_columns(axes), dimensions, targets=targets, level=level)


def placed(
    frame: pl.DataFrame,
    dimensions: Sequence[Dimension],
    *,
    targets: Targets = 0,
    also: Sequence[tuple[str, ...]] = (),
    level: float = 0.95,
) -> list[Cell]:
    """As ``grid``, of rows that have their bucket already: columns ``axis 0``, ``axis 1``, … (text; under edges the
    number of the bin, from 0; null where there is no value) and those of COUNTS. ``also``: cells that there are anyway."""
    counted = _counted(frame, dimensions)
    for key in (*targets, *also) if isinstance(targets, Mapping) else also:
        if len(key) != len(dimensions):
            raise InputError(f"a target names {len(key)} values for {len(dimensions)} dimensions: {key}")
        counted.setdefault(key, dict.fromkeys(COUNTS, 0))
    have = sum(counts["have"] for counts in counted.values())
    production = sum(counts["production"] for counts in counted.values())
    cells = []
    for key, counts in counted.items():
        named = tuple(zip((d.expression for d in dimensions), key, strict=True))
        target = _target(targets, key, dimensions)
        cells.append(_cell(named, counts, target, all_have=have, all_production=production, level=level))
    return sorted(cells, key=_urgency)


def _frame(
    rows: pl.DataFrame | pa.Table | Sequence[Mapping[str, object]], dimensions: Sequence[Dimension]
) -> pl.DataFrame:
    import polars as pl

    if isinstance(rows, pl.DataFrame):
        frame = rows
    elif isinstance(rows, Sequence):
        frame = pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()
    else:
        made = pl.from_arrow(rows)
        frame = made if isinstance(made, pl.DataFrame) else made.to_frame()
    if frame.width == 0:
        frame = pl.DataFrame({d.expression: [] for d in dimensions}, schema_overrides={})
    for dimension in dimensions:
        if dimension.expression not in frame.columns:
            raise InputError(f"the rows have no column {dimension.expression!r}", todo="Evaluate it first.")
    if not dimensions:
        raise InputError("a grid needs a dimension", todo="Name one, for example: channel")
    return frame


def _counted(frame: pl.DataFrame, dimensions: Sequence[Dimension]) -> dict[tuple[str, ...], dict[str, int]]:
    """Sums of COUNTS by labels, in one pass: bins are grouped as integers and named afterwards."""
    sums = [_sum(frame, name) for name in COUNTS]
    grouped = frame.group_by([f"axis {i}" for i in range(len(dimensions))]).agg(sums)
    counted: dict[tuple[str, ...], dict[str, int]] = {}
    seen: list[set[str]] = [set() for _ in dimensions]
    for row in grouped.iter_rows():
        key = tuple(label_of(d, value) for d, value in zip(dimensions, row[: len(dimensions)], strict=True))
        for values, value, dimension in zip(seen, key, dimensions, strict=True):
            values.add(value)
            if len(values) > MOST_VALUES:
                raise InputError(
                    f"{dimension.expression} has more than {MOST_VALUES} values",
                    todo="Give it bin edges, or take another dimension.",
                )
        into = counted.setdefault(key, dict.fromkeys(COUNTS, 0))
        for name, value in zip(COUNTS, row[len(dimensions) :], strict=True):
            into[name] += value
    return counted


def _sum(frame: pl.DataFrame, name: str) -> pl.Expr:
    import polars as pl

    column = "have" if name == "clean" and "clean" not in frame.columns else name
    if column not in frame.columns:
        return pl.lit(0, pl.Int64).alias(name)
    return pl.col(column).cast(pl.Int64).sum().alias(name)


def _target(targets: Targets, key: tuple[str, ...], dimensions: Sequence[Dimension]) -> int:
    if isinstance(targets, Mapping):
        return targets.get(key, 0)
    if callable(targets):
        return targets({d.expression: value for d, value in zip(dimensions, key, strict=True)})
    return targets


def _axis(frame: pl.DataFrame, dimension: Dimension) -> pl.Expr:
    import polars as pl

    column = pl.col(dimension.expression)
    kind = frame.schema[dimension.expression]
    if not dimension.edges or kind == pl.Null:
        return column
    if not kind.is_numeric():
        raise InputError(f"{dimension.expression} has bin edges but its values are no numbers ({kind})")
    bin_no = pl.sum_horizontal([(column >= edge).cast(pl.Int16) for edge in dimension.edges])
    known = column.is_not_null() & column.is_not_nan() if kind.is_float() else column.is_not_null()
    return pl.when(known).then(bin_no)


def label_of(dimension: Dimension, value: object) -> str:
    """The name of a value or of a bin number.

    >>> [label_of(Dimension("n", (0.0, 80.0)), bin_no) for bin_no in (0, 1, 2, None)]
    ['< 0', '0 to 80', '≥ 80', '(none)']
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN is the value that differs from itself
        return NONE
    if not dimension.edges:
        return str(value).lower() if isinstance(value, bool) else str(value)
    bin_no, names = int(str(value)), [f"{edge:g}" for edge in dimension.edges]
    if bin_no == 0:
        return f"< {names[0]}"
    return f"≥ {names[-1]}" if bin_no == len(names) else f"{names[bin_no - 1]} to {names[bin_no]}"


def labels_of(dimension: Dimension) -> list[str]:
    """The names of a dimension's bins, from small to large; none without edges.

    >>> labels_of(Dimension("n", (0.0, 80.0)))
    ['< 0', '0 to 80', '≥ 80']
    """
    return [label_of(dimension, i) for i in range(len(dimension.edges) + 1)] if dimension.edges else []


def restored(
    buckets: Sequence[tuple[Mapping[str, str], Mapping[str, int]]], *, level: float = 0.95
) -> list[Cell]:
    """Cells from (label by expression, counts of COUNTS and ``target``), in the order given: a stored report."""
    have, production = (sum(counts[name] for _, counts in buckets) for name in ("have", "production"))
    return [
        _cell(
            tuple(named.items()), {**dict.fromkeys(COUNTS, 0), **counts}, counts["target"],
            all_have=have, all_production=production, level=level,
        )
        for named, counts in buckets
    ]  # fmt: skip


def where_of(cell: Mapping[str, str], dimensions: Sequence[Dimension]) -> str:
    """The filter that finds what falls into a cell; ``cell``: label by expression, as in ``Cell.cell``.

    >>> where_of({"tier": "vip", "len(prompt)": "80 to 200"}, [Dimension("tier"), Dimension("len(prompt)", (80, 200))])
    "tier = 'vip' and number(len(prompt)) >= 80 and number(len(prompt)) < 200"
    >>> where_of({"a + b": "< 2"}, [Dimension("a + b", (2,))]), where_of({"tier": "(none)"}, [Dimension("tier")])
    ('number(a + b) < 2', 'tier is null')
    """
    parts = []
    for d in dimensions:
        label, value = cell[d.expression], f"number({d.expression})" if d.edges else d.expression
        quoted = label.replace("'", "''")
        if label == NONE:
            parts.append(f"{value} is null")
        elif not d.edges:
            parts.append(f"{value} = '{quoted}'")
        else:
            bin_no = labels_of(d).index(label)
            if bin_no:
                parts.append(f"{value} >= {d.edges[bin_no - 1]:g}")
            if bin_no < len(d.edges):
                parts.append(f"{value} < {d.edges[bin_no]:g}")
    return " and ".join(parts)


def bucket_state(
    have: int, clean: int, production: int, target: int, *, shares: tuple[float | None, float | None]
) -> Literal["missing", "thin", "ok"]:
    """How a bucket stands; ``shares`` are ours and production's (None: there is nothing to have a share of).

    >>> bucket_state(0, 0, 3, 0, shares=(0.0, 0.1)), bucket_state(9, 9, 3, 5, shares=(0.04, 0.1))
    ('missing', 'thin')
    """
    share, production_share = shares
    if production > 0 and have == 0:
        return "missing"
    behind = production_share is not None and (share or 0.0) < THIN_SHARE * production_share
    return "thin" if clean < target or behind else "ok"


def _cell(
    named: tuple[tuple[str, str], ...],
    counts: Mapping[str, int],
    target: int,
    *,
    all_have: int,
    all_production: int,
    level: float,
) -> Cell:
    from engine.statistics import wilson

    production_share = counts["production"] / all_production if all_production else None
    share = counts["have"] / all_have if all_have else None
    low, high = wilson(counts["bad"], counts["judged"], level)
    state = bucket_state(
        counts["have"], counts["clean"], counts["production"], target, shares=(share, production_share)
    )
    return Cell(
        cell=named,
        have=counts["have"],
        clean=counts["clean"],
        production=counts["production"],
        evaluation=counts["evaluation"],
        target=target,
        production_share=production_share,
        share=share,
        judged=counts["judged"],
        bad=counts["bad"],
        bad_low=low,
        bad_high=high,
        missing=state == "missing",
        thin=state == "thin",
    )


def _urgency(cell: Cell) -> tuple[int, float, int, tuple[tuple[str, str], ...]]:
    lacking = (cell.production_share or 0.0) - (cell.share or 0.0)
    return (0 if cell.missing else 1 if cell.thin else 2, -lacking, cell.have - cell.target, cell.cell)
