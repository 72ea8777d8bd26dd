"""Stage ``dedup``: near-duplicate pairs over prompts, outputs or both; each edge verified and kept with evidence.

Removal is proposed here (members that a representative stands for, along a verified edge) and done by the
dataset freeze. Pairs that a person told apart never come back as edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean.clusters import Columns, clusters, removable, representatives
from engine.clean.incremental_stage import MODES, Found, Wanted, found_through_index
from engine.clean.near import SAME, digest_of_judged, judged
from engine.clean.neardup import bands_of, near_duplicate_columns
from engine.context import Context
from engine.stages import as_mapping, option
from store import read_dataset
from store.canonical import content_id
from store.client import Run
from store.errors import RuleError
from store.records import ClusterMember, key_of

if TYPE_CHECKING:
    import pyarrow as pa

KEEP = ("oldest", "medoid", "best")
CURVE = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)  # from the threshold: where the recall curve is told


@dataclass(frozen=True, slots=True)
class Params:
    """What counts as near."""

    field: str = option("prompt", "prompt, output or both", choices=("prompt", "output", "both"))
    threshold: float = option(0.7, "least Jaccard similarity of shingles")
    recall: float = option(0.995, "share of pairs at the threshold that must be found")
    keep: str = option("oldest", "who stands for the others; best: fewest failed checks", choices=KEEP)
    model: str = option("", "whose outputs (default: the teacher's)")
    seed: int = option(1, "of the hash functions")
    engine: str = option("auto", "how pairs are looked for", choices=("auto", "fast", "reference"))
    index: str = option(
        "auto", "compare new texts alone, with an index of the others; auto: of many texts", choices=MODES
    )


@dataclass(frozen=True, slots=True)
class _Task:
    """The texts of one field that may have an edge, in stored order (key, id, at), and what people said of them."""

    field: str  # prompt | output
    texts: pa.Table
    told_apart: set[str]
    preferred: set[str]

    def ids(self) -> list[str]:
        found: list[str] = self.texts.column("id").to_pylist()
        return found


def run(context: Context, params: Params) -> dict[str, Any]:
    """Find them. Result per field: texts, pairs, kinds, clusters, removable, parameters, recall curve, statistics."""
    fields = ("prompt", "output") if params.field == "both" else (params.field,)
    result: dict[str, Any] = {}
    told_apart, preferred = judged(context)
    inputs = {"told_apart": len(told_apart), "judged": digest_of_judged(told_apart, preferred)}
    opened = context.open("dedup", dict(as_mapping(params)), inputs)
    for field in fields:
        found = _found(context, params, field)
        result[field] = _keep(
            context, params, _Task(field, found.texts, told_apart, preferred), opened, found
        )
    opened.close(result)
    return result


def _found(context: Context, params: Params, field: str) -> Found:
    """The edges of one field: through the index, or of all texts at once."""
    import pyarrow as pa

    model = "" if field == "prompt" else params.model or context.model("teacher")
    engine: Any = params.engine  # one of its choices
    wanted = Wanted(field, model, params.threshold, params.recall, params.seed, engine, params.index)
    found = found_through_index(context, wanted)
    if found is not None:
        return found
    question = read_dataset.PROMPTS if field == "prompt" else read_dataset.ANSWERS
    texts = context.store.fetch(question, project=context.project, model=model)
    if not texts.num_rows:
        raise RuleError(f"there is no {field} to compare", todo="Import or generate some.")
    at_once = near_duplicate_columns(
        texts.column("text"),
        threshold=params.threshold,
        recall=params.recall,
        seed=params.seed,
        engine=engine,
        progress=lambda what, done, total: context.progress(f"{field}: {what}", done, total),
    )
    told = f"compared all {texts.num_rows:,} at once"
    texts = texts.append_column("at", pa.array(range(texts.num_rows), pa.int64()))
    return Found(at_once.table, texts, texts.num_rows, at_once.params, at_once.stats, told)


def _keep(context: Context, params: Params, task: _Task, opened: Run, found: Found) -> dict[str, Any]:
    """Write edges and clusters; what to tell of them."""
    field, ids, keys = task.field, task.ids(), task.texts.column("key").to_pylist()
    barred, table = _less_told_apart(task, ids, found.table)
    opened.add_table("edge", _edges(task, table, opened))
    close = _Close(table)
    stands = _stands(context, params, task, close, barred)
    gone = set(removable(stands))
    component = clusters(len(close.texts), close.edges)
    sizes, places = Counter(component), task.texts.column("at").to_pylist()
    opened.add(
        "cluster_member",
        (
            ClusterMember(0, 0, field, places[close.texts[component[i]]], keys[at], ids[at], i not in gone)
            for i, at in enumerate(close.texts)
        ),
    )
    bands = bands_of(found.params)
    return {
        "texts": found.total,
        "index": found.told,
        "pairs": table.num_rows,
        "kinds": dict(Counter(table["kind"].cast("string").to_pylist()).most_common()),
        "clusters": len(sizes),
        "largest": max(sizes.values(), default=1),
        "removable": len(gone),
        "told_apart": len(barred),
        "params": found.params.record(),
        "recall_curve": [
            {"jaccard": f"{at:.2f}", "found": f"{bands.recall_at(at):.4f}"}
            for at in (round(params.threshold + step, 4) for step in CURVE)
            if 0 < at <= 1
        ],
        "stats": {name: getattr(found.stats, name) for name in type(found.stats).__slots__},
    }


def _less_told_apart(task: _Task, ids: list[str], table: pa.Table) -> tuple[list[tuple[int, int]], pa.Table]:
    """Pairs that people told apart, and the other edges.

    Of texts that are the same after normalisation only the oldest was compared with others, for all of them: a text told
    apart from its oldest gets that one's other edges, else nothing would keep it from the evaluation set.
    """
    import pyarrow as pa

    if not task.told_apart:
        return [], table
    pairs = list(zip(table["left"].to_pylist(), table["right"].to_pylist(), strict=True))
    apart = [_subject(ids, a, b) in task.told_apart for a, b in pairs]
    barred = [pair for pair, told in zip(pairs, apart, strict=True) if told]
    kinds = table["kind"].to_pylist()
    alone = [pair for pair, told, kind in zip(pairs, apart, kinds, strict=True) if told and kind in SAME]
    kept = table.filter(pa.array([not told for told in apart], pa.bool_()))
    inherited = [
        row
        for row in _inherited(kept, alone)
        if _subject(ids, row["left"], row["right"]) not in task.told_apart
    ]
    if not inherited:
        return barred, kept
    joined = pa.concat_tables([kept, pa.Table.from_pylist(inherited, schema=kept.schema)])
    return barred, joined.sort_by([("left", "ascending"), ("right", "ascending")])


def _subject(ids: list[str], left: int, right: int) -> str:
    return content_id("edge", *sorted((ids[left], ids[right])))


def _inherited(table: pa.Table, alone: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """The edges of each oldest text, for those told apart from it; spans are not known."""
    import pyarrow.compute as pc

    for oldest, text in alone:
        touching = pc.or_(pc.equal(table["left"], oldest), pc.equal(table["right"], oldest))
        for row in table.filter(touching).to_pylist():
            other = row["right"] if row["left"] == oldest else row["left"]
            kind = "surface" if row["kind"] in SAME else row["kind"]
            yield row | {"left": min(other, text), "right": max(other, text), "kind": kind, "spans": "[]"}


def _edges(task: _Task, table: pa.Table, opened: Run) -> pa.Table:
    """The edges as rows of the store."""
    import pyarrow as pa
    import pyarrow.compute as pc

    first = key_of(opened.run_no, opened.next_seq("edge"))
    keys, ids = task.texts["key"], task.texts["id"]
    columns = {
        "run_no": pa.repeat(opened.run_no, table.num_rows),
        "edge_key": pa.array(range(first, first + table.num_rows), pa.int64()),
        "field": pa.repeat(task.field, table.num_rows),
    }
    for side in ("left", "right"):
        columns |= {f"{side}_key": keys.take(table[side]), f"{side}_id": ids.take(table[side])}
    for name in ("jaccard", "containment"):
        columns[name] = pc.round(table[name], 6)
    return pa.table(columns | {"kind": table["kind"].cast(pa.string()), "spans": table["spans"]})


class _Close:
    """The texts that have an edge, renumbered from 0 in their order: most of a corpus has none."""

    def __init__(self, table: pa.Table) -> None:
        import numpy as np

        left, right = table["left"].to_numpy(), table["right"].to_numpy()
        used = np.unique(np.concatenate((left, right)))
        self.texts: list[int] = used.tolist()
        self.place = {at: i for i, at in enumerate(self.texts)}
        places = np.searchsorted(used, left), np.searchsorted(used, right)
        self.edges = Columns(*places, table["jaccard"].to_numpy())


def _stands(
    context: Context, params: Params, task: _Task, close: _Close, barred: list[tuple[int, int]]
) -> list[int]:
    """Who stands for each text that has an edge."""
    ids = task.ids()
    place = close.place
    return representatives(
        len(close.texts),
        close.edges,
        threshold=params.threshold,
        choose="medoid" if params.keep == "medoid" else "oldest",
        rank=_failures(context, params, task, close) if params.keep == "best" else None,
        preferred=[i for i, at in enumerate(close.texts) if ids[at] in task.preferred],
        cannot_link=[(place[a], place[b]) for a, b in barred if a in place and b in place],
    )


def _failures(context: Context, params: Params, task: _Task, close: _Close) -> list[int]:
    """How many checks each text fails; a prompt by the teacher's answers to it."""
    model = params.model or context.model("teacher")
    failed: Counter[str] = Counter()
    found = context.store.ask(read_dataset.FAILURES, project=context.project, model=model)
    for row in found:
        failed[row.prompt_id if task.field == "prompt" else row.output_id] += row.failed
    ids = task.ids()
    return [failed[ids[at]] for at in close.texts]
