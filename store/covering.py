"""Buckets of arrivals, counted where the data is: values of a few expressions, numbers cut at edges.

One statement either groups (counts per bucket) or gives every arrival's bucket (``rows``), so that the report, the
freeze and a drill into a bucket agree.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from store import grammar
from store.difficulty import OF_PROMPTS
from store.query import BULK_ROWS, arrival_columns
from store.queue_operations import refuse_while_blind
from store.session import Bulk, Session
from store.wire import MAX_AXES

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Axis(msgspec.Struct, frozen=True):
    """A dimension: an expression of the filter grammar and, for a number, ascending edges."""

    expression: str
    edges: Annotated[tuple[float, ...], msgspec.Meta(max_length=200)] = ()


def cover(
    session: Session,
    *,
    project: Name,
    axes: Annotated[list[Axis], msgspec.Meta(min_length=1, max_length=MAX_AXES)],
    split: str = "",
    evaluation: str = "",
    model: str = "",
    rows: bool = False,
) -> Bulk:
    """Counts per bucket as Arrow: axis 0, axis 1, …, have, clean, production, evaluation. ``rows``: one row per arrival
    (arrival_key first), the counts then being booleans.

    ``split``: arrivals that are the data ("": all); ``evaluation``: run that froze the evaluation set; ``model``: whose
    outputs must pass their checks to be clean. An axis is text, or, with edges, the number of its bin from 0; null where
    the arrival has no value. Axes may name ``output`` (the model's first answer to the prompt) and what ``store.difficulty``
    tells. Raises GrammarError for an expression.
    """
    if model:
        refuse_while_blind(session, "coverage")
    values, bound, binned = [], [], []
    used: set[str] = set()
    for i, axis in enumerate(axes):
        sql, more = _value(axis, used)
        values.append(f"{sql} as v{i}")
        bound += more
        binned.append(f'{_bin(f"v{i}", axis.edges)} as "axis {i}"')
    raw = (
        f"select a.arrival_key, {', '.join(values)}, a.split = coalesce(nullif(?, ''), a.split) as have,"  # noqa: S608 - names of ours; values are bound
        " a.arrival_key not in (select arrival_key from dirty) as fine, a.source = 'production' as production,"
        f" a.arrival_key in (select arrival_key from test) as evaluation from arrivals a {_joined(used)} where a.project = ?"
    )
    placed = f"select arrival_key, {', '.join(binned)}, have, fine, production, evaluation from raw"  # noqa: S608
    names = ", ".join(f'"axis {i}"' for i in range(len(axes)))
    counts = ", ".join(f"count(*) filter (where {test}) as {name}" for name, test in _COUNTS.items())
    outer = (
        f"select arrival_key, {names}, have, have and fine as clean, production, evaluation from placed order by arrival_key"  # noqa: S608
        if rows
        else f"select {names}, {counts} from placed group by {names} order by {names}"  # noqa: S608
    )
    said, asked = _said(used, project, model)
    sql = f"with dirty as ({_DIRTY}), test as ({_TEST}){said}, raw as ({raw}), placed as ({placed}) {outer}"
    found = session.cursor.execute(
        sql, [project, project, model, project, evaluation, *asked, *bound, split, project]
    )
    return Bulk(found.to_arrow_reader(BULK_ROWS))


_COUNTS = {"have": "have", "clean": "have and fine", "production": "production", "evaluation": "evaluation"}
_DIRTY = """
    select distinct o.arrival_key from (
        select output_key, passed from check_results where project = ?
        qualify row_number() over (partition by output_key, name order by check_key desc) = 1) c
    join outputs o on o.output_key = c.output_key where not c.passed and o.project = ? and o.model = ?
"""
_TEST = "select arrival_key from set_members where project = ? and run_id = ?"


def _value(axis: Axis, used: set[str]) -> tuple[str, list[Any]]:
    """SQL and parameters of an axis' value: a number where it has edges, else text. Names told of answers join ``used``."""
    expression = grammar.parse(f"number({axis.expression})" if axis.edges else axis.expression)
    columns = arrival_columns("a") | {
        name: grammar.Column(f"of_{name}.{name}", kind) for name, (kind, _) in OF_PROMPTS.items()
    }
    used |= grammar.names(expression) & OF_PROMPTS.keys()
    sql, bound, _ = grammar.compile_value(expression, columns.get, metadata="a.metadata")
    return (f"({sql})" if axis.edges else f"({sql})::varchar"), list(bound)


def _joined(used: set[str]) -> str:
    """Joins of what the teacher's answers tell of prompts."""
    return " ".join(f"left join of_{name} using (prompt_id)" for name in sorted(used))


def _said(used: set[str], project: str, model: str) -> tuple[str, list[str]]:
    """The queries that ``_joined`` names, each after a comma, and their parameters."""
    queries = {name: OF_PROMPTS[name][1] for name in sorted(used)}
    bound = [one for sql in queries.values() for one in (project, model) * (sql.count("= ?") // 2)]
    return "".join(f", of_{name} as ({sql})" for name, sql in queries.items()), bound


def _bin(value: str, edges: tuple[float, ...]) -> str:
    """SQL of the bin that a value falls into: how many edges it has reached."""
    if not edges:
        return value
    return f"case when {value} is not null then {' + '.join(f'({value} >= {float(e)!r}::double)::smallint' for e in edges)} end"
