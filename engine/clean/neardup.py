"""Near-duplicates: candidates from MinHash bands, every one verified exactly, each with its evidence.

What is promised: no edge without an exact comparison of shingle sets (precision 1 by construction), and
``recall`` of the pairs at Jaccard ``threshold``, more above it, as long as ``stats.untried_pairs`` is 0.
What is not: a *truncation* whose Jaccard lies far below the threshold is found only where chance makes it a
candidate (``recall_curve`` gives the odds: at T = 0.7 a text cut to half of itself, J = 0.5, is found 87 % of
the time, to a quarter 12 %). And lexical is not semantic: paraphrases are no near-duplicates here.

One seam, two engines with the same edges: ``reference`` (numpy and datasketch's permutations, always there)
and ``fast`` (machine code, extra ``fast``). ``find_edges`` takes and gives columns; ``near_duplicates`` adds
the words that each pair shares.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from engine.clean.bands import SCHEME, Bands, choose_bands
from engine.clean.edits import Kind, Span, matched_spans
from engine.clean.neardup_parts import KIND_NAMES, Edges, Kinds
from engine.clean.shingles import HASHING, NORMALISATION, Profile, profile_for
from engine.clean.spans import with_spans
from store.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    Texts: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray

__all__ = ["Found", "FoundEdges", "Pair", "Params", "Stats", "bands_of", "check_same", "find_edges"]
__all__ += ["has_fast_engine", "matched_spans", "near_duplicate_columns", "near_duplicates"]

Engine = Literal["auto", "fast", "reference"]
Progress = Callable[[str, int, int], None]

MANY = 5_000  # texts from which on the fast engine is worth loading, and compiling once a user


@dataclass(frozen=True, slots=True)
class Pair:
    """A verified near-duplicate pair; ``left`` < ``right`` index the texts as given.

    ``spans`` are [left start, left end, right start, right end) of matched runs, in code points of the
    originals. ``kind``: byte-identical ``exact``; ``surface``, the same after normalisation; ``truncation``,
    where the shorter lies in the longer (its Jaccard may be below the threshold); ``slot``, another value in
    the same sentence; else ``words``.
    """

    left: int
    right: int
    jaccard: float
    containment: float
    kind: Kind
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """All that decides which pairs are found; signatures are comparable only where these agree."""

    threshold: float
    recall: float
    bands: int
    rows: int
    num_perm: int
    seed: int
    profile: str
    scheme: str = SCHEME
    normalisation: str = NORMALISATION
    hashing: str = HASHING
    unicode: str = unicodedata.unidata_version

    def record(self) -> dict[str, object]:
        """As a plain mapping, to be stored with the run."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of one pass. ``untried_pairs`` > 0: a template flood was sampled and recall is not promised.

    ``candidates``: pairs met in a bucket, once for each band; ``compared``: those compared exactly.
    """

    texts: int
    distinct: int
    shingles: int
    candidates: int
    compared: int
    verified: int
    flooded_buckets: int
    untried_pairs: int
    without_spans: int


@dataclass(frozen=True, slots=True)
class FoundEdges:
    """Edges in order of (left, right) as an Arrow table, how they were found, and what it took.

    Columns: left, right (int64, into the texts as given), jaccard, containment (float64), kind (dictionary
    of exact, words, truncation, surface).
    """

    table: pa.Table
    params: Params
    stats: Stats


@dataclass(frozen=True, slots=True)
class Found:
    """Edges in order of (left, right), how they were found, and what it took."""

    edges: list[Pair]
    params: Params
    stats: Stats


def has_fast_engine() -> bool:
    """Whether the extra ``fast`` is installed."""
    return importlib.util.find_spec("numba") is not None


def find_edges(
    texts: Texts,
    *,
    threshold: float = 0.7,
    recall: float = 0.995,
    profile: Profile | None = None,
    seed: int = 1,
    cannot_link: Iterable[tuple[int, int]] = (),
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> FoundEdges:
    """All near-duplicate pairs of ``texts`` (oldest first; a list or an Arrow array of strings), verified.

    ``threshold``: the least exact Jaccard of shingle sets. ``profile``: None chooses by length.
    ``cannot_link``: index pairs that a person has told apart; they never become edges. ``engine``: ``auto``
    takes the fast one where it is installed and worth its start; both find the same.
    ``progress(stage, done, total)`` may raise to stop. Texts that are the same after normalisation form a
    star around the oldest, and only the oldest goes on to be compared: what holds for it holds for all of
    them. Raises InputError for parameters that cannot be met, a missing text, or an engine that is not
    installed.
    """
    chosen = profile or profile_for(texts)
    used = choose_bands(threshold, recall)  # refused before any work
    report = progress or (lambda _stage, _done, _total: None)

    def choose(distinct: int) -> Bands:
        nonlocal used
        used = choose_bands(threshold, recall, texts=distinct)
        return used

    options: dict[str, Any] = {"threshold": threshold, "seed": seed, "report": report}
    if use_fast(engine, len(texts)):
        from engine.clean import fast_engine

        edges = fast_engine.find(texts, chosen, choose, **options)
    else:
        from engine.clean import neardup_reference

        plain = texts if isinstance(texts, list) else _as_list(texts)
        edges = neardup_reference.find(plain, chosen, choose, **options)
    table = _table(edges, {(min(pair), max(pair)) for pair in cannot_link})
    params = Params(threshold, recall, used.bands, used.rows, used.num_perm, seed, chosen.name)
    stats = Stats(**edges.counts, verified=table.num_rows, without_spans=table.num_rows)
    return FoundEdges(table, params, stats)


def near_duplicate_columns(
    texts: Texts,
    *,
    threshold: float = 0.7,
    recall: float = 0.995,
    profile: Profile | None = None,
    seed: int = 1,
    cannot_link: Iterable[tuple[int, int]] = (),
    engine: Engine = "auto",
    progress: Progress | None = None,
) -> FoundEdges:
    """As ``find_edges``, each pair with the spans that match, and slot refills told from changed words.

    The table has one more column ``spans`` (JSON text, as ``spans.with_spans`` says), and ``slot`` among kinds.
    """
    found = find_edges(
        texts, threshold=threshold, recall=recall, profile=profile, seed=seed, cannot_link=cannot_link,
        engine=engine, progress=progress,
    )  # fmt: skip
    report = progress or (lambda _stage, _done, _total: None)
    fast = use_fast(engine, max(len(texts), found.table.num_rows))
    table, without = with_spans(texts, found.table, fast=fast, report=report)
    return FoundEdges(table, found.params, replace(found.stats, without_spans=without))


def near_duplicates(texts: Texts, **options: Any) -> Found:
    """As ``near_duplicate_columns``, as a list of pairs: for few texts."""
    found = near_duplicate_columns(texts, **options)
    spans = [tuple(map(tuple, msgspec.json.decode(told))) for told in found.table["spans"].to_pylist()]
    edges = [replace(pair, spans=of) for pair, of in zip(pairs_of(found.table), spans, strict=True)]
    return Found(edges, found.params, found.stats)


def pairs_of(table: pa.Table) -> list[Pair]:
    """The edges as pairs, less their spans."""
    names = ("left", "right", "jaccard", "containment", "kind")
    return [Pair(*row) for row in zip(*(table[name].to_pylist() for name in names), strict=True)]


def bands_of(params: Params) -> Bands:
    """The bands that a pass used, for its recall curve."""
    return Bands(params.bands, params.rows, params.num_perm)


def use_fast(engine: Engine, texts: int) -> bool:
    """Whether so many texts are compared in machine code. Raises InputError for an engine that there is not."""
    if engine not in ("auto", "fast", "reference"):
        raise InputError(f"no such engine: {engine!r}", todo="Use auto, fast or reference.")
    if engine == "fast" and not has_fast_engine():
        raise InputError("the fast engine is not installed", todo="pip install 'spiritsafe[fast]'")
    return engine == "fast" or (engine == "auto" and texts >= MANY and has_fast_engine())


def _as_list(texts: Texts) -> list[str]:
    plain: list[str] = list(texts) if isinstance(texts, Sequence) else texts.to_pylist()
    if None in plain:
        raise InputError("has no text", where=f"row {plain.index(None)}", todo="Leave such rows out.")  # type: ignore[arg-type]
    return plain


def _table(edges: Edges, barred: set[tuple[int, int]]) -> pa.Table:
    """Edges less those told apart. A text told apart from its oldest is tied to the next it may be tied to."""
    import numpy as np
    import pyarrow as pa

    left, right, jaccard, containment, kind = (
        edges.left, edges.right, edges.jaccard, edges.containment, edges.kind,
    )  # fmt: skip
    if barred:
        apart = np.array(sorted(barred), np.int64)
        known = (left << 32) | right
        hit = np.isin(known, (apart[:, 0] << 32) | apart[:, 1])
        star = np.isin(kind, (Kinds.EXACT, Kinds.SURFACE))
        moved = [_retied(edges, int(i), barred) for i in np.flatnonzero(hit & star)]
        retied = np.array([pair for pair in moved if pair], np.int64).reshape(-1, 2)
        left = np.concatenate((left[~hit], retied[:, 0]))
        right = np.concatenate((right[~hit], retied[:, 1]))
        ones = np.ones(len(retied))
        jaccard = np.concatenate((jaccard[~hit], ones))
        containment = np.concatenate((containment[~hit], ones))
        kind = np.concatenate((kind[~hit], np.full(len(retied), Kinds.SURFACE, np.uint8)))
        order = np.lexsort((right, left))
        left, right, kind = left[order], right[order], kind[order]
        jaccard, containment = jaccard[order], containment[order]
    names = pa.DictionaryArray.from_arrays(pa.array(kind, pa.int8()), pa.array(KIND_NAMES))
    columns = {"left": left, "right": right, "jaccard": jaccard, "containment": containment, "kind": names}
    return pa.table(columns)


def _retied(edges: Edges, edge: int, barred: set[tuple[int, int]]) -> tuple[int, int] | None:
    import numpy as np

    right = int(edges.right[edge])
    group = np.flatnonzero(edges.first[:right] == edges.first[right])
    return next(((int(i), right) for i in group if (int(i), right) not in barred), None)


def check_same(stored: Params, ours: Params) -> None:
    """Refuse to mix signatures: InputError unless everything a signature depends on agrees."""
    for name in ("scheme", "seed", "num_perm", "profile", "normalisation", "hashing", "unicode"):
        theirs, mine = getattr(stored, name), getattr(ours, name)
        if theirs != mine:
            raise InputError(
                f"signatures differ in {name}: {theirs} and {mine}",
                todo="Compute them again with one set of parameters.",
            )
