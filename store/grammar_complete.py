"""What could stand at the cursor of a filter line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store.errors import GrammarError
from store.grammar_lexer import KEYWORDS, Token, is_plain_word, tokens
from store.grammar_tree import FUNCTIONS

OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "~", "in (", "not in (", "between", "matches", "is null"]
OPERATORS += ["is not null", "and", "or"]
_BEFORE_VALUE = frozenset(["=", "!=", "<", "<=", ">", ">=", "~", "in", "between", "matches"])
_JOINS = ["and", "or"]


def complete(text: str, column: int, names: Sequence[str], values: Mapping[str, Sequence[str]]) -> list[str]:
    """Words that could replace the one that ends at ``column``: values, operators, or names and functions.

    ``names`` are the columns and metadata keys, ``values`` the common values of some of them.

    >>> complete("vip and ti", 10, ["tier", "vip", "text"], {})
    ['tier']
    >>> complete("tier = g", 8, ["tier"], {"tier": ["gold", "very good"]})
    ['gold']
    """
    before = _tokens(text[:column])
    if before is None:
        return []
    partial = before.pop().text if before and before[-1].end == column and _is_word(before[-1]) else ""
    subject = _subject(before)
    if subject is not None:
        found = [_as_value(value) for value in values.get(subject, ())] + [_as_name(name) for name in names]
    elif before and (_is_word(before[-1]) or before[-1].text == ")" or before[-1].text == "null"):
        found = _JOINS if _compared(before) else OPERATORS
    else:
        found = [_as_name(name) for name in names] + [f"{name}(" for name in FUNCTIONS] + ["not"]
    start = partial.lower()
    return [word for word in dict.fromkeys(found) if word.lower().lstrip("'\"").startswith(start)]


def _tokens(text: str) -> list[Token] | None:
    """Tokens as far as they go; a quote still open is the word being typed."""
    for open_quote in ("", "'", '"'):
        try:
            found = tokens(text + open_quote)[:-1]
        except GrammarError:
            continue
        if open_quote and found:
            last = found[-1]
            found[-1] = Token(last.kind, last.text, last.column, len(text))
        return found
    return None


def _is_word(token: Token) -> bool:
    return token.kind in ("word", "quoted", "text", "number", "meta") or (
        token.kind == "keyword" and (token.text in ("true", "false"))
    )


def _subject(before: list[Token]) -> str | None:
    """The name whose values come next: left of an operator, also from inside a list or after ``between``."""
    at = len(before) - 1
    while at >= 0 and before[at].text in ("(", ",") and before[at].kind == "op":
        at -= 1 + (before[at].text == "," and at > 0)
    if at < 0 or before[at].text not in _BEFORE_VALUE or before[at].kind not in ("op", "keyword"):
        return None
    if len(before) - 1 > at and before[at].text != "in":
        return None
    at -= 1 + (at > 0 and before[at - 1].text == "not")
    return before[at].text.removeprefix("meta.") if at >= 0 and _is_word(before[at]) else ""


def _compared(before: list[Token]) -> bool:
    """Whether the operand that ends here already is the right side of a comparison."""
    for token in reversed(before):
        if token.kind == "keyword" and token.text in ("and", "or"):
            return False
        if token.kind in ("op", "keyword") and token.text in (*_BEFORE_VALUE, "null"):
            return True
    return False


def _as_name(name: str) -> str:
    plain = is_plain_word(name) and "-" not in name and name.lower() not in KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def _as_value(value: str) -> str:
    plain = is_plain_word(value) and value.lower() not in KEYWORDS and not value.startswith("meta.")
    return value if plain else "'" + value.replace("'", "''") + "'"
