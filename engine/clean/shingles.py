"""From texts to shingle hashes: what counts as the same, and in which pieces two texts are compared.

A *profile* says the pieces: windows of code points for short prompts, of words for longer outputs. Scripts
without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) carry a word in one or two code
points: a window that starts there is ``dense`` units long in either profile, so that mixed texts need no
routing and nothing is lost at a border. A text with fewer units than a window has one shingle: all of it.

Hashes are 64 bits wide and made by numpy over whole blocks of texts; the same flat layout (hashes, offsets)
is what a compiled kernel would fill.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    U8 = npt.NDArray[np.uint8]
    U64 = npt.NDArray[np.uint64]
    I64 = npt.NDArray[np.int64]
    Bools = npt.NDArray[np.bool_]

NORMALISATION = "nfkc-casefold/1"
HASHING = "block64/2"
LONG_TEXT = 300  # code points; evidence: char-4 finds edits below it, word-3 is cheaper and as good above
EMPTY_UNIT = 0x110000  # the unit of an empty text, so that it has a shingle: no code point is it
LETTER_FACTORS = 1 << 14  # positions in a word with a factor of their own
_BLOCK = 200_000  # code points hashed at once: larger intermediate arrays (~100 B each) leave the cache

_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_DENSE_ASTRAL = (0x20000, 0x323B0)  # CJK extensions B to H
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
_invisible = re.compile(f"[{_INVISIBLE}]+")
# NFKC would turn a superscript two into a plain 2, and a half into 1/2: another number is no other spelling.
_numeric = re.compile("([\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2189]+)")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
_alone = f"[{_DENSE}\U00020000-\U000323af]"
_part = f"(?:(?!{_alone})\\w|[{_INVISIBLE}\u0300-\u036f])"
_token = re.compile(rf"{_alone}|{_part}+|\S")
_of_dense, _of_word = re.compile(_alone), re.compile(_part)
ONE_TOKEN, IN_WORD, SPACE, DIGIT, CAPITAL = 1, 2, 4, 8, 16  # bits of token_class


@dataclass(frozen=True, slots=True)
class Profile:
    """How a text is cut: windows of ``n`` units (``char`` or ``word``), ``dense`` units in dense scripts."""

    unit: Literal["char", "word"]
    n: int
    dense: int = 2

    def __post_init__(self) -> None:
        if self.unit not in ("char", "word") or not 1 <= self.dense <= self.n <= 16:
            raise InputError(
                f"no such shingle profile: {self.unit}-{self.n}, dense {self.dense}",
                todo="Use unit char or word and 1 <= dense <= n <= 16.",
            )

    @property
    def name(self) -> str:
        """For example ``char-4/2``: what is stored beside signatures."""
        return f"{self.unit}-{self.n}/{self.dense}"


PROMPTS = Profile("char", 4)
OUTPUTS = Profile("word", 3)


@dataclass(frozen=True, slots=True)
class Shingles:
    """Hashes of all texts in one row: text ``i`` has ``hashes[offsets[i]:offsets[i + 1]]``, never none."""

    hashes: U64
    offsets: I64


def profile_for(texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> Profile:
    """The profile for a corpus: one for all, since shingles of different profiles cannot be compared.

    >>> profile_for(["where is my card?"]).name, profile_for(["word " * 100]).name
    ('char-4/2', 'word-3/2')
    """
    if isinstance(texts, Sequence):
        lengths = sorted(map(len, texts))
    else:
        import pyarrow.compute as pc

        lengths = pc.utf8_length(texts).drop_null().sort().to_pylist()
    return OUTPUTS if lengths and lengths[len(lengths) // 2] >= LONG_TEXT else PROMPTS


def normalise(text: str) -> str:
    """What two texts must share to count as the same on the surface.

    Compatibility composition (NFKC, not NFC: full-width letters, ligatures and decomposed accents are
    spellings, not edits), case folded as in Unicode's NFKC_Casefold, invisible characters dropped,
    typographic quotes and dashes made plain, white space collapsed. Punctuation stays (``3+4`` is not
    ``3-4``) and so do superscripts and fractions, which NFKC would turn into other numbers.

    >>> normalise("  Café\\u200b\\n“x²” ") == normalise("CAFE\\u0301 \\"x²\\"") == 'café "x²"'
    True
    """
    if text.isascii():
        return " ".join(text.lower().split())
    visible = _invisible.sub("", text)
    if _numeric.search(visible):
        folded = "".join(
            _fold(part) if i % 2 == 0 else part for i, part in enumerate(_numeric.split(visible))
        )
    else:
        folded = _fold(visible)
    return " ".join(folded.translate(_TYPOGRAPHY).split())


def _fold(text: str) -> str:
    composed = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", composed)  # folding can undo composition


def fold_point(char: str) -> tuple[str, str] | None:
    """What ``normalise`` makes of one code point by itself, and all that it passes through; None: dropped.

    For a table of code points: it is right for a text in which no neighbours act on each other.
    """
    if _invisible.match(char):
        return None
    if _numeric.match(char):
        return char, char
    composed = unicodedata.normalize("NFKC", char)
    folded = composed.casefold()
    result = unicodedata.normalize("NFKC", folded)
    return char + composed + folded + result, result.translate(_TYPOGRAPHY)


def tokens(text: str, limit: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Normalised words and their code-point spans in the first ``limit`` code points of the original."""
    if text.isascii():  # each token folds to itself in lower case: three times as fast
        found = list(_token.finditer(text, 0, limit))
        return [match.group().lower() for match in found], [match.span() for match in found]
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _token.finditer(text, 0, limit):
        if word := normalise(match.group()):
            words.append(word)
            spans.append(match.span())
    return words, spans


def token_class(char: str) -> int:
    """What a code point is to ``tokens``, as bits.

    ONE_TOKEN: a token by itself where one begins with it; IN_WORD: goes on with a word; SPACE; DIGIT; CAPITAL:
    in upper case, or no letter nor digit.
    """
    return (
        ONE_TOKEN * bool(_of_dense.match(char))
        | IN_WORD * bool(_of_word.match(char))
        | SPACE * (_token.match(char) is None)
        | DIGIT * char.isdigit()
        | CAPITAL * (char.isupper() or not char.isalnum())
    )


def shingle_hashes(
    normalised: Sequence[str], profile: Profile, *, progress: Callable[[int], None] | None = None
) -> Shingles:
    """Shingle hashes of texts that are normalised already; ``progress`` gets the number of texts done."""
    import numpy as np

    hashes, sizes = [np.empty(0, np.uint64)], [np.zeros(1, np.int64)]
    done = 0
    for block in _blocks(normalised):
        of_block, offsets = _block_hashes(block, profile)
        hashes.append(of_block)
        sizes.append(np.diff(offsets))
        done += len(block)
        if progress:
            progress(done)
    return Shingles(np.concatenate(hashes), np.cumsum(np.concatenate(sizes)))


def _blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for text in texts:
        if block and size + len(text) > _BLOCK:
            yield block
            block, size = [], 0
        block.append(text)
        size += len(text) + 1
    if block:
        yield block


def _block_hashes(texts: Sequence[str], profile: Profile) -> tuple[U64, I64]:
    import numpy as np

    joined = "".join(text or "\0" for text in texts)
    points = np.frombuffer(bytearray(joined, "utf-32-le", "surrogatepass"), np.uint32)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    offsets = np.concatenate(([0], np.cumsum(np.maximum(lengths, 1))))
    points[offsets[:-1][lengths == 0]] = EMPTY_UNIT
    kinds = classes()[points]
    if profile.unit == "word":
        units, starts = _words(points.astype(np.uint64), kinds, offsets)
        dense = kinds[starts] == IS_DENSE
        offsets = np.searchsorted(starts, offsets)
    else:
        units, dense = points.astype(np.uint64), kinds == IS_DENSE
    return _windows(units, offsets, dense, profile)


IS_SPACE, IS_WORD, IS_DENSE, IS_SYMBOL = range(4)


@lru_cache(maxsize=1)
def classes() -> U8:
    """Class of every code point: space, letter of a word, dense script, or symbol."""
    import numpy as np

    table = np.full(EMPTY_UNIT + 1, IS_SYMBOL, np.uint8)
    for point in range(0x20000):
        char = chr(point)
        if unicodedata.category(char)[0] in "LMN" or char == "_":  # marks: vowel signs belong to their word
            table[point] = IS_WORD
    for low, high in re.findall("(.)-(.)", _DENSE):
        table[ord(low) : ord(high) + 1] = IS_DENSE
    table[slice(*_DENSE_ASTRAL)] = IS_DENSE
    table[ord(" ")] = IS_SPACE
    return table


@lru_cache(maxsize=1)
def letter_factors() -> U64:
    """Odd random-looking factors for the positions in a word, shape (LETTER_FACTORS,)."""
    import numpy as np

    return mix(np.arange(1, LETTER_FACTORS + 1, dtype=np.uint64)) | np.uint64(1)


def mix(values: U64) -> U64:
    """A bijection that spreads 64 bits (splitmix64's finaliser; Steele et al. 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _step(state: U64, units: U64) -> U64:
    import numpy as np

    state = (state ^ units) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(32))


def _words(points: U64, kinds: U8, offsets: I64) -> tuple[U64, I64]:
    """One hash per unit (a run of letters; any other visible code point alone) and where each starts.

    A word's hash is the sum of its code points times a factor for each position (multilinear hashing).
    """
    import numpy as np

    starts_here = kinds != IS_SPACE
    starts_here[1:] &= (kinds[1:] != IS_WORD) | (kinds[:-1] != IS_WORD)
    starts_here[offsets[:-1]] = True  # the texts lie end to end
    starts = np.flatnonzero(starts_here)
    lengths = np.diff(np.append(starts, len(points)))
    position = np.arange(len(points)) - np.repeat(starts, lengths)
    values = points * letter_factors()[position & (LETTER_FACTORS - 1)]
    values[kinds == IS_SPACE] = 0
    return mix(np.add.reduceat(values, starts)), starts


def _windows(units: U64, offsets: I64, dense: Bools, profile: Profile) -> tuple[U64, I64]:
    import numpy as np

    total = len(units)
    state = np.full(total, 0x243F6A8885A308D3, np.uint64)
    short = state
    for j in range(profile.n):
        state = _step(state, np.concatenate((units[j:], np.zeros(min(j, total), np.uint64))))
        if j + 1 == profile.dense:
            short = state
    hashes = mix(np.where(dense, short, state))
    ends = np.repeat(offsets[1:], np.diff(offsets))
    valid = np.arange(total) + np.where(dense, profile.dense, profile.n) <= ends
    before = np.concatenate(([0], np.cumsum(valid)))
    none = np.flatnonzero(before[offsets[1:]] == before[offsets[:-1]])
    if len(none):
        hashes[offsets[none]] = _whole(units, offsets[none], offsets[none + 1], profile.n)
        valid[offsets[none]] = True
        before = np.concatenate(([0], np.cumsum(valid)))
    return hashes[valid], before[offsets]


def _whole(units: U64, starts: I64, ends: I64, n: int) -> U64:
    """One shingle of everything, for texts of fewer than ``n`` units."""
    import numpy as np

    state = np.full(len(starts), 0x13198A2E03707344, np.uint64)
    for j in range(n):
        inside = starts + j < ends
        state[inside] = _step(state[inside], units[starts[inside] + j])
    return mix(state)
