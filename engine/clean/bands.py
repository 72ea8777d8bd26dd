"""MinHash signatures and banding: which pairs are worth an exact look.

Signatures are datasketch's (scheme ``affine32``, its permutations for a seed) over the low 32 bits of our
shingle hashes, computed for the whole corpus at once; a row equals
``MinHash(num_perm, seed=seed, scheme="affine32", hashfunc=int)`` updated with those hashes, and a test holds
that. Signatures of another scheme, seed, profile or number of permutations cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clean.shingles import Shingles
from store.canonical import digest
from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    U32 = npt.NDArray[np.uint32]
    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]
    F64 = npt.NDArray[np.float64]

SCHEME = "affine32"
BIG_CORPUS = 300_000  # texts: above it longer bands pay for their extra permutations
BUCKET_CAP = 64  # members of a band bucket that are all compared with each other
FLOOD_ANCHORS = 4  # in a larger bucket each member meets its oldest members …
FLOOD_PREDECESSORS = 4  # … and those just before it,
FLOOD_LINKS = 16  # until a text has so many partners from large buckets
CROWD = 64  # verified older partners of one text, from which on it keeps FLOOD_LINKS
SLACK = 4.5  # standard deviations of a signature's estimate
CONTAINED = 0.95  # share of the smaller set that lies in the larger one, from which one text holds the other
FEWEST_CONTAINED = 8  # shingles: two words found in another text are no truncation of it
_CHUNK = 1 << 15  # shingles signed at once: their 32-bit hashes stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Bands:
    """``bands`` bands of ``rows`` rows each; a pair is a candidate when one whole band agrees."""

    bands: int
    rows: int
    num_perm: int

    def recall_at(self, jaccard: float) -> float:
        """P(candidate) at a true Jaccard: 1 - (1 - J^r)^b (Leskovec et al., MMDS, section 3.4).

        >>> round(Bands(21, 6, 126).recall_at(0.8), 3)
        0.998
        """
        return 1.0 - (1.0 - jaccard**self.rows) ** self.bands


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs (``left`` < ``right``) that share a band; ``met`` counts a pair once for each band it shares.

    ``flooded`` buckets were too large to be squared; ``untried`` bounds the pairs left out there.
    """

    left: I64
    right: I64
    met: int
    flooded: int
    untried: int


def choose_bands(threshold: float, recall: float = 0.995, *, texts: int = 0) -> Bands:
    """The most selective bands that still find ``recall`` of the pairs at Jaccard ``threshold``.

    The longest rows (fewest chance candidates) whose needed bands fit 128 permutations (200 from
    BIG_CORPUS texts on); permutations left over become further bands, since exact verification pays for
    extra candidates. A library default balances both errors instead and misses most pairs at its own
    threshold. Raises InputError where no bands reach the target.

    >>> choose_bands(0.8), choose_bands(0.7)
    (Bands(bands=21, rows=6, num_perm=126), Bands(bands=32, rows=4, num_perm=128))
    >>> choose_bands(0.7, texts=1_000_000)
    Bands(bands=40, rows=5, num_perm=200)
    """
    if not 0.0 < threshold <= 1.0 or not 0.0 < recall < 1.0:
        raise InputError(
            f"cannot choose bands for threshold {threshold} and recall {recall}",
            todo="Give 0 < threshold <= 1 and 0 < recall < 1.",
        )
    budget = 200 if texts >= BIG_CORPUS else 128
    for rows in range(16, 0, -1):
        hit = threshold**rows
        needed = 1 if hit == 1.0 else math.ceil(math.log1p(-recall) / math.log1p(-hit))
        if needed * rows <= budget:
            bands = max(needed, budget // rows)
            return Bands(bands, rows, bands * rows)
    raise InputError(
        f"{budget} permutations cannot find {recall:.1%} of the pairs at Jaccard {threshold}",
        todo="Raise the threshold or lower the recall target.",
    )


def recall_curve(bands: Bands, points: int = 21) -> list[tuple[float, float]]:
    """(Jaccard, P(candidate)) at ``points`` even steps from 0 to 1."""
    return [(j / (points - 1), bands.recall_at(j / (points - 1))) for j in range(points)]


def signatures(
    shingles: Shingles, num_perm: int, *, seed: int = 1, progress: Callable[[int], None] | None = None
) -> U32:
    """MinHash signatures, shape (num_perm, texts): one permutation a row."""
    import numpy as np
    from datasketch import MinHash

    factors, terms = MinHash(num_perm=num_perm, seed=seed, scheme=SCHEME).permutations
    offsets = shingles.offsets
    out = np.empty((num_perm, len(offsets) - 1), np.uint32)
    buffer = np.empty(0, np.uint32)
    first = 0
    while first < out.shape[1]:
        last = max(int(np.searchsorted(offsets, offsets[first] + _CHUNK, "right")) - 1, first + 1)
        mixed = _fmix32(shingles.hashes[offsets[first] : offsets[last]].astype(np.uint32))
        starts = offsets[first:last] - offsets[first]
        if len(buffer) < len(mixed):
            buffer = np.empty(len(mixed), np.uint32)
        values = buffer[: len(mixed)]
        for k in range(num_perm):
            np.multiply(mixed, factors[k], out=values)
            np.add(values, terms[k], out=values)
            np.minimum.reduceat(values, starts, out=out[k, first:last])
        first = last
        if progress:
            progress(first)
    return out


def permutations_digest(num_perm: int, seed: int) -> str:
    """Which permutations signatures are made by, as SHA-256: another release of datasketch might draw others."""
    import numpy as np
    from datasketch import MinHash

    drawn = MinHash(num_perm=num_perm, seed=seed, scheme=SCHEME).permutations
    return digest(np.ascontiguousarray(drawn, np.uint64).tobytes())


def _fmix32(values: U32) -> U32:
    """MurmurHash3's finaliser, as datasketch mixes its inputs."""
    import numpy as np

    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def candidates(signed: U32, bands: Bands, *, progress: Callable[[int], None] | None = None) -> Candidates:
    """Pairs of texts that agree in a whole band.

    A bucket of more than BUCKET_CAP members (a flood of one template) is not squared: each member is paired
    with its FLOOD_ANCHORS oldest and the FLOOD_PREDECESSORS before it, up to FLOOD_LINKS a text. The flood
    stays connected and the work linear; ``untried`` says how many pairs of such buckets went unseen, and the
    recall of ``bands`` is promised only where it is 0.
    """
    import numpy as np

    texts = signed.shape[1]
    partners = np.zeros(texts, np.int64)
    found = [np.empty(0, np.uint64)]
    flooded = untried = 0
    for band in range(bands.bands):
        key = _band_key(signed[band * bands.rows : (band + 1) * bands.rows])
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if texts else order
        sizes = np.diff(np.append(starts, texts))
        small = _pairs_within(starts, sizes, (sizes > 1) & (sizes <= BUCKET_CAP))
        large = sizes > BUCKET_CAP
        anchored = _pairs_of_flood(order, starts[large], sizes[large], partners)
        flooded += int(large.sum())
        untried += int((sizes[large] * (sizes[large] - 1) // 2).sum()) - len(anchored[0])
        for left, right in (small, anchored):
            pair = np.sort(np.stack((order[left], order[right])), axis=0).astype(np.uint64)
            found.append((pair[0] << np.uint64(32)) | pair[1])
        if progress:
            progress(band + 1)
    met = sum(map(len, found))
    pairs = np.unique(np.concatenate(found))
    left, right = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Candidates(left, right, met, flooded, untried)


def uncrowded(left: I64, right: I64) -> npt.NDArray[np.bool_]:
    """Which verified pairs are kept: a text with more than CROWD older partners keeps its FLOOD_LINKS oldest.

    ``left``: the older text of each pair. Else the members of a flood have nearly all of it as partners, by way of the
    many small buckets that they share; no other corpus that we know has such groups.
    """
    import numpy as np

    order = np.lexsort((left, right))
    _, sizes = np.unique(right, return_counts=True)
    rank, crowded = np.empty(len(right), np.int64), np.empty(len(right), np.bool_)
    rank[order] = _ranks(sizes)
    crowded[order] = np.repeat(sizes > CROWD, sizes)
    kept: npt.NDArray[np.bool_] = ~crowded | (rank < FLOOD_LINKS)
    return kept


def agreement(signed: U32, left: I64, right: I64) -> F64:
    """Share of permutations whose low bytes agree for each pair: an estimate of its Jaccard.

    Its standard deviation is sqrt(J (1 - J) / num_perm); chance adds (1 - J) / 256. Li & König 2010
    (b-bit minwise hashing): a byte of each value tells nearly what all of it does.
    """
    import numpy as np

    rows = np.ascontiguousarray(signed.T.astype(np.uint8))
    out = np.empty(len(left))
    for first in range(0, len(left), _CHUNK):
        part = slice(first, first + _CHUNK)
        out[part] = np.count_nonzero(rows[left[part]] == rows[right[part]], axis=1) / len(signed)
    return out


@dataclass(frozen=True, slots=True)
class Gate:
    """Which candidates are worth an exact comparison at ``threshold``, and what counts as a truncation.

    A pair at the threshold is lost where its estimate falls SLACK standard deviations short: 3 in a million.
    """

    threshold: float
    num_perm: int
    truncated: float = CONTAINED
    fewest: int = FEWEST_CONTAINED

    @property
    def floor(self) -> float:
        """The least estimate of a Jaccard that may be the threshold."""
        return self.threshold - SLACK * math.sqrt(self.threshold * (1 - self.threshold) / self.num_perm)

    @property
    def contained(self) -> float:
        """The least estimate of a containment that may be ``truncated``."""
        return self.truncated - 0.2

    def passes(self, share: F64, a: I64, b: I64) -> npt.NDArray[np.bool_]:
        """Of pairs with these estimates and these counts of shingles (repeats and all), those worth a look."""
        import numpy as np

        small = np.minimum(a, b)
        contained = share / (1 + share) * (a + b) / small
        passed: npt.NDArray[np.bool_] = (share >= self.floor) | (
            (small >= self.fewest) & (contained >= self.contained)
        )
        return passed


def key_multipliers(rows: int) -> U64:
    """Odd random numbers, shape (rows,): a band's key is the sum of its rows times these, mod 2^64.

    Multilinear hashing (Dietzfelbinger et al. 1997): the high bits are the good ones.
    """
    import numpy as np

    at = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    at = (at ^ (at >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    at = (at ^ (at >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (at ^ (at >> np.uint64(31))) | np.uint64(1)


def band_keys(signed: U32, bands: Bands) -> U32:
    """32 bits of each band's key, shape (bands, texts), of signatures of shape (num_perm, texts)."""
    import numpy as np

    parts = (signed[band * bands.rows : (band + 1) * bands.rows] for band in range(bands.bands))
    return np.array([_band_key(rows) >> np.uint64(32) for rows in parts], np.uint64).astype(np.uint32)


def _band_key(rows: U32) -> U64:
    import numpy as np

    key = np.zeros(rows.shape[1], np.uint64)
    for row, multiplier in zip(rows, key_multipliers(len(rows)), strict=True):
        key += row.astype(np.uint64) * multiplier
    return key


def _pairs_within(starts: I64, sizes: I64, chosen: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """All pairs of positions inside the chosen buckets."""
    import numpy as np

    starts, sizes = starts[chosen], sizes[chosen]
    at = np.repeat(starts, sizes) + _ranks(sizes)
    room = np.repeat(starts + sizes, sizes) - at  # members from here to the end of the bucket
    lefts, rights = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    step = 1
    while len(at := at[room > step]):
        room = room[room > step]
        lefts.append(at)
        rights.append(at + step)
        step += 1
    return np.concatenate(lefts), np.concatenate(rights)


def _pairs_of_flood(order: I64, starts: I64, sizes: I64, partners: I64) -> tuple[I64, I64]:
    """Pairs of positions that tie each member of a large bucket to a few; counts them in ``partners``."""
    import numpy as np

    rank = _ranks(sizes)
    start = np.repeat(starts, sizes)
    wanting = partners[order[start + rank]] < FLOOD_LINKS
    rank, start = rank[wanting], start[wanting]
    lefts, rights = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for anchor in range(FLOOD_ANCHORS):
        met = rank > anchor
        lefts.append(start[met] + anchor)
        rights.append((start + rank)[met])
    for back in range(1, FLOOD_PREDECESSORS + 1):
        met = rank - back >= FLOOD_ANCHORS
        lefts.append((start + rank)[met] - back)
        rights.append((start + rank)[met])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    np.add.at(partners, order[right], 1)
    return left, right


def _ranks(sizes: I64) -> I64:
    """0, 1, … within each bucket, end to end."""
    import numpy as np

    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)
