"""``gc``: the newest coverage grid, thin and missing buckets first."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import msgspec

from console.screens.sheet import Line, Sheet, SheetRoom
from console.text import counted, fit
from console.widgets.bars import share
from console.widgets.detail import Section
from engine.clean.coverage import bucket_state
from engine.context import Context
from store import read
from store.errors import RuleError

ROOMY = 100  # columns from which shares are drawn, too


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
    wide = width >= ROOMY
    size = min(size, max(12, width - (62 if wide else 46)))
    for cell, b in cells:
        ours = b.have / all_have if all_have else 0.0
        theirs = b.production / all_production if all_production else 0.0
        state = bucket_state(b.have, b.clean, b.production, b.target, shares=(ours, theirs))
        name = " · ".join(map(str, cell.values()))
        text = f"{fit(name, size)} {state:<8}{b.have:>6,}{b.clean:>6,}{b.production:>6,}{b.evaluation:>6,} {ours:>6.1%}"
        text += f" {share(ours, 8)}" if wide else ""
        about = "\n".join(f"{k} = {v}" for k, v in cell.items())
        counts = f"have {b.have:,}, clean {b.clean:,}, target {b.target:,}\nevaluation {b.evaluation:,}"
        detail = f"{about}\n\n{counts}\nproduction {b.production:,} ({theirs:.1%}), ours {ours:.1%}"
        lines.append(
            Line(text, {"missing": "!", "thin": "-", "ok": " "}[state], (Section("bucket", detail),))
        )
    dimensions = " × ".join(cells[0][0]) if cells else ""
    states = Counter(row.mark for row in lines)
    header = (
        f"coverage by {dimensions} · {counted(len(rows), 'bucket')}: {states['!']:,} missing, {states['-']:,} thin"
        f" · {context.project}, run {newest.run_no} ({newest.stage})"
    )
    return Sheet(
        header, f"{'bucket':<{size}} {'state':<8}{'have':>6}{'clean':>6}{'prod':>6}{'eval':>6}  share", lines
    )
