"""Words: what a text is searched by, the same in the text index and in a scan of the rows.

Texts are folded by DuckDB (``FOLD``: small letters, no marks: *é* is *e*, and so are the vowel signs of Thai and
Hindi and the voicing marks of kana), so index and scan cannot disagree. A word is a run of letters and digits.
Scripts that put no blanks between words (Han, kana, Hangul, Thai, Lao, Khmer, Burmese) are cut into pairs of
neighbouring characters, so that any part of a run is found, as a phrase of its pairs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.rows import one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FOLD = "strip_accents(lower({}))"
LONGEST = 200  # bytes of a word that the index keeps
LEAST_PREFIX = 2  # characters of a word that may be the beginning of a longer one
# Thai, Lao, Burmese, Hangul jamo, Khmer, iteration marks, kana, Han, Hangul, half-width kana, rarer Han.
_JOINED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e81-\u0ebd\u0ec0-\u0ed9\u1000-\u1049\u1050-\u109d\u1100-\u11ff"
    "\u1780-\u17d3\u17e0-\u17e9\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_joined = re.compile(f"[{_JOINED}]+")
_word = re.compile(f"[{_JOINED}]+|(?:(?![{_JOINED}])[^\\W_])+")
_chunk = re.compile(r'"([^"]*)"?|([^\s"]+)')
_EDGE = r"[^\p{L}\p{N}]"  # RE2, inside DuckDB


def is_joined(word: str) -> bool:
    """Whether a word is of a script without blanks."""
    return _joined.match(word) is not None


def words_of(folded: str) -> list[str]:
    """The words of a folded text, in order.

    >>> words_of('order_id: 3.5 配送中 ok')
    ['order', 'id', '3', '5', '配送中', 'ok']
    """
    return _word.findall(folded)


def spaced(folded: str) -> str:
    """A folded text as the index takes it: runs of joined scripts as pairs, and the last character by itself.

    >>> spaced("状態は配送中")
    ' 状態 態は は配 配送 送中 中 '
    >>> spaced("ok")
    'ok'
    """
    if folded.isascii():
        return folded
    return _joined.sub(lambda found: f" {' '.join(pairs(found[0]))} ", folded)


def pairs(run: str) -> list[str]:
    """The pairs of a run, then its last character.

    >>> pairs("配送中"), pairs("中")
    (['配送', '送中', '中'], ['中'])
    """
    return [*(run[i : i + 2] for i in range(len(run) - 1)), run[-1]]


@dataclass(frozen=True, slots=True)
class Part:
    """Words that must follow one another; with ``prefix`` the last one may go on."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Needle:
    """What is searched: every part must occur in the texts of one sample. ``text`` is what was typed."""

    text: str
    parts: tuple[Part, ...]


def needle_of(cursor: DuckDBPyConnection, text: str) -> Needle:
    """A needle as typed: words, the last one as a beginning, and "quoted phrases"."""
    return Needle(text, parts_of(folded(cursor, text)))


def folded(cursor: DuckDBPyConnection, text: str) -> str:
    """A text as DuckDB folds it."""
    if text.isascii():
        return text.lower()
    found: str = one_value(cursor, f"select {FOLD.format('?')}", [text.replace("\0", " ")])
    return found


def parts_of(text: str) -> tuple[Part, ...]:
    """The parts of a folded needle.

    >>> parts_of('refund order_id car')
    (Part(words=('refund',), prefix=False), Part(words=('order', 'id'), prefix=False), Part(words=('car',), prefix=True))
    >>> parts_of('"on its way" a')
    (Part(words=('on', 'its', 'way'), prefix=False), Part(words=('a',), prefix=False))

    None for what no index holds: no letter at all, or a word without end.
    """
    parts: list[Part] = []
    chunks = list(_chunk.finditer(text))
    for number, chunk in enumerate(chunks):
        words = tuple(words_of(chunk[0]))
        if not words:
            continue
        loose = number == len(chunks) - 1 and chunk[2] is not None and chunk[0][-1].isalnum()
        single = len(words[-1]) == 1 and is_joined(words[-1])  # the index knows such ones as beginnings
        parts.append(Part(words, single or (loose and len(words[-1]) >= LEAST_PREFIX)))
    endless = any(len(word.encode()) > LONGEST for part in parts for word in part.words)
    return () if endless else tuple(parts)


def _pattern(part: Part) -> str:
    """An RE2 pattern of a part in a folded text."""
    edge = rf"(?:{_EDGE}|[{_JOINED}])"
    first, last = part.words[0], part.words[-1]
    made = "" if is_joined(first) else f"(?:^|{edge})"
    for before, word in zip(("", *part.words), part.words, strict=False):
        if before:
            made += f"{_EDGE}*" if is_joined(before) or is_joined(word) else f"{_EDGE}+"
        made += word
    return made if part.prefix or is_joined(last) else f"{made}(?:$|{edge})"


def words_sql(
    needle: Needle, texts: tuple[str, ...], groups: tuple[tuple[int, ...], ...]
) -> tuple[str, list[Any]]:
    """Condition and values: whether all parts occur in the texts of one of the ``groups`` (indices into ``texts``)."""
    found: list[str] = []
    values: list[Any] = []
    for group in groups:
        every = []
        for part in needle.parts:
            longest, pattern = max(part.words, key=len), _pattern(part)
            some = []
            for index in group:
                text = FOLD.format(texts[index])
                some.append(f"(contains({text}, ?) and regexp_matches({text}, ?))")
                values += [longest, pattern]
            every.append(f"({' or '.join(some)})")
        found.append(f"({' and '.join(every)})")
    return " or ".join(found), values
