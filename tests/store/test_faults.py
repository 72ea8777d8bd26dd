"""Full disks, damaged and foreign files, clocks, other versions: what was acknowledged stays, and what is not is said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from engine.verify import verify_store
from store import acts, address, hub_process, opening
from store.client import Client
from store.database import Database
from store.errors import InputError, StoreError, WireError
from store.head import Head, Known, decoded, encoded
from store.hub import Hub
from store.hub_process import stop_hub
from store.ledger import verify_chain
from store.outbox import Outbox, Waiting
from tests.factories import arrival
from tests.store.fault_desk import OK, Disk, acknowledged, comments, kill_hub, mounted

FULL = "the disk is full"


@contextlib.contextmanager
def served(path: Path, **options: float) -> Iterator[Hub]:
    """A hub on a thread of this process."""
    hub = Hub(path, **{"idle_seconds": 60.0} | options)
    thread = threading.Thread(target=hub.serve)
    thread.start()
    try:
        yield hub
    finally:
        hub.leave()
        thread.join()


# ---- full disks
@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "small", "size=16m") as folder:
        yield Disk(folder)


@pytest.fixture
def small(disk: Disk) -> Iterator[Client]:
    """A store on the small disk, with ten acknowledged acts."""
    with Client(disk.folder / "s.duckdb", create=True) as client:
        client.act("project.create", "demo", {})
        acknowledged(client, 10)
        yield client


def test_an_act_on_a_full_disk_says_so_and_goes_through_once_there_is_space(disk, small):
    disk.fill()
    text = {"subject": "s", "text": "x" * 5000}
    for _ in range(3):
        with pytest.raises(StoreError, match=FULL) as caught:
            small.act("comment", "demo", text, act_id="once")
        assert "Free some space" in caught.value.todo
    assert len(comments(small)) == 10
    disk.free()
    small.act("comment", "demo", text, act_id="once")
    assert comments(small)[-1] == "once"
    assert len(comments(small)) == 11
    assert small.call("chain")["faults"] == []


def test_an_append_on_a_full_disk_says_so_and_goes_on_once_there_is_space(disk, small):
    run = small.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(f"first {n}") for n in range(50)])
    disk.fill()
    rows = [arrival(f"{n} " * 40) for n in range(5000)]
    with pytest.raises(StoreError, match=FULL):
        run.add("arrival", rows)
    disk.free()
    run.add("arrival", rows)
    run.close()
    assert verify_store(small).sound
    assert small.call("sql", text="select count(*) from arrivals")["rows"] == [[5050]]


def test_a_run_that_cannot_be_closed_on_a_full_disk_is_closed_later(disk, small):
    run = small.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(f"first {n}") for n in range(50)])
    disk.fill()
    with pytest.raises(StoreError, match=FULL):
        run.close({"long": "x" * 20_000})
    assert small.call("sql", text="select count(*) from arrivals")["rows"] == [[0]]
    disk.free()
    run.close()
    assert verify_store(small).sound
    assert small.call("sql", text="select count(*) from arrivals")["rows"] == [[50]]


@pytest.mark.parametrize("leave", [1_400_000, 1_700_000, 2_000_000, 2_300_000])
def test_a_checkpoint_that_finds_the_disk_full_loses_no_act(disk, small, monkeypatch, leave):
    """Where DuckDB takes the commit back, the act is refused; where it gives up, the next hub has the act."""
    stop_hub(small.path)
    monkeypatch.setattr(opening, "CHECKPOINT_THRESHOLD", "1MB")
    with served(small.path) as hub:
        run = small.run("demo", "import", params={}, inputs={})
        run.add("arrival", [arrival(f"{n} " * 10) for n in range(2000)])
        disk.fill(leave=leave)
        done = []
        with contextlib.suppress(StoreError):
            while not hub.shared.stop.is_set():
                text = os.urandom(15_000).hex()  # or it would be compressed away
                small.act("comment", "demo", {"subject": "s", "text": text}, act_id=f"big-{len(done)}")
                done.append(f"big-{len(done)}")
        assert done
    disk.free()
    assert [i for i in comments(small) if i.startswith("big-")] == done
    acknowledged(small, 1, start=10)
    run.close()
    assert verify_store(small).sound


def test_a_hub_that_leaves_on_a_full_disk_loses_nothing(disk, small):
    acknowledged(small, 200, start=10)
    disk.fill()
    stop_hub(small.path)
    assert len(comments(small)) == 210  # opened again, and still full
    disk.free()
    stop_hub(small.path)
    assert len(comments(small)) == 210


def test_a_store_is_not_made_on_a_full_disk_and_the_error_says_why(disk):
    disk.fill()
    with pytest.raises(StoreError, match=r"disk is full|No space left"):
        Client(disk.folder / "new.duckdb", create=True)
    disk.free()
    with Client(disk.folder / "new.duckdb", create=True) as client:
        assert client.call("status")["events"] == 0


def test_an_act_that_the_outbox_has_no_space_for_is_not_sent(disk, store, store_path):
    box = disk.folder / "out.jsonl"
    with Client(store_path, outbox=box) as client:
        client.act("verdict", "demo", OK)
        disk.fill(leave=100)
        long = {"subject": "s", "text": "x" * 5000}
        with pytest.raises(StoreError, match="outbox cannot be written") as caught:
            client.act("comment", "demo", long, act_id="long")
        assert "nothing was sent" in caught.value.todo
        assert comments(store) == []
        disk.free()
        client.act("comment", "demo", long, act_id="long")
        assert comments(store) == ["long"]
        assert client.resend_outbox() == []


def test_a_line_that_a_full_disk_cut_off_does_not_take_the_next_one_with_it(disk, store, store_path):
    box = Outbox(disk.folder / "out.jsonl")
    box.put(Waiting("first", store.welcome.store_id, "demo", "verdict", OK))
    disk.fill()
    long = {"subject": "s", "text": "x" * 9000}
    with pytest.raises(StoreError, match="No space left"):
        box.put(Waiting("long", store.welcome.store_id, "demo", "comment", long))
    disk.free()
    box.put(Waiting("second", store.welcome.store_id, "demo", "verdict", OK))
    assert [act.id for act in box.waiting()] == ["first", "second"]
    box.close()


def test_an_answer_that_cannot_be_noted_in_the_outbox_is_still_an_answer(disk, store, store_path):
    box = Outbox(disk.folder / "out.jsonl")
    box.put(Waiting("first", store.welcome.store_id, "demo", "verdict", OK))
    disk.fill()
    os.truncate(disk.folder / "out.jsonl", 4096)
    box.answered("x" * 5000)
    box.close()


# ---- folders that cannot be written
def test_a_store_on_a_read_only_disk_is_said_so(tmp_path):
    with mounted(tmp_path / "ro", "size=16m") as folder:
        with Client(folder / "s.duckdb", create=True):
            pass
        stop_hub(folder / "s.duckdb")
        subprocess.run(
            ["mount", "-o", "remount,ro", folder], check=True
        )  # the hub has let go of all it had open
        with pytest.raises(StoreError, match="Read-only file system") as caught:
            Client(folder / "s.duckdb")
        assert "folder that you may write to" in caught.value.todo


# ---- damaged files
LOOK = """
import json, sys
from pathlib import Path
from store.database import Database
from store.errors import StoreError
from store.ledger import verify_chain
for line in sys.stdin:
    path = Path(line.strip())
    try:
        database = Database(path, owner="root")
        told = {"events": database.ledger.seq, "faults": verify_chain(database.connection, database.root)}
        database.close()
    except StoreError as error:
        told = {"what": error.what, "where": error.where, "todo": error.todo}
    print(json.dumps(told), flush=True)
"""


def looked_at(paths: list[Path]) -> list[dict]:
    """What opening each of them says; in a process of its own, for DuckDB may take one down."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(paths), done.stderr[-2000:]
    return answers


@pytest.fixture
def variants(tmp_path: Path):
    """Copies of a store's files, each with something done to it; what opening each says."""

    def look(source: Path, changes: dict[str, tuple[str, object]], **keep: bool) -> dict[str, dict]:
        paths = []
        for number, (end, change) in enumerate(changes.values()):
            path = tmp_path / f"variant-{number}.duckdb"
            for other in ("", ".wal", ".head"):
                at = source.with_name(source.name + other)
                if at.exists() and keep.get(other.strip("."), True):
                    body = bytearray(at.read_bytes())
                    body = change(body) if other == end else body
                    if body is not None:
                        path.with_name(path.name + other).write_bytes(body)
            paths.append(path)
        return dict(zip(changes, looked_at(paths), strict=True))

    return look


def cut(at: float):
    """Only the first part (a share, or bytes)."""
    return lambda body: body[: int(at * len(body)) if isinstance(at, float) else at]


def flipped(share: float, count: int = 64):
    """Some bytes of the other sign."""

    def change(body: bytearray) -> bytearray:
        start = int(share * (len(body) - count))
        body[start : start + count] = bytes(b ^ 0xFF for b in body[start : start + count])
        return body

    return change


def test_a_store_that_was_cut_or_changed_anywhere_is_whole_or_says_that_it_is_damaged(
    store, store_path, variants
):
    acknowledged(store, 300)
    run = store.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(f"row {n}") for n in range(3000)])
    run.close()
    events = store.call("status")["events"]
    store.close()
    stop_hub(store_path)
    cuts = (0, 1, 100, 4096, 8192, 12288, 12289, 0.3, 0.5, 0.9, -1, -4096)
    changes = {f"cut at {at}": ("", cut(at)) for at in cuts}
    changes |= {f"flipped at {n / 40}": ("", flipped(n / 40)) for n in range(41)}
    found = variants(store_path, changes)
    for name, told in found.items():
        if "what" in told:
            assert str(store_path.parent) in told["where"]
            assert told["todo"], name
        else:  # the bytes were free space, or stand in a block that nothing of the ledger is in
            assert told == {"events": events, "faults": []}, name
    assert "what" in found["cut at 0.5"]
    assert "no store any more, though it was one" in found["cut at 0"]["what"]


def test_a_damaged_row_is_said_to_be_damaged_when_it_is_read(store, store_path):
    run = store.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(os.urandom(300).hex()) for n in range(20_000)])
    run.close()
    store.close()
    stop_hub(store_path)
    body = bytearray(store_path.read_bytes())
    for share in range(3, 9):
        body = flipped(share / 10)(body)
    store_path.write_bytes(body)
    with Client(store_path) as client, pytest.raises(StoreError, match="damaged") as caught:
        client.call("sql", text="select max(text) from arrivals")
    assert "backup" in caught.value.todo


def left_by_a_killed_hub(store: Client) -> int:
    """Acts whose only copy is the log; how many events there are."""
    acknowledged(store, 60)
    count = store.call("status")["events"]
    kill_hub(store)
    store.close()
    return count


def test_a_log_that_lost_its_end_is_never_taken_for_whole(store, store_path, variants):
    events = left_by_a_killed_hub(store)
    wal = (".wal",)
    changes = {f"cut at {n / 12}": (*wal, cut(n / 12)) for n in range(12)}
    changes |= {f"cut {n} before its end": (*wal, cut(-n)) for n in (1, 7, 300)}
    changes |= {f"flipped at {n / 24}": (*wal, flipped(n / 24, 1)) for n in range(25)}
    changes |= {"gone": (*wal, lambda _: None), "zeroed": (*wal, lambda b: b[:5000] + bytes(len(b) - 5000))}
    whole = {
        "as it was": (*wal, lambda b: b),
        "zeros behind it": (*wal, lambda b: b + bytes(4096)),
        "garbage behind it": (*wal, lambda b: b + os.urandom(999)),
    }
    found = variants(store_path, changes | whole)
    for name in whole:
        assert found[name] == {"events": events, "faults": []}, name
    for name in changes:
        assert "what" in found[name], (name, found[name])
        assert "acknowledged events are missing" in found[name]["what"] or "damaged" in found[name]["what"], (
            name
        )
        assert found[name]["todo"]


def test_what_is_missing_is_counted_and_what_was_found_is_kept(store, store_path):
    left_by_a_killed_hub(store)
    wal, head = (store_path.with_name(store_path.name + end) for end in (".wal", ".head"))
    os.truncate(wal, wal.stat().st_size - 9000)
    half, file = wal.read_bytes(), store_path.read_bytes()
    for _ in range(2):  # looking does not make it good
        with pytest.raises(
            StoreError, match=r"\d+ acknowledged events are missing: the ledger ends at event"
        ) as caught:
            Client(store_path)
    assert f"remove {head}" in caught.value.todo
    (kept,) = store_path.parent.glob("*.wal.found-*")
    assert kept.name in caught.value.todo
    assert kept.read_bytes() == half
    assert store_path.read_bytes() == file
    head.unlink()
    with Client(store_path) as client:
        assert 20 < len(comments(client)) < 60
        assert client.call("chain")["faults"] == []
        acknowledged(client, 1, start=1000)


def test_a_store_that_was_replaced_by_an_older_copy_says_so(store, store_path, tmp_path):
    acknowledged(store, 5)
    stop_hub(store_path)
    older = store_path.read_bytes()
    acknowledged(store, 7, start=5)
    stop_hub(store_path)
    store.close()
    store_path.write_bytes(older)
    with pytest.raises(StoreError, match="7 acknowledged events are missing"):
        Client(store_path)


def test_a_ledger_that_was_written_anew_says_so(tmp_path):
    path = tmp_path / "s.duckdb"
    database = Database(path, owner="ada")
    database.apply("a", "demo", "project.create", {}, actor="ada", claimed=None)
    database.close()
    copy = path.read_bytes()
    for act_id in ("b", "c"):  # two pasts of one store
        path.write_bytes(copy)
        address.head_path(path).unlink()
        database = Database(path, owner="ada")
        database.apply(act_id, "demo", "why", {"choice": act_id, "reason": "r"}, actor="ada", claimed=None)
        database.close()
        if act_id == "b":
            head = address.head_path(path).read_bytes()
    address.head_path(path).write_bytes(head)
    with pytest.raises(StoreError, match="event 2 is not the one that was acknowledged"):
        Database(path, owner="ada")


@pytest.mark.parametrize("head", [b"", b"nonsense\n", encoded(Known("another store", 9, "f" * 64))])
def test_a_head_that_says_nothing_of_this_store_is_written_anew(tmp_path, head):
    path = tmp_path / "s.duckdb"
    Database(path, owner="ada").close()
    address.head_path(path).write_bytes(head)
    database = Database(path, owner="ada")
    database.apply("a", "demo", "project.create", {}, actor="ada", claimed=None)
    known = decoded(address.head_path(path).read_bytes())
    assert known == (database.store_id, 1, database.ledger.head)
    database.close()


def test_a_head_that_is_older_than_the_ledger_is_what_a_power_cut_leaves(tmp_path):
    path = tmp_path / "s.duckdb"
    database = Database(path, owner="ada")
    before = address.head_path(path).read_bytes()
    database.apply("a", "demo", "project.create", {}, actor="ada", claimed=None)
    database.close()
    address.head_path(path).write_bytes(before)
    database = Database(path, owner="ada")
    assert database.ledger.seq == 1
    database.close()


def test_a_store_may_be_removed_and_made_anew_in_its_place(tmp_path):
    path = tmp_path / "s.duckdb"
    database = Database(path, owner="ada")
    database.apply("a", "demo", "project.create", {}, actor="ada", claimed=None)
    database.close()
    path.unlink()
    Database(path, owner="ada").close()
    assert Head(path).known.seq == 0


# ---- foreign files
def test_files_of_others_are_named_and_left_as_they_are(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "a.sqlite")) as con:
        con.execute("create table event (x)")
        con.commit()
    with duckdb.connect(tmp_path / "b.duckdb") as con:
        con.execute("create table meta (key varchar, value varchar)")
    (tmp_path / "c.parquet").write_bytes(b"PAR1" + bytes(5000) + b"PAR1")
    (tmp_path / "d.txt").write_text("a" * 50_000)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, told in zip(before, looked_at(list(before)), strict=True):
        assert "no spiritsafe store" in told["what"] or "damaged" in told["what"], (path, told)
        assert path.read_bytes() == before[path]


# ---- schemas
def filled_by_schema(path: Path, version: int) -> dict[str, list[tuple]]:
    """A store as that version left it: its schema files and rows in every table; the rows."""
    with duckdb.connect(path) as con:
        for number in range(1, version + 1):
            con.execute((Path(opening.__file__).parent / "schema" / f"{number:04}.sql").read_text())
        con.execute(
            "insert into meta values ('store_id', 'old'), ('owner', 'ada'), ('schema', ?)", [str(version)]
        )
        sample = {"VARCHAR": "'x' || i", "BIGINT": "i", "INTEGER": "i", "BOOLEAN": "i % 2 = 0",
                  "DOUBLE": "i / 4", "BLOB": "'x'::blob"}  # fmt: skip
        for (table,) in con.execute(
            "select table_name from duckdb_tables() where table_name <> 'meta'"
        ).fetchall():
            columns = con.execute(
                "select column_name, data_type from duckdb_columns() where table_name = ?", [table]
            )
            values = ", ".join(sample[kind] for _, kind in columns.fetchall())
            if table != "event":
                con.execute(f"insert into {table} select {values} from range(1, 4) r(i)")  # noqa: S608
        chain_of(con)
        names = [
            row[0] for row in con.execute("select table_name from duckdb_tables() order by 1").fetchall()
        ]
        return {
            name: con.execute(f"select * from {name} order by all").fetchall()  # noqa: S608
            for name in names
            if name != "meta"
        }


def chain_of(con: duckdb.DuckDBPyConnection) -> None:
    """Four events in a true chain."""
    from store.canonical import digest
    from store.ledger import Ledger

    ledger = Ledger(con, digest(b"old"))
    for kind, payload in (
        ("project.create", {}),
        ("verdict", OK | {"revealed": True}),
        ("verdict", OK),
        ("undo", {"target": 3}),
    ):
        event = ledger.next_event(acts.new_id(), "demo", kind, payload, actor="ada", claimed=None)
        ledger.insert(con, event)
        ledger.record(event)


@pytest.mark.parametrize("version", range(1, opening.SCHEMA_VERSION + 1))
def test_a_store_of_every_schema_there_was_opens_with_all_that_it_held(tmp_path, version):
    path = tmp_path / "old.duckdb"
    rows = filled_by_schema(path, version)
    database = Database(path, owner="somebody else")
    assert (database.schema, database.owner) == (opening.SCHEMA_VERSION, "ada")
    assert verify_chain(database.connection, database.root) == []
    for table, old in rows.items():
        now = database.connection.execute(f"select * from {table} order by all").fetchall()  # noqa: S608
        assert [row[: len(old[0])] for row in now] == old or table == "verdict_event", table
        assert len(now) == len(old), table
    applied = database.apply(acts.new_id(), "demo", "verdict", OK, actor="ada", claimed=None)
    assert applied.event.seq == 5
    database.close()
    reopened = Database(path, owner="ada")
    assert verify_chain(reopened.connection, reopened.root) == []
    reopened.close()


def test_an_upgrade_that_is_cut_off_leaves_the_old_schema(tmp_path, monkeypatch):
    path = tmp_path / "old.duckdb"
    filled_by_schema(path, 1)
    monkeypatch.setattr(opening, "SCHEMA_VERSION", opening.SCHEMA_VERSION + 1)  # whose file is not there
    with pytest.raises(FileNotFoundError):
        Database(path, owner="ada")
    monkeypatch.undo()
    database = Database(path, owner="ada")
    assert database.schema == opening.SCHEMA_VERSION
    database.close()


# ---- clocks
def test_times_in_the_ledger_never_run_backwards_though_the_clock_does(tmp_path, monkeypatch):
    import time

    database = Database(tmp_path / "s.duckdb", owner="ada")
    database.apply("a", "demo", "project.create", {}, actor="ada", claimed=None)
    now = time.time_ns()
    ids = []
    for hours in (0, -5, 3, -(10**5), 2):
        monkeypatch.setattr("time.time_ns", lambda hours=hours: now + hours * 3600 * 10**9)
        ids.append(acts.new_id())
        database.apply(ids[-1], "demo", "comment", {"subject": "s", "text": "x"}, actor="ada", claimed=None)
    times = [row[0] for row in database.connection.execute("select at_us from event order by seq").fetchall()]
    assert times == sorted(times)
    assert times[-1] == times[-3]  # held at the latest one seen
    assert len(set(ids)) == len(ids)
    assert verify_chain(database.connection, database.root) == []
    database.close()


def test_the_outbox_keeps_the_order_of_making_though_the_clock_runs_backwards(
    store, store_path, tmp_path, monkeypatch
):
    import time

    now, box = time.time_ns(), Outbox(tmp_path / "out.jsonl")
    for hours in (0, -5, -9):
        monkeypatch.setattr("time.time_ns", lambda hours=hours: now + hours * 3600 * 10**9)
        text = {"subject": "s", "text": f"{hours}"}
        box.put(Waiting(acts.new_id(), store.welcome.store_id, "demo", "comment", text))
    box.close()
    with Client(store_path, outbox=tmp_path / "out.jsonl") as client:
        assert [resent.act.payload["text"] for resent in client.resend_outbox()] == ["0", "-5", "-9"]


# ---- other versions, and hubs that do not leave
OLDER = """
import sys
from store import wire
wire.PROTOCOL, wire.VERSION = 0, "0.0.9"
from store import hub
sys.exit(hub.main([sys.argv[1], "--stay"]))
"""


@contextlib.contextmanager
def older_hub(path: Path) -> Iterator[subprocess.Popen]:
    """A hub of an older protocol, in a process of its own, listening."""
    with subprocess.Popen([sys.executable, "-c", OLDER, str(path)], stderr=subprocess.DEVNULL) as process:
        while not address.socket_path(path).exists():
            assert process.poll() is None
        try:
            yield process
        finally:
            process.kill()


def test_an_older_hub_that_still_runs_is_named_with_the_command_that_replaces_it(store_path):
    with older_hub(store_path) as old:
        with pytest.raises(WireError, match=r"speaks protocol 0") as caught:
            Client(store_path)
        assert "0.0.9" in caught.value.what
        assert str(old.pid) in caught.value.what
        assert "`spiritsafe stop` ends this hub" in caught.value.todo
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", "--store", store_path, "--json", "stop"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout) == {"stopped": old.pid}
        assert old.wait(10) == 0
    with Client(store_path) as client:
        assert client.welcome.pid != old.pid


def test_a_hub_that_does_not_answer_is_not_waited_for_without_end(store, store_path, monkeypatch):
    monkeypatch.setattr(hub_process, "GREETING_SECONDS", 0.2)
    os.kill(store.welcome.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match="does not leave") as caught:
            stop_hub(store_path, seconds=0.2)
        assert f"kill -9 {store.welcome.pid}" in caught.value.todo
    finally:
        os.kill(store.welcome.pid, signal.SIGCONT)


def test_stopping_where_no_hub_runs_says_so(tmp_path):
    assert stop_hub(tmp_path / "none.duckdb") is None
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "--store", tmp_path / "none.duckdb", "stop"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "no hub is running" in done.stderr


# ---- starting and leaving
CLIENT = """
import sys
from pathlib import Path
from store.client import Client
with Client(Path(sys.argv[1]), create=True) as client:
    print(client.welcome.pid, client.welcome.store_id, client.call("status")["events"])
"""


def test_of_many_clients_that_start_at_once_one_starts_the_hub_and_all_are_served(store_path):
    started = [
        subprocess.Popen([sys.executable, "-c", CLIENT, store_path], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert all(process.returncode == 0 for process in started)
    assert address.log_path(store_path).read_text().count("another hub") == 0


def test_a_client_that_dies_while_its_hub_starts_keeps_nobody_out(store_path):
    code = CLIENT.replace(
        "with Client", "import threading, os; threading.Timer(0.05, os._exit, [1]).start()\nwith Client"
    )
    subprocess.run([sys.executable, "-c", code, store_path], capture_output=True, check=False)
    with Client(store_path, create=True) as client:
        assert client.call("status")["events"] == 0


def test_a_hub_with_a_client_never_leaves_and_without_one_it_does(store_path):
    with served(store_path, idle_seconds=0.05) as hub:
        with Client(store_path, start=False) as client:
            until = hub.last_seen + 1.5
            while hub.last_seen < until:  # the hub looks again and again
                assert client.call("status")["events"] == 0
        assert hub.shared.stop.wait(10)


def test_sigterm_finishes_what_was_asked(store, store_path):
    slow = "select count(*) from range(12000) a, range(12000) b where (a.range * b.range) % 7 = 1"
    with ThreadPoolExecutor(2) as pool, Client(store_path) as asking:
        answer = pool.submit(asking.call, "sql", text=slow)
        acted = [store.act("verdict", "demo", OK | {"subject": f"s{n}"}) for n in range(5)]
        os.kill(store.welcome.pid, signal.SIGTERM)
        rows = answer.result(timeout=60)["rows"]
        assert rows[0][0] > 0
    assert len(acted) == 5
    with Client(store_path) as next_one:
        assert next_one.welcome.pid != store.welcome.pid
        assert next_one.call("status")["events"] == 6


def test_an_input_error_is_no_lost_connection(store):
    with pytest.raises(InputError):
        store.act("verdict", "demo", OK | {"verdict": "splendid"})
    assert len(store._free) == 1
