"""A bucket of the coverage grid in words and plots: the line of a list, and what is told of it beside. No Textual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.coverage_plots import NAME, bars, compared, marginal
from console.text import fit, visible

if TYPE_CHECKING:
    from engine.clean.coverage_report import Row

ROOMY = 100  # columns from which the evaluation set's share stands in the list, too
MARKS = {"missing": "!", "thin": "-", "ok": " "}


@dataclass(frozen=True, slots=True)
class Said:
    """What people said of buckets: samples asked for and waivers, by the filter that finds the bucket."""

    samples: dict[str, int]
    waived: dict[str, str]

    def word(self, row: Row, where: str) -> str:
        """How a bucket stands: a waived one is no longer thin."""
        return "waived" if where in self.waived and row.state != "ok" else row.state

    def mark(self, row: Row, where: str) -> str:
        """The sign in the gutter: ``!`` missing, ``-`` thin, ``+`` asked for."""
        word = self.word(row, where)
        mark = MARKS.get(word, " ")
        return "+" if where in self.samples and mark != " " else mark


@dataclass(frozen=True, slots=True)
class Columns:
    """How a list of buckets is laid out in ``width`` cells; ``plots``: shares as plots on a scale up to ``most``."""

    width: int
    size: int  # of a bucket's name
    most: float
    plots: bool

    @property
    def wide(self) -> bool:
        return self.width >= ROOMY

    def titles(self) -> str:
        """The heading of the list."""
        head = f"{'bucket':<{self.size}} {'state':<8}"
        if self.plots:
            return f"{head}{'ours':>6} {'prod':>6}  ├─■─┤ ours, ┆ production; 0 to {self.most:.0%}"
        return f"{head}{'have':>6}{'clean':>6}{'goal':>6}{'prod':>6}{'eval':>5}   ours   prod{'   eval' if self.wide else ''}"

    def line(self, row: Row, word: str) -> str:
        """One bucket: counts and shares, or shares and their plot."""
        c, parts = row.cell, [part for _, part in row.parts]
        shares = [f"{part.share:.1%}" if part.of else "-" for part in parts]
        head = f"{fit(shortened([visible(v) for _, v in row.cell.cell], self.size), self.size)} {word:<8}"
        if self.plots:
            head += f"{shares[0]:>6} {shares[1]:>6}  "
            return head + compared(row, max(8, self.width - len(head) - 3), self.most)
        counts = f"{c.have:>6,}{c.clean:>6,}{c.target or '-':>6}{c.production:>6,}{c.evaluation:>5,} "
        return head + counts + " ".join(f"{one:>6}" for one in (shares if self.wide else shares[:2]))


def shortened(values: Sequence[str], size: int) -> str:
    """A bucket's name in ``size`` characters, every value of it still told apart: the longest are cut first.

    >>> shortened(["card_about_to_expire", "40 to 80"], 40), shortened(["card_about_to_expire", "40 to 80", "< 0.1"], 24)
    ('card_about_to_expire · 40 to 80', 'card_abo…·40 to 80·< 0.1')
    """
    between = " · " if sum(map(len, values)) + 3 * (len(values) - 1) <= size else "·"
    room, cut = size - len(between) * (len(values) - 1), len(max(values, key=len, default=""))
    while cut > 4 and sum(min(len(value), cut) for value in values) > room:
        cut -= 1
    return between.join(value if len(value) <= cut else value[: cut - 1] + "…" for value in values)


def columns_of(rows: Sequence[Row], width: int, *, plots: bool) -> Columns:
    """The layout for these rows: a name takes what it needs, as far as the rest leaves room."""
    from console.coverage_plots import scale_of

    longest = max([len(visible(row.name)) for row in rows] + [6])
    wide = 7 if width >= ROOMY else 0
    rest = 54 if plots else 56 + wide
    return Columns(width, min(longest, max(12, width - rest)), scale_of(rows), plots)


def about(row: Row, where: str, said: Said, width: int) -> str:
    """A bucket: values, counts, each share as a bar with its interval, what people said of it, its filter."""
    c = row.cell
    lines = [visible(f"{name} = {value}") for name, value in c.cell]
    lines += [
        "",
        f"have {c.have:,}, clean {c.clean:,}, target {c.target or 'none'}: {said.word(row, where)}",
        "",
    ]
    if width >= NAME + 32:
        lines += bars(row, width)
    else:  # a bar, and its numbers below
        for plot, (_, part) in zip(bars(row, width + 23), row.parts, strict=True):
            lines += [plot[:width].rstrip(), f"{'':<{NAME}}{part.told()}"]
    lines += ["", *(f"{name:<{NAME}}{part.n:,} of {part.of:,}" for name, part in row.parts)]
    if where in said.samples:
        lines.append(f"asked for   {said.samples[where]:,} samples: spiritsafe generate --requests")
    if where in said.waived:
        lines.append(f"waived      {visible(said.waived[where])}")
    return "\n".join([*lines, "", f"filter      {visible(where)}"])


def marginals_text(found: Sequence[tuple[str, list[Row]]], width: int) -> str:
    """A plot of each dimension."""
    return "\n\n".join("\n".join(marginal(name, rows, width)) for name, rows in found)
