"""A batch of texts as either engine sees it: what is the same, how it is signed, which pairs hold.

Two classes with one shape, ``Texts``: ``ReferenceTexts`` (numpy, always there) and ``FastTexts`` (extra ``fast``).
They give the same numbers, so that an index made by one is met by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.clean.bands import Bands, Gate
from engine.clean.shingles import Profile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    U8 = npt.NDArray[np.uint8]
    U32 = npt.NDArray[np.uint32]
    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]
    F64 = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Signs:
    """Of some texts: 32 bits of each band's key (bands, n), low bytes of permutations (n, K), shingles (n,)."""

    keys: U32
    low: U8
    counts: I64


@dataclass(frozen=True, slots=True)
class Held:
    """Of pairs those that hold: which, exact Jaccard and containment, kind (WORDS or TRUNCATION)."""

    at: I64
    jaccard: F64
    containment: F64
    kind: U8
    compared: int


class Texts(Protocol):
    """Texts, folded."""

    def surfaces(self) -> tuple[I64, U64]:
        """Of each text the oldest with the same normalised content, and 64 bits of that content."""

    def same(self, left: I64, right: I64) -> tuple[Bools, Bools]:
        """Whether pairs of texts have the same normalised content, and the same bytes; each ``right`` once."""

    def sign(self, rows: I64, profile: Profile, bands: Bands, seed: int) -> Signs:
        """Sign some of them."""

    def holding(self, left: I64, right: I64, profile: Profile, gate: Gate, seed: int) -> Held:
        """Pairs that resemble each other by their signatures and hold by exact comparison."""


def texts_of(texts: pa.Array, *, fast: bool) -> Texts:
    """Fold ``texts``. Raises InputError for a missing one."""
    if fast:
        from engine.clean.incremental_fast import FastTexts

        return FastTexts(texts)
    from engine.clean.incremental_reference import ReferenceTexts

    return ReferenceTexts(texts)
