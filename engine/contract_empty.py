"""Predicates that nothing can ever meet: ``a = 1 and a = 2``, ``len(prompt) > 5 and len(prompt) < 3``.

A conjunction is split into groups of conditions on one operand each. Whether a group can be met is tried out, with
the grammar's own evaluator, on values that stand for all others: every constant, what lies just beside and between
them, a text that is none of them, and no value at all. So what is called empty is empty. What a regular expression
or a comparison of two columns rules out is not looked for: of those nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, product

from store import grammar
from store.grammar_tree import (
    And,
    Between,
    Call,
    Compare,
    Expr,
    In,
    IsNull,
    Literal,
    Name,
    Not,
    Or,
    Word,
    children,
    is_condition,
)
from store.mapping import SOURCES, SPLITS

COLUMNS: dict[str, frozenset[str]] = {  # of an arrival; their values where there are few
    "prompt": frozenset(), "text": frozenset(), "reference": frozenset(), "source": SOURCES, "split": SPLITS,
    "script": frozenset(),
}  # fmt: skip
COUNTING = ("len", "words", "count")  # whole numbers from 0 on
MOST_BRANCHES = 64  # ways through the "or"s of a predicate that are tried
OPERAND = "x"  # what stands for the operand while values are tried
UNLIKE = "\U0010ffff"  # after every text that anybody writes
BESIDE = "\x00"  # behind a text: the next one


def contradiction(predicate: str, slices: Mapping[str, str] | None = None) -> str:
    """The conditions that cannot hold together, "" where none is seen. Raises GrammarError for what does not parse.

    >>> contradiction("tier = gold and len(prompt) > 5 and len(prompt) < 3")
    'len(prompt) > 5 and len(prompt) < 3'
    >>> contradiction("source = prod"), contradiction("tier = gold or tier = silver")
    ('source = prod', '')
    """
    from store.slices import expanded

    if not predicate.strip():
        return ""
    whole = grammar.parse(expanded(predicate, slices or {}))
    found = ""
    for branch in _branches(_inside(whole)):
        found = _clash(branch)
        if not found:
            return ""
    return found


def _inside(expr: Expr, *, negated: bool = False) -> Expr:
    """``expr`` with its nots moved inwards: truth has two values here, so De Morgan's laws hold."""
    match expr:
        case Not(operand):
            return _inside(operand, negated=not negated)
        case And(items) | Or(items):
            parts = tuple(_inside(item, negated=negated) for item in items)
            return And(parts) if isinstance(expr, And) is not negated else Or(parts)
        case _:
            return Not(expr) if negated else expr


def _branches(expr: Expr) -> Iterator[list[Expr]]:
    """Every way to meet ``expr``, as conditions that must hold together; the first ``MOST_BRANCHES``, then nothing known."""
    for count, branch in enumerate(_ways(expr), 1):
        yield branch if count <= MOST_BRANCHES else []
        if count > MOST_BRANCHES:
            return


def _ways(expr: Expr) -> Iterator[list[Expr]]:
    match expr:
        case And(items):
            for parts in product(*(tuple(_limited(item)) for item in items)):
                yield [one for part in parts for one in part]
        case Or(items):
            for item in items:
                yield from _ways(item)
        case _:
            yield [expr]


def _limited(expr: Expr) -> Iterator[list[Expr]]:
    for number, way in enumerate(_ways(expr)):
        if number == MOST_BRANCHES:  # one more that rules nothing out
            yield []
            return
        yield way


def _clash(conditions: Iterable[Expr]) -> str:
    """The conditions on one operand that no value of it meets, as text."""
    groups: dict[Expr, list[Expr]] = {}
    for condition in conditions:
        operand = _operand(condition)
        if operand is not None:
            groups.setdefault(operand, []).append(condition)
    for operand, group in groups.items():
        if not _possible(operand, group):
            return " and ".join(grammar.to_text(one) for one in dict.fromkeys(group))
    return ""


def _operand(condition: Expr) -> Expr | None:
    """What a condition asks a value of, None where it compares with more than constants."""
    inner = condition.operand if isinstance(condition, Not) else condition
    constants: tuple[Expr, ...]
    match inner:
        case Compare(op, left, right):
            if op in ("~", "matches"):
                return None
            operand, constants = left, (right,)
        case In(left, items):
            operand, constants = left, items
        case Between(left, low, high):
            operand, constants = left, (low, high)
        case IsNull(left):
            operand, constants = left, ()
        case Name():
            operand, constants = inner, ()
        case _:
            return None
    known = all(
        isinstance(one, Literal) or (isinstance(one, Word) and one.text not in COLUMNS) for one in constants
    )
    asks = not is_condition(operand) and any(isinstance(node, Name) for node in _nodes(operand))
    return operand if known and asks else None


def _nodes(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from _nodes(child)


def _possible(operand: Expr, group: list[Expr]) -> bool:
    """Whether some value of the operand meets every condition of the group."""
    values = _candidates(operand, group)
    if values is None:
        return True
    rule = And(tuple(_asking(one) for one in group)) if len(group) > 1 else _asking(group[0])
    typed = not isinstance(operand, Name) or (operand.name in COLUMNS and not operand.meta)
    for value in values:
        row, metadata = ({OPERAND: value}, {}) if typed else ({}, {OPERAND: value})
        if grammar.holds(rule, row, metadata):
            return True
    return False


def _asking(condition: Expr) -> Expr:
    """The same condition of ``OPERAND``."""
    it = Name(OPERAND)
    match condition:
        case Not(operand):
            return Not(_asking(operand))
        case Compare(op, _, right):
            return Compare(op, it, right)
        case In(_, items, negated):
            return In(it, items, negated)
        case Between(_, low, high, negated):
            return Between(it, low, high, negated)
        case IsNull(_, negated):
            return IsNull(it, negated)
        case _:
            return it


def _candidates(operand: Expr, group: list[Expr]) -> list[str | float | None] | None:
    """Values that stand for all that the operand can have; None where none do."""
    constants = [one for condition in group for one in _nodes(condition) if isinstance(one, Literal | Word)]
    numbers = sorted(
        {
            float(one.value)
            for one in constants
            if isinstance(one, Literal) and type(one.value) in (int, float)
        }
    )
    texts = sorted({one.text if isinstance(one, Word) else str(one.value) for one in constants
                    if isinstance(one, Word) or isinstance(one.value, str)})  # fmt: skip
    if numbers and texts and any(_orders(condition) for condition in group):
        return None  # by code point and by size at once: no few values stand for all
    few = (
        COLUMNS.get(operand.name, frozenset())
        if isinstance(operand, Name) and not operand.meta
        else frozenset()
    )
    if few:
        return [*sorted(few)]
    sizes = _sizes(numbers)
    if isinstance(operand, Name):
        near = [near for text in texts for near in (text, text + BESIDE)]
        written = [_spelled(size, zeros) for size in sizes for zeros in range(len(texts) + 1)]
        return [None, "", UNLIKE, "yes", "no", "true", "false", "0", "1", *near, *written]
    if isinstance(operand, Call) and operand.function in COUNTING:
        whole = {float(int(size)) + step for size in sizes for step in (-1, 0, 1)}
        return [None, *sorted(size for size in whole | {0.0, 1.0} if size >= 0)]
    if isinstance(operand, Call) and operand.function in ("lower", "language"):
        return None  # texts of few forms
    return [None, 0.0, 1.0, *sizes]


def _spelled(size: float, zeros: int) -> str:
    """One of the many texts that are this number: 5, 05, 005."""
    text = repr(abs(size)).removesuffix(".0")
    return ("-" if size < 0 else "") + "0" * zeros + text


def _sizes(numbers: list[float]) -> list[float]:
    """Every number, one between each two, one below and one above all."""
    if not numbers:
        return []
    between = [(low + high) / 2 for low, high in pairwise(numbers)]
    return [numbers[0] - 1, *numbers, *between, numbers[-1] + 1]


def _orders(condition: Expr) -> bool:
    inner = condition.operand if isinstance(condition, Not) else condition
    return isinstance(inner, Between) or (isinstance(inner, Compare) and inner.op in ("<", "<=", ">", ">="))
