"""A store that cannot be opened or served says where, what and what to do."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from store import address, wire
from store.client import Client
from store.errors import InputError, RoleError, StoreError, WireError
from store.hub import Hub
from store.wire import Channel, Hello, Request, Response
from tests.factories import stop_hub


def hello(path: Path, greeting: Hello) -> Response:
    sock = socket.socket(socket.AF_UNIX)
    with sock:
        sock.connect(str(address.socket_path(path)))
        channel = Channel(sock)
        channel.send(greeting)
        return channel.receive(Response)


def test_a_missing_store_is_not_made_by_looking_for_it(tmp_path):
    with pytest.raises(StoreError, match="no store here") as caught:
        Client(tmp_path / "none.duckdb")
    assert "spiritsafe init" in caught.value.todo
    assert not list(tmp_path.iterdir())


def test_a_store_in_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Client(tmp_path / "none" / "s.duckdb", create=True)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 1000)
    with pytest.raises(StoreError, match=r"notes\.txt: is no spiritsafe store"):
        Client(path)
    assert path.read_text().startswith("not a database")


def test_somebody_elses_database_is_left_alone(tmp_path):
    path = tmp_path / "other.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create table mine (x integer)")
    with pytest.raises(StoreError, match="but no spiritsafe store"):
        Client(path)
    with duckdb.connect(path) as con:
        assert con.execute("select table_name from duckdb_tables()").fetchall() == [("mine",)]


def test_a_truncated_store_is_said_to_be_damaged(store_path, store):
    store.close()
    stop_hub(store_path)
    os.truncate(store_path, store_path.stat().st_size // 2)
    with pytest.raises(StoreError, match="damaged") as caught:
        Client(store_path)
    assert "backup" in caught.value.todo


def test_a_store_with_a_broken_head_is_said_to_be_damaged(store_path, store):
    store.close()
    stop_hub(store_path)
    with store_path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * 8192)
    with pytest.raises(StoreError, match="damaged"):
        Client(store_path)


def test_a_newer_schema_is_refused_by_its_number(store_path, store):
    store.close()
    stop_hub(store_path)
    with duckdb.connect(store_path) as con:
        con.execute("update meta set value = '99' where key = 'schema'")
    with pytest.raises(StoreError, match="schema 99") as caught:
        Client(store_path)
    assert "Upgrade" in caught.value.todo


def test_a_store_open_in_another_process_is_said_so(store_path, store):
    store.close()
    stop_hub(store_path)
    code = f"import duckdb, sys; c = duckdb.connect({str(store_path)!r}); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match="open in another process"):
            Client(store_path)
        other.stdin.close()


@pytest.mark.parametrize("protocol", [0, 2])
def test_another_protocol_is_named_with_both_versions(store_path, store, protocol):
    answer = hello(store_path, Hello(protocol, "9.9.9"))
    assert f"speaks protocol {wire.PROTOCOL}" in answer.problem.what
    assert "9.9.9" in answer.problem.what
    assert "spiritsafe stop" in answer.problem.todo


def test_a_claimed_name_is_short_and_printable(store_path, store):
    for claimed in ("x" * 65, "a\nb"):
        with pytest.raises(InputError, match="claimed name"):
            Client(store_path, claimed=claimed)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">IB", 3, 0) + b"\xff\xff\xff"])
def test_garbage_is_answered_and_the_hub_serves_on(store_path, store, garbage):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(address.socket_path(store_path)))
        sock.sendall(garbage)
        answer = Channel(sock).receive(Response)
    assert answer.problem.kind == "WireError"
    assert store.call("status")["events"] == 1


def test_a_huge_frame_is_refused_before_it_comes(store_path, store):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(address.socket_path(store_path)))
        sock.sendall(struct.pack(">IB", 2**31, 0))
        assert Channel(sock).receive(Response).problem.kind == "WireError"


def test_an_unknown_operation_or_argument_is_a_wire_error(store):
    with pytest.raises(WireError, match="no operation"):
        store.call("levitate")
    with pytest.raises(WireError, match="window"):
        store.call("window", quene="q1")
    assert store.call("status")["events"] == 1


def test_a_client_that_reads_no_more_is_cut_off_and_keeps_nobody_waiting(store_path):
    hub = Hub(store_path, idle_seconds=60, send_seconds=0.2)
    served = threading.Thread(target=hub.serve)
    served.start()
    try:
        with Client(store_path, start=False) as other:
            others = set(hub.threads)
            deaf = other._connect()[0]
            with contextlib.closing(deaf):
                (session,) = hub.threads - others
                deaf.send(Request("sql", {"text": "select repeat('x', 1000000) from range(40)"}))
                assert other.call("status")["events"] == 0
                session.join(timeout=60)
                assert not session.is_alive()
                assert other.call("status")["events"] == 0
    finally:
        hub.leave()
        served.join()


def test_a_stale_socket_is_taken_over(store_path, store):
    os.kill(store.welcome.pid, signal.SIGKILL)
    assert address.socket_path(store_path).exists()
    assert store.call("status")["events"] == 1  # the client started another hub by itself
    with Client(store_path) as again:
        assert again.welcome.pid != store.welcome.pid


def test_a_client_that_comes_while_the_hub_leaves_gets_a_new_one(store_path, store):
    for _ in range(3):
        store.call("stop")
        with Client(store_path) as next_one:
            assert next_one.call("status")["events"] == 1


def test_two_hubs_never_serve_one_store(store_path):
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda _: Client(store_path, create=True), range(4)))
    assert len({client.welcome.pid for client in clients}) == 1
    assert len({client.welcome.store_id for client in clients}) == 1
    for client in clients:
        client.close()


def test_an_idle_hub_leaves_by_itself(store_path, monkeypatch):
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "0.1")
    with Client(store_path, create=True) as client:
        pid = client.welcome.pid
    os.waitpid(pid, 0)
    assert not address.socket_path(store_path).exists()


def test_a_path_too_long_for_a_socket_is_reached_through_its_folder(tmp_path):
    folder = tmp_path / ("long" * 20) / ("path" * 20)
    folder.mkdir(parents=True)
    path = folder / "s.duckdb"
    with Client(path, create=True) as client:
        client.act("project.create", "demo", {})
        at = address.socket_path(path)
        assert stat.S_ISSOCK(at.stat().st_mode)
        assert len(str(at)) > 107
        with Client(path) as other:
            assert other.welcome.pid == client.welcome.pid
    stop_hub(path)


def test_files_are_private_to_owner_and_group(store_path, store):
    for path in store_path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path


AS_NOBODY = """
import os, sys
from pathlib import Path
from store.client import Client
from store.errors import SpiritsafeError
os.setgid(65534); os.setuid(65534)
try:
    Client(Path(sys.argv[1]), create=True)
except SpiritsafeError as error:
    print(type(error).__name__, error)
"""


def as_nobody(path: Path) -> str:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def reachable(path: Path) -> None:
    """Let others pass through the folders above ``path`` that pytest keeps to itself."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.getuid() and "pytest" in str(folder):
            folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    reachable(tmp_path)
    said = as_nobody(tmp_path / "s.duckdb")
    assert said.startswith("InputError")
    assert "cannot write here" in said


def test_a_hub_that_is_not_open_to_the_caller_is_said_so(store_path, store):
    reachable(store_path.parent)
    said = as_nobody(store_path)
    assert said.startswith("RoleError")
    assert "not open to you" in said


def test_only_the_owner_of_a_store_starts_its_hub(store_path, store):
    store.close()
    stop_hub(store_path)
    reachable(store_path.parent)
    said = as_nobody(store_path)
    assert said.startswith(RoleError.__name__)
    assert "spiritsafe serve" in said


def test_a_read_only_store_of_ones_own_is_said_so(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = tmp_path / "theirs"
    folder.mkdir()
    with Client(folder / "s.duckdb", create=True):
        pass
    stop_hub(folder / "s.duckdb")
    reachable(folder)
    for path in (*folder.iterdir(), folder):
        os.chown(path, 65534, 65534)
        path.chmod(0o555 if path.is_dir() else 0o444)
    said = as_nobody(folder / "s.duckdb")
    assert said.startswith("StoreError")
    assert "cannot write beside the store" in said
