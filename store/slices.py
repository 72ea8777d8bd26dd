"""Slices by name in a filter: ``slice = vip`` stands for the predicate that the contract or a reviewer gave that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from store import grammar
from store.errors import GrammarError
from store.grammar_tree import And, Compare, Expr, In, Literal, Name, Not, Or, Word
from store.rows import one_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

NAME = "slice"
DEEPEST = 8  # a slice may name others; a circle ends here
MOST_NODES = 1_000  # of what a filter says once its slices are written out


def named(cursor: DuckDBPyConnection, project: str) -> dict[str, str]:
    """The project's slices: those saved by people, and above them the contract's, which cannot be replaced."""
    saved = cursor.execute("select name, predicate from saved_slice where project = ?", [project]).fetchall()
    sql = "select contract->'gate'->'slice' from contract where project = ? order by version desc limit 1"
    contract = msgspec.json.decode(one_value(cursor, sql, [project]) or "[]") or []
    return dict(saved) | {one["name"]: one["where"] for one in contract}


def expanded(text: str, slices: Mapping[str, str]) -> str:
    """``text`` with every slice it names written out; a name that is no slice stays (it may be metadata).

    Raises GrammarError where slices name each other in a circle.

    >>> expanded("slice = vip and not reviewed", {"vip": "tier = gold or tier = vip"})
    '(tier = gold or tier = vip) and not reviewed'
    """
    if NAME not in text:
        return text
    return grammar.to_text(_expand(grammar.parse(text), slices, DEEPEST, [MOST_NODES]))


def _expand(expression: Expr, slices: Mapping[str, str], depth: int, left: list[int]) -> Expr:
    """``left``: how many nodes more may come, one number that all branches share."""
    left[0] -= 1
    if not depth:
        raise GrammarError("slices name each other in a circle", todo="Save one of them anew.")
    if left[0] < 0:
        raise GrammarError("the slices make too long a filter", todo="Name fewer of them.")
    match expression:
        case And(items):
            return And(tuple(_expand(item, slices, depth, left) for item in items))
        case Or(items):
            return Or(tuple(_expand(item, slices, depth, left) for item in items))
        case Not(operand):
            return Not(_expand(operand, slices, depth, left))
        case Compare("=" | "!=" as op, Name("slice", False), Literal(str(name)) | Word(name)) if (
            name in slices
        ):
            found = _expand(grammar.parse(slices[name]), slices, depth - 1, left)
            return found if op == "=" else Not(found)
        case In(Name("slice", False), items, negated):
            either = [_expand(Compare("=", Name(NAME), item), slices, depth, left) for item in items]
            found = either[0] if len(either) == 1 else Or(tuple(either))
            return Not(found) if negated else found
        case _:
            return expression
