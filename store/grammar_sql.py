"""An expression as DuckDB SQL: every literal and metadata path a ``?``, every column from the caller.

No text of the expression ever reaches the SQL. Type rules are checked here, as here the columns are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from store.errors import GrammarError
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
    is_condition,
    to_text,
)
from store.grammar_value import NUMBER, number_of_text

_FALSE_SQL = "('', '0', 'false', 'no')"

# {0} and {1}: the arguments' SQL. Each is named once, so that nesting never multiplies the text.
FUNCTION_SQL: dict[str, str] = {
    "len": "cast(length({0}) as double)",
    "words": r"cast(len(regexp_extract_all({0}, '[^ \t\n\f\r]+')) as double)",
    "lower": "lower({0})",
    "count": "cast(len(string_split({0}, {1})) - 1 as double)",
    "number": "{0}",
    "abs": "abs({0})",
    "round": "round({0})",
    "min": "least({0}, {1})",
    "max": "greatest({0}, {1})",
    "starts": "coalesce(starts_with({0}, {1}), false)",
    "ends": "coalesce(ends_with({0}, {1}), false)",
}

METADATA = re.compile(r"json_extract_string\(([a-z_.]+), \?\)")
# A word that JSON writes in one way only, unless it escapes something. Where the metadata's text lacks it, no value is
# equal to it, and the JSON need not be parsed: half the time of such a filter.
WORD = re.compile(r"[A-Za-z0-9_ .-]*[A-DF-Za-df-z_][A-Za-z0-9_ .-]*")


@dataclass(frozen=True, slots=True)
class Column:
    """How a name is read: SQL of the caller's own making, and text | number | bool | any (JSON, as text)."""

    sql: str
    type: str


Resolve = Callable[[str], Column | None]


@dataclass(frozen=True, slots=True)
class Piece:
    """SQL with its parameters in order, and its type (text | number | bool | any)."""

    sql: str
    params: tuple[object, ...]
    type: str
    literal: bool = False
    finite: bool = False  # a number that can be no infinity


def compile_sql(expr: Expr, resolve: Resolve, metadata: str = "metadata") -> tuple[str, list[object]]:
    """A boolean SQL expression, never null, that holds where ``expr`` does, and its parameters.

    ``metadata`` is the SQL of the JSON column that unknown names are looked up in. Raises GrammarError where
    types cannot fit or RE2 refuses a regular expression.
    """
    piece = _Compiler(resolve, metadata).condition(expr)
    return piece.sql, list(piece.params)


def compile_value(expr: Expr, resolve: Resolve, metadata: str = "metadata") -> tuple[str, list[object], str]:
    """The value of ``expr`` (null where missing): SQL, parameters, type. For derived columns and sorting."""
    compiler = _Compiler(resolve, metadata)
    piece = compiler.condition(expr) if is_condition(expr) else _finite(compiler.value(expr))
    return piece.sql, list(piece.params), piece.type


@lru_cache(256)
def check_regex(pattern: str) -> None:
    """Raise GrammarError where RE2 refuses ``pattern``: pyarrow's RE2 is DuckDB's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as failure:
        what = str(failure).removeprefix("Invalid regular expression: ")
        raise GrammarError(f"{pattern!r} is no RE2 expression: {what}") from None


class _Compiler:
    def __init__(self, resolve: Resolve, metadata: str) -> None:
        self.resolve, self.metadata = resolve, metadata

    def condition(self, expr: Expr) -> Piece:  # noqa: PLR0911 - one return for each kind of node
        match expr:
            case And(items) | Or(items):
                parts = [self.condition(item) for item in items]
                word = " AND " if isinstance(expr, And) else " OR "
                return _bool(f"({word.join(part.sql for part in parts)})", *parts)
            case Not(operand):
                inner = self.condition(operand)
                return _bool(f"(NOT {inner.sql})", inner)
            case IsNull(operand, negated):
                inner = _finite(self.value(operand))
                return _bool(f"({inner.sql} IS {'NOT ' if negated else ''}NULL)", inner)
            case Compare(op, left, right):
                return _compare(op, self.value(left), self.value(right))
            case In(operand, items, negated):
                return self.membership(operand, items, negated=negated)
            case Between(operand, low, high, negated):
                value = self.value(operand)
                inside = _both(
                    _compare(">=", value, self.value(low)), _compare("<=", value, self.value(high))
                )
                return _but_not(value, inside) if negated else inside
        value = self.value(expr)
        truth = _truth(value)
        return value if is_condition(expr) else _bool(f"coalesce({truth.sql}, false)", truth)

    def membership(self, operand: Expr, items: tuple[Expr, ...], *, negated: bool) -> Piece:
        value = self.value(operand)
        pieces = [self.value(item) for item in items]
        if value.type in ("text", "any") and all(piece.literal and piece.type == "text" for piece in pieces):
            marks = ", ".join("?" for _ in pieces)
            found = _bool(f"coalesce({value.sql} IN ({marks}), false)", value, *pieces)
        else:
            pieces = [_compare("=", value, piece) for piece in pieces]
            found = _bool(f"({' OR '.join(piece.sql for piece in pieces)})", *pieces)
        return _but_not(value, found) if negated else found

    def value(self, expr: Expr) -> Piece:  # noqa: PLR0911 - one return for each kind of node
        match expr:
            case Literal(value):
                return _literal(value)
            case Word(text):
                column = self.resolve(text)
                return _column(column) if column else _literal(text)
            case Name(name, meta):
                column = None if meta else self.resolve(name)
                if column is None:
                    path = "/" + name.replace("~", "~0").replace("/", "~1")
                    return Piece(f"json_extract_string({self.metadata}, ?)", (path,), "any")
                return _column(column)
            case Negative(operand):
                inner = _number(self.value(operand), expr)
                return Piece(f"(-{inner.sql})", inner.params, "number")
            case Arith(op, left, right):
                one, two = _number(self.value(left), expr), _number(self.value(right), expr)
                return Piece(f"({one.sql} {op} {two.sql})", (*one.params, *two.params), "number")
            case Call():
                return self.call(expr)
        raise GrammarError(f"{to_text(expr)!r} is a condition, not a value")

    def call(self, expr: Call) -> Piece:
        if expr.function not in FUNCTION_SQL:
            todo = (
                "As metadata at import: --derive 'lang = language(prompt)'. The column script needs nothing."
            )
            raise GrammarError(f"{expr.function}() cannot be told here", todo=todo)
        takes, gives = FUNCTIONS[expr.function]
        args = []
        for kind, arg in zip(takes, expr.args, strict=True):
            piece = self.value(arg)
            if kind != "number" and piece.type not in ("text", "any"):
                raise GrammarError(f"{expr.function}() takes a text, and {to_text(arg)!r} is a {piece.type}")
            args.append(_number(piece, expr) if kind == "number" else piece)
        sql = FUNCTION_SQL[expr.function].format(*(arg.sql for arg in args))
        return Piece(sql, tuple(param for arg in args for param in arg.params), gives)


def _column(column: Column) -> Piece:
    sql = f"cast({column.sql} as double)" if column.type == "number" else f"({column.sql})"
    return Piece(sql, (), column.type)


def _literal(value: float | str | bool) -> Piece:
    if isinstance(value, bool):
        return Piece("true" if value else "false", (), "bool", literal=True)
    if isinstance(value, str):
        return Piece("?", (value,), "text", literal=True)
    return Piece("?", (float(value),), "number", literal=True, finite=True)


def _bool(sql: str, *parts: Piece) -> Piece:
    return Piece(sql, tuple(param for part in parts for param in part.params), "bool")


def _both(one: Piece, two: Piece) -> Piece:
    return _bool(f"({one.sql} AND {two.sql})", one, two)


def _but_not(value: Piece, found: Piece) -> Piece:
    present = _finite(value)
    return _bool(f"({present.sql} IS NOT NULL AND NOT {found.sql})", present, found)


def _number(piece: Piece, where: Expr | None = None) -> Piece:
    """The piece as a double; null where its text is no number. Named once: reading JSON is what costs."""
    if piece.type == "number":
        return piece
    if piece.type == "bool":
        raise GrammarError(f"a truth value is no number: {to_text(where) if where else piece.sql!r}")
    if piece.literal:
        return Piece("cast(? as double)", (number_of_text(str(piece.params[0])),), "number", finite=True)
    sql = f"try_cast(regexp_extract({piece.sql}, '^{NUMBER}$') as double)"
    return Piece(sql, piece.params, "number", finite=True)


def _finite(piece: Piece) -> Piece:
    """A number that is not finite is missing. Only done where no number is made of the result again."""
    if piece.type != "number" or piece.finite:
        return piece
    return Piece(f"CASE WHEN isfinite({piece.sql}) THEN {piece.sql} END", piece.params * 2, "number")


def _truth(piece: Piece) -> Piece:
    if piece.type == "bool":
        return piece
    if piece.type == "number":
        value = _finite(piece)
        return _bool(f"({value.sql} <> 0)", value)
    return _bool(f"(lower({piece.sql}) NOT IN {_FALSE_SQL})", piece)


def _compare(op: str, left: Piece, right: Piece) -> Piece:
    if op in ("~", "matches"):
        return _search(op, left, right)
    if op == "!=":
        one, two = _finite(left), _finite(right)
        equal = _compare("=", left, right)
        return _bool(
            f"({one.sql} IS NOT NULL AND {two.sql} IS NOT NULL AND NOT {equal.sql})", one, two, equal
        )
    types = {left.type, right.type}
    if "bool" in types:
        left, right = _truth(left), _truth(right)
    elif "number" in types:
        _refuse_word(left, right)
        left, right = _finite(_number(left)), _finite(_number(right))
    elif types == {"any"}:
        one, two = _number(left), _number(right)
        sql = f"coalesce({one.sql} {op} {two.sql}, {left.sql} {op} {right.sql}, false)"
        return _bool(sql, one, two, left, right)
    sql = f"coalesce({left.sql} {op} {right.sql}, false)"
    column = METADATA.fullmatch(left.sql)
    if (
        op == "="
        and column
        and right.literal
        and right.type == "text"
        and WORD.fullmatch(str(right.params[0]))
    ):
        return _bool(
            f"((contains({column[1]}, ?) OR contains({column[1]}, '\\')) AND {sql})", right, left, right
        )
    return _bool(sql, left, right)


def _refuse_word(*pieces: Piece) -> None:
    for piece in pieces:
        if piece.literal and piece.type == "text" and number_of_text(str(piece.params[0])) is None:
            raise GrammarError(f"compares a number with the text {piece.params[0]!r}")


def _search(op: str, left: Piece, right: Piece) -> Piece:
    for piece in (left, right):
        if piece.type not in ("text", "any"):
            raise GrammarError(f"{op} looks into texts, and this is a {piece.type}")
    if op == "matches":
        check_regex(str(right.params[0]))
        return _bool(f"coalesce(regexp_matches({left.sql}, {right.sql}), false)", left, right)
    return _bool(f"coalesce(contains(lower({left.sql}), lower({right.sql})), false)", left, right)
