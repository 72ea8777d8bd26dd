"""Whatever comes over the socket, the hub answers or closes, serves the others, and never hangs; so does a client."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import address, client, wire
from store.client import Client
from store.errors import SpiritsafeError, StoreError, WireError
from store.hub import Hub
from store.operations import OPERATIONS
from store.wire import ARROW, MESSAGE, PROTOCOL, VERSION, Channel, Hello, Request, Response, Welcome
from tests.store.fault_desk import TORTURE, dialled

EXAMPLES = 1000 if TORTURE else 60
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
SECONDS = 20.0  # nothing takes so long: an answer that is later is a hub that hangs


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One hub for all examples, in this process, and a client that has done nothing wrong."""
    path = tmp_path_factory.mktemp("fuzz") / "s.duckdb"
    hub = Hub(path, idle_seconds=600)
    thread = threading.Thread(target=hub.serve)
    thread.start()
    with Client(path, start=False) as good:
        good.act("project.create", "demo", {})
        run = good.run("demo", "import", params={}, inputs={})
        yield good
        assert good.call("chain")["faults"] == []
        assert run.run_no == 1
    hub.leave()
    thread.join()


def heard_to_the_end(sock: socket.socket) -> bytes:
    """All that the hub says until it closes; fails where it does neither."""
    sock.settimeout(SECONDS)
    said = bytearray()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(1 << 16):
            said += piece
    return bytes(said)


def sent(path: Path, body: bytes, *, greet: bool) -> bytes:
    with dialled(path) as sock:
        if greet:
            Channel(sock).send(Hello(PROTOCOL, VERSION))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(body)
        return heard_to_the_end(sock)


# ---- bytes
@quick
@given(body=st.binary(max_size=3000), greet=st.booleans())
def test_random_bytes_end_in_an_answer_or_an_end(served, body, greet):
    sent(served.path, body, greet=greet)
    assert served.call("status")["events"] == 2


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body), kind) + body


VALID = [
    frame(MESSAGE, msgspec.msgpack.encode(Request("status"))),
    frame(MESSAGE, msgspec.msgpack.encode(Request("ask", {"question": "projects", "params": {}}))),
    frame(MESSAGE, msgspec.msgpack.encode(Request("fetch", {"question": "projects", "params": {}}))),
    frame(MESSAGE, msgspec.msgpack.encode(Request("sql", {"text": "select 1"}))),
    frame(MESSAGE, msgspec.msgpack.encode(Request("append", {"run_no": 1, "table": "score", "first_seq": 0}, True)))
    + frame(ARROW, b"not a stream"),
    frame(MESSAGE, msgspec.msgpack.encode(Request("open_queue", {"spec": {"kind": "ledger", "project": "demo"}}))),
]  # fmt: skip


@quick
@given(
    frames=st.lists(st.sampled_from(VALID), min_size=1, max_size=4),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    cut=st.floats(0, 1),
)
def test_changed_and_cut_frames_end_in_an_answer_or_an_end(served, frames, changes, cut):
    body = bytearray(b"".join(frames))
    for share, byte in changes:
        body[int(share * (len(body) - 1))] = byte
    sent(served.path, bytes(body[: int(cut * len(body)) or 1]), greet=True)
    assert served.call("status")["events"] == 2


@quick
@given(body=st.binary(max_size=200))
def test_a_greeting_of_any_kind_is_answered_or_ended(served, body):
    sent(served.path, frame(MESSAGE, body), greet=False)
    assert served.call("status")["events"] == 2


# ---- arguments
leaf = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
leaf |= st.binary(max_size=20)
anything = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
plausible = {
    "spec": st.fixed_dictionaries({}, optional={
        "kind": st.sampled_from(["audit", "duplicates", "disagreements", "ledger", "adjudicate", "?"]),
        "project": st.sampled_from(["demo", "", "none"]), "model": st.text(max_size=5), "filter": st.text(max_size=20),
        "seed": st.integers(), "sort": st.text(max_size=9), "blind": st.booleans() | st.none(),
    }),
    "queue": st.sampled_from(["q1", "", "q999"]), "low": st.integers(-5, 2**63 - 1), "high": st.integers(-5, 2**63 - 1),
    "position": st.integers(-(2**63), 2**63 - 1), "step": st.integers(-3, 3),
    "kind": st.sampled_from(["why", "undo", "redo", "run.close", "verdict", "comment", "decide", "levitate"]),
    "project": st.sampled_from(["none", "", "no such"]), "id": st.text(max_size=30),
    "question": st.sampled_from(["projects", "events", "verdicts", "outputs", "no such"]),
    "params": st.dictionaries(st.sampled_from(["project", "run_id", "model", "x"]), leaf, max_size=4),
    "text": st.sampled_from(["select 1", "select * from event", "selec", "select 1; select 2", "checkpoint", ""])
    | st.text(max_size=40),
    "run_no": st.integers(-1, 2**62), "table": st.sampled_from(["score", "event", "arrival", "x'; drop table event"]),
    "first_seq": st.integers(-1, 2**62), "columns": st.lists(st.text(max_size=9), max_size=3),
    "seconds": st.floats(0.01, 0.5), "limit": st.integers(-1, 100),
}  # fmt: skip
NOT_ASKED = {"stop", "backup"}  # the one ends the hub, the other streams the store (test_backup.py)


@st.composite
def request(draw: st.DrawFn) -> Request:
    """A request for any operation, its arguments typed, of other types, too many or too few."""
    from store.operations import ARGUMENTS

    name = draw(st.sampled_from(sorted(OPERATIONS.keys() - NOT_ASKED)))
    args: dict[str, Any] = {}
    for field in msgspec.structs.fields(ARGUMENTS[name]):
        how = draw(st.sampled_from(["plausible", "plausible", "plausible", "any", "missing"]))
        if how != "missing" and field.name != "arrow":
            args[field.name] = draw(plausible.get(field.name, anything) if how == "plausible" else anything)
    if draw(st.booleans()) and name != "act":
        args |= draw(st.dictionaries(st.text(max_size=6), leaf, max_size=1))
    return Request(name, args, arrow=name == "append")


@settings(max_examples=EXAMPLES * 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=request(), arrow=st.binary(max_size=100))
def test_every_operation_with_any_arguments_is_answered(served, asked, arrow):
    with dialled(served.path) as sock:
        sock.settimeout(SECONDS)
        channel = Channel(sock)
        channel.send(Hello(PROTOCOL, VERSION))
        channel.receive(Response)
        try:
            channel.send(asked)
        except (TypeError, ValueError, OverflowError):  # msgpack has no such value
            return
        if asked.arrow:
            channel.send_arrow(arrow)
        answer = channel.receive(Response)
        if answer.arrow:
            with contextlib.suppress(SpiritsafeError):
                while channel.receive_arrow():
                    pass
        channel.send(Request("status"))
        assert channel.receive(Response).result["events"] == 2


# ---- a hub that is none
class Impostor:
    """Listens where a hub would, and says to everybody what it was told to say."""

    def __init__(self, path: Path) -> None:
        self.path, self.says, self.hangs_up = path, b"", True
        path.touch()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address.socket_path(path)))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        kept = []
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with contextlib.suppress(OSError):
                    sock.sendall(self.says)
                    sock.recv(1 << 16)
                    if self.hangs_up:
                        sock.shutdown(socket.SHUT_WR)
                kept.append(sock)
        for sock in kept:
            sock.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impostor]:
    one = Impostor(tmp_path_factory.mktemp("impostor") / "s.duckdb")
    yield one
    one.close()


@quick
@given(body=st.binary(max_size=300), framed=st.booleans())
def test_a_client_of_a_hub_that_says_anything_gets_an_error_of_ours(impostor, body, framed):
    before = client.START_SECONDS
    client.START_SECONDS = 0.05
    try:
        impostor.says = frame(MESSAGE, body) if framed else body
        with pytest.raises(SpiritsafeError):
            Client(impostor.path)
    finally:
        client.START_SECONDS = before


def test_a_client_of_a_hub_that_says_nothing_waits_no_longer_than_it_must(impostor, monkeypatch):
    monkeypatch.setattr(client, "START_SECONDS", 0.3)
    impostor.says, impostor.hangs_up = b"", False
    with pytest.raises(StoreError, match="does not answer"):
        Client(impostor.path)


WELCOME = Response(result=msgspec.to_builtins(Welcome(PROTOCOL, VERSION, 1, "s", "p", 1, "ada", "owner")))


@quick
@given(body=st.binary(max_size=300), kind=st.sampled_from([MESSAGE, ARROW, 7]), framed=st.booleans())
def test_a_client_whose_request_is_answered_with_anything_gets_an_error_of_ours(impostor, body, kind, framed):
    impostor.hangs_up = True
    impostor.says = frame(MESSAGE, msgspec.msgpack.encode(WELCOME)) + (frame(kind, body) if framed else body)
    with Client(impostor.path) as asking:
        try:
            asking.call("status")
        except SpiritsafeError:
            return
    assert kind == MESSAGE  # by chance it was an answer


def test_a_frame_larger_than_any_may_be_is_not_waited_for():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">IB", wire.MAX_FRAME + 1, MESSAGE))
        with pytest.raises(WireError, match="bytes where"):
            Channel(ours).receive(Response)


@given(body=st.binary(max_size=400))
def test_the_decoder_takes_any_bytes_for_a_message_or_refuses_them(body):
    for kind in (Hello, Request, Response):
        with contextlib.suppress(WireError):
            wire.decoded(body, kind)


def test_what_is_nested_without_end_is_refused():
    for body in (b"\x91" * 100_000, b"\x81\xa1a" * 50_000, os.urandom(1) * 100_000):
        for kind in (Hello, Request, Response):
            with contextlib.suppress(WireError):
                wire.decoded(body, kind)


# ---- rows
@pytest.fixture(scope="module")
def stream(served) -> bytearray:
    """Three rows of ``score`` as an Arrow stream, for the open run of ``served``."""
    import pyarrow as pa

    from store.arrow import arrow_schema
    from store.records import key_of

    columns = [
        [1] * 3,
        [key_of(1, n) for n in range(3)],
        [1, 2, 3],
        [1, 2, 3],
        ["p" * 32, "q", "ü"],
        ["teacher"] * 3,
    ]
    columns += [["chars"] * 3, [0.5, 1.0, 2.0]]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow_schema("score")) as writer:
        writer.write_table(pa.Table.from_arrays([pa.array(c) for c in columns], schema=arrow_schema("score")))
    return bytearray(sink.getvalue().to_pybytes())


@settings(max_examples=EXAMPLES * 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_rows_whose_bytes_were_changed_are_refused_or_taken_and_never_end_the_hub(served, stream, changes):
    body = bytearray(stream)
    for share, byte in changes:
        body[int(share * (len(body) - 1))] = byte
    first = served.call("sql", text="select count(*) from score where run_no = 1")["rows"][0][0]
    with contextlib.suppress(SpiritsafeError):
        served.call("append", run_no=1, table="score", first_seq=first, arrow=bytes(body))
    assert served.call("status")["events"] == 2
