"""The coverage report headless: the grid as table and plots, the same as Markdown, and what would bring the data to
production's shares."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from console.coverage_plots import KEY, marginal
from console.headless import Options
from console.output import as_table, emit
from console.text import visible
from store.errors import InputError, RuleError

if TYPE_CHECKING:
    from engine.clean.coverage import Cell, Dimension
    from engine.clean.coverage_report import Row
    from engine.context import Closed, Context

MOST_PLOTTED = 30  # values of a dimension


def coverage_report(options: Options, context: Context) -> int:
    """Print the newest grid, thin and missing first; as Markdown, or as a proposal, where asked for."""
    from engine.clean.coverage_report import report_markdown

    found = newest_grid_rows(context)
    if found is None:
        raise InputError("nothing was covered yet", todo="spiritsafe coverage")
    _, rows, dimensions = found
    cells = [row.cell for row in rows]
    if options.markdown:
        sys.stdout.write(visible(report_markdown(cells, dimensions), lines=True))
    elif options.rebalance:
        return _rebalance(options, cells)
    elif options.json:
        return emit(options, {"buckets": [row.told() for row in rows]})
    else:
        sys.stdout.write(report_text(rows, dimensions, shutil.get_terminal_size().columns))
    return 0


def report_text(rows: list[Row], dimensions: tuple[Dimension, ...], width: int) -> str:
    """The grid as a table, and a plot of each dimension."""
    from engine.clean.coverage_report import marginals, summed

    cells = [row.cell for row in rows]
    heads = [
        *(name for cell in cells[:1] for name, _ in cell.cell),
        "state",
        "have",
        "clean",
        "target",
        "prod",
        "eval",
    ]
    table = [
        [*(v for _, v in r.cell.cell), r.state, r.cell.have, r.cell.clean, r.cell.target, r.cell.production,
         r.cell.evaluation, *(part.told() for _, part in r.parts)]
        for r in rows
    ]  # fmt: skip
    text = f"{summed(cells)} Shares with their 95 % interval.\n\n"
    text += as_table([*heads, "ours", "production", "evaluation"], table)
    for name, values in marginals(cells, dimensions):
        text += "\n" + "\n".join(marginal(name, values[:MOST_PLOTTED], width)) + "\n"
        if len(values) > MOST_PLOTTED:
            text += f"… and {len(values) - MOST_PLOTTED:,} more\n"
    return f"{text}\n{KEY}\n"


def newest_grid_rows(context: Context) -> tuple[Closed, list[Row], tuple[Dimension, ...]] | None:
    """The newest coverage run or dataset version, its buckets in the report's order, its dimensions; None before the first."""
    from engine.clean.cover import cells_of_run, dimensions_of_run, newest_grid
    from engine.clean.coverage_report import rows

    newest = newest_grid(context)
    if newest is None:
        return None
    return newest, rows(cells_of_run(context, newest)), dimensions_of_run(context, newest)


def _rebalance(options: Options, cells: list[Cell]) -> int:
    """A weight and a draw per bucket; numbers as text, since weights are no counts."""
    from engine.clean.rebalance import proposal

    found = proposal(cells)
    if found is None:
        raise RuleError(
            "there is no production row to bring the data to",
            todo="Import the production log: --source production",
        )
    shares = [
        {
            "bucket": " · ".join(value for _, value in s.cell), "have": s.have, "share": f"{s.share:.4f}",
            "production": f"{s.production_share:.4f}", "weight": f"{s.weight:.3f}", "draw": s.draw, "lacks": s.lacks,
        }
        for s in found.shares
    ]  # fmt: skip
    told: dict[str, Any] = {
        "samples": found.samples,
        "effective_if_weighted": f"{found.effective:.0f}",
        "samples_if_drawn": found.drawn,
        "production_unseen": f"{found.unseen:.4f}",
    }
    if options.json:
        return emit(options, told | {"shares": shares})
    emit(options, told)
    sys.stdout.write("\n" + as_table(list(shares[0]), [list(s.values()) for s in shares]))
    return 0
