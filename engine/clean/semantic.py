"""Stage ``semantic``: pairs of prompts, or of outputs, that a model finds alike in meaning. It suggests; it never deletes.

It stands beside near-duplicates and is never taken for them. Those are verified, character by character; this is the
opinion of one embedding model: two texts with a cosine over a threshold, the most alike first, each marked as new or as
a verified near-duplicate already. No freeze, filter or leak guard reads what it leaves. A person who agrees with a
suggestion flags a sample, and the contract's policy leaves out what people flagged, as it always does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clean.dataset import test_prompts
from engine.clean.semantic_cache import Cache, folder_for, key_of
from engine.clean.semantic_model import Embedder
from engine.clean.semantic_model import load as load_model
from engine.clean.semantic_pairs import Alike, alike, seconds_for
from engine.context import Context
from engine.stages import as_mapping, option
from store import read, read_dataset, read_semantic
from store.canonical import digest_of
from store.errors import InputError, RuleError
from store.queue_duplicates import edge_subject
from store.queue_semantic import meaning_subject
from store.records import Suggestion

if TYPE_CHECKING:
    from engine.clean.semantic_pairs import Vectors

CHUNK = 1024  # texts that are embedded, and kept, at once
LONG = 15 * 60  # seconds; more needs --yes


@dataclass(frozen=True, slots=True)
class Params:
    """What counts as alike."""

    field: str = option("prompt", "prompt or output", choices=("prompt", "output"))
    threshold: float = option(0.9, "least cosine of two texts")
    most: int = option(10_000, "pairs that are suggested: new ones first, the most alike of them")
    model_path: str = option("", "embedding model: a folder, a package that carries one, or a hub's name")
    model: str = option("", "whose outputs (default: the teacher's)")
    yes: bool = option(False, "go on although it takes longer than a quarter of an hour")


@dataclass(frozen=True, slots=True)
class _Texts:
    """Every distinct text of a field once, by its oldest bearer."""

    keys: list[int]
    ids: list[str]
    texts: list[str]
    of: int  # bearers in all


def run(context: Context, params: Params, load: Callable[[str], Embedder] = load_model) -> dict[str, Any]:
    """Suggest. Result: field, texts, distinct, over (pairs), suggested, new, known, leaks, told_apart, dedup, model."""
    if not 0 < params.threshold <= 1 or params.most < 1:
        raise InputError(
            f"a threshold of {params.threshold} with at most {params.most:,} pairs finds nothing",
            todo="Above 0, at most 1; and at least one pair.",
        )
    found = _texts(context, params)
    embedder = load(params.model_path)
    vectors = _vectors(context, params, embedder, found)
    already = _already(context, params.field)
    pairs = alike(
        vectors,
        params.threshold,
        params.most
        + len(already.apart)
        + len(already.edges),  # so that what is known takes nothing new its place
        report=lambda done, total: context.progress("comparing blocks of texts", done, total),
    )
    rows = _rows(params, found, pairs, already)
    result = {
        "field": params.field,
        "texts": found.of,
        "distinct": len(found.texts),
        "over": pairs.over,
        "suggested": len(rows),
        "new": sum(not row.near for row in rows),
        "known": sum(row.near for row in rows),
        "leaks": sum(row.leak for row in rows),
        "told_apart": len(already.apart),
        "threshold": params.threshold,
        "dedup": already.dedup,
        "model": embedder.identity.record(),
    }
    stated = dict(as_mapping(params)) | {"model_path": Path(params.model_path).name}
    opened = context.open("semantic", stated, {"told_apart": len(already.apart), "dedup": already.dedup})
    opened.add("suggestion", rows)
    opened.close(result)
    return result


def _texts(context: Context, params: Params) -> _Texts:
    if params.field == "prompt":
        table = context.store.fetch(read_dataset.PROMPTS, project=context.project)
    else:
        model = params.model or context.model("teacher")
        table = context.store.fetch(read_dataset.ANSWERS, project=context.project, model=model)
    if not table.num_rows:
        raise RuleError(f"there is no {params.field} to compare", todo="Import or generate some.")
    first: dict[str, int] = {}
    texts = table.column("text").to_pylist()
    for at, text in enumerate(texts):
        first.setdefault(text, at)
    keys, ids = table.column("key").to_pylist(), table.column("id").to_pylist()
    return _Texts(
        [keys[at] for at in first.values()], [ids[at] for at in first.values()], list(first), len(texts)
    )


def _vectors(context: Context, params: Params, embedder: Embedder, found: _Texts) -> Vectors:
    """Unit vectors of the texts, those that are kept from before and those that are made now."""
    import numpy as np

    who = embedder.identity
    cache = Cache(folder_for(context.store.path, digest_of([who.files_sha256, who.library])), who.dimensions)
    keys = [key_of(text) for text in found.texts]
    known = cache.known(keys)
    vectors = np.zeros((len(keys), who.dimensions), np.float32)
    for at, key in enumerate(keys):
        if key in known:
            vectors[at] = known[key]
    missing, began, told = [at for at, key in enumerate(keys) if key not in known], time.perf_counter(), ""
    for done in range(0, len(missing), CHUNK):
        context.progress(f"embedding{told}", done, len(missing))
        some = missing[done : done + CHUNK]
        made = embedder.embed([found.texts[at] for at in some])
        vectors[some] = made
        cache.keep([keys[at] for at in some], made)
        if not done:
            each = (time.perf_counter() - began) / len(some)
            told = _allow(len(keys), each * (len(missing) - len(some)), vectors[some], params)
    if not missing:
        told = _allow(len(keys), 0.0, vectors, params)
    context.progress(f"embedding{told}", len(missing), len(missing))
    return vectors


def _allow(texts: int, embedding: float, some: Vectors, params: Params) -> str:
    """How long it takes from here, in words; raises RuleError where that is long and nobody said yes."""
    seconds = embedding + seconds_for(texts, some)
    told = f"about {seconds / 60:,.0f} min" if seconds >= 60 else f"about {seconds:,.0f} s"
    if seconds > LONG and not params.yes:
        raise RuleError(
            f"{texts:,} texts take {told} here: every pair is compared",
            todo="--yes goes on all the same, and Ctrl-C keeps what is embedded by then.",
        )
    return f" · {told} in all"


@dataclass(frozen=True, slots=True)
class _Already:
    """What is known of pairs of ids before a model is asked."""

    apart: frozenset[tuple[str, str]]  # queue and subject of pairs that people told apart
    root: dict[str, str]  # id -> the oldest whose text is the same after normalisation
    edges: frozenset[frozenset[str]]  # of roots
    dedup: str | None  # the newest near-duplicate pass over the field
    test: dict[str, tuple[bool, bool]]  # prompt -> whether the test has it, whether anything else has

    def told_apart(self, left: str, right: str) -> bool:
        """By a person, in either queue of pairs."""
        subjects = ("semantic", meaning_subject(left, right)), ("duplicates", edge_subject(left, right))
        return not self.apart.isdisjoint(subjects)

    def near(self, left: str, right: str) -> bool:
        """Whether they are a verified near-duplicate, or both the same but for case, space and the like."""
        ends = frozenset((self.root.get(left, left), self.root.get(right, right)))
        return len(ends) == 1 or ends in self.edges

    def leaks(self, left: str, right: str) -> bool:
        """Whether one is the test's, and the other is something else's."""
        one, other = (self.test.get(side, (False, False)) for side in (left, right))
        return (one[0] and other[1]) or (other[0] and one[1])


def _already(context: Context, field: str) -> _Already:
    said = context.store.ask(read_semantic.TOLD_APART, project=context.project)
    apart = frozenset((one.queue, one.subject) for one in said)
    test = _test_sides(context) if field == "prompt" else {}
    runs = [r for r in context.runs("dedup") if field in r.result]
    if not runs:
        return _Already(apart, {}, frozenset(), None, test)
    table = context.store.fetch(read.EDGES, project=context.project, run_no=runs[-1].run_no)
    columns = (table[name].to_pylist() for name in ("field", "left_id", "right_id", "kind"))
    edges = [edge[1:] for edge in zip(*columns, strict=True) if edge[0] == field]
    # Texts that are the same after normalisation form a star around the oldest: what holds of it holds of them all.
    root = {right: left for left, right, kind in edges if kind in ("exact", "surface")}
    pairs = (frozenset((root.get(left, left), root.get(right, right))) for left, right, _ in edges)
    return _Already(apart, root, frozenset(pairs), runs[-1].run_id, test)


def _test_sides(context: Context) -> dict[str, tuple[bool, bool]]:
    frozen = test_prompts(context)
    sides = context.store.ask(read_semantic.SIDES, project=context.project)
    return {one.prompt_id: (one.test or one.prompt_id in frozen, one.other) for one in sides}


def _rows(params: Params, found: _Texts, pairs: Alike, already: _Already) -> list[Suggestion]:
    """The pairs that are suggested: new ones first, then by cosine; known ones where there is room for them."""
    rows = []
    for left, right, cosine in zip(pairs.left, pairs.right, pairs.cosine, strict=True):
        ids = found.ids[left], found.ids[right]
        if not already.told_apart(*ids):
            marks = already.near(*ids), already.leaks(*ids)
            rows.append(
                Suggestion(0, 0, params.field, found.keys[left], found.keys[right], *ids, cosine, *marks)
            )
    return sorted(rows, key=lambda row: row.near)[: params.most]
