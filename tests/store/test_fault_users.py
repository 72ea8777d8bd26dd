"""Who may come to a hub, and what ill-behaved callers do to the others: nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store import address, door, hub
from store.client import Client
from store.errors import RoleError, StoreError, WireError
from store.hub import Hub
from store.hub_process import stop_hub
from store.wire import MESSAGE, PROTOCOL, VERSION, Channel, Hello, Request, Response
from tests.store.fault_desk import (
    NOBODY,
    OK,
    acknowledged,
    as_somebody_else,
    dialled,
    reachable,
    resident,
    said_by,
)

GROUP = 65533
TRY = """
try:
    with Client(Path(sys.argv[1]), create=True) as client:
        print(client.welcome.actor, client.welcome.role)
        client.act("verdict", "demo", {"queue": "audit", "subject": "s1", "verdict": "ok"})
        for op in ("stop", "backup"):
            try:
                client.call(op)
            except SpiritsafeError as error:
                print(type(error).__name__, error.what)
except SpiritsafeError as error:
    print(type(error).__name__, error)
"""
STOP = """
try:
    stop_hub(Path(sys.argv[1]))
except SpiritsafeError as error:
    print(type(error).__name__, error)
"""


# ---- other accounts
@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A store in a folder of a group, served by its owner."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    reachable(tmp_path)
    folder = tmp_path / "desk"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2770)  # what is made in it is the group's
    with Client(folder / "s.duckdb", create=True) as owner:
        owner.act("project.create", "demo", {})
        yield folder / "s.duckdb"
    stop_hub(folder / "s.duckdb")


def test_a_member_of_the_group_reviews_but_stops_backs_up_and_starts_nothing(shared):
    said = said_by(as_somebody_else(TRY, shared, group=GROUP)).splitlines()
    assert said[0] == "nobody reviewer"
    assert said[1].startswith("RoleError only the owner stops a hub")
    assert said[2].startswith("RoleError only the owner makes a backup")
    assert said_by(as_somebody_else(STOP, shared, group=GROUP)).startswith("RoleError")
    stop_hub(shared)
    said = said_by(as_somebody_else(TRY, shared, group=GROUP))
    assert said.startswith("RoleError")
    assert f"spiritsafe serve {shared}" in said


def test_somebody_outside_the_group_is_not_let_in(shared):
    shared.parent.chmod(0o2775)
    said = said_by(as_somebody_else(TRY, shared))
    assert said.startswith("RoleError")
    assert "add you to the group" in said


def test_nothing_beside_a_store_is_for_others_to_read(store, store_path):
    acknowledged(store, 3)
    stop_hub(store_path)
    acknowledged(store, 1, start=3)
    for path in store_path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path
    for end in (".head", ".lock", ".log"):
        assert stat.S_IMODE(store_path.with_name(store_path.name + end).stat().st_mode) == 0o600


# ---- folders that everybody writes to
@pytest.fixture
def common(tmp_path: Path) -> Path:
    """A folder like /tmp, and the path of a store to be in it."""
    reachable(tmp_path)
    folder = tmp_path / "common"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder / "s.duckdb"


@pytest.mark.parametrize("end", [".lock", ".log"])
def test_a_link_that_somebody_put_beside_the_store_is_not_followed(common, tmp_path, end):
    target = tmp_path / "precious"
    common.with_name(common.name + end).symlink_to(target)
    with pytest.raises(StoreError, match="no plain file") as caught:
        Client(common, create=True)
    assert "Remove it" in caught.value.todo
    assert not target.exists()
    assert not common.exists()


@pytest.mark.parametrize("end", [".lock", ".log"])
def test_a_file_of_somebody_else_beside_the_store_is_not_used(common, end):
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    at = common.with_name(common.name + end)
    at.touch()
    os.chown(at, NOBODY, NOBODY)
    with pytest.raises(StoreError, match="belongs to nobody"):
        Client(common, create=True)


@pytest.mark.parametrize("end", [".lock", ".log"])
def test_a_pipe_a_folder_or_a_second_name_is_not_used(common, tmp_path, end):
    at = common.with_name(common.name + end)
    os.mkfifo(at)
    with pytest.raises(StoreError, match="no plain file"):
        Client(common, create=True)
    at.unlink()
    at.mkdir()
    with pytest.raises(StoreError, match=r"no plain file|directory"):
        Client(common, create=True)
    at.rmdir()
    (tmp_path / "precious").write_text("of another program")
    at.hardlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match="second name"):
        Client(common, create=True)


def test_a_link_in_place_of_the_head_is_not_followed_and_the_store_serves_on(common, tmp_path):
    target = tmp_path / "precious"
    target.write_text("of another program")
    address.head_path(common).symlink_to(target)
    with Client(common, create=True) as client:
        client.act("project.create", "demo", {})
        assert "head could not be written" in address.log_path(common).read_text()
    assert target.read_text() == "of another program"
    stop_hub(common)


IMPOSTOR = """
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); listener.listen(); print("listening", flush=True)
listener.settimeout(20)
connection, _ = listener.accept()
print("heard", len(connection.recv(100)), flush=True)
sys.stdin.read()
"""


def test_a_socket_that_somebody_else_listens_on_is_told_nothing(common):
    with Client(common, create=True) as client:
        client.act("project.create", "demo", {})
    stop_hub(common)
    impostor = as_somebody_else(IMPOSTOR, address.socket_path(common))
    with impostor:
        assert impostor.stdout.readline() == "listening\n"
        with pytest.raises(StoreError, match="served by nobody, who does not own the store"):
            Client(common)
        assert impostor.stdout.readline() == "heard 0\n"
        impostor.stdin.close()


SQUATTER = "Path(sys.argv[1]).mkdir(); print('done')"


def test_what_somebody_put_in_the_place_of_the_socket_is_said(common):
    with Client(common, create=True):
        pass
    stop_hub(common)
    assert said_by(as_somebody_else(SQUATTER, address.socket_path(common))) == "done\n"
    with pytest.raises(StoreError, match=r"socket cannot be made|Connection refused") as caught:
        Client(common)
    assert str(address.socket_path(common)) in str(caught.value)


# ---- callers who misbehave
@pytest.fixture
def near(tmp_path: Path, monkeypatch) -> Iterator[Client]:
    """A hub in this process that waits only briefly, and a client of it."""
    monkeypatch.setattr(hub, "FRAME_SECONDS", 0.2)
    monkeypatch.setattr(hub, "HELLO_SECONDS", 0.5)
    served = Hub(tmp_path / "s.duckdb", idle_seconds=60, send_seconds=0.3)
    thread = threading.Thread(target=served.serve)
    thread.start()
    with Client(tmp_path / "s.duckdb", start=False) as client:
        client.act("project.create", "demo", {})
        yield client
    served.leave()
    thread.join()


def greeted(sock: socket.socket) -> Channel:
    """Past the greeting."""
    channel = Channel(sock)
    channel.send(Hello(PROTOCOL, VERSION))
    assert channel.receive(Response).problem is None
    return channel


def ended(sock: socket.socket) -> bool:
    """Read to the end; whether the hub ended the connection."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_a_caller_that_says_nothing_is_not_waited_for(near):
    with dialled(near.path) as sock:
        assert ended(sock)
        assert near.call("status")["events"] == 1


def test_a_greeting_that_comes_byte_by_byte_has_an_end(near):
    with dialled(near.path) as sock:
        sock.sendall(struct.pack(">IB", 4000, MESSAGE))
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 4000:
                sock.sendall(b"x")
                sent += 1
                for _ in range(20):
                    near.call("status")
        assert sent < 3000


def test_a_frame_that_stops_in_its_middle_ends_its_sender_and_nobody_else(near):
    with dialled(near.path) as slow:
        channel = greeted(slow)
        slow.sendall(struct.pack(">IB", 1000, MESSAGE) + b"begun")
        acknowledged(near, 5)
        assert channel.receive(Response).problem.what == "the peer stopped in the middle of a frame"
        assert ended(slow)


def test_a_caller_that_is_silent_between_two_requests_stays(near):
    with dialled(near.path) as sock:
        channel = greeted(sock)
        until = threading.Event()
        assert not until.wait(0.7)  # longer than a frame may stand still
        channel.send(Request("status"))
        assert channel.receive(Response).result["events"] == 1


def test_a_frame_head_of_half_a_gigabyte_takes_no_memory(near):
    before = resident(os.getpid())
    with dialled(near.path) as sock:
        greeted(sock)
        sock.sendall(struct.pack(">IB", 500 << 20, MESSAGE))
        assert ended(sock)
    with dialled(near.path) as sock:
        channel = greeted(sock)
        channel.send(Request("append", {"run_no": 1, "table": "score", "first_seq": 0}, arrow=True))
        sock.sendall(struct.pack(">IB", 500 << 20, 1) + bytes(1 << 20))
        assert ended(sock)
    assert resident(os.getpid()) - before < 64 << 20
    assert near.call("status")["events"] == 1


def test_a_caller_that_asks_and_does_not_listen_for_more_is_answered(near):
    with dialled(near.path) as sock:
        channel = greeted(sock)
        channel.send(Request("status"))
        sock.shutdown(socket.SHUT_WR)
        assert channel.receive(Response).result["events"] == 1
        assert ended(sock)


def test_a_caller_that_leaves_before_its_answer_takes_nobody_along(near):
    for _ in range(50):
        with dialled(near.path) as sock:
            greeted(sock).send(Request("sql", {"text": "select repeat('x', 100000) from range(50)"}))
    acknowledged(near, 5)
    assert near.call("chain")["faults"] == []


def test_two_thousand_connects_leave_the_hub_as_it_was(near):
    for _ in range(2000):
        with dialled(near.path):
            pass
    acknowledged(near, 3)
    assert len(list(Path("/proc/self/fd").iterdir())) < 200


def test_one_account_cannot_take_all_connections(near, monkeypatch):
    monkeypatch.setattr(door, "MOST_OF_ONE", 40)
    opened = []
    try:
        with pytest.raises(StoreError, match="connections of") as caught:
            opened.extend(Client(near.path, start=False) for _ in range(60))
        assert "Close some" in caught.value.todo
        assert 30 < len(opened) < 40
        assert near.call("status")["events"] == 1  # who is in stays in
    finally:
        for client in opened:
            client.close()
    with Client(near.path, start=False) as again:
        acknowledged(again, 1)


def test_a_hub_without_descriptors_left_turns_callers_away_and_recovers(store, store_path):
    limit = f"import resource; resource.prlimit({store.welcome.pid}, resource.RLIMIT_NOFILE, (40, 4096))"
    subprocess.run([sys.executable, "-c", limit], check=True)
    socks = []
    for _ in range(60):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(1)
        sock.connect(str(address.socket_path(store_path)))
        socks.append(sock)
    assert store.call("status")["events"] == 1
    for sock in socks:
        sock.close()
    with Client(store_path) as late:
        assert late.welcome.pid == store.welcome.pid
        acknowledged(late, 3)


def test_garbage_after_the_greeting_is_answered_and_ends_the_session(near):
    with dialled(near.path) as sock:
        channel = greeted(sock)
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert channel.receive(Response).problem.kind == WireError.__name__
        assert ended(sock)
    acknowledged(near, 1)


def test_a_frame_that_is_no_request_is_answered_and_the_session_goes_on(near):
    with dialled(near.path) as sock:
        channel = greeted(sock)
        for body in (b"\xc1", b"\x91" * 5000, b"\x93\x01\x02\x03", b""):
            sock.sendall(struct.pack(">IB", len(body), MESSAGE) + body)
            assert channel.receive(Response).problem.kind == WireError.__name__
        channel.send(Request("status"))
        assert channel.receive(Response).result["events"] == 1


def test_many_reviewers_at_once_are_all_served_while_some_misbehave(near):
    def review(number: int) -> int:
        with Client(near.path, start=False, claimed=f"r{number}") as client:
            for n in range(10):
                client.act("verdict", "demo", OK | {"subject": f"s{n}"})
        return number

    def misbehave(_: int) -> None:
        with dialled(near.path) as sock:
            greeted(sock)
            sock.sendall(os.urandom(200))
            ended(sock)

    with ThreadPoolExecutor(16) as pool:
        bad = [pool.submit(misbehave, n) for n in range(16)]
        assert sorted(pool.map(review, range(16))) == list(range(16))
        for done in bad:
            done.result()
    assert near.call("status")["events"] == 161
    assert near.call("chain")["faults"] == []


def test_only_the_owners_word_stops_a_hub_of_another_version(shared):
    """Its protocol is not understood, so the kernel's word on whose process it is decides."""
    code = STOP.replace("try:", "hub_process.PROTOCOL = 99\ntry:")
    said = said_by(as_somebody_else(code, shared, group=GROUP))
    assert said.startswith(RoleError.__name__)
    with Client(shared) as client:
        assert client.call("status")["events"] == 1
