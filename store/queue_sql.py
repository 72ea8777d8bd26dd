"""The SQL of queues: a filter and a sort over the columns of a kind, and the search behind ``/``.

What a blind queue may not name is refused by name, to the left and to the right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from store import grammar
from store.errors import GrammarError, RuleError
from store.grammar import Column, Expr
from store.queue_kind import MINE, Kind, QueueSpec, View, tells

Sql = tuple[str, list[Any]]
BLIND = "a blind queue cannot be filtered or sorted by {}"
LOW = (1 << 32) - 1
# What a reviewer without a verdict has given: nothing, and no id need be read to find that out.
NOTHING_MINE = (
    "left join (select null::varchar subject, null::varchar verdict, null::integer reason) m on false"
)
ARRIVAL = " join arrival a using (arrival_key)"  # as kinds write it
OPEN_IT = "It would tell the source before the verdict. Open the queue unblinded; the record will say so."


def members(view: View, kind: Kind, table: str, mine: str | None) -> Sql:
    """Statement that stores (key, other, judged) of all members in order as ``table``; a row's number is its position.

    ``other`` only where the kind has one. ``mine``: table of the caller's own verdicts, where there are any.
    Raises GrammarError and RuleError.
    """
    spec = view.spec
    where, values = _filter(spec, kind)
    order, order_values = _order(spec, kind)
    joined = f"left join {mine} m on m.subject = {kind.subject}" if mine else ""
    if not mine and asks_mine(spec):
        joined = NOTHING_MINE
    judged = "m.subject is not null" if mine else "false"
    source = _needed(kind.source, f"{where} {order}").replace("{mine}", joined)
    named = "key, judged" if lone(kind) else "key, other, judged"
    sql = (
        f"create table {table} as select {named} from"  # noqa: S608 - names of ours; values are bound
        f" (select {kind.keys}, {judged} {source} and {where} order by {order}) as m(key, other, judged)"
    )
    return sql, [*kind.values(view), *values, *order_values]


def positions(kind: Kind, table: str, view: str) -> str:
    """Statement that shows what ``members`` stored as (pos, key, other)."""
    other = "null::bigint as other" if lone(kind) else "other"
    return f"create view {view} as select rowid as pos, key, {other} from {table}"  # noqa: S608 - our names


def lone(kind: Kind) -> bool:
    """Whether a member is one key."""
    return kind.keys.endswith(", null::bigint")


def _needed(source: str, used: str) -> str:
    """``source`` without the join of arrivals where nothing of them is used: every output has its arrival.

    >>> _needed("from output o join arrival a using (arrival_key) where o.model = ?", "o.tokens_out > 4")
    'from output o where o.model = ?'
    """
    rest = source.replace(ARRIVAL, "", 1)
    return source if re.search(r"\ba\.", rest + used) else rest


def count(view: View, kind: Kind) -> Sql:
    """Statement that counts the members of a queue that does not ask for the caller's own verdicts."""
    where, values = _filter(view.spec, kind)
    source = _needed(kind.source, where).replace("{mine}", "")
    return f"select count(*) {source} and {where}", [*kind.values(view), *values]


def values(view: View, kind: Kind, expressions: list[str]) -> Sql:
    """Statement for (key, subject, e0, e1, …) of all members, in order; every value as text."""
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
    sql = (
        f"select key, {', '.join(['subject', *(f'e{i}' for i in range(len(shown)))])} from (select {kind.keys.split(',')[0]} as key,"  # noqa: S608 - names of ours; values are bound
        f" {', '.join([f'{kind.subject} as subject', *shown])} {source} and {where} order by {order})"
    )
    return sql, [*bound, *kind.values(view), *filtered, *ordered]


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


def _order(spec: QueueSpec, kind: Kind) -> Sql:
    text, direction = _sort(spec)
    if text:
        expression = grammar.parse(text)
        columns = _columns(expression, spec, kind)
        sql, values, type_ = grammar.compile_value(expression, columns.get, metadata=kind.metadata or "'{}'")
        if type_ == "any":  # metadata: numbers by size first, then what is text
            number = f"try_cast({sql} as double)"
            text = f"case when {number} is null then {sql} end"
            return f"{number} {direction} nulls last, {text} {direction} nulls last, {kind.order}", values * 3
        return f"{sql} {direction} nulls last, {kind.order}", values
    if spec.seed and kind.drawn:
        return f"{_shuffled(kind.keys.split(',')[0], spec.seed)}, {kind.order}", []
    return kind.order, []


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
