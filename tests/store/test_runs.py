"""Runs: rows come in order, are seen from the closing act on, and have the digest that it names."""

from __future__ import annotations

import pyarrow as pa
import pytest

from engine.verify import run_digest
from store import read
from store.arrow import arrow_schema
from store.client import Client
from store.errors import InputError, RoleError, RuleError
from store.records import ARTIFACTS, File, Score, columns_of, key_of
from store.run import Run
from tests.factories import arrival, output


@pytest.fixture
def store(near_store):
    return near_store


def opened(store):
    return store.run("demo", "import", params={"level": 0.95}, inputs={})


def test_rows_are_seen_from_the_closing_act_on(store):
    run = opened(store)
    run.add("arrival", [arrival(), arrival("Again?")])
    assert store.ask(read.ARRIVALS, project="demo", split=None) == []
    run.close({"rows": 2})
    keys = [row.arrival_key for row in store.ask(read.ARRIVALS, project="demo", split=None)]
    assert keys == [key_of(run.run_no, 0), key_of(run.run_no, 1)]


@pytest.mark.parametrize(
    ("table", "records"),
    [
        ("arrival", [arrival("naïve 🦆", metadata={"a": 1.5}), arrival(at_us=7)]),
        ("output", [output("x", arrival_key=1, tokens_in=3), output("")]),
        ("score", [Score(0, 0, 1, 2, "p", "m", "exact", value) for value in (1, 0.1, 1e-9)]),
        ("file", [File(0, 0, "weights", "application/octet-stream", "s", b"\x00\xff")]),
    ],
)
def test_records_and_tables_have_the_digest_of_what_is_stored(store, table, records):
    run = opened(store)
    run.add(table, records)
    run.close()
    stored = store.rows_of_run(run.run_no, table, list(columns_of(table)))
    assert run_digest(store, run.run_no, table, list(columns_of(table))).hexdigest() == run.digests[table]
    again = opened(store)
    keys = pa.array(range(key_of(again.run_no, 0), key_of(again.run_no, len(records))), pa.int64())
    moved = stored.set_column(1, columns_of(table)[1], keys)
    moved = moved.set_column(0, "run_no", pa.array([again.run_no] * len(records), pa.int64()))
    again.add_table(table, moved)
    assert again.close()
    digest = run_digest(store, again.run_no, table, list(columns_of(table)))
    assert digest.hexdigest() == again.digests[table]


def append(store, run, batch, *, first=0, table="arrival"):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_table(batch)
    arrow = sink.getvalue().to_pybytes()
    return store.call("append", run_no=run.run_no, table=table, first_seq=first, arrow=arrow)


def test_rows_sent_again_are_stored_once(store):
    run = opened(store)
    batch = run._table("arrival", [arrival(), arrival("b"), arrival("c")])
    assert append(store, run, batch.slice(0, 2)) == 2
    assert append(store, run, batch) == 3
    assert append(store, run, batch) == 3
    assert store.call("sql", text="select count(*) from arrival")["rows"] == [[3]]


def test_rows_that_leave_a_gap_or_have_other_keys_are_refused(store):
    run = opened(store)
    batch = run._table("arrival", [arrival(), arrival("b"), arrival("c")])
    with pytest.raises(InputError, match="gap"):
        append(store, run, batch, first=1)
    for wrong in (batch.take([1, 0, 2]), batch.take([0, 0, 2]), batch.slice(1)):
        with pytest.raises(InputError, match="in order"):
            append(store, run, wrong)
    with pytest.raises(InputError, match="columns"):
        append(store, run, batch.drop_columns(["text"]))
    other = batch.set_column(0, "run_no", pa.array([9, 9, 9], pa.int32()))
    with pytest.raises(InputError, match="in order"):
        append(store, run, other)
    assert store.call("sql", text="select count(*) from arrival")["rows"] == [[0]]


def test_a_value_that_does_not_fit_is_named_by_its_column(store):
    run = opened(store)
    with pytest.raises(InputError, match="tokens_in"):
        run.add("output", [output(tokens_in=2**40)])
    with pytest.raises(InputError, match="lack the column"):
        run.add_table("output", pa.table({"run_no": [1]}))
    with pytest.raises(InputError, match="NOT NULL"):
        run.add("arrival", [arrival(source=None)])


def test_what_is_no_arrow_stream_is_refused(store):
    run = opened(store)
    with pytest.raises(InputError, match="Arrow"):
        store.call("append", run_no=run.run_no, table="arrival", first_seq=0, arrow=b"nonsense")


def test_a_closed_run_and_somebody_elses_take_no_rows(store):
    run = opened(store)
    with Client(store.path, claimed="bob") as bob:
        run.client = bob
        with pytest.raises(RoleError):
            run.add("arrival", [arrival()])
    run.client = store
    run._digests.clear()
    run.close()
    with pytest.raises(RuleError, match="closed"):
        run.add("arrival", [arrival()])


def test_a_run_closes_only_with_as_many_rows_as_it_has(store):
    run = opened(store)
    run.add("arrival", [arrival()])
    tables = {"arrival": {"rows": 2, "columns": list(columns_of("arrival")), "sha256": "0" * 64}}
    for stated in (tables, {}):
        with pytest.raises(RuleError, match="the store has 1"):
            store.act("run.close", "demo", {"run_no": run.run_no, "tables": stated})
    tables["arrival"] |= {"rows": 1, "columns": ["run_no"]}
    with pytest.raises(InputError, match="cover"):
        store.act("run.close", "demo", {"run_no": run.run_no, "tables": tables})


def test_bulk_that_breaks_off_ends_in_the_problem_and_not_in_silence(store):
    with pytest.raises(InputError, match="artifact columns"):
        store.rows_of_run(1, "arrival", ["nope"])
    assert store.rows_of_run(1, "arrival", ["text"]).num_rows == 0


@pytest.mark.parametrize("table", ARTIFACTS)
def test_an_empty_bulk_answer_has_its_columns(store, table):
    assert store.rows_of_run(1, table, list(columns_of(table))).column_names == arrow_schema(table).names


@pytest.mark.parametrize(
    "text",
    [
        "delete from event",
        "with x as (delete from event returning *) select * from x",
        "select 1; select 2",
        "checkpoint",
        "select * from force_checkpoint('main')",
        "copy event to '/tmp/x'",
        "attach '/tmp/x.db'",
        "set memory_limit='1GB'",
        "create table scratch.x as select 1",
        "select * from query('select 1')",
    ],
)
def test_client_sql_cannot_write(store, text):
    with pytest.raises((RuleError, InputError)):
        store.call("sql", text=text)
    assert store.call("status")["events"] == 1


@pytest.mark.parametrize(
    "text", ["select * from read_text('/etc/passwd')", "from '/etc/passwd'", "select getenv('HOME')"]
)
def test_client_sql_cannot_leave(store, text):
    with pytest.raises((RuleError, InputError)):
        store.call("sql", text=text)


def test_client_sql_is_stopped_at_its_time_limit(store):
    with pytest.raises(RuleError, match="longer"):
        store.call("sql", text="select count(*) from range(10000000000) a, range(100) b", seconds=0.2)


def test_long_rows_go_in_as_many_frames_as_they_need(store, monkeypatch):
    monkeypatch.setattr(Run, "MOST", 1000)
    run = store.run("demo", "import", params={}, inputs={})
    run.add("arrival", (arrival("x" * 400 + str(i)) for i in range(20)))
    run.close()
    assert store.ask(read.COUNTS, project="demo")[0].arrivals == 20
