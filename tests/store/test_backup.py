"""A backup is the store at one moment, made while people work, and a store itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from engine.verify import verify_store
from store import address, cut, opening
from store.backup import backup, look
from store.client import Client
from store.cut import Cut
from store.database import Database
from store.errors import InputError, RoleError, RuleError, StoreError
from store.hub_process import stop_hub
from store.records import columns_of, key_of
from store.run import Run
from store.wire import ARROW, PROTOCOL, VERSION, Channel, Hello, Request, Response
from tests.factories import arrival
from tests.store.fault_desk import (
    OK,
    Disk,
    acknowledged,
    as_somebody_else,
    comments,
    dialled,
    kill_hub,
    mounted,
    said_by,
)


def row_group(client: Client) -> None:
    """A closed run of as many scores as go past the log."""
    run, n = client.run("demo", "import", params={}, inputs={}), Run.BATCH
    first = key_of(run.run_no, 0)
    columns = [
        pa.array([run.run_no] * n),
        pa.array(range(first, first + n)),
        pa.array(range(n)),
        pa.array(range(n)),
    ]
    columns += [pa.array([text] * n) for text in ("p" * 32, "teacher", "chars")]
    columns += [pa.array([k / 7 for k in range(n)])]
    run.add_table("score", pa.Table.from_arrays(columns, names=list(columns_of("score"))))
    run.close()


def filled(client: Client, rows: int = 3000) -> None:
    """A closed run of so many arrivals."""
    run = client.run("demo", "import", params={}, inputs={})
    run.add("arrival", [arrival(f"row {n} {os.urandom(40).hex()}") for n in range(rows)])
    run.close()


@contextlib.contextmanager
def writing(path: Path, count: int) -> Iterator[list[list[str]]]:
    """So many clients that put acts on the ledger without a pause; the ids that were acknowledged to each."""
    over = threading.Event()
    done: list[list[str]] = [[] for _ in range(count)]

    def write(number: int) -> None:
        with Client(path, claimed=f"w{number}") as client:
            while not over.is_set():
                done[number] += acknowledged_as(client, f"w{number}-{len(done[number])}")

    with ThreadPoolExecutor(count) as pool:
        working = [pool.submit(write, n) for n in range(count)]
        try:
            yield done
        finally:
            over.set()
            for one in working:
                one.result()


def acknowledged_as(client: Client, act_id: str) -> list[str]:
    client.act("comment", "demo", {"subject": "s", "text": "x"}, act_id=act_id)
    return [act_id]


# ---- what a copy holds
def test_backups_that_four_people_write_during_are_each_whole_and_a_beginning_of_the_ledger(
    store, store_path, tmp_path
):
    filled(store)
    before, told = [], []
    with writing(store_path, 4) as done:
        while not all(done):
            pass
        for number in range(3):
            before.append([list(ids) for ids in done])
            told.append(backup(store, tmp_path / f"copy-{number}.duckdb"))
    chain = {
        row[0]: row[1] for row in store.call("sql", text="select seq, hash from event", limit=10**6)["rows"]
    }
    assert store.call("chain")["faults"] == []
    for number, (acked, copy) in enumerate(zip(before, told, strict=True)):
        assert chain[copy["events"]] == copy["head"]
        path = tmp_path / f"copy-{number}.duckdb"
        with Client(path) as restored:
            held = comments(restored)
            assert set(held) >= {
                act_id for ids in acked for act_id in ids
            }  # all that was acknowledged before
            assert len(held) == len(set(held))
            assert restored.call("chain")["head"] == [copy["events"], copy["head"]]
            assert verify_store(restored).sound
            acknowledged(restored, 1)  # and it is a store like any other
        stop_hub(path)
    assert [copy["events"] for copy in told] == sorted(copy["events"] for copy in told)


def test_a_backup_during_an_import_holds_what_was_closed_and_nothing_half(store, store_path, tmp_path):
    """A row group goes past the log, into blocks that the log only refers to."""
    over = threading.Event()

    def load() -> int:
        runs = 0
        with Client(store_path, claimed="bulk") as client:
            while not over.is_set() and runs < 4:
                row_group(client)
                runs += 1
        return runs

    row_group(store)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        for number in range(2):
            copy = tmp_path / f"copy-{number}.duckdb"
            backup(store, copy)
            with Client(copy) as restored:
                assert verify_store(restored).sound
                closed, rows = restored.call(
                    "sql", text="select count(distinct run_no), count(*) from scores"
                )["rows"][0]
                assert closed >= 1
                assert rows == Run.BATCH * closed
            stop_hub(copy)
        over.set()
        assert loading.result() >= 1
    assert verify_store(store).sound


def test_while_a_backup_reads_no_checkpoint_begins_and_acts_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "CHECKPOINT_THRESHOLD", "1MB")
    path = tmp_path / "store.duckdb"
    database = Database(path, owner="ada")

    def put(act_id: str) -> None:
        text = {"subject": "s", "text": os.urandom(20_000).hex()}
        database.apply(act_id, "demo", "comment", text, actor="ada", claimed=None)

    def header() -> bytes:
        with path.open("rb") as file:
            return file.read(cut.HEADERS)

    database.apply("p", "demo", "project.create", {}, actor="ada", claimed=None)
    database.connection.execute("checkpoint")
    with cut._held(database):
        before = header()
        for n in range(60):
            put(f"held-{n}")
        values = "select 1, range, 1, 1, 'p', 'm', 'c', 0.5 from range(200000)"
        database.connection.execute(f"insert into score {values}")  # goes past the log
        assert header() == before
        with pytest.raises(RuleError, match="being made already"), cut._held(database):
            pass
    put("after")
    assert header() != before
    database.close()


# ---- the file
def test_a_backup_is_its_makers_alone_and_replaces_nothing_by_itself(store, store_path, tmp_path):
    at = tmp_path / "copy.duckdb"
    told = backup(store, at)
    assert told["events"] == 1
    assert told["bytes"] == at.stat().st_size
    assert stat.S_IMODE(at.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.duckdb"]  # no log, no draft
    first = at.read_bytes()
    acknowledged(store, 3)
    with pytest.raises(InputError, match="is there already") as caught:
        backup(store, at)
    assert "--force" in caught.value.todo
    assert at.read_bytes() == first
    assert backup(store, at, force=True)["events"] == 4
    assert look(at, check=True).seq == 4


def test_a_backup_over_the_store_or_a_link_or_into_nowhere_is_refused(store, store_path, tmp_path):
    (tmp_path / "link").symlink_to(store_path)
    (tmp_path / "used.duckdb.wal").touch()
    for path, what in (
        (store_path, "is the store itself"),
        (tmp_path / "link", "is the store itself"),
        (tmp_path / "none" / "copy", "no such folder"),
        (tmp_path, "is there already"),
        (tmp_path / "used.duckdb", "a store is in use there"),
    ):
        with pytest.raises(InputError, match=what):
            backup(store, path, force=True)
    assert store.call("status")["events"] == 1


def test_a_backup_onto_a_full_disk_leaves_no_file_and_the_store_as_it_was(store, tmp_path):
    filled(store, 20_000)
    with mounted(tmp_path / "small", "size=2m") as folder:
        Disk(folder).fill(leave=500_000)
        with pytest.raises(InputError, match="No space left") as caught:
            backup(store, folder / "copy.duckdb")
        assert "Free some space" in caught.value.todo
        assert [path.name for path in folder.iterdir()] == ["ballast"]
    assert store.call("status")["events"] == 3
    assert backup(store, tmp_path / "copy.duckdb")["events"] == 3  # nothing is held any more


def test_a_copy_that_was_damaged_on_its_way_is_not_kept(store, tmp_path):
    filled(store, 20_000)
    at = tmp_path / "copy.duckdb"

    def spoil(done: int, whole: int) -> None:
        if done == whole:
            (draft,) = tmp_path.glob("copy.duckdb.part-*[0-9]")
            body = bytearray(draft.read_bytes())
            for share in range(2, 10):
                body[len(body) * share // 10 - 5000] ^= 1
            draft.write_bytes(body)

    with pytest.raises(StoreError, match="damaged"):
        backup(store, at, progress=spoil)
    assert not list(tmp_path.glob("copy*"))


def test_a_copy_whose_end_is_missing_is_not_kept_even_unchecked(store, tmp_path):
    acknowledged(store, 20)

    def spoil(done: int, whole: int) -> None:
        if done == whole:
            (wal,) = tmp_path.glob("copy.duckdb.part-*.wal")
            os.truncate(wal, wal.stat().st_size - 3000)

    with pytest.raises(StoreError, match="the hub was at event 21"):
        backup(store, tmp_path / "copy.duckdb", check=False, progress=spoil)
    assert not list(tmp_path.glob("copy*"))


# ---- who, and what happens meanwhile
AS_NOBODY = """
try:
    with Client(Path(sys.argv[1])) as client:
        backup.backup(client, Path(sys.argv[2]) / "copy.duckdb")
except SpiritsafeError as error:
    print(type(error).__name__, error)
"""


def test_a_backup_is_refused_to_a_reviewer(store, store_path, tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    (tmp_path / "theirs").mkdir(mode=0o777)
    (tmp_path / "theirs").chmod(0o777)
    address.socket_path(store_path).chmod(0o666)
    said = said_by(as_somebody_else(AS_NOBODY, store_path, tmp_path / "theirs"))
    assert said.startswith(RoleError.__name__)
    assert "kept blind" in said
    assert not list((tmp_path / "theirs").iterdir())


def test_a_hub_that_is_killed_during_a_backup_is_started_again_and_the_backup_with_it(store, tmp_path):
    filled(store, 20_000)
    killed = []

    def kill(done: int, whole: int) -> None:
        if not killed and done > whole // 2:
            killed.append(done)
            os.kill(store.welcome.pid, signal.SIGKILL)

    assert backup(store, tmp_path / "copy.duckdb", progress=kill)["events"] == 3
    assert killed
    assert look(tmp_path / "copy.duckdb", check=True).faults == []


def test_a_hub_asked_to_leave_finishes_the_backup_that_it_was_asked_for(store, store_path, tmp_path):
    filled(store, 20_000)
    asked = []

    def ask(done: int, whole: int) -> None:
        if not asked:
            asked.append(store.welcome.pid)
            os.kill(store.welcome.pid, signal.SIGTERM)

    backup(store, tmp_path / "copy.duckdb", progress=ask)
    with Client(store_path) as client:
        assert client.welcome.pid != asked[0]
        assert client.call("status")["events"] == 3


def test_a_reader_that_stops_in_the_middle_of_a_backup_holds_nothing_for_long(near_store, tmp_path):
    filled(near_store, 20_000)
    with dialled(near_store.path) as sock:
        channel = Channel(sock)
        channel.send(Hello(PROTOCOL, VERSION))
        channel.receive(Response)
        channel.send(Request("backup"))
        assert channel.receive(Response).result["seq"] == 3
        with pytest.raises(RuleError, match="being made already"):
            backup(near_store, tmp_path / "copy.duckdb")
        acknowledged(near_store, 5)
    until = time.monotonic() + 10
    while True:  # as soon as the hub has seen it leave
        try:
            assert backup(near_store, tmp_path / "copy.duckdb")["events"] == 8
            break
        except RuleError:
            assert time.monotonic() < until


def test_progress_counts_every_byte(store, tmp_path):
    filled(store)
    seen = []
    backup(store, tmp_path / "copy.duckdb", progress=lambda done, whole: seen.append((done, whole)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == seen[-1][1]


def test_the_answer_is_a_response_and_frames_up_to_an_empty_one(store, store_path):
    acknowledged(store, 3)
    with dialled(store_path) as sock:
        channel = Channel(sock)
        channel.send(Hello(PROTOCOL, VERSION))
        channel.receive(Response)
        channel.send(Request("backup"))
        answer, body = channel.receive(Response), bytearray()
        while frame := channel.receive_arrow():
            body += frame
        told = answer.result
        assert answer.arrow
        assert len(body) == told["file"] + told["wal"]
        assert struct.pack(">IB", 0, ARROW) == b"\x00\x00\x00\x00\x01"
        channel.send(Request("status"))
        assert channel.receive(Response).result["events"] == 4


# ---- restoring
def test_a_backup_put_in_the_stores_place_is_the_store_again(store, store_path, tmp_path):
    acknowledged(store, 5)
    backup(store, tmp_path / "copy.duckdb")
    acknowledged(store, 5, start=5)
    kill_hub(store)
    shutil.copy(tmp_path / "copy.duckdb", store_path)
    with pytest.raises(StoreError) as caught:  # its log and head are of another time
        Client(store_path)
    assert "remove" in caught.value.todo
    assert "store.duckdb.wal" in caught.value.todo
    store_path.with_name(store_path.name + ".wal").unlink()
    with pytest.raises(StoreError, match="5 acknowledged events are missing") as caught:
        Client(store_path)
    assert "remove" in caught.value.todo
    address.head_path(store_path).unlink()
    with Client(store_path) as client:
        assert comments(client) == [f"act-{n}" for n in range(5)]
        acknowledged(client, 1, start=100)
        assert client.call("chain")["faults"] == []


def test_the_command_says_what_it_copied(store, store_path, tmp_path):
    acknowledged(store, 2)
    command = [
        sys.executable,
        "-m",
        "console.cli",
        "--store",
        store_path,
        "--json",
        "backup",
        tmp_path / "copy.duckdb",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["events"] == 3
    assert [told["events"], told["head"]] == store.call("chain")["head"]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 3
    assert json.loads(again.stderr)["what"] == "is there already"


def test_the_process_that_looks_says_why_a_copy_is_none(tmp_path):
    (tmp_path / "text").write_text("no store\n" * 2000)
    with duckdb.connect(tmp_path / "other.duckdb") as con:
        con.execute("create table mine (x integer)")
    for name in ("text", "other.duckdb"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "store.backup", tmp_path / name],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 5
        assert json.loads(done.stderr)["kind"] == StoreError.__name__


def test_a_cut_is_nothing_before_it_is_sent(tmp_path):
    database = Database(tmp_path / "s.duckdb", owner="ada")
    Cut(database)
    assert not database.copying.locked()
    database.close()


def test_an_act_is_acknowledged_while_a_backup_is_on_its_way(near_store, tmp_path):
    filled(near_store, 20_000)
    during = []

    def act(done: int, whole: int) -> None:
        if len(during) < 3:
            during.append(near_store.act("verdict", "demo", OK | {"subject": f"s{len(during)}"})["seq"])

    told = backup(near_store, tmp_path / "copy.duckdb", progress=act)
    assert during == [4, 5, 6]
    assert told["events"] == 3  # the copy is of the moment before
