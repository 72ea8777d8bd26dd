"""Stage ``dedup``: near-duplicate pairs over prompts, outputs or both; each edge verified and kept with evidence.

Removal is proposed here (members that a representative stands for, along a verified edge) and done by the
dataset freeze. Pairs that a person told apart never come back as edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from engine.clean.clusters import clusters, removable, representatives
from engine.clean.neardup import near_duplicates
from engine.context import Context
from engine.stages import as_mapping, option
from store import read
from store.canonical import canonical_text, content_id
from store.client import Run
from store.records import ClusterMember, Edge


@dataclass(frozen=True, slots=True)
class Params:
    """What counts as near."""

    field: str = option("prompt", "prompt, output or both", choices=("prompt", "output", "both"))
    threshold: float = option(0.7, "least Jaccard similarity of shingles")
    recall: float = option(0.995, "share of pairs at the threshold that must be found")
    model: str = option("", "whose outputs (default: the teacher's)")
    seed: int = option(1, "of the hash functions")


@dataclass(frozen=True, slots=True)
class Subject:
    """One text to compare: its packed key, its content id, its text."""

    key: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class _Task:
    """The texts of one field, and what people said of them."""

    field: str  # prompt | output
    subjects: list[Subject]
    told_apart: set[str]
    preferred: set[str]


def run(context: Context, params: Params) -> dict[str, Any]:
    """Find them. Result per field: texts, pairs, clusters, removable, parameters, statistics."""
    fields = ("prompt", "output") if params.field == "both" else (params.field,)
    result: dict[str, Any] = {}
    told_apart, preferred = _judged(context)
    opened = context.open("dedup", dict(as_mapping(params)), {"told_apart": len(told_apart)})
    for field in fields:
        subjects = _prompts(context) if field == "prompt" else _outputs(context, params.model)
        result[field] = _find(context, params, _Task(field, subjects, told_apart, preferred), opened)
    opened.close(result)
    return result


def _prompts(context: Context) -> list[Subject]:
    """Every distinct prompt once, by its first arrival."""
    first: dict[str, Subject] = {}
    for a in context.store.ask(read.ARRIVALS, project=context.project, split=None):
        first.setdefault(a.prompt_id, Subject(a.arrival_key, a.prompt_id, a.text))
    return list(first.values())


def _outputs(context: Context, model: str) -> list[Subject]:
    name = model or context.model("teacher")
    rows = context.store.ask(read.OUTPUTS, project=context.project, model=name, split=None)
    return [Subject(r.output_key, r.output_id, r.text) for r in rows]


def _judged(context: Context) -> tuple[set[str], set[str]]:
    """Subjects of pairs told apart, and ids of texts that a reviewer chose as representatives."""
    verdicts = context.store.ask(read.PAIR_VERDICTS, project=context.project)
    apart = {v.subject for v in verdicts if v.verdict == "distinct"}
    shown = [msgspec.json.decode(v.shown or "[]") for v in verdicts if v.verdict == "choose"]
    chosen = {ids[0] for ids in shown if ids}
    return apart, chosen


def _find(context: Context, params: Params, task: _Task, opened: Run) -> dict[str, Any]:
    field, subjects, told_apart = task.field, task.subjects, task.told_apart
    found = near_duplicates(
        [s.text for s in subjects],
        threshold=params.threshold,
        recall=params.recall,
        seed=params.seed,
        progress=lambda what, done, total: context.progress(f"{field}: {what}", done, total),
    )
    barred = [
        (p.left, p.right)
        for p in found.edges
        if told_apart
        and content_id("edge", *sorted((subjects[p.left].id, subjects[p.right].id))) in told_apart
    ]
    apart = set(barred)
    pairs = [p for p in found.edges if (p.left, p.right) not in apart]
    opened.add(
        "edge",
        (
            Edge(0, 0, field, subjects[p.left].key, subjects[p.right].key, subjects[p.left].id, subjects[p.right].id,
                 round(p.jaccard, 6), round(p.containment, 6), p.kind, canonical_text(p.spans))
            for p in pairs
        ),
    )  # fmt: skip
    liked = [i for i, s in enumerate(subjects) if s.id in task.preferred]
    stands = representatives(
        len(subjects), pairs, threshold=params.threshold, preferred=liked, cannot_link=barred
    )
    gone = set(removable(stands))
    component = clusters(len(subjects), pairs)
    sizes: dict[int, int] = {}
    for root in component:
        sizes[root] = sizes.get(root, 0) + 1
    opened.add(
        "cluster_member",
        (
            ClusterMember(0, 0, field, component[i], s.key, s.id, i not in gone)
            for i, s in enumerate(subjects)
            if sizes[component[i]] > 1
        ),
    )
    return {
        "texts": len(subjects),
        "pairs": len(pairs),
        "clusters": sum(n > 1 for n in sizes.values()),
        "largest": max(sizes.values(), default=0),
        "removable": len(gone),
        "told_apart": len(barred),
        "params": found.params.record(),
        "stats": {name: getattr(found.stats, name) for name in type(found.stats).__slots__},
    }
