"""What the near-duplicate stage found, as a dataset freeze uses it: verified edges, and who stands for whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from store import read
from store.canonical import digest_of
from store.errors import RuleError

if TYPE_CHECKING:
    import polars as pl

    from engine.context import Context

SAME = ("exact", "surface")  # kinds of edges between texts that are the same after normalisation


@dataclass(frozen=True, slots=True)
class Near:
    """The newest near-duplicate pass over the prompts, and over the outputs if there was one: ids only.

    Texts that are the same after normalisation have edges to the oldest of them alone, and it alone was compared with
    others: what holds of it holds of them all. So edges are between such groups, each named by its oldest.
    """

    run_id: str  # of the pass over the prompts
    edges: dict[str, set[str]]  # oldest -> oldest of groups with a verified edge to its own
    removable: set[str]  # ids that a representative stands for
    oldest: dict[str, str] = field(default_factory=dict)  # of the others of each group

    def group_of(self, id_: str) -> str:
        """The oldest whose text is the same after normalisation."""
        return self.oldest.get(id_, id_)

    def close_to(self, ids: AbstractSet[str]) -> dict[str, str]:
        """Every other text that has a verified edge to one of ``ids``, or to one of the same text; and to which."""
        near: dict[str, str] = {}
        for one in sorted(ids):
            group = self.group_of(one)
            for other in (group, *self.edges.get(group, ())):
                near.setdefault(other, one)
        found = near | {other: near[group] for other, group in self.oldest.items() if group in near}
        return {other: of for other, of in found.items() if other not in ids}

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
        kept: defaultdict[str, set[str]] = defaultdict(set)  # by group
        for one in (*sure["prompt_id"], *(sure["output_id"] if outputs else ())):
            kept[self.group_of(one)].add(one)
        gone = []
        order = [pl.col("prompt_id").is_in(removable), pl.col("output_key")]
        for row in rows.filter(maybe).sort(order).iter_rows(named=True):
            own = [row["prompt_id"], row["output_id"]] if outputs else [row["prompt_id"]]
            if any(i in self.removable and self._kept_near(i, kept) for i in own):
                gone.append(row["output_key"])
            else:
                for one in own:
                    kept[self.group_of(one)].add(one)
        return rows.filter(pl.col("output_key").is_in(gone))

    def _kept_near(self, id_: str, kept: dict[str, set[str]]) -> bool:
        """Whether another text is kept of its own group, or one of a group with an edge to it; ``kept``: by group."""
        group = self.group_of(id_)
        same = kept.get(group, set())
        return len(same) > (id_ in same) or any(other in kept for other in self.edges.get(group, ()))


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
    newest = {of: r for r in runs for of in ("prompt", "output") if of in r.result}
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
    near = Near(newest["prompt"].run_id, {}, set())
    for of, run in newest.items():
        found = context.store.fetch(read.EDGES, project=context.project, run_no=run.run_no)
        columns = (found[name].to_pylist() for name in ("field", "left_id", "right_id", "kind"))
        _tie(near, [edge[1:] for edge in zip(*columns, strict=True) if edge[0] == of])
        members = context.store.ask(read.CLUSTER_MEMBERS, project=context.project, run_no=run.run_no)
        near.removable.update(m.subject_id for m in members if m.field == of and not m.representative)
    return near


def _tie(near: Near, edges: list[tuple[str, str, str]]) -> None:
    """Take in edges (left, right, kind) of one field: groups first, then what is between them."""
    for left, right, kind in edges:
        if kind in SAME:
            near.oldest[right] = near.group_of(left)
    for left, right, _ in edges:
        one, other = near.group_of(left), near.group_of(right)
        if one != other:
            near.edges.setdefault(one, set()).add(other)
            near.edges.setdefault(other, set()).add(one)
