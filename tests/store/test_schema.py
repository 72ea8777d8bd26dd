"""The records, the schema files and the Arrow schemas say the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from store.arrow import arrow_schema
from store.database import Database
from store.opening import open_file
from store.records import ARTIFACTS, Event, columns_of

ARROW_OF = {
    "INTEGER": pa.int32(), "BIGINT": pa.int64(), "VARCHAR": pa.string(), "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(), "BLOB": pa.binary(),
}  # fmt: skip


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str, bool]]]:
    """Name, type and nullability of every table's columns in a new store."""
    database = Database(tmp_path_factory.mktemp("schema") / "s.duckdb", owner="ada")
    sql = (
        "select table_name, column_name, data_type, is_nullable from duckdb_columns()"
        " where database_name = current_database() and not internal order by table_name, column_index"
    )
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for table, name, kind, nullable in database.connection.execute(sql).fetchall():
        found.setdefault(table, []).append((name, kind, nullable))
    database.close()
    return found


@pytest.mark.parametrize("table", ARTIFACTS)
def test_a_records_fields_are_its_tables_columns(table, columns):
    assert columns_of(table) == tuple(name for name, _, _ in columns[table])


def test_an_events_fields_are_its_tables_columns(columns):
    assert Event.__slots__ == tuple(name for name, _, _ in columns["event"])


@pytest.mark.parametrize("table", ARTIFACTS)
def test_arrow_types_are_the_columns_types(table, columns):
    assert arrow_schema(table).types == [ARROW_OF[kind] for _, kind, _ in columns[table]]


@pytest.mark.parametrize("table", ARTIFACTS)
def test_only_optional_fields_are_nullable(table, columns):
    optional = {name for name, kind in ARTIFACTS[table].__annotations__.items() if "None" in kind}
    assert {name for name, _, nullable in columns[table] if nullable} == optional


def test_views_that_changed_are_replaced_when_a_store_is_opened(tmp_path: Path):
    path = tmp_path / "s.duckdb"
    Database(path, owner="ada").close()
    with open_file(path) as con:
        con.execute("update meta set value = 'older' where key = 'views'")
        con.execute("create or replace view comment as select 1 as old")
    database = Database(path, owner="bob")
    shape = database.connection.execute("describe comment").fetchall()
    assert [row[0] for row in shape] == ["project", "seq", "actor", "at_us", "subject", "text"]
    assert database.owner == "ada"
    database.close()
