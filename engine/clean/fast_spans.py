"""The words that pairs share, in machine code: what ``edits.align`` gives, for every pair of a corpus.

Pairs are taken in blocks: the words of a block's texts once, then each pair aligned. The longest common
subsequence is found by bits (Hyyrö 2004) and read back in rapidfuzz's order, so that both engines show the
same spans. Spans leave as JSON text, ready for a column.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clean.edits import ALIGNED_TOKENS, SLOT_TOKENS, SLOTS, SPAN_LIMIT, TEMPLATE_SHARE
from engine.clean.fast_compile import compiled, in_threads
from engine.clean.fast_fold import I64, U8, U64
from engine.clean.fast_tokens import Words, prepare, words_of
from engine.clean.shingles import CAPITAL, DIGIT

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

_BLOCK_BYTES = 1 << 20  # of texts whose words are held at once by a thread
_ALL, _NO, _ONE, _S20 = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0), np.uint64(1), np.uint64(20)
_ALIGNED, _IN_SLOT, _SLOTS, _SHARE = ALIGNED_TOKENS, SLOT_TOKENS, SLOTS, TEMPLATE_SHARE
_DIGIT, _CAPITAL = DIGIT, CAPITAL
_NUMBER = 11  # bytes that a number of a span takes at most, with what follows it
WHOLE, ALIGNED = 0, 1  # pairs that share everything; pairs to be aligned


@compiled
def _matrix(a: U64, b: U64, masks: U64, table: I64, rows: U64) -> None:
    """Row j: which words of ``a`` raise the longest common subsequence with the first j + 1 of ``b`` (bit 0: does).

    ``table`` holds places of words of ``a`` by their hashes; ``masks`` which places of ``a`` equal each.
    """
    words = rows.shape[1]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for i in range(len(a)):
        at = (a[i] >> _S20) & mask
        while table[at] >= 0 and a[table[at]] != a[i]:
            at = (at + _ONE) & mask
        if table[at] < 0:
            table[at] = i
            masks[i, :] = _NO
        masks[table[at], i >> 6] |= _ONE << np.uint64(i & 63)
    for j in range(len(b)):
        at = (b[j] >> _S20) & mask
        while table[at] >= 0 and a[table[at]] != b[j]:
            at = (at + _ONE) & mask
        carry, place = _NO, table[at]
        for w in range(words):
            before = _ALL if j == 0 else rows[j - 1, w]
            both = _NO if place < 0 else before & masks[place, w]
            total = before + both
            over = np.uint64(total < before)
            total += carry
            carry = over | np.uint64(total < carry)
            rows[j, w] = total | (before - both)


@compiled
def _middle(a: U64, b: U64, at_a: int, at_b: int, runs: I64, q: int) -> int:
    """Runs of the words between common head and tail, from ``q`` on; how many there are then."""
    words = (len(a) + 63) >> 6
    size = 16
    while size < 2 * len(a):
        size *= 2
    rows = np.empty((len(b), words), np.uint64)
    _matrix(a, b, np.empty((len(a), words), np.uint64), np.empty(size, np.int64), rows)
    first, col, row = q, len(a), len(b)
    end_a, end_b = -1, -1
    while row > 0 and col > 0:
        bit, word = np.uint64((col - 1) & 63), (col - 1) >> 6
        if (rows[row - 1, word] >> bit) & _ONE:
            col -= 1
            continue
        row -= 1
        if row > 0 and not (rows[row - 1, word] >> bit) & _ONE:
            continue
        col -= 1
        if col + 1 == end_a and row + 1 == end_b:  # goes on with the run behind it
            runs[q - 1, 0], runs[q - 1, 2] = at_a + col, at_b + row
            runs[q - 1, 1] += 1
        else:
            runs[q, 0], runs[q, 1], runs[q, 2] = at_a + col, 1, at_b + row
            q += 1
        end_a, end_b = col, row
    for i in range((q - first) // 2):
        for k in range(3):
            runs[first + i, k], runs[q - 1 - i, k] = runs[q - 1 - i, k], runs[first + i, k]
    return q


@compiled
def _runs(a: U64, b: U64, runs: I64) -> int:
    """As ``edits._runs``: first word of the left, number of words, first word of the right."""
    shorter, head, tail, q = min(len(a), len(b)), 0, 0, 0
    while head < shorter and a[head] == b[head]:
        head += 1
    while tail < shorter - head and a[len(a) - 1 - tail] == b[len(b) - 1 - tail]:
        tail += 1
    if head:
        runs[q, 0], runs[q, 1], runs[q, 2] = 0, head, 0
        q += 1
    left, right = len(a) - tail, len(b) - tail
    if min(left, right) > head and max(left, right) - head <= _ALIGNED:
        q = _middle(a[head:left], b[head:right], head, head, runs, q)
    if tail:
        runs[q, 0], runs[q, 1], runs[q, 2] = left, tail, right
        q += 1
    return q


@compiled
def _filling(about: U8, first: int, last: int) -> bool:
    """As ``edits._filling``: words that look like a value."""
    if last <= first or last - first > _IN_SLOT:
        return False
    digits, capitals = 0, first > 0
    for i in range(first, last):
        digits |= about[i] & _DIGIT
        capitals &= (about[i] & _CAPITAL) != 0
    return digits != 0 or capitals


@compiled
def _is_slot(about_a: U8, about_b: U8, runs: I64, q: int) -> bool:
    """As ``edits.is_slot_refill``."""
    shared = 0
    for r in range(q):
        shared += runs[r, 1]
    if shared < _SHARE * max(len(about_a), len(about_b)):
        return False
    slots, i, j = 0, 0, 0
    for r in range(q + 1):
        first, other = (runs[r, 0], runs[r, 2]) if r < q else (len(about_a), len(about_b))
        if first > i or other > j:
            slots += 1
            if not (_filling(about_a, i, first) and _filling(about_b, j, other)):
                return False
        if r < q:
            i, j = first + runs[r, 1], other + runs[r, 1]
    return 0 < slots <= _SLOTS


@compiled
def _write(number: int, mark: int, out: U8, q: int) -> int:
    """The number in digits and a mark behind it."""
    size, rest = 1, number // 10
    while rest:
        rest //= 10
        size += 1
    for k in range(size):
        out[q + size - 1 - k] = np.uint8(48 + number % 10)
        number //= 10
    out[q + size] = mark
    return q + size + 1


@compiled
def _write_span(a: int, b: int, c: int, d: int, out: U8, q: int) -> int:
    if out[q - 1] != 91:  # [
        out[q] = 44  # ,
        q += 1
    out[q] = 91
    q = _write(a, 44, out, q + 1)
    q = _write(b, 44, out, q)
    q = _write(c, 44, out, q)
    return _write(d, 93, out, q)


@compiled
def _align_all(words: Any, left: I64, right: I64, whole: Any, sizes: I64, ends: I64, slot: Any) -> U8:
    """JSON of the spans of each pair (of places in the block) end to end; where each ends; slot refills."""
    hashes, first, last, about, begin, end = words
    longest = 0
    for x in range(len(begin)):
        longest = max(longest, end[x] - begin[x])
    runs = np.empty((longest + 3, 3), np.int64)
    out, q = np.empty(4096 + 64 * len(left), np.uint8), 0
    for p in range(len(left)):
        x, y = left[p], right[p]
        a0, a1, b0, b1 = begin[x], end[x], begin[y], end[y]
        count = 0 if whole[p] else _runs(hashes[a0:a1], hashes[b0:b1], runs)
        needed = q + 16 + (count + 1) * (4 * _NUMBER + 2)
        if needed > len(out):
            grown = np.empty(needed * 2, np.uint8)
            grown[:q] = out[:q]
            out = grown
        out[q] = 91
        q += 1
        if whole[p] and sizes[x] and sizes[y]:
            q = _write_span(0, sizes[x], 0, sizes[y], out, q)
        for r in range(count):
            i, n, j = a0 + runs[r, 0], runs[r, 1], b0 + runs[r, 2]
            q = _write_span(first[i], last[i + n - 1], first[j], last[j + n - 1], out, q)
        out[q] = 93
        q += 1
        ends[p] = q
        slot[p] = not whole[p] and _is_slot(about[a0:a1], about[b0:b1], runs, count)
    return out[:q].copy()


@compiled
def _code_points(data: U8, offsets: I64, rows: I64, sizes: I64) -> None:
    for x in range(len(rows)):
        count = 0
        for i in range(offsets[rows[x]], offsets[rows[x] + 1]):
            count += (data[i] & 0xC0) != 0x80
        sizes[x] = count


@compiled
def _same(data: U8, offsets: I64, left: I64, right: I64, whole: Any, same: Any) -> None:
    for p in range(len(left)):
        a, b = offsets[left[p]], offsets[right[p]]
        size = offsets[left[p] + 1] - a
        same[p] = whole[p] and offsets[right[p] + 1] - b == size
        i = 0
        while same[p] and i < size:
            same[p] = data[a + i] == data[b + i]
            i += 1


def spans_of(
    data: U8, offsets: I64, left: I64, right: I64, whole: npt.NDArray[np.bool_], *, threads: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[pa.ChunkedArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:  # fmt: skip
    """Spans of pairs of texts as JSON text, which pairs are slot refills, and which equal byte for byte.

    ``data``, ``offsets``: texts as of ``fast_fold.text_buffers``; ``whole``: pairs that share all their words, which are
    not aligned. ``progress`` gets the number of pairs done.
    """
    import pyarrow as pa

    same, slot = np.zeros(len(left), np.bool_), np.zeros(len(left), np.bool_)
    _same(data, offsets, left, right, whole, same)
    used = np.unique(np.concatenate((left[~whole], right[~whole])))
    prepare(data, offsets, used, SPAN_LIMIT)
    weights = 64 + np.where(whole, 0, np.minimum(offsets[right + 1] - offsets[right], 4 * SPAN_LIMIT))
    sums = np.cumsum(weights)
    marks = np.arange(_BLOCK_BYTES, sums[-1] if len(sums) else 0, _BLOCK_BYTES)
    cuts = np.unique(np.concatenate(([0], np.searchsorted(sums, marks), [len(left)]))).tolist()
    chunks: dict[int, pa.Array] = {}

    def block(first: int, last: int) -> int:
        part = slice(first, last)
        chunks[first] = _block(data, offsets, left[part], right[part], whole[part], slot[part])
        return last - first

    done = 0
    for pairs in in_threads(lambda cut: block(*cut), pairwise(cuts), threads):
        done += pairs
        if progress:
            progress(done)
    return pa.chunked_array([chunks[first] for first in sorted(chunks)], pa.large_string()), slot, same


def _block(
    data: U8, offsets: I64, left: I64, right: I64, whole: npt.NDArray[np.bool_], slot: npt.NDArray[np.bool_]
) -> pa.Array:
    import pyarrow as pa

    rows, places = np.unique(np.concatenate((left, right)), return_inverse=True)
    aligned = np.zeros(len(rows), np.bool_)
    at_left, at_right = places[: len(left)], places[len(left) :]
    aligned[at_left[~whole]] = aligned[at_right[~whole]] = True
    sizes, ends = np.zeros(len(rows), np.int64), np.zeros(len(left) + 1, np.int64)
    _code_points(data, offsets, rows, sizes)
    cut = words_of(data, offsets, rows[aligned], SPAN_LIMIT)
    out = _align_all(_spread(cut, aligned), at_left, at_right, whole, sizes, ends[1:], slot)
    return pa.LargeStringArray.from_buffers(len(left), pa.py_buffer(ends), pa.py_buffer(out))


def _spread(words: Words, aligned: npt.NDArray[np.bool_]) -> tuple[Any, ...]:
    """As kernels take them, with no words for the texts of a block that are not aligned."""
    begin, end = np.zeros(len(aligned), np.int64), np.zeros(len(aligned), np.int64)
    begin[aligned], end[aligned] = words.begin, words.end
    return words.hashes, words.first, words.last, words.about, begin, end
