"""Cutting an expression into tokens, and the error that points at one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from store.errors import GrammarError

KEYWORDS = frozenset(["and", "or", "not", "in", "is", "null", "between", "matches", "true", "false"])
HINT_WIDTH = 72  # columns of the expression shown around an error

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<meta>meta\."(?:[^"]|"")*")
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])(?!-\w))
    | (?P<word>\w+(?:[.\-]\w+)*)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<op><=|>=|!=|<>|==|[=<>~(),+\-*/])""",
    re.VERBOSE,
)
_SAME = {"<>": "!=", "==": "="}


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: number, word, keyword, meta (a quoted key), text ('…'), quoted ("…"), op or end."""

    kind: str
    text: str  # unquoted; keywords in lower case
    column: int  # 0-based
    end: int = 0


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``, an ``end`` token last. Raises GrammarError."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        hit = _TOKEN.match(text, at)
        if hit is None:
            what = "this quote is never closed" if text[at] in "'\"" else f"cannot read {text[at]!a}"
            raise error(what, text, at)
        kind, raw, at = hit.lastgroup or "", hit.group(), hit.end()
        if kind != "blank":
            found.append(_token(kind, raw, hit.start(), at))
    return [*found, Token("end", "", len(text), len(text))]


def _token(kind: str, raw: str, start: int, end: int) -> Token:
    if kind == "word" and raw.lower() in KEYWORDS:
        return Token("keyword", raw.lower(), start, end)
    if kind == "text":
        raw = raw[1:-1].replace("''", "'")
    elif kind == "quoted":
        raw = raw[1:-1].replace('""', '"')
    elif kind == "meta":
        raw = raw[6:-1].replace('""', '"')
    return Token(kind, _SAME.get(raw, raw) if kind == "op" else raw, start, end)


def is_plain_word(text: str) -> bool:
    """Whether ``text`` is one word token as it stands (keywords are, numbers are not)."""
    hit = _TOKEN.match(text)
    return hit is not None and hit.end() == len(text) and hit.lastgroup == "word"


def error(what: str, text: str, column: int, todo: str = "") -> GrammarError:
    """A GrammarError whose ``todo`` shows the expression with a caret below the place, then ``todo``."""
    start = max(0, min(column - HINT_WIDTH // 2, len(text) - HINT_WIDTH))
    line = "".join(c if c.isprintable() else " " for c in text[start : start + HINT_WIDTH])
    hint = f"{line}\n  {' ' * (column - start)}^"
    return GrammarError(what, todo=f"{hint} {todo}".rstrip(), column=column)
