"""An expression over one row, in plain Python: the twin of ``grammar_sql``, for derived columns at import."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping

from store.canonical import canonical_text
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
)
from store.language import language_of

# A text that is a number, in both twins. Bounded, so that what matches is always a finite double (DuckDB's own
# cast takes blanks, underscores and "nan" too).
NUMBER = r"[+-]?([0-9]{1,99}(\.[0-9]{0,99})?|\.[0-9]{1,99})([eE][+-]?([0-9]{1,2}|1[0-9]{2}))?"
FALSE_TEXTS = frozenset(["", "0", "false", "no"])

_NUMBER = re.compile(NUMBER)
_BLANKS = re.compile(r"[^ \t\n\f\r]+")
_ORDER = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ARITH = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class Untyped(str):
    """The text of a metadata value, which has no type of its own."""

    __slots__ = ()


Row = Mapping[str, object]
Value = float | str | bool | None
Reader = Callable[[Row, Row], Value]


def evaluate(expr: Expr, row: Row, metadata: Row) -> Value:
    """The value of ``expr``: None where missing, true or false for a condition.

    ``row`` holds the known columns (None, str, bool, int or float each), ``metadata`` every other name.
    Whole numbers come back as int. Raises GrammarError where a text function meets a number.
    """
    return reader(expr)(row, metadata)


def holds(expr: Expr, row: Row, metadata: Row) -> bool:
    """Whether ``expr`` holds as a filter or a slice."""
    return _truth(_reader(expr)(row, metadata)) is True


def reader(expr: Expr) -> Reader:
    """``expr`` as a function of (row, metadata): walks the tree once, for many rows."""
    read = _reader(expr)
    if is_condition(expr):
        return read

    def result(row: Row, metadata: Row) -> Value:
        value = _finite(read(row, metadata))
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return str(value) if isinstance(value, Untyped) else value

    return result


def number_of_text(text: str) -> float | None:
    """The number that ``text`` is; None where it is none, or has over 99 digits or an exponent over 199."""
    return float(text) if _NUMBER.fullmatch(text) else None


def text_of_json(value: object) -> Untyped | None:
    """A metadata value as text, as DuckDB's ``json_extract_string`` writes it."""
    if isinstance(value, str):
        return Untyped(value)
    if value is None:
        return None
    text = canonical_text(value)
    if isinstance(value, float) and "e" in text and abs(value) >= 1:
        mantissa, exponent = text.split("e")
        if int(exponent) < 21:  # written out below 1e21, as in ECMAScript
            digits = mantissa.replace(".", "")
            text = digits + "0" * (int(exponent) + 1 - len(digits.lstrip("-"))) + ".0"
    return Untyped(text)


def _reader(expr: Expr) -> Reader:  # noqa: PLR0911 - one return for each kind of node
    match expr:
        case Literal(value):
            constant: Value = float(value) if type(value) is int else value
            return lambda _row, _metadata: constant
        case Word(text):
            return lambda row, _metadata: _cell(row[text]) if text in row else text
        case Name(name, meta):
            return _name(name, meta=meta)
        case Negative(operand):
            inner = _reader(operand)
            return lambda row, metadata: _negative(_number(inner(row, metadata)))
        case Arith(op, left, right):
            one, two = _reader(left), _reader(right)
            return lambda row, metadata: _arith(op, _number(one(row, metadata)), _number(two(row, metadata)))
        case Call(function, args):
            return _call(function, [_reader(arg) for arg in args])
    return _condition(expr)


def _name(name: str, *, meta: bool) -> Reader:
    if meta:
        return lambda _row, metadata: text_of_json(metadata.get(name))
    return lambda row, metadata: _cell(row[name]) if name in row else text_of_json(metadata.get(name))


def _condition(expr: Expr) -> Reader:  # noqa: PLR0911 - one return for each kind of node
    match expr:
        case And(items):
            parts = [_reader(item) for item in items]
            return lambda row, metadata: all(_truth(part(row, metadata)) for part in parts)
        case Or(items):
            parts = [_reader(item) for item in items]
            return lambda row, metadata: any(_truth(part(row, metadata)) for part in parts)
        case Not(operand):
            inner = _reader(operand)
            return lambda row, metadata: not _truth(inner(row, metadata))
        case IsNull(operand, negated):
            inner = _reader(operand)
            return lambda row, metadata: (_finite(inner(row, metadata)) is None) is not negated
        case Compare(op, left, right):
            one, two = _reader(left), _reader(right)
            return lambda row, metadata: _compare(op, one(row, metadata), two(row, metadata))
        case In(operand, items, negated):
            inner, parts = _reader(operand), [_reader(item) for item in items]
            return lambda row, metadata: _member(
                inner(row, metadata), [part(row, metadata) for part in parts], negated=negated
            )
        case Between(operand, low, high, negated):
            inner, one, two = _reader(operand), _reader(low), _reader(high)
            return lambda row, metadata: _between(
                inner(row, metadata), one(row, metadata), two(row, metadata), negated=negated
            )
    raise TypeError(expr)


def _cell(value: object) -> Value:
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        return float(value)
    raise GrammarError(f"a column holds a {type(value).__name__}, which no expression can read")


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _truth(value: Value) -> bool | None:
    value = _finite(value)
    if value is None or isinstance(value, bool):
        return value
    return value != 0 if isinstance(value, float) else _lower(value) not in FALSE_TEXTS


def _number(value: Value) -> float | None:
    if isinstance(value, str):
        return number_of_text(value)
    if isinstance(value, bool):
        raise GrammarError("a truth value is no number")
    return value


def _text(value: Value, what: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise GrammarError(f"{what} takes a text, and this is a {'bool' if value in (True, False) else 'number'}")


def _lower(text: str) -> str:
    """Code point by code point, as DuckDB does: no final sigma, and ``İ`` is one ``i``."""
    return text.lower() if text.isascii() else "".join(c.lower()[0] for c in text)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _arith(op: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if op != "/":
        result: float = _ARITH[op](left, right)
        return result
    if right:
        return left / right
    infinite = math.copysign(math.inf, left) * math.copysign(1, right)
    return infinite if left and not math.isnan(left) else math.nan


def _compare(op: str, left: Value, right: Value) -> bool:  # noqa: PLR0911 - one return for each rule
    left, right = _finite(left), _finite(right)
    if left is None or right is None:
        return False
    if op == "!=":
        return not _compare("=", left, right)
    if op in ("~", "matches"):
        return _search(op, _text(left, op) or "", _text(right, op) or "")
    if isinstance(left, bool) or isinstance(right, bool):
        return bool(_ORDER[op](_truth(left) is True, _truth(right) is True))
    untyped = isinstance(left, Untyped) and isinstance(right, Untyped)
    if untyped or isinstance(left, float) or isinstance(right, float):
        one, two = _number(left), _number(right)
        if one is not None and two is not None:
            return bool(_ORDER[op](one, two))
        if not untyped:
            return False
    return bool(_ORDER[op](left, right))


def _search(op: str, text: str, pattern: str) -> bool:
    if op == "~":
        return _lower(pattern) in _lower(text)
    # RE2 itself, not Python's re: the two differ in what \w, $ and . mean, and re can take for ever.
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.match_substring_regex(pa.array([text]), pattern)[0].as_py())
    except pa.ArrowInvalid as failure:
        raise GrammarError(f"{pattern!r} is no RE2 expression: {failure}") from None


def _member(value: Value, items: list[Value], *, negated: bool) -> bool:
    found = any(_compare("=", value, item) for item in items)
    return _finite(value) is not None and not found if negated else found


def _between(value: Value, low: Value, high: Value, *, negated: bool) -> bool:
    inside = _compare(">=", value, low) and _compare("<=", value, high)
    return _finite(value) is not None and not inside if negated else inside


def _call(function: str, args: list[Reader]) -> Reader:
    takes, gives = FUNCTIONS[function]
    apply = FUNCTION_VALUE[function]

    def call(row: Row, metadata: Row) -> Value:
        values: list[float | str | None] = []
        for kind, arg in zip(takes, args, strict=True):
            value = arg(row, metadata)
            values.append(_number(value) if kind == "number" else _text(value, f"{function}()"))
        if function in ("min", "max"):
            values = [value for value in values if value is not None]
        if None in values or not values:
            return False if gives == "bool" else None
        return apply(*values)

    return call


def _round(value: float) -> float:
    if not math.isfinite(value):
        return value
    size = math.floor(abs(value))
    return math.copysign(size + (abs(value) - size >= 0.5), value)


def _rank(value: float) -> tuple[bool, float]:
    return math.isnan(value), value  # DuckDB holds NaN to be the greatest


FUNCTION_VALUE: dict[str, Callable[..., Value]] = {
    "len": lambda text: float(len(text)),
    "words": lambda text: float(len(_BLANKS.findall(text))),
    "lower": _lower,
    "language": language_of,
    "count": lambda text, part: float(text.count(part)),
    "number": lambda value: value,
    "abs": abs,
    "round": _round,
    "min": lambda *values: min(values, key=_rank),
    "max": lambda *values: max(values, key=_rank),
    "starts": lambda text, part: text.startswith(part),
    "ends": lambda text, part: text.endswith(part),
}
