"""The tree that an expression is parsed to, its functions, and its canonical text.

Pure data: no parsing, no SQL. ``grammar.py`` explains what each node means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from store.grammar_lexer import KEYWORDS, is_plain_word


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text or a truth value."""

    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or a metadata key where no such column is known (``meta``: a key for sure)."""

    name: str
    meta: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word to the right of a comparison or in a list: a column where one is known, else this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One of ``FUNCTIONS`` with its arguments."""

    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Arith:
    """``left op right``, op one of ``+ - * /``."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Negative:
    """``-operand``; a negative number is a Literal."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Compare:
    """``left op right``, op one of ``= != < <= > >= ~ matches``."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class In:
    """``operand [not] in (items)``."""

    operand: Expr
    items: tuple[Expr, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """``operand [not] between low and high``, both ends included."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """``operand is [not] null``: the operand is missing."""

    operand: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """``not operand``."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more items."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more items."""

    items: tuple[Expr, ...]


Expr = (
    Literal | Name | Word | Call | Arith | Negative | Compare | In | Between | IsNull | Not | And | Or
)  # fmt: skip
CONDITIONS = (Compare, In, Between, IsNull, Not, And, Or)

# To add a function: a line here, one in grammar_sql.FUNCTION_SQL and one in grammar_value.FUNCTION_VALUE.
# What each argument is (pattern: a text written out) and what comes back.
FUNCTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "len": (("text",), "number"),  # Unicode code points
    "words": (("text",), "number"),  # runs without blank, tab or line end
    "lower": (("text",), "text"),
    "language": (("text",), "text"),  # ISO 639-1; in a column derived at import only, as no SQL can tell it
    "count": (("text", "pattern"), "number"),  # occurrences that do not overlap
    "number": (("number",), "number"),  # a text read as a number; missing where it is none
    "abs": (("number",), "number"),
    "round": (("number",), "number"),  # half away from zero
    "min": (("number", "number"), "number"),
    "max": (("number", "number"), "number"),
    "starts": (("text", "pattern"), "bool"),
    "ends": (("text", "pattern"), "bool"),
}


def is_condition(expr: Expr) -> bool:
    """Whether ``expr`` is true or false by its form (a bare name is not: it is a value)."""
    return isinstance(expr, CONDITIONS) or (isinstance(expr, Call) and FUNCTIONS[expr.function][1] == "bool")


def children(expr: Expr) -> Iterator[Expr]:
    """The expressions directly inside ``expr``, left to right."""
    for field in fields(expr):
        value = getattr(expr, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if not isinstance(item, (str, int, float)):
                yield item


def depth(expr: Expr) -> int:
    """Nodes on the longest way from the root to a leaf; counted without recursion: trees may be hostile."""
    level, deep = [expr], 0
    while level:
        deep += 1
        level = [child for node in level for child in children(node)]
    return deep


def names(expr: Expr) -> frozenset[str]:
    """Every name that ``expr`` may read: names, ``meta.`` keys, and bare words (which may be columns).

    Bare words are in, so that who must not read a column cannot read it from the right-hand side.
    """
    found, queue = set(), [expr]
    while queue:
        node = queue.pop()
        if isinstance(node, Name):
            found.add(f"meta.{node.name}" if node.meta else node.name)
        elif isinstance(node, Word):
            found.add(node.text)
        queue.extend(children(node))
    return frozenset(found)


def read_names(expr: Expr) -> frozenset[str]:
    """Names that can only be columns or metadata keys (``names`` has bare words too, which may be text)."""
    found, queue = set(), [expr]
    while queue:
        node = queue.pop()
        if isinstance(node, Name):
            found.add(f"meta.{node.name}" if node.meta else node.name)
        queue.extend(children(node))
    return frozenset(found)


# How tightly each form binds when printed: or 1, and 2, not 3, comparisons 4, sums 5, products 6, minus 7.
_SUM, _PRODUCT, _MINUS, _LEAF = 5, 6, 7, 8


def to_text(expr: Expr) -> str:
    """The canonical text of ``expr``: ``parse(to_text(e)) == e``."""
    return _print(expr)[0]


def _print(expr: Expr) -> tuple[str, int]:  # noqa: PLR0911 - one return for each kind of node
    match expr:
        case Literal(value):
            return _literal(value), _LEAF
        case Word(text):
            return text, _LEAF
        case Name(name, meta):
            return _name(name, meta=meta), _LEAF
        case Call(function, args):
            return f"{function}({', '.join(to_text(arg) for arg in args)})", _LEAF
        case Negative(operand):
            return "-" + _within(operand, _MINUS), _MINUS
        case Arith(op, left, right):
            power = _SUM if op in "+-" else _PRODUCT
            return f"{_within(left, power)} {op} {_within(right, power + 1)}", power
        case Not(operand):
            return "not " + _within(operand, 3), 3
        case And(items):
            return " and ".join(_within(item, 3) for item in items), 2
        case Or(items):
            return " or ".join(_within(item, 2) for item in items), 1
        case _:
            return _print_comparison(expr), 4


def _print_comparison(expr: Compare | In | Between | IsNull) -> str:
    left = _within(expr.left if isinstance(expr, Compare) else expr.operand, _SUM)
    if isinstance(expr, Compare):
        return f"{left} {expr.op} {_right(expr.right)}"
    negated = "not " if expr.negated else ""
    if isinstance(expr, IsNull):
        return f"{left} is {negated}null"
    if isinstance(expr, In):
        return f"{left} {negated}in ({', '.join(_right(item) for item in expr.items)})"
    return f"{left} {negated}between {_right(expr.low)} and {_right(expr.high)}"


def _within(expr: Expr, least: int) -> str:
    text, power = _print(expr)
    return text if power >= least else f"({text})"


def _right(expr: Expr) -> str:
    """A name to the right needs parentheses, or it would be read back as a word."""
    if isinstance(expr, Name) and not expr.meta:
        return f"({_name(expr.name, meta=False)})"
    return _within(expr, _SUM)


def _literal(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _name(name: str, *, meta: bool) -> str:
    plain = is_plain_word(name) and "-" not in name and not name.startswith("meta.")
    if meta:
        plain = plain and is_plain_word(f"meta.{name}")
    text = name if plain and (meta or name.lower() not in KEYWORDS) else '"' + name.replace('"', '""') + '"'
    return f"meta.{text}" if meta else text
