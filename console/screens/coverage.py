"""``gc``: the newest coverage grid, thin and missing buckets first, as numbers or as plots."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from console.coverage_commands import newest_grid_rows
from console.coverage_words import Columns, Said, about, columns_of, marginals_text
from console.screens.sheet import Line, Sheet, SheetRoom
from console.text import fit
from console.widgets.detail import Section
from engine.clean.coverage import Dimension, where_of
from engine.clean.coverage_report import Row, marginals
from engine.context import Context
from store import read_dataset
from store.errors import RuleError


class Coverage(SheetRoom):
    """Production's share beside ours and the evaluation set's, bucket by bucket."""

    name_: ClassVar[str] = "coverage"

    def __init__(self) -> None:
        super().__init__()
        self.plots = False

    def ask_sheet(self, width: int) -> Sheet:
        return coverage_sheet(Context(self.home.store, self.home.project), width, as_plots=self.plots)

    def action_plots(self) -> None:
        """``p``: the list as plots of shares, and as numbers again."""
        self.plots = not self.plots
        self.enter()

    def action_open(self) -> None:
        """Enter: the bucket's plots where there is no room beside the list; from there, and beside it, its samples."""
        if not self.has_class("wide") and not self.has_class("opened"):
            self.open_detail()
            self.show_detail()
        elif (row := self.current) is not None and row.opens is not None:
            name, wanted = row.opens
            self.home.goto(name, **wanted)

    def _bucket(self) -> str:
        """The filter that finds the bucket under the cursor, "" where there is none."""
        row = self.current
        return row.about[0] if row is not None and row.about else ""

    def action_request(self) -> None:
        """``+``: how many samples of this bucket there shall be."""
        where, home, row = self._bucket(), self.home, self.current

        def asked(text: str) -> None:
            if not text.strip().isdigit():
                self.tell(f"a whole number, not {text.strip()!r}: nothing asked")
                return
            payload = {"where": where, "samples": int(text), "about": "coverage"}
            home.work(
                lambda: home.store.act("samples.request", home.project, payload), lambda _: self.enter()
            )

        if where and row is not None:
            self.ask(f"samples wanted in this bucket{row.about[1]}, 0 takes it back:", asked)

    def action_waive(self) -> None:
        """``w``: this bucket may stay as it is."""
        where, home = self._bucket(), self.home

        def said(reason: str) -> None:
            payload = {"where": where, "reason": reason.strip()}
            home.work(lambda: home.store.act("bucket.waive", home.project, payload), lambda _: self.enter())

        if where:
            self.ask("may stay thin because (empty takes it back):", said, draft=f"waive/{where}")


def said_of(context: Context) -> Said:
    """Requests and waivers in force."""
    requests = context.store.ask(read_dataset.REQUESTS, project=context.project)
    waivers = context.store.ask(read_dataset.WAIVERS, project=context.project)
    return Said(
        {r.predicate: r.samples for r in requests},
        {w.predicate: f"{w.reason} ({w.actor})" for w in waivers},
    )


def coverage_sheet(context: Context, width: int, *, as_plots: bool = False) -> Sheet:
    """The grid as a sheet. Raises RuleError where nothing was covered yet."""
    found = newest_grid_rows(context)
    if found is None:
        raise RuleError(
            "nothing was covered yet",
            todo="spiritsafe coverage --by 'len(prompt): 0, 80, 200'; --by KEY for each metadata key",
        )
    newest, rows, dimensions = found
    said, columns = said_of(context), columns_of(rows, width, plots=as_plots)
    values = marginals([row.cell for row in rows], dimensions)
    plots = Section(
        "plots", marginals_text(values, 80), layout=lambda width: (marginals_text(values, width), ())
    )
    lines = [_line(row, columns, said, dimensions, plots) for row in rows]
    states = Counter(row.state for row in rows)
    of = " (dataset)" if newest.stage == "dataset" else ""
    header = (
        f"coverage by {' × '.join(d.expression for d in dimensions)} · run {newest.run_no}{of} ·"
        f" {states['missing']:,} missing, {states['thin']:,} thin of {len(rows):,} · {context.project}"
    )
    return Sheet(header, columns.titles(), lines)


def _line(
    row: Row,
    columns: Columns,
    said: Said,
    dimensions: tuple[Dimension, ...],
    plotted: Section,
) -> Line:
    """One bucket: its line, and beside it its bars, and the plots of the dimensions."""
    where = where_of(dict(row.cell.cell), dimensions)

    def told(width: int) -> tuple[str, tuple[Any, ...]]:
        return about(row, where, said, width), ()

    sections = (Section("bucket", about(row, where, said, 80), layout=told), plotted)
    goal = f" (target {row.cell.target:,})" if row.cell.target else ""
    text = columns.line(row, said.word(row, where))
    return Line(
        fit(text, columns.width), said.mark(row, where), sections, ("audit", {"filter": where}), (where, goal)
    )
