"""``incremental_texts.Texts`` in Python and numpy: always there, and what the fast one must agree with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clean.bands import Bands, Gate, agreement, band_keys, signatures
from engine.clean.incremental_texts import Held, Signs
from engine.clean.neardup_reference import verified
from engine.clean.shingles import Profile, mix, normalise, shingle_hashes
from store.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    I64 = npt.NDArray[np.int64]
    U64 = npt.NDArray[np.uint64]
    Bools = npt.NDArray[np.bool_]


class ReferenceTexts:
    """Texts as Python strings, and normalised."""

    def __init__(self, texts: pa.Array) -> None:
        """Raises InputError for a missing text."""
        if texts.null_count:
            raise InputError("a text is missing", todo="Leave such rows out.")
        self._texts: list[str] = texts.to_pylist()
        self._normal = [normalise(text) for text in self._texts]

    def surfaces(self) -> tuple[I64, U64]:
        """See ``Texts``."""
        oldest: dict[str, int] = {}
        first = np.array([oldest.setdefault(text, i) for i, text in enumerate(self._normal)], np.int64)
        return first, _digests(self._normal)

    def same(self, left: I64, right: I64) -> tuple[Bools, Bools]:
        """See ``Texts``."""
        pairs = list(zip(left.tolist(), right.tolist(), strict=True))
        surface = [self._normal[a] == self._normal[b] for a, b in pairs]
        exact = [self._texts[a] == self._texts[b] for a, b in pairs]
        return np.array(surface, np.bool_), np.array(exact, np.bool_)

    def sign(self, rows: I64, profile: Profile, bands: Bands, seed: int) -> Signs:
        """See ``Texts``."""
        shingles = shingle_hashes([self._normal[i] for i in rows.tolist()], profile)
        signed = signatures(shingles, bands.num_perm, seed=seed)
        low = np.ascontiguousarray(signed.T.astype(np.uint8))
        return Signs(band_keys(signed, bands), low, np.diff(shingles.offsets))

    def holding(self, left: I64, right: I64, profile: Profile, gate: Gate, seed: int) -> Held:
        """See ``Texts``."""
        shingles = shingle_hashes(self._normal, profile)
        signed, sizes = signatures(shingles, gate.num_perm, seed=seed), np.diff(shingles.offsets)
        worth = np.flatnonzero(gate.passes(agreement(signed, left, right), sizes[left], sizes[right]))
        place = {pair: int(at) for at, pair in zip(worth, _pairs(left[worth], right[worth]), strict=True)}
        found = list(verified(shingles, list(place), gate, lambda _stage, _done, _total: None))
        columns = np.array(found, np.float64).reshape(-1, 5)
        at = np.array([place[i, j] for i, j, *_ in found], np.int64)
        return Held(at, columns[:, 2], columns[:, 3], columns[:, 4].astype(np.uint8), len(worth))


def _digests(normalised: list[str]) -> U64:
    """64 bits of each text's content, as ``fast_fold.Folded.digest``."""
    joined = "".join(normalised).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(joined, np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, normalised), np.int64, len(normalised))
    ends = np.cumsum(lengths)
    at = np.arange(len(points)) - np.repeat(ends - lengths, lengths)
    sums = np.concatenate(([np.uint64(0)], np.cumsum(mix((at.astype(np.uint64) << np.uint64(32)) | points))))
    return mix(lengths.astype(np.uint64) + sums[ends] - sums[ends - lengths])


def _pairs(left: I64, right: I64) -> list[tuple[int, int]]:
    return list(zip(left.tolist(), right.tolist(), strict=True))
