"""The hub under load: what appends and acts cost each other, what the log may hold, where rows are found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import acts, places
from store.arrow import arrow_schema
from store.database import PIECE_BYTES, Database
from store.errors import RuleError
from store.records import ROW_GROUP, columns_of, key_of

WHO = "root"
VERDICT = {"queue": "audit", "verdict": "ok", "subject": "s1"}
LOG_BYTES = 8 << 20  # the log is written into the file once it is longer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open store with the project ``demo``."""
    with contextlib.closing(Database(tmp_path / "store.duckdb", WHO)) as database:
        act(database, "project.create", {"title": "demo"})
        yield database


def act(database: Database, kind: str, payload: dict[str, Any]) -> int:
    """Seq of an act of the owner's."""
    return database.apply(acts.new_id(), "demo", kind, payload, actor=WHO, claimed=None).event.seq


def opened(database: Database) -> int:
    """Number of a new run."""
    payload = {"run_id": acts.new_id(), "stage": "import", "params": {}, "inputs": {}}
    act(database, "run.open", payload)
    return database.next_run - 1


def arrivals(run_no: int, first: int, count: int, text: str = "Where is my parcel?") -> pa.Table:
    """Rows of a run from seq ``first`` on."""
    values: dict[str, list[Any]] = {
        "run_no": [run_no] * count, "arrival_key": [key_of(run_no, first + i) for i in range(count)],
        "prompt_id": ["p"] * count, "text": [f"{text} {i}" for i in range(count)], "messages": [None] * count,
        "reference": [None] * count, "source": ["production"] * count, "split": ["test"] * count,
        "at_us": [None] * count, "metadata": ["{}"] * count, "file_id": ["f"] * count, "file_row": [1] * count,
    }  # fmt: skip
    schema = arrow_schema("arrival")
    return pa.table(
        [pa.array(values[name], schema.field(name).type) for name in columns_of("arrival")], schema=schema
    )


def append(database: Database, run_no: int, first: int, count: int, **more: Any) -> int:
    """Append so many rows."""
    return database.append(run_no, "arrival", first, arrivals(run_no, first, count, **more), who=WHO)


def log_bytes(database: Database) -> int:
    """How long the store's log is."""
    wal = database.path.with_name(database.path.name + ".wal")
    return wal.stat().st_size if wal.exists() else 0


def test_acts_do_not_wait_for_an_append_and_its_run_cannot_be_closed_meanwhile(database: Database) -> None:
    run_no, other = opened(database), opened(database)
    append(database, run_no, 0, 3)
    close = {"tables": {}, "result": {}}
    with database._appending[run_no]:  # as an append holds it from its first row to its last
        assert act(database, "verdict", VERDICT)
        assert append(database, other, 0, 2) == 2
        with pytest.raises(RuleError, match="on their way"):
            act(database, "run.close", {"run_no": run_no} | close)
    with pytest.raises(RuleError, match="closes with 0 rows of arrival, the store has 3"):
        act(database, "run.close", {"run_no": run_no} | close)


def test_a_row_group_bypasses_the_log(database: Database) -> None:
    run_no, text = opened(database), "x" * 300
    before = log_bytes(database)
    append(database, run_no, 0, ROW_GROUP, text=text)
    assert log_bytes(database) - before < ROW_GROUP * len(text) // 50
    append(database, run_no, ROW_GROUP, ROW_GROUP // 4, text=text)
    assert log_bytes(database) - before > ROW_GROUP // 4 * len(text)


def test_the_log_stays_short_however_much_comes_in_small_appends(database: Database) -> None:
    run_no, longest = opened(database), 0
    for first in range(0, 40_000, 2_000):
        append(database, run_no, first, 2_000, text="x" * 600)
        longest = max(longest, log_bytes(database))
    assert 1 << 20 < longest < LOG_BYTES + PIECE_BYTES + (1 << 20)


def test_an_append_below_a_row_group_is_many_short_transactions(database: Database) -> None:
    run_no = opened(database)
    assert append(database, run_no, 0, 15_000, text="x" * 600) == 15_000
    con = database.connection
    sizes = con.execute("select count(*) from arrival").fetchall()
    assert sizes == [(15_000,)]
    assert append(database, run_no, 14_000, 3_000) == 17_000  # a resend that overlaps
    assert con.execute("select count(*), count(distinct arrival_key) from arrival").fetchall() == [
        (17_000, 17_000)
    ]


def test_what_was_written_before_an_append_failed_counts(database: Database) -> None:
    run_no = opened(database)
    rows = arrivals(run_no, 0, 15_000, text="x" * 600)
    texts = [*rows.column("text").to_pylist()[:-1], None]  # the last row does not fit: text is NOT NULL
    broken = rows.set_column(rows.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))
    with pytest.raises(Exception, match="do not fit"):
        database.append(run_no, "arrival", 0, broken, who=WHO)
    stored = database.scalar("select count(*) from arrival")
    assert 0 < stored < 15_000
    assert database.next_seq(run_no, "arrival") == stored
    assert database.append(run_no, "arrival", 0, rows, who=WHO) == 15_000
    assert database.scalar("select count(distinct arrival_key) from arrival") == 15_000


def test_a_store_that_was_not_closed_has_every_row_and_act(tmp_path: Path) -> None:
    lost = Database(tmp_path / "lost.duckdb", WHO)
    act(lost, "project.create", {"title": "demo"})
    run_no = opened(lost)
    append(lost, run_no, 0, ROW_GROUP + 5)
    append(lost, run_no, ROW_GROUP + 5, 700)
    seq = act(lost, "verdict", VERDICT)
    for name in ("lost.duckdb", "lost.duckdb.wal"):  # as kill -9 leaves them
        (tmp_path / name.replace("lost", "found")).write_bytes((tmp_path / name).read_bytes())
    lost.close()
    with contextlib.closing(Database(tmp_path / "found.duckdb", WHO)) as found:
        assert (found.ledger.seq, found.next_seq(run_no, "arrival")) == (seq, ROW_GROUP + 705)
        append(found, run_no, ROW_GROUP, 1_000)  # its maker knows nothing of what became of the last ones
        assert found.next_seq(run_no, "arrival") == ROW_GROUP + 1_000


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), min_size=1, max_size=12),
    rng=st.randoms(use_true_random=False),
)
def test_rows_are_found_by_key_wherever_they_lie(
    database: Database, sizes: list[tuple[int, int]], rng: Any
) -> None:
    runs, counts = [opened(database) for _ in range(3)], [0, 0, 0]
    cursor = database.cursor()
    for which, size in sizes:  # runs that append by turns, and readers between them
        counts[which] = append(database, runs[which], counts[which], size, text=f"run {which}")
        every = [key_of(runs[w], seq) for w in range(3) for seq in range(counts[w])]
        wanted = sorted(rng.sample(every, min(len(every), 50)))
        found = places.fetched(cursor, "arrival", "arrival_key", ["run_no"], wanted)
        assert found == {key: (key >> 40,) for key in wanted}
    nowhere = [key_of(runs[0], 10_000), key_of(runs[2] + 1, 0)]
    assert places.fetched(cursor, "arrival", "arrival_key", ["run_no"], nowhere) == {}
    cursor.close()


def test_places_that_mislead_do_no_harm(database: Database) -> None:
    run_no = opened(database)
    append(database, run_no, 0, 5_000)
    cursor = database.cursor()
    low, high = key_of(run_no, 0), key_of(run_no, 4_999)
    cursor.execute("insert into scratch.place values ('arrival', ?, ?, ?, 4999)", [low, high, 7 - low])
    wanted = [low, low + 9, high]
    assert places.fetched(cursor, "arrival", "arrival_key", ["file_row"], wanted) == dict.fromkeys(
        wanted, (1,)
    )
    cursor.close()
