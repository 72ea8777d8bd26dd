"""SQL that is not one of the fixed questions: a client's own SELECT, slice counts, the rows of a run.

A client's SQL cannot write or leave: one statement, of type SELECT, whose tree names only table functions
known to be harmless and no function that acts or runs a statement of its own, inside a read-only transaction
(the type alone is not enough: a DELETE hidden in a WITH has type SELECT). What cannot be inspected is refused.
It is interrupted at its time limit. The instance itself was opened without access to files or extensions.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from store import grammar, records, script
from store.errors import InputError, RuleError
from store.faults import gave_up, is_damage
from store.grammar import Column
from store.opening import new_cursor
from store.rows import one_row, one_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# All others are refused, so that what a newer DuckDB brings is refused until somebody looked at it.
TABLE_FUNCTIONS = frozenset({
    "duckdb_columns", "duckdb_constraints", "duckdb_functions", "duckdb_indexes", "duckdb_keywords",
    "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views",
    "generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest",
})  # fmt: skip
# Functions in expressions that act, wait, tell of this process, or hide a statement in a string.
REFUSED_FUNCTIONS = frozenset({
    "checkpoint", "currval", "force_checkpoint", "getenv", "getvariable", "json_deserialize_sql",
    "json_execute_serialized_sql", "json_serialize_plan", "nextval", "pg_sleep", "query", "query_table", "setseed",
    "setval", "sleep_ms", "truncate_duckdb_logs", "write_log",
})  # fmt: skip
REFUSED_PREFIXES = (
    "pragma_", "enable_", "disable_", "create_", "register_", "deregister_", "destroy_", "read_", "copy_", "import_",
    "write_", "set_config",
)  # fmt: skip
SELECTING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
MAX_ROWS = 1_000_000
MAX_SECONDS = 300.0
MAX_SQL = 100_000  # characters
MAX_BYTES = 64 << 20  # of an answer's values
MAX_NESTING = 64  # of lists in a value
BATCH_ROWS = 64  # fetched at once: what is over MAX_BYTES costs no more memory than these
BULK_ROWS = 20_000  # of an Arrow frame


def client_sql(connection: DuckDBPyConnection, text: str, *, limit: int, seconds: float) -> dict[str, Any]:
    """Columns and rows (at most ``limit``, at most MAX_BYTES) of one SELECT; ``more`` when there were further rows.

    Raises RuleError for anything that is not a harmless SELECT, InputError when DuckDB refuses it or a limit is
    out of bounds.
    """
    _check_bounds(text, limit, seconds)
    cursor = new_cursor(connection)
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        _refuse_unless_select(cursor, text)
        cursor.execute("begin transaction read only")
        cursor.execute(text)
        names = [column[0] for column in cursor.description or []]
        rows, more = _fetch(cursor, limit)
    except duckdb.InterruptException as error:
        raise RuleError(
            f"took longer than {seconds:g} s and was stopped", todo="Narrow it, or raise --seconds."
        ) from error
    except duckdb.TransactionException as error:
        raise RuleError("would write to the store", todo="Only SELECT is allowed here.") from error
    except duckdb.Error as error:
        if is_damage(str(error)) or gave_up(error):  # the session's to say
            raise
        raise InputError(f"SQL: {error}") from error
    finally:
        timer.cancel()
        cursor.close()
    return {"columns": names, "rows": rows, "more": more}


def _check_bounds(text: str, limit: int, seconds: float) -> None:
    if len(text) > MAX_SQL:
        raise InputError(f"SQL of {len(text):,} characters", todo=f"At most {MAX_SQL:,} are allowed.")
    if not 0 <= limit <= MAX_ROWS:
        raise InputError(f"a limit of {limit:,} rows", todo=f"0 to {MAX_ROWS:,} are allowed.")
    if not 0 < seconds <= MAX_SECONDS:
        raise InputError(
            f"a limit of {seconds:g} s", todo=f"More than 0, at most {MAX_SECONDS:g} s are allowed."
        )


def _fetch(cursor: DuckDBPyConnection, limit: int) -> tuple[list[list[Any]], bool]:
    """At most ``limit`` rows of at most MAX_BYTES together, and whether there were more."""
    rows: list[list[Any]] = []
    size = 0
    while batch := cursor.fetchmany(min(BATCH_ROWS, limit - len(rows) + 1)):
        for row in batch:
            size += sum(map(_size, row))
            if len(rows) == limit:
                return rows, True
            if size > MAX_BYTES:
                if not rows:
                    raise RuleError(
                        f"one row is larger than {MAX_BYTES >> 20} MiB", todo="Select less of it."
                    )
                return rows, True
            rows.append([_plain(value) for value in row])
    return rows, False


def _size(value: object) -> int:
    """About how many bytes a value is on the wire."""
    size, todo = 0, [value]
    while todo:
        here = todo.pop()
        size += len(here) if isinstance(here, str | bytes) else 8
        if isinstance(here, list | tuple):
            todo += here
        elif isinstance(here, dict):
            todo += [*here, *here.values()]
    return size


def _refuse_unless_select(cursor: DuckDBPyConnection, text: str) -> None:
    try:
        statements = cursor.extract_statements(text)
    except duckdb.Error as error:
        raise InputError(f"SQL: {error}") from error
    if len(statements) != 1:
        raise RuleError(f"{len(statements)} statements where one is due", todo="Send one SELECT.")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise RuleError(f"{statements[0].type.name} is not allowed", todo="Only SELECT is allowed here.")
    try:
        tree = msgspec.json.decode(one_value(cursor, "select json_serialize_sql(?::varchar)", [text]))
    except (msgspec.DecodeError, RecursionError) as error:
        raise RuleError("the statement cannot be inspected", todo="Write it less deeply nested.") from error
    if tree.get("error") is not False:
        raise RuleError("the statement cannot be inspected", todo="Only a plain SELECT is allowed here.")
    _refuse_acting(tree)


def _refuse_acting(tree: object) -> None:
    """Raise RuleError where a serialised statement does more than look; iterative, since trees can be deep."""
    todo = [tree]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            kind, name = here.get("type"), here.get("function_name")
            if isinstance(kind, str) and kind.endswith("_NODE") and kind not in SELECTING:
                raise RuleError("would write to the store", todo="Only SELECT is allowed here.")
            if kind == "TABLE_FUNCTION":
                called = here.get("function")
                table = called.get("function_name") if isinstance(called, dict) else None
                if not allowed_table_function(str(table)):
                    raise RuleError(f"the table function {table}() is not allowed here")
            if isinstance(name, str) and not allowed_function(name):
                raise RuleError(f"{name}() is not allowed here")
            todo += here.values()
        elif isinstance(here, list):
            todo += here


def allowed_table_function(name: str) -> bool:
    """Whether a client's SQL may select from the table function ``name``.

    >>> allowed_table_function("range"), allowed_table_function("json_execute_serialized_sql")
    (True, False)
    """
    return name.lower() in TABLE_FUNCTIONS


def allowed_function(name: str) -> bool:
    """Whether a client's SQL may call ``name`` in an expression.

    >>> allowed_function("sum"), allowed_function("getenv")
    (True, False)
    """
    return name.lower() not in REFUSED_FUNCTIONS and not name.lower().startswith(REFUSED_PREFIXES)


def _plain(value: object, depth: int = MAX_NESTING) -> object:
    """A value that JSON and msgpack can carry; raises InputError where it is nested too deeply for them."""
    if value is None or isinstance(value, bool | float | str | bytes):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, list | tuple | dict) and not depth:
        raise InputError(f"a value is nested more than {MAX_NESTING} deep", todo="Select it as text.")
    if isinstance(value, list | tuple):
        return [_plain(v, depth - 1) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v, depth - 1) for k, v in value.items()}
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
    } | {script.NAME: script.column(f"{prefix}.text")}  # fmt: skip


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
