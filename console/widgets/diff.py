"""Word diffs of two texts, readable without colour: ``[-gone-]`` and ``{+new+}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from console.text import fit, visible
from console.wrapped import Wrapped

Kind: TypeAlias = Literal["equal", "insert", "delete", "replace"]
Style: TypeAlias = Literal["insert", "delete"]

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Opcodes keep a bit matrix of one text by the other: 100 M cells are 12 MB and take 0.1 s.
CELLS = 100_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch that is equal, only left (delete), only right (insert) or differs (replace)."""

    kind: Kind
    left: str
    right: str


def word_diff(left: str, right: str) -> list[Span]:
    """Return the spans of a word diff; their lefts join to ``left`` and their rights to ``right``.

    Longest common subsequence over words, blanks and punctuation (rapidfuzz, bit-parallel after Hyyrö 2004).
    Texts too long for that are compared by lines, and longer ones still as a whole.

    >>> [(s.kind, s.left, s.right) for s in word_diff("a red cat", "a blue cat")]
    [('equal', 'a ', 'a '), ('replace', 'red', 'blue'), ('equal', ' cat', ' cat')]
    """
    from rapidfuzz.distance import Indel

    if left == right:
        return [Span("equal", left, right)] if left else []
    for pattern in (_WORD, _LINE):
        a, b = pattern.findall(left), pattern.findall(right)
        if len(a) * len(b) <= CELLS:
            ops = Indel.opcodes(a, b)
            raw = [
                (
                    op.tag == "equal",
                    "".join(a[op.src_start : op.src_end]),
                    "".join(b[op.dest_start : op.dest_end]),
                )
                for op in ops
            ]
            return _merged(raw)
    return _merged([(False, left, right)])


def _merged(raw: list[tuple[bool, str, str]]) -> list[Span]:
    """Join neighbouring changes, also over a lone blank: a rewritten phrase reads better whole."""
    out: list[tuple[bool, str, str]] = []
    for i, (equal, a, b) in enumerate(raw):
        lone = equal and a == " " and 0 < i < len(raw) - 1
        if out and not out[-1][0] and (not equal or lone):
            out[-1] = (False, out[-1][1] + a, out[-1][2] + b)
        else:
            out.append((equal, a, b))
    return [Span(_kind(equal, a, b), a, b) for equal, a, b in out]


def _kind(equal: bool, a: str, b: str) -> Kind:
    if equal:
        return "equal"
    return "replace" if a and b else "delete" if a else "insert"


def changed_words(spans: list[Span]) -> tuple[int, int]:
    """Return how many words only the left and only the right text has."""
    changes = [span for span in spans if span.kind != "equal"]
    return sum(len(s.left.split()) for s in changes), sum(len(s.right.split()) for s in changes)


def inline(spans: list[Span]) -> tuple[str, tuple[tuple[int, int, Style], ...]]:
    """Return one visible text with marks, and the styled ranges of it (for ``Section``).

    >>> inline(word_diff("a red cat", "a blue cat"))
    ('a [-red-]{+blue+} cat', ((2, 9, 'delete'), (9, 17, 'insert')))
    """
    pieces: list[str] = []
    ranges: list[tuple[int, int, Style]] = []
    at = 0
    for span in spans:
        marked: list[tuple[str, Style | None]] = [(visible(span.left, lines=True), None)]
        if span.kind != "equal":
            marked = [(f"[-{visible(span.left, lines=True)}-]", "delete")] if span.left else []
            marked += [(f"{{+{visible(span.right, lines=True)}+}}", "insert")] if span.right else []
        for piece, style in marked:
            pieces.append(piece)
            if style is not None:
                ranges.append((at, at + len(piece), style))
            at += len(piece)
    return "".join(pieces), tuple(ranges)


def side_by_side(spans: list[Span], width: int) -> list[str]:
    """Return lines of exactly ``width`` cells: left text, a letter, right text.

    The letter says what the line holds: ``|`` both sides differ, ``<`` something only left, ``>`` something
    only right, blank nothing. Changed words stand in ``[- -]`` and ``{+ +}`` as in ``inline``.
    """
    half = max(4, (width - 3) // 2)
    out: list[str] = []
    for left, right in _paired(spans):
        a, b = Wrapped(left, half), Wrapped(right, width - half - 3)
        for i in range(max(a.count(), b.count())):
            one = a.line(i) if i < a.known else ""
            two = b.line(i) if i < b.known else ""
            out.append(f"{fit(one, half)} {_letter(left, right)} {fit(two, width - half - 3)}")
    return out


def _letter(left: str, right: str) -> str:
    gone, new = "[-" in left, "{+" in right
    return "|" if gone and new else "<" if gone else ">" if new else " "


def _paired(spans: list[Span]) -> list[tuple[str, str]]:
    """Marked texts of both sides, cut into paragraphs at newlines that both have."""
    pairs: list[tuple[str, str]] = []
    left = right = ""
    for span in spans:
        if span.kind == "equal":
            first, *rest = visible(span.left, lines=True).split("\n")
            left, right = left + first, right + first
            for paragraph in rest:
                pairs.append((left, right))
                left = right = paragraph
        else:
            left += f"[-{visible(span.left, lines=True)}-]" if span.left else ""
            right += f"{{+{visible(span.right, lines=True)}+}}" if span.right else ""
    return [*pairs, (left, right)] if left or right else pairs
