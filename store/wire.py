"""The wire: length-prefixed frames, msgpack for questions and acts, Arrow IPC for bulk.

A frame is ``>I`` length, one kind byte, and the body. A client greets first (``Hello``), the hub answers
(``Welcome``) or refuses; then one request at a time: a ``Request`` frame, for bulk followed by one Arrow
frame; the hub answers with a ``Response`` frame, for bulk followed by Arrow frames up to an empty one.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, TypeVar

import msgspec

from store import errors

PROTOCOL = 1
MESSAGE, ARROW = 0, 1
MAX_FRAME = 512 << 20
MAX_HELLO = 4096

T = TypeVar("T")

_head = struct.Struct(">IB")
_pack = msgspec.msgpack.Encoder()


class Hello(msgspec.Struct, frozen=True):
    """What a client says first."""

    protocol: int
    version: str
    claimed: str | None = None


class Welcome(msgspec.Struct, frozen=True):
    """What the hub answers: who it is, and who the kernel says the caller is."""

    protocol: int
    version: str
    schema: int
    store_id: str
    path: str
    pid: int
    actor: str
    role: str


class Request(msgspec.Struct, frozen=True):
    """One question or act; ``arrow``: an Arrow frame follows."""

    op: str
    args: dict[str, Any] = {}
    arrow: bool = False


class Problem(msgspec.Struct, frozen=True):
    """An error of ours, as it crosses the wire."""

    kind: str
    what: str
    where: str = ""
    todo: str = ""


class Response(msgspec.Struct, frozen=True):
    """The answer; ``arrow``: Arrow frames follow, ended by an empty one."""

    result: Any = None
    problem: Problem | None = None
    arrow: bool = False


def problem_of(error: errors.SpiritsafeError) -> Problem:
    """An error as data."""
    return Problem(type(error).__name__, error.what, error.where, error.todo)


def error_of(problem: Problem) -> errors.SpiritsafeError:
    """The error that ``problem`` stands for; a kind that this version does not know is a StoreError."""
    kind = getattr(errors, problem.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.SpiritsafeError)):
        kind = errors.StoreError
    return kind(problem.what, where=problem.where, todo=problem.todo)


class Channel:
    """Frames over one connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, message: msgspec.Struct) -> None:
        """Send one message frame."""
        body = _pack.encode(message)
        self.sock.sendall(_head.pack(len(body), MESSAGE) + body)

    def send_arrow(self, body: bytes | memoryview) -> None:
        """Send one Arrow frame (empty: the end of a bulk answer)."""
        self.sock.sendall(_head.pack(len(body), ARROW))
        if len(body):
            self.sock.sendall(body)

    def receive(self, kind: type[T], *, limit: int = MAX_FRAME) -> T:
        """Receive one message frame as ``kind``; raises EOFError when the peer left, WireError on garbage."""
        body = self._frame(MESSAGE, limit)
        try:
            return msgspec.msgpack.decode(body, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise errors.WireError(f"not a {kind.__name__} message: {error}") from error

    def receive_arrow(self) -> bytes:
        """Receive one Arrow frame."""
        return self._frame(ARROW, MAX_FRAME)

    def _frame(self, kind: int, limit: int) -> bytes:
        size, found = _head.unpack(self._exactly(_head.size))
        if found != kind or size > limit:
            raise errors.WireError(
                f"frame of kind {found} and {size} bytes where kind {kind} was due",
                todo="The peer speaks another protocol or version.",
            )
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        body = bytearray(size)
        view, got = memoryview(body), 0
        while got < size:
            n = self.sock.recv_into(view[got:])
            if n == 0:
                raise EOFError
            got += n
        return bytes(body)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
