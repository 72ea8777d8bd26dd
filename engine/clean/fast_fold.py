"""Normalisation in machine code: the same folded text as ``shingles.normalise``, a hundred times as fast.

ASCII is folded byte by byte. Of other texts each code point is looked up in a table that ``normalise``'s own
rules fill, 256 code points at a time, as a corpus meets them. A text in which neighbours could act on each
other (composition, marks out of order) is left to Python, and a test holds that both give the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.clean.fast_compile import compiled, in_threads
from engine.clean.shingles import fold_point, normalise
from store.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

DROP, ALONE = -1, -2  # in the table of code points: invisible; not to be folded by itself
_EXPANSION = 4  # code points that one may fold to in the table ("…" is three)
_RANGE_BYTES = 1 << 21  # of text given to one thread at once
_NARROW, _WIDE, _PENDING, _PYTHON = range(4)

_ONE, _K1, _K2 = np.uint64(1), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)


@dataclass(frozen=True, slots=True)
class Folded:
    """Normalised texts: ASCII ones in ``narrow``, others as code points in ``wide``.

    Text ``i`` is ``length[i]`` units from ``start[i]`` of ``wide`` where ``is_wide[i]``, else of ``narrow``;
    ``digest``: 64 bits of its content, the same for the same content.
    """

    narrow: U8
    wide: U32
    start: I64
    length: I64
    is_wide: U8
    digest: U64

    def __len__(self) -> int:
        return len(self.start)


@compiled
def mix(value: Any) -> Any:
    """splitmix64's finaliser, as ``shingles`` has it for numpy."""
    value = (value ^ (value >> _S30)) * _K1
    value = (value ^ (value >> _S27)) * _K2
    return value ^ (value >> _S31)


@compiled
def _digest(points: Any) -> Any:
    total = np.uint64(len(points))
    for i in range(len(points)):
        total += mix((np.uint64(i) << _S32) | np.uint64(points[i]))
    return mix(total)


@compiled
def _fold_ascii(
    data: U8, offsets: I64, first: int, last: int, narrow: U8, length: I64, state: U8, digest: U64, blocks: U8
) -> None:
    """Texts in ASCII; of others, which blocks of code points they hold."""
    for d in range(first, last):
        begin, end = offsets[d], offsets[d + 1]
        text, out = data[begin:end], narrow[begin:end]
        if not _is_ascii(text):
            state[d] = _PENDING
            i = begin
            while i < end:
                point, i = decode(data, i)
                blocks[point >> 8] = 1
            continue
        if _is_tidy(text):
            for i in range(len(text)):
                c = text[i]
                out[i] = c + (np.uint8(32) if (c >= 65) & (c <= 90) else np.uint8(0))
            length[d] = end - begin
        else:
            length[d] = _squeeze(text, out)
        digest[d] = _digest(out[: length[d]])


@compiled
def _is_ascii(text: U8) -> Any:
    high = np.uint8(0)
    for i in range(len(text)):
        high |= text[i]
    return high < 128


@compiled
def _is_tidy(text: U8) -> Any:
    """Single plain spaces between words, none around."""
    size = len(text)
    if size == 0:
        return True
    other = np.uint8(0)
    for i in range(size):
        c = text[i]
        other |= np.uint8((c - np.uint8(9) <= 4) | (c - np.uint8(28) <= 3))
    after = text[1:]
    for i in range(size - 1):
        other |= np.uint8((text[i] == 32) & (after[i] == 32))
    return (other == 0) & (text[0] != 32) & (text[size - 1] != 32)


@compiled
def _squeeze(text: U8, out: U8) -> Any:
    """Lower case and plain spaces in one vector loop; then the first of several spaces alone moves the place on."""
    for i in range(len(text)):
        c = text[i]
        upper = np.uint8(32) if (c >= 65) & (c <= 90) else np.uint8(0)
        space = ((c >= 9) & (c <= 13)) | ((c >= 28) & (c <= 31))
        out[i] = np.uint8(32) if space else c + upper
    q, before = np.uint64(0), np.uint8(32)
    for i in range(len(text)):
        c = out[i]
        out[q] = c
        q += np.uint64((c != 32) | (before != 32))
        before = c
    return np.int64(q) - (1 if before == 32 and q > 0 else 0)


@compiled
def decode(data: U8, i: Any) -> Any:
    """The code point at ``i`` and where the next one starts; surrogates as three bytes."""
    c = np.int64(data[i])
    if c < 0x80:
        return c, i + 1
    if c < 0xE0:
        return ((c & 0x1F) << 6) | (np.int64(data[i + 1]) & 0x3F), i + 2
    if c < 0xF0:
        tail = ((np.int64(data[i + 1]) & 0x3F) << 6) | (np.int64(data[i + 2]) & 0x3F)
        return ((c & 0x0F) << 12) | tail, i + 3
    tail = ((np.int64(data[i + 2]) & 0x3F) << 6) | (np.int64(data[i + 3]) & 0x3F)
    return ((c & 0x07) << 18) | ((np.int64(data[i + 1]) & 0x3F) << 12) | tail, i + 4


@compiled
def emit(fold: Any, expansions: U32, wide: U32, q: Any, spaced: Any) -> Any:
    """Write what a code point folds to; where the next goes, and whether a space came last."""
    for k in range(_EXPANSION):
        c = np.uint32(fold) if fold >= 0 else expansions[-3 - fold, k]
        if fold < 0 and c == 0:
            break
        if c != 32 or not spaced:
            wide[q] = c
            q += 1
        spaced = c == 32
        if fold >= 0:
            break
    return q, spaced


@compiled
def _fold_table(
    data: U8,
    offsets: I64,
    rows: I64,
    block_of: I32,
    folds: I32,
    marks: U8,
    expansions: U32,
    start: I64,
    length: I64,
    state: U8,
    digest: U64,
) -> U32:
    """Texts that the table can fold, one after the other; ``start`` counts from this array's begin."""
    size = 0
    for d in rows:
        size += (offsets[d + 1] - offsets[d]) * 2 + _EXPANSION
    wide = np.empty(size, np.uint32)
    q = 0
    for d in rows:
        begin, i, end = q, offsets[d], offsets[d + 1]
        spaced, before = True, 0
        while i < end:
            point, i = decode(data, i)
            at = block_of[point >> 8] * 256 + (point & 255)
            fold, mark = folds[at], marks[at]
            if fold == DROP:
                continue
            if fold == ALONE or (mark > 0 and before > mark):
                state[d] = _PYTHON
                break
            before = mark
            q, spaced = emit(fold, expansions, wide, q, spaced)
        if state[d] == _PYTHON:
            q = begin
            continue
        if spaced and q > begin:
            q -= 1
        state[d], start[d], length[d] = _WIDE, begin, q - begin
        digest[d] = _digest(wide[begin:q])
    return wide[:q].copy()


@lru_cache(maxsize=1)
def _composing() -> frozenset[str]:
    """Code points that may join the one before them: second halves of canonical decompositions."""
    found = {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul vowels and finals
    for point in range(0x30000):
        parts = unicodedata.decomposition(chr(point))
        if parts and parts[0] != "<" and " " in parts:
            found.update(chr(int(part, 16)) for part in parts.split()[1:])
    return frozenset(found)


class _Table:
    """What each code point folds to by itself; blocks of 256 are filled when first met."""

    def __init__(self) -> None:
        self.block_of = np.full(0x1100, -1, np.int32)
        self.folds = np.empty(0, np.int32)
        self.marks = np.empty(0, np.uint8)
        self.expansions = np.zeros((1, _EXPANSION), np.uint32)
        self._seen: dict[str, int] = {}

    def need(self, blocks: Sequence[int]) -> None:
        """Fill these blocks. Arrays are replaced, never changed: a thread may be reading."""
        missing = [b for b in blocks if self.block_of[b] < 0]
        if not missing:
            return
        folds = [self._fold(chr(b * 256 + i)) for b in missing for i in range(256)]
        block_of = self.block_of.copy()
        block_of[missing] = np.arange(len(missing)) + len(self.folds) // 256
        expansions = np.zeros((len(self._seen) + 1, _EXPANSION), np.uint32)
        for text, at in self._seen.items():
            expansions[at, : len(text)] = [ord(c) for c in text]
        self.folds = np.concatenate((self.folds, np.array([f for f, _ in folds], np.int32)))
        self.marks = np.concatenate((self.marks, np.array([m for _, m in folds], np.uint8)))
        self.expansions, self.block_of = expansions, block_of

    def _fold(self, char: str) -> tuple[int, int]:
        mark = unicodedata.combining(char)
        folded = fold_point(char)
        if folded is None:
            return DROP, 0
        stages, result = folded
        if any(c in _composing() for c in stages) or not result:
            return ALONE, mark
        if len(result) == 1 and mark == unicodedata.combining(result):
            return (ord(" ") if result.isspace() else ord(result)), mark
        if len(result) > _EXPANSION or "\0" in result or any(map(unicodedata.combining, stages)):
            return ALONE, mark
        plain = "".join(" " if c.isspace() else c for c in result)
        return -3 - self._seen.setdefault(plain, len(self._seen)), 0


_table = _Table()


def folding(blocks: Sequence[int] = ()) -> tuple[I32, I32, U8, U32]:
    """The table as kernels take it, with these blocks of 256 code points filled."""
    _table.need(blocks)
    return _table.block_of, _table.folds, _table.marks, _table.expansions


def text_buffers(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> tuple[U8, I64]:
    """UTF-8 bytes of all texts end to end, and where each starts; lone surrogates as three bytes.

    Raises InputError for a missing text.
    """
    import pyarrow as pa

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        try:
            texts = pa.array(texts, pa.large_string())
        except UnicodeEncodeError:
            texts = pa.array([t.encode("utf-8", "surrogatepass") for t in texts], pa.large_binary())
    if texts.null_count:
        row = texts.is_null().index(pa.scalar(True)).as_py()
        raise InputError("has no text", where=f"row {row}", todo="Leave such rows out.")
    if not pa.types.is_large_binary(texts.type):
        texts = texts.cast(pa.large_string())
    _, starts, values = texts.buffers()
    offsets = np.frombuffer(starts, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(values, np.uint8) if values is not None and values.size else np.zeros(1, np.uint8)
    return data, offsets if len(texts) else np.zeros(1, np.int64)


def fold(data: U8, offsets: I64, *, threads: int, progress: Callable[[int], None] | None = None) -> Folded:
    """Normalise all texts; ``progress`` gets the number of texts done."""
    n = len(offsets) - 1
    narrow = np.empty(len(data), np.uint8)
    start, length = offsets[:-1].copy(), np.zeros(n, np.int64)
    state, digest, blocks = np.zeros(n, np.uint8), np.zeros(n, np.uint64), np.zeros(0x1100, np.uint8)

    def ascii_texts(part: tuple[int, int]) -> int:
        _fold_ascii(data, offsets, part[0], part[1], narrow, length, state, digest, blocks)
        return part[1] - part[0]

    done = 0
    for texts in in_threads(ascii_texts, ranges(offsets), threads):
        done += texts
        if progress:
            progress(done)
    pending = np.flatnonzero(state == _PENDING)
    wides = [np.empty(0, np.uint32)]
    if len(pending):
        args = folding(np.flatnonzero(blocks).tolist())
        sizes = np.cumsum(offsets[pending + 1] - offsets[pending])
        cuts = np.searchsorted(sizes, np.arange(_RANGE_BYTES, sizes[-1], _RANGE_BYTES))
        parts = [part for part in np.split(pending, cuts) if len(part)]

        def other_texts(part: I64) -> tuple[I64, U32]:
            return part, _fold_table(data, offsets, part, *args, start, length, state, digest)

        at = 0
        for part, wide in in_threads(other_texts, parts, threads):
            start[part] += at
            at += len(wide)
            wides.append(wide)
        wides += _fold_in_python(data, offsets, np.flatnonzero(state == _PYTHON), at, start, length, digest)
    wide = np.concatenate(wides)
    return Folded(narrow, wide, start, length, (state != _NARROW).astype(np.uint8), digest)


def _fold_in_python(
    data: U8, offsets: I64, rows: I64, at: int, start: I64, length: I64, digest: U64
) -> list[U32]:
    wides = []
    for d in rows.tolist():
        text = bytes(data[offsets[d] : offsets[d + 1]]).decode("utf-8", "surrogatepass")
        points = np.frombuffer(normalise(text).encode("utf-32-le", "surrogatepass"), np.uint32)
        start[d], length[d] = at, len(points)
        digest[d] = _digest(points)
        at += len(points)
        wides.append(points)
    return wides


def ranges(offsets: I64) -> list[tuple[int, int]]:
    """Consecutive rows, about _RANGE_BYTES each."""
    n = len(offsets) - 1
    marks = np.arange(offsets[0] + _RANGE_BYTES, offsets[-1], _RANGE_BYTES)
    cuts = np.unique(np.concatenate(([0], np.searchsorted(offsets, marks), [n])))
    cuts = cuts[cuts <= n]
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
