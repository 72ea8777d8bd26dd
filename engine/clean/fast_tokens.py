"""Words of texts in machine code: hashes and places of what ``shingles.tokens`` gives, bit for bit.

A word is known by 64 bits of its normalised form. Texts in which neighbours could act on each other
(composition, marks out of order) are left to Python, as ``fast_fold`` leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.clean import fast_fold
from engine.clean.fast_compile import compiled
from engine.clean.fast_fold import I32, I64, U8, U32, U64
from engine.clean.shingles import CAPITAL, DIGIT, IN_WORD, ONE_TOKEN, SPACE, token_class, tokens

_POINTS = 0x110000
_DROP, _ALONE = fast_fold.DROP, fast_fold.ALONE
_ROOM = 64  # code points that a piece of a word folds to before they are hashed
_ONE_TOKEN, _IN_WORD, _SPACE, _ABOUT = ONE_TOKEN, IN_WORD, SPACE, DIGIT | CAPITAL
_decode, _emit, _mix = fast_fold.decode, fast_fold.emit, fast_fold.mix
_S32 = np.uint64(32)

_classes = np.zeros(_POINTS, np.uint8)  # of code points; blocks of 256 are filled when first met
_filled = np.zeros(_POINTS >> 8, np.bool_)


@dataclass(frozen=True, slots=True)
class Words:
    """Words of some texts: text ``i`` has those from ``begin[i]`` up to ``end[i]``.

    ``hashes`` of their normalised forms, ``first`` and ``last`` code point in the original, ``about``: bits DIGIT
    (one is in it) and CAPITAL (it begins with one, or with no letter or digit at all).
    """

    hashes: U64
    first: I32
    last: I32
    about: U8
    begin: I64
    end: I64


def prepare(data: U8, offsets: I64, rows: I64, limit: int) -> None:
    """Fill the tables for all code points of these texts: before threads read them."""
    blocks = np.zeros(_POINTS >> 8, np.uint8)
    blocks[0] = 1
    _mark_blocks(data, offsets, rows, 4 * limit, blocks)
    met = np.flatnonzero(blocks)
    fast_fold.folding(met.tolist())
    for block in met[~_filled[met]].tolist():
        _classes[block << 8 : (block + 1) << 8] = [token_class(chr(block << 8 | low)) for low in range(256)]
        _filled[block] = True


@compiled
def _mark_blocks(data: U8, offsets: I64, rows: I64, most: int, blocks: U8) -> None:
    for d in rows:
        i, end = offsets[d], offsets[d + 1]
        stop = min(end, i + most)
        while i < stop:
            if data[i] < 128:
                i += 1
            else:
                point, i = _decode(data, i)
                blocks[point >> 8] = 1


@compiled
def _hash(points: U32, count: int, before: Any, at: int) -> Any:
    """Goes on with the hash of a word whose first ``at`` code points are in ``before``."""
    for i in range(count):
        before += _mix((np.uint64(at + i) << _S32) | np.uint64(points[i]))
    return before


@compiled
def _fold_word(data: U8, i: int, end: int, folding: Any, room: U32) -> Any:
    """Hash of the word in these bytes: its 64 bits, and how many code points it folds to; -1: left to Python."""
    block_of, folds, marks, expansions = folding
    spaced, before, q, done = True, 0, 0, 0
    total = np.uint64(0)
    while i < end:
        point, i = _decode(data, i)
        at = block_of[point >> 8] * 256 + (point & 255)
        fold, mark = folds[at], marks[at]
        if fold == _DROP:
            continue
        if fold == _ALONE or (mark > 0 and before > mark):
            return total, -1
        before = mark
        q, spaced = _emit(fold, expansions, room, q, spaced)
        if q > _ROOM - 8:
            total = _hash(room, q - 1, total, done)
            room[0] = room[q - 1]
            done += q - 1
            q = 1
    if spaced and q > 0:
        q -= 1
    return _mix(_hash(room, q, total, done) + np.uint64(done + q)), done + q


@compiled
def _cut(data: U8, begin: int, end: int, limit: int, classes: U8, folding: Any, kept: Any, q: int) -> int:
    """Words of one text from ``q`` on; where the next text's begin, -1 where the text is left to Python."""
    hashes, first, last, about = kept
    room = np.empty(_ROOM, np.uint32)
    i, at = begin, 0
    while i < end and at < limit:
        start, place = i, at
        point, i = _decode(data, i)
        at += 1
        kind = classes[point]
        if kind & _SPACE:
            continue
        bits = kind & _ABOUT
        if kind & _IN_WORD and not kind & _ONE_TOKEN:
            while i < end and at < limit:
                point, after = _decode(data, i)
                if not classes[point] & _IN_WORD:
                    break
                bits |= classes[point] & np.uint8(DIGIT)
                i = after
                at += 1
        word, size = _fold_word(data, start, i, folding, room)
        if size < 0:
            return -1
        if size:
            hashes[q], first[q], last[q], about[q] = word, place, at, bits
            q += 1
    return q


@compiled
def _cut_all(
    data: U8, offsets: I64, rows: I64, limit: int, classes: U8, folding: Any, kept: Any, begin: I64, end: I64
) -> int:
    q = 0
    for x in range(len(rows)):
        d = rows[x]
        begin[x] = q
        after = _cut(data, offsets[d], offsets[d + 1], limit, classes, folding, kept, q)
        end[x] = after
        q = max(q, after)
    return q


@compiled
def hash_of(points: U32) -> Any:
    """The hash that a word of these folded code points has."""
    return _mix(_hash(points, len(points), np.uint64(0), 0) + np.uint64(len(points)))


def words_of(data: U8, offsets: I64, rows: I64, limit: int) -> Words:
    """Words in the first ``limit`` code points of these texts, for which ``prepare`` was called."""
    room = int(np.minimum(offsets[rows + 1] - offsets[rows], limit).sum()) + 1
    kept = (
        np.empty(room, np.uint64), np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
    )  # fmt: skip
    begin, end = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    q = _cut_all(data, offsets, rows, limit, _classes, fast_fold.folding(), kept, begin, end)
    parts = [tuple(column[:q] for column in kept)]
    for x in np.flatnonzero(end < 0).tolist():
        d = rows[x]
        text = bytes(data[offsets[d] : offsets[d + 1]]).decode("utf-8", "surrogatepass")
        parts.append(_in_python(text, limit))
        begin[x], end[x] = q, q + len(parts[-1][0])
        q = int(end[x])
    hashes, first, last, about = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Words(hashes, first, last, about, begin, end)


def _in_python(text: str, limit: int) -> tuple[U64, I32, I32, U8]:
    words, spans = tokens(text, limit)
    hashes = [hash_of(np.frombuffer(w.encode("utf-32-le", "surrogatepass"), np.uint32)) for w in words]
    about = [
        (token_class(text[a]) & CAPITAL) | (DIGIT if any(c.isdigit() for c in text[a:b]) else 0)
        for a, b in spans
    ]
    places = np.array(spans, np.int32).reshape(-1, 2)
    return np.array(hashes, np.uint64), places[:, 0], places[:, 1], np.array(about, np.uint8)
