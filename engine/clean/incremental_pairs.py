"""Which new texts are worth comparing with which: band keys met in the index and among themselves.

Texts are named by their *row*: their place among the distinct texts of the index, new ones behind the old ones.
The rules of large buckets are those of ``bands.candidates``, seen from the new texts alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clean.bands import (
    BUCKET_CAP,
    FLOOD_ANCHORS,
    FLOOD_LINKS,
    FLOOD_PREDECESSORS,
    Gate,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from store.near_index import NearIndex

    U8 = npt.NDArray[np.uint8]
    U32 = npt.NDArray[np.uint32]
    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]

NIBBLES = 16  # of a word of a sketch
_LOW = (1 << 32) - 1
_CHUNK = 1 << 16  # pairs whose sketches are compared at once
_BANDS = 4  # asked for at once: a question costs as much as reading a million rows
_ROWS = 1 << 18  # old rows whose sketches are fetched at once


@dataclass(frozen=True, slots=True)
class Candidates:
    """Distinct pairs (left row << 32 | right row) in order, ``right`` new; how many were met, and what was left out."""

    pairs: U64
    met: int
    flooded: int
    untried: int


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of some texts: low bits of their permutations, packed (texts, words), and how many shingles (texts,)."""

    words: U64
    counts: I64


@dataclass(frozen=True, slots=True)
class Worth:
    """Pairs of rows that resemble each other by their sketches; ``keys``: of the left text where it is old."""

    left: I64
    right: I64
    keys: I64


def sketches(low: U8, counts: I64) -> Sketches:
    """Of the low bytes of permutations, shape (texts, K), the low four bits, 16 permutations a word.

    Two texts that agree in a permutation's byte agree in its four bits: what these let pass is all that the
    bytes would, and a little more.
    """
    import numpy as np

    words = -(-low.shape[1] // NIBBLES)
    padded = np.zeros((len(low), words * NIBBLES), np.uint8)
    padded[:, : low.shape[1]] = low & np.uint8(15)
    packed = np.ascontiguousarray(padded[:, 0::2] | (padded[:, 1::2] << np.uint8(4)))
    return Sketches(packed.view(np.uint64), counts)


def candidates(index: NearIndex, keys: U32) -> Candidates:
    """Pairs of a new text with an old or an earlier new one that agree in a band; ``keys``: shape (bands, new)."""
    import numpy as np

    base, new = index.about.distinct, keys.shape[1]
    rows = np.arange(base, base + new, dtype=np.uint64)
    partners = np.zeros(new, np.int64)
    found, met, flooded, untried = [np.empty(0, np.uint64)], 0, 0, 0
    old = _old_members(index, keys) if base and new else None
    for band in range(len(keys) if new else 0):
        ordered = (keys[band].astype(np.uint64) << np.uint64(32)) | rows
        if old is not None:
            ordered = np.concatenate((ordered, next(old)))
        pairs, crowds, missed = _of_band(ordered, base, partners)
        found.append(pairs)
        met, flooded, untried = met + len(pairs), flooded + crowds, untried + missed
    return Candidates(_distinct(np.concatenate(found)), met, flooded, untried)


def _old_members(index: NearIndex, keys: U32) -> Iterator[U64]:
    """Of each band the (key, row) of old texts that share a new one's key. A few bands are asked for at once."""
    import numpy as np
    import pyarrow as pa

    names = index.band_columns(index.about)
    for first in range(0, len(keys), _BANDS):
        few = range(first, min(first + _BANDS, len(keys)))
        table = index.in_bands(pa.table({names[band]: keys[band] for band in few}))
        of, value, row = (table.column(name).to_numpy() for name in ("band", "value", "row"))
        packed = (value.astype(np.uint64) << np.uint64(32)) | row.astype(np.uint64)
        for band in few:
            yield packed[of == band]


def _distinct(values: U64) -> U64:
    """Sorted, each once; sorting is faster than numpy's hashing."""
    import numpy as np

    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))] if len(values) else values


def _of_band(ordered: U64, base: int, partners: I64) -> tuple[U64, int, int]:
    """Pairs of one band's (key, row), how many buckets were too large, and how many pairs were left out there."""
    import numpy as np

    ordered.sort()
    key = ordered >> np.uint64(32)
    same = key[1:] == key[:-1]
    shared = np.concatenate((same, [False])) | np.concatenate(([False], same))
    ordered, key = ordered[shared], key[shared]  # most texts share a band with none
    if not len(ordered):
        return ordered, 0, 0
    row = (ordered & np.uint64(_LOW)).astype(np.int64)
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    sizes = np.diff(np.append(starts, len(row)))
    start, large = np.repeat(starts, sizes), np.repeat(sizes > BUCKET_CAP, sizes)
    rank = np.arange(len(row)) - start
    is_new = row >= base
    few = np.flatnonzero(is_new & ~large)
    many = np.flatnonzero(is_new & large)
    lefts, rights, step = [], [], 1
    while len(few := few[rank[few] >= step]):
        lefts.append(row[few - step])
        rights.append(row[few])
        step += 1
    untried = int(rank[many].sum())
    many = many[partners[row[many] - base] < FLOOD_LINKS]
    for left, right in _of_crowd(many, start[many], rank[many]):
        np.add.at(partners, row[right] - base, 1)
        untried -= len(right)
        lefts.append(row[left])
        rights.append(row[right])
    if not lefts:
        return ordered[:0], 0, untried
    pairs = (np.concatenate(lefts).astype(np.uint64) << np.uint64(32)) | np.concatenate(rights).astype(
        np.uint64
    )
    return pairs, len(np.unique(start[is_new & large])), untried


def _of_crowd(at: I64, start: I64, rank: I64) -> list[tuple[I64, I64]]:
    """Of new members of large buckets: each with the oldest members, and with those just before it."""
    found = []
    for anchor in range(FLOOD_ANCHORS):
        met = rank > anchor
        found.append((start[met] + anchor, at[met]))
    for back in range(1, FLOOD_PREDECESSORS + 1):
        met = rank - back >= FLOOD_ANCHORS
        found.append((at[met] - back, at[met]))
    return found


def resembling(index: NearIndex, met: Candidates, mine: Sketches, gate: Gate) -> Worth:
    """Those of the pairs that were ``met`` whose estimate lets them be near; ``mine``: sketches of the new texts."""
    import numpy as np

    base, pairs = index.about.distinct, met.pairs
    left = (pairs >> np.uint64(32)).astype(np.int64)
    right = (pairs & np.uint64(_LOW)).astype(np.int64) - base
    old = int(np.searchsorted(left, base))
    kept = [_passing(mine, left[old:] - base, mine, right[old:], gate=gate) + old]
    keys = np.full(len(pairs), -1, np.int64)
    first = 0
    while first < old:
        last = min(_end_of_rows(left, first), old)
        rows, place = np.unique(left[first:last], return_inverse=True)
        theirs, of = _old_sketches(index, rows)
        passed = _passing(theirs, place, mine, right[first:last], gate=gate)
        keys[first + passed] = of[place[passed]]
        kept.append(first + passed)
        first = last
    at = np.sort(np.concatenate(kept))
    return Worth(left[at], right[at] + base, keys[at])


def _end_of_rows(left: I64, first: int) -> int:
    """Up to where ``left`` (in order) is fetched at once: a stretch of rows, or a few pairs of a long stretch."""
    import numpy as np

    return max(int(np.searchsorted(left, left[first] + _ROWS)), min(len(left), first + _ROWS // 4))


def _old_sketches(index: NearIndex, rows: I64) -> tuple[Sketches, I64]:
    """Of distinct rows of the index, and their keys."""
    import numpy as np
    import pyarrow as pa

    table = index.signed(pa.table({"row": rows.astype(np.int32)}))
    words = index.sketch_columns(index.about)
    packed = np.empty((table.num_rows, len(words)), np.uint64)
    for at, name in enumerate(words):
        packed[:, at] = table.column(name).to_numpy()
    return Sketches(packed, table.column("shingles").to_numpy().astype(np.int64)), table.column(
        "key"
    ).to_numpy()


def _passing(a: Sketches, left: I64, b: Sketches, right: I64, *, gate: Gate) -> I64:
    """Places of the pairs (``left`` in ``a``, ``right`` in ``b``) that the gate lets pass."""
    import numpy as np

    found = [np.empty(0, np.int64)]
    ones = np.uint64(0x1111111111111111)
    for first in range(0, len(left), _CHUNK):
        x, y = left[first : first + _CHUNK], right[first : first + _CHUNK]
        differ = a.words[x] ^ b.words[y]
        differ |= differ >> np.uint64(1)
        differ |= differ >> np.uint64(2)
        other = np.bitwise_count(differ & ones).sum(axis=1, dtype=np.int64)
        share = (gate.num_perm - other) / gate.num_perm
        found.append(first + np.flatnonzero(gate.passes(share, a.counts[x], b.counts[y])))
    return np.concatenate(found)
