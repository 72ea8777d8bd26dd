"""Near-duplicates: candidates from MinHash bands, every one verified exactly, each with its evidence.

What is promised: no edge without an exact comparison of shingle sets (precision 1 by construction), and
``recall`` of the pairs at Jaccard ``threshold``, more above it, as long as ``stats.untried_pairs`` is 0.
What is not: a *truncation* whose Jaccard lies far below the threshold is found only where chance makes it a
candidate (``recall_curve`` gives the odds: at T = 0.7 a text cut to half of itself, J = 0.5, is found 87 % of
the time, to a quarter 12 %). And lexical is not semantic: paraphrases are no near-duplicates here.

``near_duplicates`` is the seam: an engine compiled to machine code takes and returns the same.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Literal

from engine.clean.bands import SCHEME, Bands, Candidates, agreement, candidates, choose_bands, signatures
from engine.clean.shingles import (
    HASHING,
    NORMALISATION,
    Profile,
    Shingles,
    normalise,
    profile_for,
    shingle_hashes,
    tokens,
)
from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    I64 = npt.NDArray[np.int64]

Kind = Literal["exact", "surface", "truncation", "words"]
Progress = Callable[[str, int, int], None]
Span = tuple[int, int, int, int]

SLACK = 4.5  # standard deviations of a signature's estimate
CONTAINED = 0.95  # share of the smaller set that lies in the larger one, from which one text holds the other
FEWEST_CONTAINED = 8  # shingles: two words found in another text are no truncation of it
MAX_SPANNED = 200_000  # pairs that get matched spans; later ones have none (stats say how many)
SPAN_LIMIT = 100_000  # code points of each text that spans are looked for in
ALIGNED_TOKENS = 4_000  # words between common head and tail that are aligned; longer middles are left out
_LARGE_SET = 20_000  # shingles: above it sorted arrays beat sets of Python integers
_SETS_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A verified near-duplicate pair; ``left`` < ``right`` index the texts as given.

    ``spans`` are [left start, left end, right start, right end) of matched runs, in code points of the
    originals. ``kind``: byte-identical ``exact``; ``surface``, the same after normalisation; ``truncation``,
    where the shorter lies in the longer (its Jaccard may be below the threshold); else ``words``.
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
    """Counts of one pass. ``untried_pairs`` > 0: a template flood was sampled and recall is not promised."""

    texts: int
    distinct: int
    shingles: int
    candidates: int
    verified: int
    flooded_buckets: int
    untried_pairs: int
    without_spans: int


@dataclass(frozen=True, slots=True)
class Found:
    """Edges in order of (left, right), how they were found, and what it took."""

    edges: list[Pair]
    params: Params
    stats: Stats


def near_duplicates(
    texts: Sequence[str],
    *,
    threshold: float = 0.7,
    recall: float = 0.995,
    profile: Profile | None = None,
    seed: int = 1,
    cannot_link: Iterable[tuple[int, int]] = (),
    progress: Progress | None = None,
) -> Found:
    """All near-duplicate pairs of ``texts`` (oldest first), verified.

    ``threshold``: the least exact Jaccard of shingle sets. ``profile``: None chooses by length.
    ``cannot_link``: index pairs that a person has told apart; they never become edges.
    ``progress(stage, done, total)`` may raise to stop. Texts that are the same after normalisation form a
    star around the oldest, and only the oldest goes on to be compared: what holds for it holds for all of
    them. Raises InputError for parameters that cannot be met.
    """
    chosen = profile or profile_for(texts)
    report = progress or (lambda _stage, _done, _total: None)
    barred = {(min(pair), max(pair)) for pair in cannot_link}
    normalised = [normalise(text) for text in texts]
    report("normalise", len(texts), len(texts))
    members = _same_surface(normalised)
    oldest = [group[0] for group in members]
    bands = choose_bands(threshold, recall, texts=len(oldest))
    shingles = shingle_hashes(
        [normalised[i] for i in oldest], chosen, progress=lambda n: report("shingle", n, len(oldest))
    )
    del normalised
    signed = signatures(
        shingles, bands.num_perm, seed=seed, progress=lambda n: report("sign", n, len(oldest))
    )
    met = candidates(signed, bands, progress=lambda n: report("group", n, bands.bands))
    worth = _worth_verifying(met, shingles, agreement(signed, met.left, met.right), threshold, bands)
    pairs = _star_edges(texts, members, barred)
    for i, j, jaccard, containment, kind in _verified(shingles, worth, threshold, report):
        if (oldest[i], oldest[j]) not in barred:
            pairs.append(Pair(oldest[i], oldest[j], jaccard, containment, kind))
    pairs.sort(key=lambda pair: (pair.left, pair.right))
    edges = _with_spans(texts, pairs, report)
    params = Params(threshold, recall, bands.bands, bands.rows, bands.num_perm, seed, chosen.name)
    stats = Stats(
        texts=len(texts),
        distinct=len(oldest),
        shingles=len(shingles.hashes),
        candidates=len(met.left),
        verified=len(edges),
        flooded_buckets=met.flooded,
        untried_pairs=met.untried,
        without_spans=max(0, len(edges) - MAX_SPANNED),
    )
    return Found(edges, params, stats)


def bands_of(params: Params) -> Bands:
    """The bands that a pass used, for its recall curve."""
    return Bands(params.bands, params.rows, params.num_perm)


def _same_surface(normalised: Sequence[str]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i, text in enumerate(normalised):
        groups.setdefault(text, []).append(i)
    return list(groups.values())


def _star_edges(texts: Sequence[str], groups: list[list[int]], barred: set[tuple[int, int]]) -> list[Pair]:
    """Each member of a group tied to its oldest: a group of n has n - 1 edges, not n²/2.

    A member told apart from the oldest is tied to the next older one that it may be tied to.
    """
    pairs = []
    for group in groups:
        for at in range(1, len(group)):
            right = group[at]
            for left in islice(group, at):
                if (left, right) not in barred:
                    kind: Kind = "exact" if texts[left] == texts[right] else "surface"
                    pairs.append(Pair(left, right, 1.0, 1.0, kind))
                    break
    return pairs


def _worth_verifying(
    met: Candidates, shingles: Shingles, estimate: npt.NDArray[np.float32], threshold: float, bands: Bands
) -> list[tuple[int, int]]:
    """Candidates less those whose signatures rule them out.

    A pair at the threshold is lost where its estimate falls SLACK standard deviations short: 3 in a million.
    """
    import numpy as np

    floor = threshold - SLACK * math.sqrt(threshold * (1 - threshold) / bands.num_perm)
    sizes = np.diff(shingles.offsets)
    a, b = sizes[met.left], sizes[met.right]
    contained = estimate / (1 + estimate) * (a + b) / np.minimum(a, b)  # of counts with repeats: roughly
    keep = (estimate >= floor) | ((contained >= CONTAINED - 0.2) & (np.minimum(a, b) >= FEWEST_CONTAINED))
    return list(zip(met.left[keep].tolist(), met.right[keep].tolist(), strict=True))


def _verified(
    shingles: Shingles, worth: list[tuple[int, int]], threshold: float, report: Progress
) -> Iterator[tuple[int, int, float, float, Kind]]:
    """Those that hold: left, right, exact Jaccard and containment of their shingle sets, kind."""
    hashes, offsets = shingles.hashes, shingles.offsets.tolist()
    set_of = lru_cache(_SETS_KEPT)(lambda i: frozenset(hashes[offsets[i] : offsets[i + 1]].tolist()))
    for done, (i, j) in enumerate(worth):
        if done % 10_000 == 0:
            report("verify", done, len(worth))
        if max(offsets[i + 1] - offsets[i], offsets[j + 1] - offsets[j]) > _LARGE_SET:
            shared, small, large = _large_overlap(hashes, offsets, i, j)
        else:
            a, b = set_of(i), set_of(j)
            shared, small, large = len(a & b), min(len(a), len(b)), max(len(a), len(b))
        jaccard, containment = shared / (small + large - shared), shared / small
        truncated = containment >= CONTAINED and small <= CONTAINED * large and small >= FEWEST_CONTAINED
        if jaccard >= threshold or truncated:
            yield i, j, jaccard, containment, "truncation" if truncated else "words"
    report("verify", len(worth), len(worth))


def _large_overlap(
    hashes: npt.NDArray[np.uint64], offsets: list[int], i: int, j: int
) -> tuple[int, int, int]:
    """Sizes of overlap, smaller and larger set by sorted merge."""
    import numpy as np

    a = np.unique(hashes[offsets[i] : offsets[i + 1]])
    b = np.unique(hashes[offsets[j] : offsets[j + 1]])
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared, min(len(a), len(b)), max(len(a), len(b))


def _with_spans(texts: Sequence[str], pairs: list[Pair], report: Progress) -> list[Pair]:
    tokens_of = lru_cache(4096)(lambda i: tokens(texts[i], SPAN_LIMIT))
    spanned = []
    for done, pair in enumerate(pairs):
        if done % 10_000 == 0:
            report("align", done, len(pairs))
        spans: tuple[Span, ...] = ()
        if pair.kind in ("exact", "surface"):
            whole = (0, len(texts[pair.left]), 0, len(texts[pair.right]))
            spans = (whole,) if whole[1] and whole[3] else ()
        elif done < MAX_SPANNED:
            spans = _align(tokens_of(pair.left), tokens_of(pair.right))
        spanned.append(Pair(pair.left, pair.right, pair.jaccard, pair.containment, pair.kind, spans))
    report("align", len(pairs), len(pairs))
    return spanned


def matched_spans(left: str, right: str) -> tuple[Span, ...]:
    """Runs of words that two texts share, in code points of the originals.

    Words are compared after normalisation, aligned by their longest common subsequence. Only the first
    SPAN_LIMIT code points are looked at; more than ALIGNED_TOKENS words between common head and tail are not.

    >>> matched_spans("Where is my card?", "where  is my NEW card?")
    ((0, 11, 0, 12), (12, 17, 17, 22))
    """
    return _align(tokens(left, SPAN_LIMIT), tokens(right, SPAN_LIMIT))


_Tokens = tuple[list[str], list[tuple[int, int]]]


def _align(left: _Tokens, right: _Tokens) -> tuple[Span, ...]:
    from rapidfuzz.distance import LCSseq

    a, b = left[0], right[0]
    shorter = min(len(a), len(b))
    head = next((k for k in range(shorter) if a[k] != b[k]), shorter)
    tail = next((k for k in range(shorter - head) if a[-1 - k] != b[-1 - k]), shorter - head)
    runs = [(0, head, 0)]
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    if max(len(middle_a), len(middle_b)) <= ALIGNED_TOKENS:
        runs += [
            (head + step.src_start, step.src_end - step.src_start, head + step.dest_start)
            for step in LCSseq.opcodes(middle_a, middle_b)
            if step.tag == "equal"
        ]
    runs.append((len(a) - tail, tail, len(b) - tail))
    return tuple(
        (left[1][i][0], left[1][i + size - 1][1], right[1][j][0], right[1][j + size - 1][1])
        for i, size, j in runs
        if size
    )


def check_same(stored: Params, ours: Params) -> None:
    """Refuse to mix signatures: InputError unless everything a signature depends on agrees."""
    for name in ("scheme", "seed", "num_perm", "profile", "normalisation", "hashing", "unicode"):
        theirs, mine = getattr(stored, name), getattr(ours, name)
        if theirs != mine:
            raise InputError(
                f"signatures differ in {name}: {theirs} and {mine}",
                todo="Compute them again with one set of parameters.",
            )
