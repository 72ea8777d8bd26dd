"""How a dataset could be made to look like production: a weight per bucket, or how many samples to draw of each.

Weights keep every sample: post-stratification, w = production share / our share, capped because a few heavy samples
make training noisy; what the cap costs is told as Kish's effective sample size, (sum w)² / sum w² (Kish 1965,
Survey Sampling, section 8.2). A draw keeps no weight and loses samples: of each bucket at most what production's share
allows, at the largest size at which buckets that we are short of may hold ``shortfall`` of their share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.clean.coverage import Cell

CAP = 5.0  # the largest weight
SHORTFALL = 0.5  # share of its due that a thin bucket may stay at, so that it does not shrink everything else


@dataclass(frozen=True, slots=True)
class Share:
    """One bucket's part in the proposal. ``draw``: samples to take of ``have``; ``lacks``: samples to ask for until
    the bucket holds its share at our present size."""

    cell: tuple[tuple[str, str], ...]
    have: int
    share: float
    production_share: float
    weight: float
    draw: int
    lacks: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """``effective``: what the weighted samples are worth in unweighted ones; ``unseen``: production's share that no
    sample stands for, which neither weights nor a draw can mend."""

    shares: tuple[Share, ...]
    samples: int
    drawn: int
    effective: float
    unseen: float


def proposal(cells: Sequence[Cell], *, cap: float = CAP, shortfall: float = SHORTFALL) -> Proposal | None:
    """Weights and a draw that bring the data towards production; None where there is no production row or no data."""
    have, asked = sum(c.have for c in cells), sum(c.production for c in cells)
    if not have or not asked:
        return None
    size = _size(cells, asked, shortfall)
    shares = []
    for c in cells:
        ours, theirs = c.have / have, c.production / asked
        weight = min(cap, theirs / ours) if c.have else 0.0
        draw = min(c.have, math.ceil(round(size * theirs, 9))) if c.production else 0
        lacks = max(0, math.ceil(round(have * theirs, 9)) - c.have)
        shares.append(Share(c.cell, c.have, ours, theirs, weight, draw, lacks))
    total = sum(s.weight * s.have for s in shares)
    squares = sum(s.weight**2 * s.have for s in shares)
    return Proposal(
        tuple(shares),
        have,
        sum(s.draw for s in shares),
        total**2 / squares if squares else 0.0,
        sum(s.production_share for s in shares if not s.have),
    )


def _size(cells: Sequence[Cell], asked: int, shortfall: float) -> float:
    """The size of a draw at which no bucket that has samples falls below ``shortfall`` of its due."""
    sizes = [c.have / (shortfall * c.production / asked) for c in cells if c.have and c.production]
    return min(sizes) if sizes else 0.0
