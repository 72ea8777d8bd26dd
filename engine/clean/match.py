"""A dataset version with production's shares: a draw that leaves samples out, or weights that keep them all.

Both are of the buckets of one grid and of what ``rebalance`` proposes for them. A draw takes of each bucket the samples
whose hash with the seed comes first (permanent random numbers: Ohlsson 1995, Coordination of samples, in Business
Survey Methods), so that it needs no order, is the same on any machine, and changes little when samples come or go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean.cover import dimensions_of, frame_of, stated
from engine.clean.coverage import Dimension, label_of, placed
from engine.clean.rebalance import Proposal, Share, proposal
from store import read
from store.canonical import canonical, digest, digest_of
from store.errors import InputError, RuleError
from store.records import File

if TYPE_CHECKING:
    import polars as pl

    from engine.context import Context

LEFT_OUT = "left out to match production"
DRAW, WEIGHTS = "draw", "weights"
HOW = (DRAW, WEIGHTS)
GRID_FILE, WEIGHTS_FILE = "match.json", "sample_weights.txt"
DIGITS = 4  # of a weight behind the point: what is stored is what trains, and what the version's hash covers


@dataclass(frozen=True, slots=True)
class Asked:
    """How a version is to be brought to production. ``shortfall``: of its due, what a thin bucket may stay at."""

    how: str
    by: tuple[str, ...]
    seed: str
    shortfall: str

    def least(self) -> float:
        """``shortfall`` as a number above 0, up to 1. Raises InputError."""
        try:
            number = float(self.shortfall)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            raise InputError(
                f"the shortfall is {self.shortfall!r}", todo="A share above 0, up to 1: --shortfall 0.5"
            )
        return number


@dataclass(frozen=True, slots=True)
class Match:
    """What came of it. ``left_out``: output_key, detail; ``weights``: output_key, weight (text); one of both is empty."""

    asked: Asked
    dimensions: tuple[Dimension, ...]
    proposal: Proposal
    left_out: pl.DataFrame
    weights: pl.DataFrame

    def told(self) -> dict[str, Any]:
        """What the version's result says of it: counts; the buckets themselves are in the file ``GRID_FILE``."""
        found = self.proposal
        told: dict[str, Any] = {
            "how": self.asked.how, "seed": self.asked.seed, "dimensions": stated(self.dimensions),
            "samples_before": found.samples, "production_unseen": f"{found.unseen:.4f}",
        }  # fmt: skip
        if self.asked.how == DRAW:
            return told | {"shortfall": self.asked.shortfall, "left_out": self.left_out.height}
        return told | {"effective": f"{found.effective:.0f}"}

    def files(self, kept: pl.DataFrame) -> list[File]:
        """The grid, and the weights of ``kept``, one a line in the order of the version's members."""
        grid = canonical([_line(s) for s in self.proposal.shares])
        files = [File(0, 0, GRID_FILE, "application/json", digest(grid), grid)]
        if self.asked.how == WEIGHTS:
            named = kept.select("output_key").join(
                self.weights, on="output_key", how="left", maintain_order="left"
            )
            text = "".join(f"{weight}\n" for weight in named["weight"]).encode()
            files.append(File(0, 0, WEIGHTS_FILE, "text/plain", digest(text), text))
        return files


def weights_of(context: Context, run_id: str) -> list[float] | None:
    """The weight of each member of a dataset version, in its order; None where it has none."""
    files = context.store.ask(read.FILES, project=context.project, name=WEIGHTS_FILE)
    body = next((f.body for f in files if f.run_id == run_id), None)
    return None if body is None else [float(line) for line in body.decode().splitlines()]


def samples_hash(members: Sequence[tuple[str, str | None]], weights: Sequence[float] | None) -> str:
    """A version's hash, from its members as (prompt id, output id) and their weights: as the freeze took it."""
    rows = [list(member) for member in members]
    if weights is not None:
        rows = [[*row, f"{weight:.{DIGITS}f}"] for row, weight in zip(rows, weights, strict=False)]
    return digest_of(sorted(rows, key=str))


def match_production(context: Context, asked: Asked, samples: pl.DataFrame) -> Match:
    """Bring samples to production's shares. ``samples``: columns output_key, arrival_key, prompt_id, output_id.

    Raises RuleError where nothing came from production, or none of the samples is in a bucket that production has.
    """
    import polars as pl

    dimensions, _ = dimensions_of(context, asked.by)
    frame = frame_of(context, dimensions, "")
    have = samples.group_by("arrival_key").agg(pl.len().alias("have"))
    counted = frame.drop("have", "clean").join(have, on="arrival_key", how="left")
    found = proposal(
        placed(counted.with_columns(pl.col("have").fill_null(0)), dimensions), shortfall=asked.least()
    )
    if found is None:
        raise RuleError(
            "there is no production row to bring the data to",
            todo="Import the production log: spiritsafe import LOG --source production --split validation",
        )
    if not found.drawn:
        raise RuleError(
            "no sample is in a bucket that production has",
            todo="See: spiritsafe report coverage, and choose --by.",
        )
    axes = [f"axis {i}" for i in range(len(dimensions))]
    inside = samples.join(frame.select("arrival_key", *axes), on="arrival_key", maintain_order="left")
    buckets = _by_axes(inside, axes, dimensions, found.shares)
    shared = inside.join(buckets, on=axes, nulls_equal=True, maintain_order="left")
    nothing = pl.DataFrame(schema={"output_key": pl.Int64, "detail": pl.String, "weight": pl.String})
    if asked.how == WEIGHTS:
        return Match(asked, dimensions, found, nothing.drop("weight"), shared.select("output_key", "weight"))
    return Match(asked, dimensions, found, _left_out(shared, asked.seed), nothing.drop("detail"))


def _by_axes(
    inside: pl.DataFrame, axes: list[str], dimensions: Sequence[Dimension], shares: Sequence[Share]
) -> pl.DataFrame:
    """One row per bucket that has a sample: its axes and number, what is drawn of it, the weight of one, its name."""
    import polars as pl

    numbers = {tuple(value for _, value in s.cell): i for i, s in enumerate(shares)}
    buckets = inside.select(axes).unique()
    found = [
        numbers[tuple(label_of(d, value) for d, value in zip(dimensions, row, strict=True))]
        for row in buckets.iter_rows()
    ]
    rows = [shares[i] for i in found]
    names = [f"{' · '.join(v for _, v in s.cell)}: {s.draw:,} of {s.have:,}" for s in rows]
    return buckets.with_columns(
        pl.Series("bucket", found, pl.Int64),
        pl.Series("draw", [s.draw for s in rows], pl.Int64),
        pl.Series("weight", [f"{s.weight:.{DIGITS}f}" for s in rows], pl.String),
        pl.Series("detail", names, pl.String),
    )


def _left_out(shared: pl.DataFrame, seed: str) -> pl.DataFrame:
    """The samples that a draw leaves out: of each bucket those whose hash comes behind the first ``draw``."""
    import polars as pl

    ranks = [
        hashlib.sha256(f"{seed}\0{prompt}\0{output}".encode()).digest()
        for prompt, output in shared.select("prompt_id", "output_id").iter_rows()
    ]
    ranked = shared.with_columns(pl.Series("rank", ranks, pl.Binary)).sort("bucket", "rank", "output_key")
    place = pl.int_range(pl.len()).over("bucket")
    return ranked.filter(place >= pl.col("draw")).select("output_key", "detail")


def _line(share: Share) -> dict[str, Any]:
    return {
        "bucket": dict(share.cell), "have": share.have, "production_share": f"{share.production_share:.6f}",
        "draw": share.draw, "weight": f"{share.weight:.{DIGITS}f}",
    }  # fmt: skip
