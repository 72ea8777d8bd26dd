"""What the near-duplicate stage found, as a dataset freeze uses it: verified edges, and who stands for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from store import read
from store.canonical import digest_of
from store.errors import RuleError

if TYPE_CHECKING:
    import polars as pl

    from engine.context import Context


@dataclass(frozen=True, slots=True)
class Near:
    """The newest near-duplicate pass over the prompts, and over the outputs if there was one: ids only."""

    run_id: str  # of the pass over the prompts
    edges: dict[str, set[str]]  # id -> ids with a verified edge to it
    removable: set[str]  # ids that a representative stands for

    def stood_for(self, rows: pl.DataFrame, *, outputs: bool) -> pl.DataFrame:
        """Those rows for which a kept one stands, along a verified edge; one whose representative was dropped may stay.

        ``rows``: columns output_key, prompt_id, output_id. ``outputs``: look at outputs too. Not for labels: there
        every right answer is a duplicate.
        """
        import polars as pl

        ids = [pl.col("prompt_id"), pl.col("output_id")] if outputs else [pl.col("prompt_id")]
        removable = list(self.removable)
        maybe = pl.any_horizontal(one.is_in(removable) for one in ids)
        sure = rows.filter(~maybe)
        kept = set(sure["prompt_id"]) | (set(sure["output_id"]) if outputs else set())
        gone = []
        order = [pl.col("prompt_id").is_in(removable), pl.col("output_key")]
        for row in rows.filter(maybe).sort(order).iter_rows(named=True):
            own = [row["prompt_id"], row["output_id"]] if outputs else [row["prompt_id"]]
            if any(i in self.removable and self.edges.get(i, set()) & kept for i in own):
                gone.append(row["output_key"])
            else:
                kept.update(own)
        return rows.filter(pl.col("output_key").is_in(gone))


def judged(context: Context) -> tuple[set[str], set[str]]:
    """Subjects of pairs told apart, and ids of texts that a reviewer chose as representatives."""
    verdicts = context.store.ask(read.PAIR_VERDICTS, project=context.project)
    apart = {v.subject for v in verdicts if v.verdict == "distinct"}
    shown = [msgspec.json.decode(v.shown or "[]") for v in verdicts if v.verdict == "choose"]
    chosen = {ids[0] for ids in shown if ids}
    return apart, chosen


def digest_of_judged(told_apart: set[str], preferred: set[str]) -> str:
    """What people said of pairs, under one hash: a pass rests on it."""
    return digest_of([sorted(told_apart), sorted(preferred)])


def near_duplicates_of(context: Context) -> Near:
    """The newest passes. Raises RuleError where the prompts that are here were not compared, or pairs judged since."""
    runs = context.runs("dedup")
    newest = {field: r for r in runs for field in ("prompt", "output") if field in r.result}
    todo = "spiritsafe dedup"
    if "prompt" not in newest:
        raise RuleError(
            "the prompts were not compared with the evaluation set's for near-duplicates", todo=todo
        )
    compared = newest["prompt"].result["prompt"]["texts"]
    here = next(iter(context.store.ask(read.COUNTS, project=context.project))).prompts
    if here > compared:
        raise RuleError(f"{here - compared:,} prompts came after the last near-duplicate pass", todo=todo)
    said = digest_of_judged(*judged(context))
    if any(run.inputs.get("judged", said) != said for run in newest.values()):
        todo = todo if len(newest) == 1 else f"{todo} --field both"
        raise RuleError("pairs were told apart or chosen since the last near-duplicate pass", todo=todo)
    edges: dict[str, set[str]] = {}
    removable: set[str] = set()
    for field, run in newest.items():
        found = context.store.fetch(read.EDGES, project=context.project, run_no=run.run_no)
        for of, left, right in zip(
            *(found[name].to_pylist() for name in ("field", "left_id", "right_id")), strict=True
        ):
            if of == field:
                edges.setdefault(left, set()).add(right)
                edges.setdefault(right, set()).add(left)
        members = context.store.ask(read.CLUSTER_MEMBERS, project=context.project, run_no=run.run_no)
        removable |= {m.subject_id for m in members if m.field == field and not m.representative}
    return Near(newest["prompt"].run_id, edges, removable)
