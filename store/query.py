"""SQL that is not one of the fixed questions: a client's own SELECT, slice counts, the rows of a run.

A client's SQL cannot write or leave: one statement, of type SELECT, inside a read-only transaction (the
type alone is not enough: a DELETE hidden in a WITH has type SELECT), functions that act are refused, and it
is interrupted at its time limit. The instance itself was opened without access to files or extensions.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from store import grammar, records
from store.errors import InputError, RuleError
from store.grammar import Column
from store.rows import one_row, one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Functions that change state or hide a statement in a string, whatever the transaction.
REFUSED_FUNCTIONS = frozenset(
    {"checkpoint", "force_checkpoint", "query", "query_table", "nextval", "setseed"}
)
MAX_ROWS = 1_000_000
BULK_ROWS = 20_000  # of an Arrow frame


def client_sql(connection: DuckDBPyConnection, text: str, *, limit: int, seconds: float) -> dict[str, Any]:
    """Columns and rows (at most ``limit``) of one SELECT; ``more`` when there were further rows.

    Raises RuleError for anything that is not a harmless SELECT, InputError when DuckDB refuses it.
    """
    cursor = connection.cursor()
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    try:
        _refuse_unless_select(cursor, text)
        cursor.execute("begin transaction read only")
        timer.start()
        cursor.execute(text)
        names = [column[0] for column in cursor.description or []]
        rows = cursor.fetchmany(min(limit, MAX_ROWS) + 1)
    except duckdb.InterruptException as error:
        raise RuleError(
            f"took longer than {seconds:g} s and was stopped", todo="Narrow it, or raise --seconds."
        ) from error
    except duckdb.TransactionException as error:
        raise RuleError("would write to the store", todo="Only SELECT is allowed here.") from error
    except duckdb.Error as error:
        raise InputError(f"SQL: {error}") from error
    finally:
        timer.cancel()
        cursor.close()
    return {
        "columns": names,
        "rows": [[_plain(v) for v in row] for row in rows[:limit]],
        "more": len(rows) > limit,
    }


def _refuse_unless_select(cursor: DuckDBPyConnection, text: str) -> None:
    try:
        statements = cursor.extract_statements(text)
    except duckdb.Error as error:
        raise InputError(f"SQL: {error}") from error
    if len(statements) != 1:
        raise RuleError(f"{len(statements)} statements where one is due", todo="Send one SELECT.")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise RuleError(f"{statements[0].type.name} is not allowed", todo="Only SELECT is allowed here.")
    tree = msgspec.json.decode(one_value(cursor, "select json_serialize_sql(?::varchar)", [text]) or "{}")
    if not tree.get("error"):
        called = set(_functions(tree))
        if bad := sorted(called & REFUSED_FUNCTIONS):
            raise RuleError(f"{bad[0]}() is not allowed here")
    elif any(f"{name}(" in text.lower().replace(" ", "") for name in REFUSED_FUNCTIONS):
        raise RuleError("the statement cannot be inspected and names a function that is not allowed")


def _functions(node: object) -> list[str]:
    """Names of all functions in a serialised statement; iterative, since trees can be deep."""
    found, todo = [], [node]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            if isinstance(name := here.get("function_name"), str):
                found.append(name.lower())
            todo += here.values()
        elif isinstance(here, list):
            todo += here
    return found


def _plain(value: object) -> object:
    """A value that JSON and msgpack can carry."""
    if value is None or isinstance(value, bool | float | str | bytes):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)


def run_rows(cursor: DuckDBPyConnection, run_no: int, table: str, columns: list[str]) -> Any:
    """Arrow reader over a run's rows of one table, in stored order."""
    if table not in records.ARTIFACTS or not set(columns) <= set(records.columns_of(table)):
        raise InputError(f"no such artifact columns: {table} {columns}")
    names, key = ", ".join(columns), records.key_column(table)
    sql = f"select {names} from {table} where run_no = ? order by {key}"  # noqa: S608 - names checked above
    return cursor.sql(sql, params=[run_no]).to_arrow_reader(BULK_ROWS)


def arrival_columns(prefix: str) -> dict[str, Column]:
    """What a slice predicate may name besides metadata keys."""
    return {
        name: Column(f"{prefix}.{column}", "text")
        for name, column in (
            ("prompt", "text"), ("text", "text"), ("reference", "reference"), ("split", "split"), ("source", "source"),
        )
    }  # fmt: skip


def slice_counts(
    cursor: DuckDBPyConnection,
    *,
    project: str,
    run_id: str,
    metric: str,
    teacher: str,
    student: str,
    predicates: list[str],
) -> list[tuple[Any, ...]]:
    """For each predicate: n, teacher right, student right, both, teacher only, student only.

    Raises GrammarError for a predicate, InputError for scores that are not 0 or 1.
    """
    base = (
        "from scores s join scores t on t.run_id = s.run_id and t.arrival_key = s.arrival_key and t.metric = s.metric"
        " join arrival a on a.arrival_key = s.arrival_key"
        " where s.project = ? and s.run_id = ? and s.metric = ? and s.model = ? and t.model = ?"
    )
    values = [project, run_id, metric, student, teacher]
    other = f"select 1 {base} and (s.value not in (0, 1) or t.value not in (0, 1)) limit 1"
    if one_row(cursor, other, values):
        raise InputError(
            f"metric {metric!r} is not binary", todo="No method for such a gate row is built yet."
        )
    found = []
    for predicate in predicates:
        where, more = (
            grammar.compile_sql(grammar.parse(predicate), arrival_columns("a").get, metadata="a.metadata")
            if predicate.strip()
            else ("true", [])
        )
        sql = (
            "select count(*), coalesce(sum(t.value), 0)::bigint, coalesce(sum(s.value), 0)::bigint,"
            " count(*) filter (where t.value = 1 and s.value = 1), count(*) filter (where t.value > s.value),"
            f" count(*) filter (where s.value > t.value) {base} and {where}"
        )
        found.append(one_row(cursor, sql, [*values, *more]) or (0, 0, 0, 0, 0, 0))
    return found
