"""Candidates and their exact verification in machine code.

A band's keys are sorted beside their rows; pairs of a bucket are judged at once by the low bytes of their
signatures, so that what does not resemble each other is never stored. What is left is compared exactly: the
shingles of one text go into a hash table, those of its partners are looked up in it, and a comparison ends
as soon as it cannot succeed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clean.bands import (
    BUCKET_CAP,
    FLOOD_ANCHORS,
    FLOOD_LINKS,
    FLOOD_PREDECESSORS,
    Bands,
    Gate,
)
from engine.clean.fast_compile import compiled, in_threads
from engine.clean.fast_fold import I64, U8, U32, U64, Folded
from engine.clean.fast_sign import Signed, corpus_arguments, profile_arguments, scratch_for, text_shingles
from engine.clean.shingles import Profile

if TYPE_CHECKING:
    import numpy.typing as npt

    F64 = npt.NDArray[np.float64]

_S32, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_SEVENS, _ONES = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x0101010101010101)
_EVEN, _PAIRS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)
_S7, _S8, _S48 = np.uint64(7), np.uint64(8), np.uint64(48)
_FREE, _LEAST, _ONE, _S20 = np.uint64(0), np.uint64(1), np.uint64(1), np.uint64(20)
_PART_PAIRS = 1 << 12  # verified by one thread at once
_CHECKED = 32  # shingles looked up between two looks at whether it can still succeed
_CAP, _ANCHORS, _LINKS, _BEFORE = BUCKET_CAP, FLOOD_ANCHORS, FLOOD_LINKS, FLOOD_PREDECESSORS
NO_EDGE, WORDS, TRUNCATION = range(3)


@compiled
def _bucket_sizes(ordered: U64, starts: I64, sizes: I64) -> tuple[int, int, int, int]:
    """Where the buckets of two and more begin in one band's sorted (key, row), and their sizes.

    Returns how many buckets, how many pairs in small ones, how many large ones and their members.
    """
    n, q, pairs, large, members = len(ordered), 0, 0, 0, 0
    begin = 0
    for i in range(1, n + 1):
        if i < n and (ordered[i] ^ ordered[i - 1]) <= _LOW:
            continue
        size = i - begin
        if size > 1:
            starts[q], sizes[q] = begin, size
            q += 1
            if size > _CAP:
                large += 1
                members += size
            else:
                pairs += size * (size - 1) // 2
        begin = i
    return q, pairs, large, members


@compiled
def _bucket_pairs(ordered: U64, starts: I64, sizes: I64, found: U64, crowd: I64, crowd_sizes: I64) -> None:
    """All pairs of the small buckets into ``found``; members and sizes of the large ones."""
    q, c, s = 0, 0, 0
    for bucket in range(len(starts)):
        first, last = starts[bucket], starts[bucket] + sizes[bucket]
        if sizes[bucket] > _CAP:
            crowd_sizes[s] = sizes[bucket]
            s += 1
            for k in range(first, last):
                crowd[c] = np.int64(ordered[k] & _LOW)
                c += 1
            continue
        for k in range(first, last):
            for other in range(k + 1, last):
                found[q] = (ordered[k] << _S32) | (ordered[other] & _LOW)
                q += 1


def _buckets(keys: U32, rows: U64) -> tuple[U64, I64, I64]:
    """Of one band: pairs of small buckets, and members and sizes of the large ones."""
    ordered = (keys.astype(np.uint64) << _S32) | rows
    ordered.sort()
    starts, sizes = np.empty(len(rows) // 2 + 1, np.int64), np.empty(len(rows) // 2 + 1, np.int64)
    buckets, pairs, large, members = _bucket_sizes(ordered, starts, sizes)
    found, crowd = np.empty(pairs, np.uint64), np.empty(members, np.int64)
    crowd_sizes = np.empty(large, np.int64)
    _bucket_pairs(ordered, starts[:buckets], sizes[:buckets], found, crowd, crowd_sizes)
    return found, crowd, crowd_sizes


@compiled
def _agreeing(pairs: U64, sketch: U64, low_bytes: U8, begin: int, end: int, equal: I64) -> None:
    """How many low bytes of each pair's signatures are equal; -1 where the band itself differs.

    Bytes of x ^ y that are zero are counted eight at a time. Nothing in the loop waits for a pair before, so
    that the processor fetches many rows at once.
    """
    for p in range(len(pairs)):
        x, y = pairs[p] >> _S32, pairs[p] & _LOW
        zeros = np.uint64(0)
        for k in range(sketch.shape[1]):
            differ = sketch[x, k] ^ sketch[y, k]
            zeros += (~(((differ & _SEVENS) + _SEVENS) | differ | _SEVENS)) >> _S7
        same = np.uint8(0)
        for k in range(begin, end):
            same |= low_bytes[x, k] ^ low_bytes[y, k]
        halves = (zeros & _EVEN) + ((zeros >> _S8) & _EVEN)
        equal[p] = np.int64((halves * _PAIRS) >> _S48) if same == 0 else -1


def _resembling(pairs: U64, signed: Signed, gate: Gate, band: int, rows: int) -> tuple[U64, int]:
    """Those worth verifying, and how many share the band at all."""
    pairs.sort()  # rows of one text together
    equal = np.empty(len(pairs), np.int64)
    words = signed.sketch.view(np.uint64)
    _agreeing(pairs, words, signed.sketch, band * rows, (band + 1) * rows, equal)
    shares = equal >= 0
    if not shares.all():
        pairs, equal = pairs[shares], equal[shares]
    padding = signed.sketch.shape[1] - gate.num_perm
    counts = signed.counts[(pairs >> _S32).astype(np.int64)], signed.counts[(pairs & _LOW).astype(np.int64)]
    return pairs[gate.passes((equal - padding) / gate.num_perm, *counts)], len(pairs)


def estimates(pairs: U64, signed: Signed, permutations: int) -> F64:
    """Share of permutations whose low bytes agree, of pairs of rows: as ``bands.agreement``."""
    equal = np.empty(len(pairs), np.int64)
    _agreeing(pairs, signed.sketch.view(np.uint64), signed.sketch, 0, 0, equal)
    padding = signed.sketch.shape[1] - permutations
    shares: F64 = (equal - padding) / permutations
    return shares


@compiled
def _crowd_pairs(crowd: I64, sizes: I64, partners: I64) -> U64:
    """Of the large buckets of one band: each member with a few others; counts them in ``partners``."""
    found, q, start = np.empty(len(crowd) * (_ANCHORS + _BEFORE), np.uint64), 0, 0
    for size in sizes:
        for rank in range(1, size):
            y = crowd[start + rank]
            if partners[y] >= _LINKS:
                continue
            for k in range(_ANCHORS + _BEFORE):
                at = k if k < _ANCHORS else rank - 1 - (k - _ANCHORS)
                if at >= rank or (k >= _ANCHORS and at < _ANCHORS):
                    continue
                partners[y] += 1
                found[q] = (np.uint64(crowd[start + at]) << _S32) | np.uint64(y)
                q += 1
        start += size
    return found[:q].copy()


@dataclass(frozen=True, slots=True)
class Worth:
    """Pairs worth verifying (left << 32 | right, in order), how many were met in all, and what was left out."""

    pairs: U64
    met: int
    flooded: int
    untried: int


def worth_verifying(
    signed: Signed, bands: Bands, gate: Gate, *, threads: int, progress: Callable[[int], None] | None = None
) -> Worth:
    """Pairs of rows that agree in a band and resemble each other; large buckets as ``bands.candidates``."""
    n = signed.keys.shape[1]
    rows = np.arange(n, dtype=np.uint64)

    def one_band(band: int) -> tuple[int, U64, int, I64, I64]:
        pairs, crowd, sizes = _buckets(signed.keys[band], rows)
        return band, *_resembling(pairs, signed, gate, band, bands.rows), crowd, sizes

    found, crowds, met = [np.empty(0, np.uint64)], {}, 0
    for done, (band, pairs, seen, crowd, sizes) in enumerate(
        in_threads(one_band, range(bands.bands), threads)
    ):
        found.append(pairs)
        met += seen
        if len(sizes):
            crowds[band] = (crowd, sizes)
        if progress:
            progress(done + 1)
    partners, flooded, untried = np.zeros(n, np.int64), 0, 0
    for band, (crowd, sizes) in sorted(crowds.items()):
        pairs, seen = _resembling(_crowd_pairs(crowd, sizes, partners), signed, gate, band, bands.rows)
        found.append(pairs)
        met += seen
        flooded += len(sizes)
        untried += int((sizes * (sizes - 1) // 2).sum()) - seen
    return Worth(_distinct(np.concatenate(found)), met, flooded, untried)


def _distinct(values: U64) -> U64:
    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))] if len(values) else values


@compiled
def _fill(hashes: U64, count: int, table: U64, kept: U64, begin: int) -> Any:
    """The distinct hashes in an open table at most half full: its mask, and how many there are.

    They are listed in ``kept`` from ``begin`` on too, where that has room.
    """
    size = 64
    while size < 2 * count:
        size *= 2
    mask, held = np.uint64(size - 1), 0
    for k in range(size):
        table[k] = _FREE
    for i in range(count):
        value = max(hashes[i], _LEAST)
        at = (value >> _S20) & mask
        while table[at] != _FREE and table[at] != value:
            at = (at + _ONE) & mask
        new = table[at] == _FREE
        table[at] = value
        if len(kept):
            kept[begin + held] = value
        held += new
    return mask, held


@compiled
def _shared(table: U64, mask: Any, stamps: U32, stamp: Any, hashes: U64, count: int, needed: Any) -> int:
    """Distinct hashes that lie in the table; -1 as soon as fewer than ``needed`` is certain."""
    hits = 0
    for low in range(0, count, _CHECKED):
        if hits + count - low < needed:
            return -1
        for i in range(low, min(low + _CHECKED, count)):
            value = max(hashes[i], _LEAST)
            at = (value >> _S20) & mask
            while table[at] != _FREE and table[at] != value:
                at = (at + _ONE) & mask
            if table[at] == value and stamps[at] != stamp:
                stamps[at] = stamp
                hits += 1
    return hits if hits >= needed else -1


@compiled
def _table_size(longest: int) -> int:
    size = 64
    while size < 2 * longest:
        size *= 2
    return size


@compiled
def _distinct_hashes(
    corpus: Any, rows: I64, first: int, last: int, cut: Any, kept: U64, begins: I64, distinct: I64
) -> None:
    """How many distinct hashes each text has; they themselves from ``begins`` on where there is room."""
    length = corpus[3]
    longest = 16
    for x in range(first, last):
        longest = max(longest, length[rows[x]])
    scratch, table = scratch_for(longest), np.empty(_table_size(longest), np.uint64)
    for x in range(first, last):
        count = text_shingles(corpus, rows[x], cut, scratch)
        _, distinct[x] = _fill(scratch[0], count, table, kept, begins[x])


@compiled
def _verify(
    corpus: Any, rows: I64, pairs: U64, first: int, last: int, cut: Any, sets: Any, limits: Any, found: Any
) -> None:
    kept, begins, distinct = sets
    threshold, contained, fewest = limits
    jaccard, containment, kind = found
    length = corpus[3]
    longest = 16
    for p in range(first, last):
        longest = max(longest, length[rows[np.int64(pairs[p] >> _S32)]])
        longest = max(longest, length[rows[np.int64(pairs[p] & _LOW)]])
    scratch, table = scratch_for(longest), np.empty(_table_size(longest), np.uint64)
    nothing = np.empty(0, np.uint64)
    before: Any = -1
    stamps, stamp, mask = np.zeros(len(table), np.uint32), np.uint32(0), _LOW
    for p in range(first, last):
        x, y = np.int64(pairs[p] >> _S32), np.int64(pairs[p] & _LOW)
        for at in (x, y):
            if at == before:
                continue
            if len(kept):
                count = distinct[at]
                scratch[0][:count] = kept[begins[at] : begins[at] + count]
            else:
                count = text_shingles(corpus, rows[at], cut, scratch)
            if at == x:
                mask, _held = _fill(scratch[0], count, table, nothing, 0)
                before = x
        small, large = min(distinct[x], distinct[y]), max(distinct[x], distinct[y])
        needed: Any = np.int64(threshold / (1 + threshold) * (small + large))
        if small >= fewest:
            needed = min(needed, np.int64(contained * small))
        stamp += np.uint32(1)
        shared = _shared(table, mask, stamps, stamp, scratch[0], count, needed)
        if shared < 0:
            continue
        jaccard[p] = shared / (small + large - shared)
        containment[p] = shared / small
        if containment[p] >= contained and small <= contained * large and small >= fewest:
            kind[p] = TRUNCATION
        elif jaccard[p] >= threshold:
            kind[p] = WORDS


@dataclass(frozen=True, slots=True)
class Verified:
    """Edges between rows: exact Jaccard, containment and kind (WORDS or TRUNCATION) of each."""

    left: I64
    right: I64
    jaccard: F64
    containment: F64
    kind: U8


def verify(
    pairs: U64,
    folded: Folded,
    rows: I64,
    counts: I64,
    profile: Profile,
    gate: Gate,
    *,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> Verified:
    """Those of ``pairs`` (of positions in ``rows``) that hold, by exact comparison of their shingle sets.

    ``counts``: of the rows' shingles, repeats and all, shape (rows,).
    """
    corpus, cut = corpus_arguments(folded), profile_arguments(profile)
    left, right = (pairs >> _S32).astype(np.int64), (pairs & _LOW).astype(np.int64)
    needed = np.zeros(len(rows), np.bool_)
    needed[left] = needed[right] = True
    who, distinct = np.flatnonzero(needed), np.zeros(len(rows), np.int64)
    begins = np.zeros(len(rows), np.int64)
    counted, texts = np.zeros(len(who), np.int64), rows[who]
    ends = np.cumsum(counts[who])
    begins[who] = ends - counts[who]
    lists = profile.unit == "word"  # shorter than the text; of letters they are eight times as long
    kept = np.empty(int(ends[-1]) + 1 if lists and len(ends) else 0, np.uint64)
    step, placed = _PART_PAIRS, begins[who]

    def count(first: int) -> None:
        _distinct_hashes(corpus, texts, first, min(first + step, len(who)), cut, kept, placed, counted)

    for _ in in_threads(count, range(0, len(who), step), threads):
        pass
    distinct[who] = counted
    jaccard, containment = np.zeros(len(pairs)), np.zeros(len(pairs))
    kind = np.zeros(len(pairs), np.uint8)

    sets, limits = (kept, begins, distinct), (gate.threshold, gate.truncated, gate.fewest)

    def part(first: int) -> int:
        last = min(first + step, len(pairs))
        _verify(corpus, rows, pairs, first, last, cut, sets, limits, (jaccard, containment, kind))
        return last - first

    done = 0
    for compared in in_threads(part, range(0, len(pairs), step), threads):
        done += compared
        if progress:
            progress(done)
    holds = kind != NO_EDGE
    return Verified(left[holds], right[holds], jaccard[holds], containment[holds], kind[holds])
