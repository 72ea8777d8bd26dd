"""A client's own SQL looks and does nothing else, however it is written, and within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from store.errors import InputError, RuleError
from store.opening import CALM_MEMORY, ROOMY_MEMORY, Memory, open_file
from store.query import MAX_BYTES, TABLE_FUNCTIONS, allowed_function, allowed_table_function

DELETE = "with x as (delete from event returning *) select * from x"
RUN = f"json_execute_serialized_sql(json_serialize_sql('{DELETE}'))"
# Of the functions that DuckDB calls volatile, those that change nothing and tell nothing of this process.
HARMLESS = {
    "current_connection_id", "current_query", "current_query_id", "current_transaction_id", "error", "gen_random_uuid",
    "random", "stats", "uuid", "uuidv4", "uuidv7", "vector_type",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB as it comes."""
    with duckdb.connect() as connection:
        yield connection


def functions(plain: duckdb.DuckDBPyConnection, where: str) -> set[str]:
    sql = f"select distinct function_name from duckdb_functions() where {where}"  # noqa: S608 - ours
    return {name for (name,) in plain.execute(sql).fetchall()}


@pytest.mark.parametrize(
    "text",
    [
        f"select * from {RUN}",  # noqa: S608 - ours
        f"select {RUN}",
        f"from main.\"JSON_Execute_Serialized_SQL\"(json_serialize_sql('{DELETE}'))",
        f"describe select * from {RUN}",  # noqa: S608 - ours
        f"select (select count(*) from {RUN})",  # noqa: S608 - ours
        f"from range(1) r, lateral (from {RUN})",
        "select * from query/**/('select 1')",
        "from query_table(['event'])",
        f"{DELETE}, checkpoint/**/()",
        "pivot (select * from query/**/('select 7 as a')) on a",
        "explain analyze select 1",
        "select nextval('x')",
        "select write_log('x')",
        "select ('HOME').getenv()",
        "select sleep_ms(1)",
        "select * from truncate_duckdb_logs()",
        "select * from enable_profiling()",
        "select * from duckdb_secrets()",
        "call checkpoint()",
    ],
)
def test_sql_that_hides_an_act_is_refused(near_store, text):
    with pytest.raises((RuleError, InputError)):
        near_store.call("sql", text=text)
    assert near_store.call("sql", text="select count(*) from event")["rows"] == [[1]]


def test_every_table_function_that_is_not_known_to_be_harmless_is_refused(near_store, plain):
    there = functions(plain, "function_type in ('table', 'table_macro', 'pragma')")
    assert there >= TABLE_FUNCTIONS
    for name in sorted(there - TABLE_FUNCTIONS):
        assert not allowed_table_function(name)
        with pytest.raises(RuleError, match="not allowed"):
            near_store.call("sql", text=f'select * from "{name}"()')  # noqa: S608 - ours


def test_every_function_with_effects_is_refused_or_known_to_be_harmless(plain):
    there = functions(plain, "has_side_effects and function_type in ('scalar', 'aggregate')")
    assert {name for name in there if allowed_function(name)} <= HARMLESS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("select kind, count(*) from event group by all having count(*) > 0 order by 1", [["project.create", 1]]),
        ("with a as (select seq from event) select * from a join event using (seq) limit 0", []),
        ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 3) select max(i) from n", [[3]]),
        ("select sum(range) over () from range(2)", [[1], [1]]),
        ("select 1 union all select 2 order by 1", [[1], [2]]),
        ("select unnest([1, 2])", [[1], [2]]),
        ("select key from json_each('{\"a\": 1}')", [["a"]]),
        ("select count(*) from outputs", [[0]]),
        ("values (1)", [[1]]),
        ("select list_transform([1], lambda x: x + 1)", [[[2]]]),
        ("select count(*) > 0 from duckdb_tables() where table_name = 'event'", [[True]]),
    ],
)  # fmt: skip
def test_ordinary_sql_goes_on_working(near_store, text, rows):
    assert near_store.call("sql", text=text)["rows"] == rows


@pytest.mark.parametrize(
    "args",
    [
        {"limit": -5},
        {"limit": 1_000_001},
        {"seconds": 0.0},
        {"seconds": -5.0},
        {"seconds": 1e20},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"text": "select 1 --" + "x" * 100_000},
        {"text": "select " + "[" * 500 + "1" + "]" * 500},
        {"text": "select " + "(" * 5_000 + "1" + ")" * 5_000},
        {"text": "select " + "+".join(["1"] * 40_000)},
    ],
)
def test_sql_beyond_its_bounds_is_refused_and_the_session_lives(near_store, args):
    with pytest.raises((InputError, RuleError)):
        near_store.call("sql", **({"text": "select 1"} | args))
    assert near_store.call("sql", text="select 1")["rows"] == [[1]]


def test_rows_end_at_the_limit_and_say_whether_there_were_more(near_store):
    for limit, rows, more in (
        (0, 0, True),
        (64, 64, True),
        (199, 199, True),
        (200, 200, False),
        (900, 200, False),
    ):
        found = near_store.call("sql", text="from range(200)", limit=limit)
        assert (len(found["rows"]), found["more"]) == (rows, more)


def test_an_answer_ends_at_its_byte_budget(near_store):
    found = near_store.call("sql", text="select repeat('x', 8000000) from range(20)")
    assert len(found["rows"]) == MAX_BYTES // 8_000_000
    assert found["more"]
    with pytest.raises(RuleError, match="larger"):
        near_store.call("sql", text="select repeat('x', 70000000)")


def test_memory_is_bounded_and_wider_only_while_somebody_needs_it(tmp_path: Path, plain):
    limit = "select parse_formatted_bytes(current_setting('memory_limit'))"
    whole = plain.execute(limit).fetchall()[0][0]
    found = []
    with open_file(tmp_path / "other.duckdb") as connection:
        memory = Memory(connection)
        connection.execute("set lock_configuration=true")
        found.append(connection.execute(limit).fetchall()[0][0])
        with memory.roomy(), memory.roomy():
            found.append(connection.execute(limit).fetchall()[0][0])
        found.append(connection.execute(limit).fetchall()[0][0])
    calm = min(whole, CALM_MEMORY)
    assert found == pytest.approx([calm, min(whole, ROOMY_MEMORY), calm], rel=0.05)
