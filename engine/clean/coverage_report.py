"""The coverage report in numbers and as Markdown: what the room, the command, its JSON and the page all tell.

Every share comes with Wilson's interval: of a sample that is all there is nothing is uncertain, but what the next
thousand prompts of production will be like is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.clean.coverage import Cell, Dimension, labels_of, restored
from engine.statistics import wilson

COUNTED = ("have", "clean", "production", "evaluation")


@dataclass(frozen=True, slots=True)
class Part:
    """``n`` of ``of`` rows, and the interval of that share; without any row there is none."""

    n: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.n / self.of if self.of else 0.0

    def told(self) -> str:
        """As people read it: ``12.0% (10.1 to 14.2)``, ``-`` where there is no row at all."""
        return f"{self.share:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})" if self.of else "-"


@dataclass(frozen=True, slots=True)
class Row:
    """A bucket, or a value of one dimension: its state, its counts, and its part of our samples, of production, of the
    evaluation set."""

    cell: Cell
    ours: Part
    production: Part
    evaluation: Part

    @property
    def name(self) -> str:
        return " · ".join(value for _, value in self.cell.cell)

    @property
    def state(self) -> str:
        return "missing" if self.cell.missing else "thin" if self.cell.thin else "ok"

    @property
    def parts(self) -> tuple[tuple[str, Part], ...]:
        """Each with its name."""
        return ("ours", self.ours), ("production", self.production), ("evaluation", self.evaluation)

    def told(self) -> dict[str, Any]:
        """Everything, numbers as text: a bucket's values by dimension first."""
        c = self.cell
        told: dict[str, Any] = {
            **dict(c.cell), "state": self.state, "have": c.have, "clean": c.clean, "target": c.target,
            "production": c.production, "evaluation": c.evaluation,
        }  # fmt: skip
        for name, part in self.parts:
            told[f"{name}_share"] = f"{part.share:.6f}" if part.of else None
            told[f"{name}_low"], told[f"{name}_high"] = (
                (f"{part.low:.6f}", f"{part.high:.6f}") if part.of else (None, None)
            )
        return told


def rows(cells: Sequence[Cell], *, level: float = 0.95) -> list[Row]:
    """The cells with their parts, in the order given."""
    sums = [sum(c.have for c in cells), sum(c.production for c in cells), sum(c.evaluation for c in cells)]

    def part(n: int, of: int) -> Part:
        return Part(n, of, *(wilson(n, of, level) if of else (0.0, 1.0)))

    return [
        Row(c, part(c.have, sums[0]), part(c.production, sums[1]), part(c.evaluation, sums[2])) for c in cells
    ]


def marginals(cells: Sequence[Cell], dimensions: Sequence[Dimension]) -> list[tuple[str, list[Row]]]:
    """Per dimension a row for each of its values, over all others: bins from small to large, values by production first."""
    found = []
    for d in dimensions:
        counts: dict[str, dict[str, int]] = {}
        for c in cells:
            into = counts.setdefault(dict(c.cell)[d.expression], dict.fromkeys((*COUNTED, "target"), 0))
            for name in COUNTED:  # a target is a bucket's, not a value's
                into[name] += getattr(c, name)
        bins = labels_of(d)
        ordered = sorted(
            counts,
            key=lambda v: (
                bins.index(v) if v in bins else len(bins),
                -counts[v]["production"],
                -counts[v]["have"],
                v,
            ),
        )
        found.append((d.expression, rows(restored([({d.expression: v}, counts[v]) for v in ordered]))))
    return found


def summed(cells: Sequence[Cell]) -> str:
    """One line: how many buckets there are, and how many lack something."""
    missing, thin = sum(c.missing for c in cells), sum(c.thin for c in cells)
    return f"{len(cells):,} buckets: {missing:,} missing, {thin:,} thin."


def report_markdown(cells: Sequence[Cell], dimensions: Sequence[Dimension] = ()) -> str:
    """The grid as a Markdown table in the order given, then one per dimension where there are several. A bad rate
    without a judged row is ``-``."""
    if not cells:
        return "No rows, no buckets.\n"
    text = f"{summed(cells)}\n\n{_table(rows(cells))}"
    if len(dimensions) > 1:
        for name, values in marginals(cells, dimensions):
            text += f"\nBy {_safe(name)}\n\n{_table(values)}"
    return text


def _table(some: Sequence[Row]) -> str:
    names = [name for name, _ in some[0].cell.cell]
    counts = ["have", "clean", "target", "production", "evaluation"]
    shares = ["our share (95 %)", "production's", "evaluation's", "bad"]
    lines = [_line([*names, "state", *counts, *shares]), _line(["---"] * (len(names) + 1) + ["---:"] * 9)]
    for row in some:
        c = row.cell
        bad = f"{c.bad}/{c.judged} ({c.bad_low:.1%} to {c.bad_high:.1%})" if c.judged else "-"
        told = [str(n) for n in (c.have, c.clean, c.target, c.production, c.evaluation)]
        parts = [part.told() for _, part in row.parts]
        lines.append(_line([*(value for _, value in c.cell), row.state, *told, *parts, bad]))
    return "\n".join(lines) + "\n"


def _line(parts: Iterable[str]) -> str:
    return "| " + " | ".join(_safe(part) or " " for part in parts) + " |"


def _safe(part: str) -> str:
    return " ".join(part.replace("\\", "\\\\").replace("|", "\\|").split())
