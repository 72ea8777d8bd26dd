"""``gc``: the newest coverage grid, thin and missing buckets first."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from console.screens.sheet import Line, Sheet, SheetRoom
from console.widgets.bars import share
from console.widgets.detail import Section
from engine.context import Context
from store import read
from store.errors import RuleError


class Coverage(SheetRoom):
    """Production's share beside ours, bucket by bucket."""

    name_: ClassVar[str] = "coverage"

    def ask_sheet(self, width: int) -> Sheet:
        return coverage_sheet(Context(self.home.store, self.home.project), width)


def coverage_sheet(context: Context, width: int) -> Sheet:
    """The grid as a sheet. Raises RuleError where nothing was covered yet."""
    runs = context.runs("coverage") + context.runs("dataset")
    if not runs:
        raise RuleError(
            "nothing was covered yet", todo="spiritsafe coverage --by 'len(prompt): 0, 80, 200' --by channel"
        )
    newest = max(runs, key=lambda r: r.seq)
    rows = context.store.ask(read.BUCKETS, project=context.project, run_no=newest.run_no)
    all_have, all_production = sum(b.have for b in rows), sum(b.production for b in rows)
    lines = []
    cells = [(msgspec.json.decode(b.cell), b) for b in rows]
    size = max([len(" · ".join(map(str, c.values()))) for c, _ in cells] + [6])
    size = min(size, max(12, width - 62))
    for cell, b in cells:
        ours = b.have / all_have if all_have else 0.0
        theirs = b.production / all_production if all_production else 0.0
        state = (
            "missing"
            if b.production and not b.have
            else "thin"
            if b.clean < b.target or ours < theirs / 2
            else "ok"
        )
        name = " · ".join(map(str, cell.values()))
        text = f"{name:<{size}.{size}} {state:<8}{b.have:>7,}{b.clean:>7,}{b.production:>7,}{b.evaluation:>7,} {ours:>6.1%} {share(ours, 8)}"
        about = "\n".join(f"{k} = {v}" for k, v in cell.items())
        detail = f"{about}\n\nhave {b.have:,}, clean {b.clean:,}, target {b.target:,}\nproduction {b.production:,} ({theirs:.1%}), ours {ours:.1%}\nevaluation {b.evaluation:,}"
        lines.append(
            Line(text, {"missing": "!", "thin": "-", "ok": " "}[state], (Section("bucket", detail),))
        )
    dimensions = " × ".join(cells[0][0]) if cells else ""
    header = f"{context.project} · coverage by {dimensions} · {len(rows)} buckets from run {newest.run_no} ({newest.stage})"
    return Sheet(
        header, f"{'bucket':<{size}} {'state':<8}{'have':>7}{'clean':>7}{'prod':>7}{'eval':>7}  share", lines
    )
