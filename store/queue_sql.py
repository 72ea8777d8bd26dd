"""The SQL of queues: a filter and a sort over the columns of a kind, and the search behind ``/``.

What a blind queue may not name is refused by name, to the left and to the right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store import grammar
from store.errors import GrammarError, RuleError
from store.grammar import Column, Expr
from store.queue_kind import MINE, Kind, QueueSpec, View, tells
from store.queue_split import Split

Sql = tuple[str, list[Any]]
BLIND = "a blind queue cannot be filtered or sorted by {}"
LOW = (1 << 32) - 1
# What is stored of a sort's value ``v``, by its type: columns, and what they are.
_VALUES: dict[str, tuple[tuple[str, str], ...]] = {
    "number": (("k0 double", "v"),),
    "bool": (("k0 boolean", "v"),),
    "text": (("k0 varchar", "v"),),
    "drawn": (("k0 bigint", "v"),),
    "any": (  # metadata: numbers by size first, then what is text
        ("k0 double", "try_cast(v as double)"),
        ("k1 varchar", "case when try_cast(v as double) is null then v end"),
    ),
}
# What a reviewer without a verdict has given: nothing, and no id need be read to find that out.
NOTHING_MINE = (
    "left join (select null::varchar subject, null::varchar verdict, null::integer reason) m on false"
)
OPEN_IT = "It would tell the source before the verdict. Open the queue unblinded; the record will say so."


def members(view: View, kind: Kind, table: str, mine: str | None) -> Sql:
    """Statement that stores (key, other, judged) of all members in order as ``table``; a row's number is its position.

    ``other`` only where the kind has one. ``mine``: table of the caller's own verdicts, where there are any.
    Raises GrammarError and RuleError.
    """
    where, values = _filter(view.spec, kind)
    order, order_values = _order(view.spec, kind)
    source, judged = _source(view.spec, kind, mine, f"{where} {order}")
    sql = (
        f"create table {table} as select {_keys(kind)}, judged from"  # noqa: S608 - names of ours; values are bound
        f" (select {kind.keys}, {judged} {source} and {where} order by {order}) as m(key, other, judged)"
    )
    return sql, [*kind.values(view), *values, *order_values]


@dataclass(frozen=True, slots=True)
class Stored:
    """How a long list is stored part by part: columns, what fills them, the order of what was filled.

    ``keys``: the columns that a queue is made of in the end. ``order`` is empty where rows come in order.
    ``fill`` ends in the bounds of a part where it is ``parted``.
    """

    columns: str
    keys: str
    fill: Sql
    order: str
    parted: bool


def stored(view: View, kind: Kind, split: Split, mine: str | None) -> Stored:
    """What ``members`` stores, without one statement for it all.

    A sort's values are stored beside the keys first: each is found once, and a row to be sorted is short.
    """
    where, values = _filter(view.spec, kind)
    by = _sorted_by(view.spec, kind)
    used = f"{where} {by.sql if by else ''} {kind.ties}"
    source, judged = _source(view.spec, kind, mine, used)
    parted = split.join in source and "(select" not in used  # what looks up each row is better asked once
    source = f"{source} and {where}{f' and {split.within}' if parted else ''}"
    sorting = [(column, sql, f"{by.direction} nulls last") for column, sql in _VALUES[by.type]] if by else []
    sorting += [(column, column.split()[0], "") for column, _ in kind.ties]
    inner = ", ".join([kind.keys, judged, by.sql if by else "null", *(sql for _, sql in kind.ties)])
    names = ", ".join(["key, other, judged, v", *(column.split()[0] for column, _ in kind.ties)])
    shown = ", ".join([*(sql for _, sql, _ in sorting), _keys(kind), "judged"])
    fill = f"select {shown} from (select {inner} {source}{'' if sorting else f' order by {kind.order}'}) as m({names})"  # noqa: S608 - names of ours; values are bound
    bound = [*(by.values if by else []), *kind.values(view), *values]
    columns = [*(column for column, _, _ in sorting), _keys(kind, " bigint"), "judged boolean"]
    order = [f"{column.split()[0]} {how}" for column, _, how in sorting]
    return Stored(
        ", ".join(columns), _keys(kind), (fill, bound), ", ".join([*order, "key"]) if order else "", parted
    )


def _keys(kind: Kind, type_: str = "") -> str:
    return f"key{type_}" if lone(kind) else f"key{type_}, other{type_}"


def _source(spec: QueueSpec, kind: Kind, mine: str | None, used: str) -> tuple[str, str]:
    """A kind's source with as few joins as do, and the SQL of whether the caller has judged a member."""
    if mine:
        joined, judged = f"left join {mine} m on m.subject = {kind.subject}", "m.subject is not null"
    else:
        joined, judged = NOTHING_MINE if asks_mine(spec) else "", "false"
    return _needed(kind, f"{used} {joined}").replace("{mine}", joined), judged


def positions(kind: Kind, table: str, view: str) -> str:
    """Statement that shows what ``members`` stored as (pos, key, other)."""
    other = "null::bigint as other" if lone(kind) else "other"
    return f"create view {view} as select rowid as pos, key, {other} from {table}"  # noqa: S608 - our names


def lone(kind: Kind) -> bool:
    """Whether a member is one key."""
    return kind.keys.endswith(", null::bigint")


def _needed(kind: Kind, used: str) -> str:
    """A kind's source without the joins that are to spare, where nothing of them is used."""
    source = kind.source
    for join, name in kind.spare:
        rest = source.replace(join, "", 1)
        source = source if re.search(rf"\b{name}\.", f"{rest} {kind.keys} {used}") else rest
    return source


def count(view: View, kind: Kind, split: Split | None = None) -> tuple[Sql, bool]:
    """Statement that counts the members of a queue that does not ask for the caller's own verdicts.

    Of a part of them, should they come in parts: then True is said, and the bounds are missing.
    """
    where, values = _filter(view.spec, kind)
    source = _needed(kind, where).replace("{mine}", "")
    parted = split is not None and split.join in source and "(select" not in where
    sql = f"select count(*) {source} and {where}{f' and {split.within}' if split and parted else ''}"
    return (sql, [*kind.values(view), *values]), parted


def values(view: View, kind: Kind, expressions: list[str], split: Split | None = None) -> tuple[Sql, bool]:
    """Statement for (key, subject, e0, e1, …) of all members, in order; every value as text.

    Of a part of them, should they come in parts: then True is said, and the bounds are missing.
    """
    spec, shown, bound = view.spec, [], []
    for text in (spec.filter, *expressions):
        if text.strip() and (mine := sorted(grammar.names(grammar.parse(text)) & MINE.keys())):
            raise RuleError(
                f"{mine[0]!r} speaks of your own verdicts, which others do not share",
                todo="Name what all have.",
            )
    for i, text in enumerate(expressions):
        expression = grammar.parse(text)
        columns = _columns(expression, spec, kind)
        sql, more, _ = grammar.compile_value(expression, columns.get, metadata=kind.metadata or "'{}'")
        shown.append(f"({sql})::varchar as e{i}")
        bound += more
    where, filtered = _filter(spec, kind)
    order, ordered = _order(spec, kind)
    source = kind.source.replace("{mine}", "")
    used = f"{where} {order} {' '.join(shown)}"  # what looks up each row is better asked once
    parted = split is not None and split.join in source and order == kind.order and "(select" not in used
    where += f" and {split.within}" if split is not None and parted else ""
    sql = (
        f"select key, {', '.join(['subject', *(f'e{i}' for i in range(len(shown)))])} from (select {kind.keys.split(',')[0]} as key,"  # noqa: S608 - names of ours; values are bound
        f" {', '.join([f'{kind.subject} as subject', *shown])} {source} and {where} order by {order})"
    )
    return (sql, [*bound, *kind.values(view), *filtered, *ordered]), parted


def refuse_telling(spec: QueueSpec, models: Iterable[str]) -> None:
    """Raise RuleError where a blind queue's filter or sort names metadata that names a model."""
    refuse_telling_in((spec.filter, _sort(spec)[0]), models)


def refuse_telling_in(texts: Iterable[str], models: Iterable[str]) -> None:
    """The same of any expressions."""
    for text in texts:
        named = grammar.names(grammar.parse(text)) if text.strip() else frozenset()
        if telling := sorted(name for name in named if tells(name, models)):
            raise RuleError(BLIND.format(telling[0]), todo=OPEN_IT)


def asks_mine(spec: QueueSpec) -> bool:
    """Whether filter or sort speak of the caller's own verdicts."""
    texts = [spec.filter, _sort(spec)[0]]
    return any(grammar.names(grammar.parse(text)) & MINE.keys() for text in texts if text.strip())


def _filter(spec: QueueSpec, kind: Kind) -> Sql:
    if not spec.filter.strip():
        return "true", []
    expression = grammar.parse(spec.filter)
    columns = _columns(expression, spec, kind)
    return grammar.compile_sql(expression, columns.get, metadata=kind.metadata or "'{}'")


def _sort(spec: QueueSpec) -> tuple[str, str]:
    text = spec.sort.strip()
    head, _, direction = text.rpartition(" ")
    return (head, direction) if direction in ("asc", "desc") and head else (text, "asc")


@dataclass(frozen=True, slots=True)
class _SortedBy:
    """What a queue is sorted by, before its kind's own order: SQL, its values, the type of what it gives."""

    sql: str
    values: list[Any]
    type: str
    direction: str


def _sorted_by(spec: QueueSpec, kind: Kind) -> _SortedBy | None:
    text, direction = _sort(spec)
    if text:
        expression = grammar.parse(text)
        columns = _columns(expression, spec, kind)
        sql, values, type_ = grammar.compile_value(expression, columns.get, metadata=kind.metadata or "'{}'")
        return _SortedBy(sql, values, type_, direction)
    if spec.seed and kind.drawn:
        return _SortedBy(_shuffled(kind.keys.split(",")[0], spec.seed), [], "drawn", "asc")
    return None


def _order(spec: QueueSpec, kind: Kind) -> Sql:
    by = _sorted_by(spec, kind)
    if by is None:
        return kind.order, []
    if by.type == "any":  # metadata: numbers by size first, then what is text
        number = f"try_cast({by.sql} as double)"
        text = f"case when {number} is null then {by.sql} end"
        order = f"{number} {by.direction} nulls last, {text} {by.direction} nulls last, {kind.order}"
        return order, by.values * 3
    return f"{by.sql} {by.direction} nulls last, {kind.order}", by.values


def _shuffled(key: str, seed: int) -> str:
    """A number in 0 … 2**32 - 1 that orders keys at random: Murmur3's way of mixing bits, in 64-bit arithmetic.

    MD5 would take 7 s of processor time for 10 million keys, this 0.1. No audit rests on it: a plan's draw is stored.
    """
    x = f"(xor({key} & {LOW}, ({key} >> 32) * 668265263 + {seed * 374761393 & LOW}) & {LOW})"
    for multiplier in (1597334677, 1566083941):  # below 2**31, so that no product overflows
        x = f"(xor({x}, {x} >> 15) * {multiplier} & {LOW})"
    return f"xor({x}, {x} >> 16)"


def _columns(expression: Expr, spec: QueueSpec, kind: Kind) -> dict[str, Column]:
    """The columns that ``expression`` may name; raises where it names another."""
    hidden = sorted(grammar.names(expression) & kind.open_columns.keys()) if spec.blind else []
    if hidden:
        raise RuleError(BLIND.format(", ".join(hidden)), todo=OPEN_IT)
    columns = dict(kind.columns) | ({} if spec.blind else dict(kind.open_columns))
    unknown = sorted(grammar.read_names(expression) - columns.keys()) if kind.metadata is None else []
    if unknown:
        raise GrammarError(f"no column {unknown[0]!r}", todo="Columns: " + ", ".join(sorted(columns)))
    return columns


def search(kind: Kind, source: str, best: str, found: str) -> str:
    """Statement: the min, max or list of ``pos`` of ``source`` whose texts are ``found``; source's values come first."""
    return kind.search.sql.format(source=source, best=best, found=found)


def substring(kind: Kind, text: str) -> Sql:
    """Condition: ``text`` is in one of the texts, whatever the case."""
    found = " or ".join(f"contains(lower({column}), lower(?))" for column in kind.search.texts)
    return found, [text] * len(kind.search.texts)
