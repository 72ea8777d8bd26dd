"""The one grammar for filters, slices and derived columns: text in, a small tree out.

    vip and len(output) > 400 and not reviewed
    tier in (gold, silver) or text ~ refund or meta.score between 0.5 and 1
    steps = count(reference, '<<')                                  (derived: a name, then an expression)

**Words.** A *name* is a column where one is known, and else a metadata key; ``meta.tier`` is the metadata key
``tier`` for sure; ``"weird key"`` and ``meta."weird key"`` are quoted names. A dot is part of a key: keys are
looked up whole. Text is in single quotes (a quote in it is doubled). To the right of a comparison and in a
list, and only there, double quotes hold text too, and a bare word is text unless it is a known column:
``tier = vip``, ``model = gpt-4o``. Write ``meta.vip`` to mean a key there.

**Meaning** (``grammar_sql`` and ``grammar_value`` keep to it; a property test holds them to each other):

- *Two values.* A comparison with a missing operand is false, ``!=`` and ``not in`` too; ``not`` turns that
  round, so ``not tier = vip`` holds where tier is missing and ``tier != vip`` does not. Ask ``is null``.
- *Truth.* A value alone is a condition: a number other than 0; a text other than ``''``, ``0``, ``false`` and
  ``no`` in any case; missing is false. Beside ``true`` or ``false`` a value is compared by this.
- *Numbers.* Where either side is a number, the other is read as one; a text that is no number differs from
  every number and is neither less nor greater. Numbers are doubles; one not finite (``1/0``) is missing.
  A text is a number as ``-12.5`` or ``1e-3`` is, without blanks, up to 99 digits and an exponent of 199.
- *Metadata* has no type: two metadata values compare as numbers where both are, else as text, by code point.
- ``~`` is "contains", in any case; ``matches`` takes an RE2 expression, found anywhere in the text.
- ``min`` and ``max`` skip a missing operand; any other function or sum with one is missing.
"""

from __future__ import annotations

import difflib
import math
import re

from store.grammar_complete import complete
from store.grammar_lexer import Token, error, tokens
from store.grammar_sql import Column, compile_sql, compile_value
from store.grammar_tree import (
    FUNCTIONS,
    And,
    Arith,
    Between,
    Call,
    Compare,
    Expr,
    In,
    IsNull,
    Literal,
    Name,
    Negative,
    Not,
    Or,
    Word,
    depth,
    is_condition,
    names,
    read_names,
    to_text,
)
from store.grammar_value import evaluate, holds

__all__ = [
    "Column",
    "Expr",
    "compile_sql",
    "compile_value",
    "complete",
    "evaluate",
    "holds",
    "names",
    "parse",
    "parse_derived",
    "read_names",
    "to_text",
]

MAX_LENGTH = 4_000  # characters of an expression
MAX_NESTING = 40  # open parentheses, nots and minus signs
MAX_DEPTH = 80  # nodes from the root to a leaf: keeps every walk over a tree within the stack

_COMPARE = ("=", "!=", "<", "<=", ">", ">=", "~", "matches")
_POWER = {"or": 1, "and": 2, **dict.fromkeys((*_COMPARE, "in", "between", "is", "not"), 4)}
_POWER |= {"+": 5, "-": 5, "*": 6, "/": 6}
_NOT, _COMPARISON, _MINUS = 3, 4, 7
# Refused at once rather than by the engine: RE2 has none of these, as they make matching exponential.
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(\(\?(?:[=!>(#]|<[=!]|P=)|\\[1-9])")


def parse(text: str) -> Expr:
    """The tree of a filter, a slice or the right-hand side of a derived column.

    >>> parse("vip and not tier = gold")  # doctest: +NORMALIZE_WHITESPACE
    And(items=(Name(name='vip', meta=False),
        Not(operand=Compare(op='=', left=Name(name='tier', meta=False), right=Word(text='gold')))))

    Raises GrammarError with the column, and a caret below it in ``todo``.
    """
    return _Parser(_checked(text)).whole()


def parse_derived(text: str) -> tuple[str, Expr]:
    """Name and expression of a derived column.

    >>> name, expr = parse_derived("steps = count(reference, '<<')")
    >>> name, to_text(expr)
    ('steps', "count(reference, '<<')")
    """
    parser = _Parser(_checked(text))
    name, equals = parser.take(), parser.take()
    if name.kind not in ("word", "quoted") or not name.text or ("-" in name.text and name.kind == "word"):
        raise error("a derived column begins with its name", text, name.column, "name = expression")
    if equals.text != "=" or equals.kind != "op":
        raise error("expected '=' after the name", text, equals.column, "name = expression")
    return name.text, parser.whole()


def _checked(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise error(f"is longer than {MAX_LENGTH} characters", text, MAX_LENGTH)
    try:
        text.encode()
    except UnicodeEncodeError as failure:
        raise error("holds half a surrogate pair, which is no character", text, failure.start) from None
    return text


class _Parser:
    """A Pratt parser: ``expression(power)`` reads as far as operators bind more tightly than ``power``."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at, self.nesting = text, tokens(text), 0, 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.next
        self.at += token.kind != "end"
        return token

    def ahead(self, *texts: str) -> bool:
        return self.next.kind in ("op", "keyword") and self.next.text in texts

    def expect(self, text: str, why: str) -> None:
        if not self.ahead(text):
            raise error(f"expected {text!r} {why}", self.text, self.next.column)
        self.take()

    def whole(self) -> Expr:
        if self.next.kind == "end":
            raise error("is empty", self.text, self.next.column, "for example: tier = vip")
        expr = self.expression(0)
        if self.next.kind != "end":
            raise error(f"did not expect {self.next.text!r}", self.text, self.next.column, self._advice())
        if depth(expr) > MAX_DEPTH:
            raise error("is nested too deeply", self.text, 0, "break it up")
        return expr

    def _advice(self) -> str:
        return "join conditions by 'and' or 'or'" if self.next.kind != "op" else ""

    def expression(self, power: int) -> Expr:
        start = self.next.column
        left = self.prefix()
        while self.next.kind in ("op", "keyword") and _POWER.get(self.next.text, 0) > power:
            left = self.infix(left, start)
        return left

    def infix(self, left: Expr, start: int) -> Expr:
        op = self.next.text
        if op in ("and", "or"):
            items = [left]
            while self.ahead(op):
                self.take()
                items.append(self.expression(_POWER[op]))
            return And(tuple(items)) if op == "and" else Or(tuple(items))
        self.value(left, start)
        self.take()
        if op in "+-*/":
            at = self.next.column
            return Arith(op, left, self.value(self.expression(_POWER[op]), at))
        if op in _COMPARE:
            return self.comparison(left, op)
        return self.predicate(left, op)

    def comparison(self, left: Expr, op: str) -> Expr:
        right = self.right()
        if op == "matches":
            right = self.pattern(right)
        return Compare(op, left, right)

    def predicate(self, left: Expr, op: str) -> Expr:
        if op == "is":
            negated = self.ahead("not") and bool(self.take())
            self.expect("null", "after 'is'")
            return IsNull(left, negated)
        negated = op == "not"
        if negated:
            op = self.take().text
        if op == "in":
            return In(left, self.items(), negated)
        if op == "between":
            low = self.right()
            self.expect("and", "between the two ends")
            return Between(left, low, self.right(), negated)
        raise error("expected 'in' or 'between' after 'not'", self.text, self.tokens[self.at - 1].column)

    def items(self) -> tuple[Expr, ...]:
        self.expect("(", "after 'in'")
        items = [self.right()]
        while self.ahead(","):
            self.take()
            items.append(self.right())
        self.expect(")", "after the list")
        return tuple(items)

    def right(self) -> Expr:
        """A value to the right of a comparison, where a word or "…" that stands alone is text."""
        token, after = self.next, self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        alone = not (after.kind == "op" and after.text in ("(", "+", "-", "*", "/"))
        if alone and token.kind == "quoted":
            return Literal(self.take().text)
        if alone and token.kind == "word" and not token.text.startswith("meta."):
            return Word(self.take().text)
        return self.value(self.expression(_COMPARISON), token.column)

    def value(self, expr: Expr, column: int) -> Expr:
        if is_condition(expr):
            raise error("a condition is no value", self.text, column, "join conditions by 'and' or 'or'")
        return expr

    def prefix(self) -> Expr:
        token = self.next
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise error("is nested too deeply", self.text, token.column, "break it up")
        expr = self.operand(self.take())
        self.nesting -= 1
        return expr

    def operand(self, token: Token) -> Expr:  # noqa: PLR0911 - one return for each kind of node
        match token.kind, token.text:
            case "keyword", "not":
                return Not(self.expression(_NOT))
            case "keyword", "true" | "false":
                return Literal(token.text == "true")
            case "op", "(":
                expr = self.expression(0)
                self.expect(")", "to close the parenthesis")
                return expr
            case "op", "-" if self.next.kind == "number":
                return Literal(-self.number(self.take()))
            case "op", "-":
                return Negative(self.value(self.expression(_MINUS), self.next.column))
            case "number", _:
                return Literal(self.number(token))
            case "text", text:
                return Literal(text)
            case (("quoted" | "meta"), name):
                return Name(name, meta=token.kind == "meta")
            case "word", _:
                return self.name(token)
        todo = "ask 'x is null'" if token.text == "null" else ""
        raise error("expected a name, a number or a text", self.text, token.column, todo)

    def number(self, token: Token) -> int | float:
        value = float(token.text)
        if math.isinf(value):
            raise error("is too large a number", self.text, token.column)
        return int(value) if token.text.isdigit() and value < 2**53 else value

    def name(self, token: Token) -> Expr:
        if self.ahead("("):
            return self.call(token)
        if "-" in token.text:
            todo = f'write spaces around the minus, or "{token.text}" for a name'
            raise error("is a word with a minus in it", self.text, token.column, todo)
        if token.text.startswith("meta."):
            return Name(token.text.removeprefix("meta."), meta=True)
        return Name(token.text)

    def call(self, token: Token) -> Call:
        if token.text not in FUNCTIONS:
            near = difflib.get_close_matches(token.text, FUNCTIONS, 1) or [", ".join(FUNCTIONS)]
            raise error(f"there is no function {token.text!r}", self.text, token.column, f"try {near[0]}")
        takes = FUNCTIONS[token.text][0]
        self.take()
        args = []
        for number, kind in enumerate(takes):
            if number:
                self.expect(",", f"as {token.text}() takes {len(takes)} arguments")
            at = self.next.column
            args.append(self.pattern(self.right()) if kind == "pattern" else self.argument(kind, at))
        self.expect(")", f"as {token.text}() takes {len(takes)} argument{'s'[: len(takes) - 1]}")
        return Call(token.text, tuple(args))

    def argument(self, kind: str, column: int) -> Expr:
        expr = self.value(self.expression(0), column)
        number = isinstance(expr, (Arith, Negative)) or (
            isinstance(expr, Call) and FUNCTIONS[expr.function][1] == "number"
        )
        if kind == "text" and (number or (isinstance(expr, Literal) and not isinstance(expr.value, str))):
            raise error("expected a text, not a number", self.text, column)
        return expr

    def pattern(self, expr: Expr) -> Literal:
        """The text written out that ``matches``, ``count``, ``starts`` and ``ends`` look for."""
        token = self.tokens[self.at - 1]
        text = expr.text if isinstance(expr, Word) else expr.value if isinstance(expr, Literal) else None
        if not isinstance(text, str) or not text:
            raise error("expected a text in quotes, not empty", self.text, token.column)
        if self.tokens[self.at - 2].text == "matches" and (bad := _NOT_RE2.search(text)):
            todo = "no look-around and no back-references: every match takes linear time"
            raise error(f"{bad.group(1)!r} is not in RE2", self.text, token.column, todo)
        return Literal(text)
