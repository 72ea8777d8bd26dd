"""``incremental_texts.Texts`` in machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clean.bands import Bands, Gate
from engine.clean.fast_compile import workers
from engine.clean.fast_engine import alike, oldest_of_surface
from engine.clean.fast_fold import I64, U64, fold, text_buffers
from engine.clean.fast_pairs import estimates, verify
from engine.clean.fast_sign import sign
from engine.clean.incremental_texts import Held, Signs
from engine.clean.shingles import Profile

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Bools = npt.NDArray[np.bool_]


class FastTexts:
    """Texts, folded by the compiled kernels on every core."""

    def __init__(self, texts: pa.Array) -> None:
        """Raises InputError for a missing text."""
        self._threads = workers()
        self._data, self._offsets = text_buffers(texts)
        self._folded = fold(self._data, self._offsets, threads=self._threads)

    def surfaces(self) -> tuple[I64, U64]:
        """See ``Texts``."""
        return oldest_of_surface(self._folded), self._folded.digest

    def same(self, left: I64, right: I64) -> tuple[Bools, Bools]:
        """See ``Texts``."""
        first = np.arange(len(self._folded))
        first[right] = left
        surface, exact = alike(self._data, self._offsets, self._folded, first)
        return surface[right], exact[right]

    def sign(self, rows: I64, profile: Profile, bands: Bands, seed: int) -> Signs:
        """See ``Texts``."""
        signed = sign(self._folded, rows, profile, bands, seed=seed, threads=self._threads)
        return Signs(signed.keys, signed.sketch[:, : bands.num_perm], signed.counts)

    def holding(self, left: I64, right: I64, profile: Profile, gate: Gate, seed: int) -> Held:
        """See ``Texts``."""
        rows = np.arange(len(self._folded))
        whole = Bands(1, gate.num_perm, gate.num_perm)
        signed = sign(self._folded, rows, profile, whole, seed=seed, threads=self._threads)
        pairs = (left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)
        shares = estimates(pairs, signed, gate.num_perm)
        worth = np.flatnonzero(gate.passes(shares, signed.counts[left], signed.counts[right]))
        found = verify(pairs[worth], self._folded, rows, signed.counts, profile, gate, threads=self._threads)
        held = (found.left.astype(np.uint64) << np.uint64(32)) | found.right.astype(np.uint64)
        at = worth[np.searchsorted(pairs[worth], held)]
        return Held(at, found.jaccard, found.containment, found.kind, len(worth))
