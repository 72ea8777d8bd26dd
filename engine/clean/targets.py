"""How many samples are wanted in a bucket: one number for each, and others for those that a filter over their values finds.

A filter reads a bucket's labels: ``tier = vip: 200``, or, by a quoted name, ``"len(prompt)" = '80 to 200': 50``. Of
several that fit the last one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.clean.coverage import NONE, Dimension, labels_of
from store import grammar
from store.errors import InputError
from store.grammar_tree import And, Compare, Expr, Literal, Name, Word


@dataclass(frozen=True, slots=True)
class Target:
    """``samples`` wanted in every bucket that ``where`` finds ("": in each)."""

    where: str
    samples: int


def parse_target(text: str) -> Target:
    """Read ``N`` or ``FILTER: N``. Raises InputError.

    >>> parse_target("50"), parse_target("tier = vip: 200")
    (Target(where='', samples=50), Target(where='tier = vip', samples=200))
    """
    where, _, number = text.rpartition(":")
    if not number.strip().isdigit():
        raise InputError("a target is no number of samples", where=text, todo="Write: 50, or tier = vip: 200")
    if where.strip():
        grammar.parse(where)
    return Target(where.strip(), int(number))


def wanted(targets: Sequence[Target], cell: Mapping[str, str]) -> int:
    """Samples wanted in a bucket; ``cell``: label by expression.

    >>> some = [Target("", 5), Target("tier = vip", 200)]
    >>> wanted(some, {"tier": "vip"}), wanted(some, {"tier": "basic"}), wanted([], {"tier": "vip"})
    (200, 5, 0)
    """
    known = {name: label for name, label in cell.items() if label != NONE}
    fitting = (t.samples for t in reversed(targets) if not t.where or _holds(t.where, known))
    return next(fitting, 0)


def _holds(where: str, cell: Mapping[str, str]) -> bool:
    return grammar.holds(grammar.parse(where), {}, cell)


def named(target: Target, dimensions: Sequence[Dimension]) -> tuple[str, ...] | None:
    """The one bucket that a target names by a value for every dimension, which is a bucket even where nobody saw it.

    >>> named(Target("tier = vip and lang = de", 9), [Dimension("lang"), Dimension("tier")])
    ('de', 'vip')
    >>> named(Target("tier = vip", 9), [Dimension("lang"), Dimension("tier")]) is None
    True
    """
    if not target.where:
        return None
    tree = grammar.parse(target.where)
    said = dict(_equal(item) for item in (tree.items if isinstance(tree, And) else (tree,)))
    values = tuple(said.get(d.expression, "") for d in dimensions)
    there = all(v and (not d.edges or v in labels_of(d)) for v, d in zip(values, dimensions, strict=True))
    return values if there and len(said) == len(dimensions) else None


def _equal(item: Expr) -> tuple[str, str]:
    match item:
        case Compare("=", Name(name, _), Literal(str(value)) | Word(value)):
            return name, value
    return "", ""


def refuse_idle(targets: Sequence[Target], cells: Sequence[Mapping[str, str]]) -> None:
    """Raise InputError for a target that no bucket fits: a slip in it would ask for nothing."""
    for target in targets:
        if target.where and not any(
            _holds(target.where, {k: v for k, v in c.items() if v != NONE}) for c in cells
        ):
            names = ", ".join(cells[0]) if cells else "none"
            raise InputError(
                "no bucket fits the target", where=target.where, todo=f"A bucket has values of: {names}"
            )
