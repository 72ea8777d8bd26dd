"""The wire: length-prefixed frames, msgpack for questions and acts, Arrow IPC for bulk.

A frame is ``>I`` length, one kind byte, and the body. A client greets first (``Hello``), the hub answers
(``Welcome``) or refuses; then one request at a time: a ``Request`` frame, for bulk followed by one Arrow
frame; the hub answers with a ``Response`` frame, for bulk followed by Arrow frames up to an empty one (or by
a ``Response`` with the problem that broke it off).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any, TypeVar

import msgspec

from store import errors

VERSION = "0.1.0"
PROTOCOL = 1
MESSAGE, ARROW = 0, 1
MAX_FRAME = 512 << 20
MAX_HELLO = 4096
MAX_REQUEST = 32 << 20  # what a client may ask in one message; its rows come as Arrow
MAX_AXES = 8  # of one grid: what ``cover`` takes at once
PIECE = 1 << 20  # a frame's memory grows by what has come, not by what its head claims

T = TypeVar("T")

_head = struct.Struct(">IB")
_pack = msgspec.msgpack.Encoder()


class Hello(msgspec.Struct, frozen=True):
    """What a client says first. ``instance``: one id for all connections of one client."""

    protocol: int
    version: str
    claimed: str | None = None
    instance: str = ""


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
    """Frames over one connected socket.

    A frame that has begun must go on: with SO_RCVTIMEO set, a peer that stops in its middle is a WireError, while one
    that has nothing to say may be silent for ever. ``deadline`` (monotonic seconds): until then all must have come.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline: float | None = None

    def send(self, message: msgspec.Struct) -> None:
        """Send one message frame; raises InputError where it is larger than a frame may be."""
        self._send(MESSAGE, _pack.encode(message))

    def send_arrow(self, body: bytes | memoryview) -> None:
        """Send one Arrow frame (empty: the end of a bulk answer)."""
        self._send(ARROW, body)

    def _send(self, kind: int, body: bytes | memoryview) -> None:
        if len(body) > MAX_FRAME:
            raise errors.InputError(
                f"{len(body):,} bytes are too many for one frame", todo="Send less at once."
            )
        head = _head.pack(len(body), kind)
        if len(body) <= PIECE:
            self.sock.sendall(head + bytes(body))
        else:
            self.sock.sendall(head)
            self.sock.sendall(body)

    def receive(self, kind: type[T], *, limit: int = MAX_FRAME) -> T:
        """Receive one message frame as ``kind``; raises EOFError when the peer left, WireError on garbage."""
        return decoded(self.message(limit=limit), kind)

    def message(self, *, limit: int = MAX_FRAME) -> bytes:
        """Receive one message frame as it is; ``decoded`` reads it."""
        return self._frame((MESSAGE,), limit)[1]

    def receive_arrow(self) -> bytes:
        """Receive one Arrow frame; raises the problem that came in its place."""
        found, body = self._frame((ARROW, MESSAGE), MAX_FRAME)
        if found == MESSAGE:
            problem = decoded(body, Response).problem
            raise error_of(problem) if problem else errors.WireError("a message where Arrow was due")
        return body

    def _frame(self, kinds: tuple[int, ...], limit: int) -> tuple[int, bytes]:
        size, found = _head.unpack(self._exactly(_head.size, begun=False))
        if found not in kinds or size > limit:
            raise errors.WireError(
                f"frame of kind {found} and {size} bytes where kind {kinds[0]} was due",
                todo="The peer speaks another protocol or version.",
            )
        return found, self._exactly(size)

    def _exactly(self, size: int, *, begun: bool = True) -> bytes:
        body = bytearray()
        while len(body) < size:
            at, more = len(body), min(PIECE, size - len(body))
            body += bytes(more)
            with memoryview(body) as view:
                self._fill(view[at:], begun=begun)
        return bytes(body)

    def _fill(self, view: memoryview, *, begun: bool) -> None:
        with view:
            got = 0
            while got < len(view):
                if self.deadline is not None:
                    self.sock.settimeout(max(0.001, self.deadline - time.monotonic()))
                try:
                    n = self.sock.recv_into(view[got:])
                except BlockingIOError as error:  # SO_RCVTIMEO is over
                    if got or begun:
                        raise errors.WireError("the peer stopped in the middle of a frame") from error
                    continue
                if n == 0:
                    raise EOFError
                got += n

    def refuse(self, error: errors.SpiritsafeError) -> None:
        """Say why, where the peer still listens, and close."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(1.0)
            self.send(Response(problem=problem_of(error)))
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def decoded(body: bytes, kind: type[T]) -> T:
    """A message frame's body as ``kind``; raises WireError where it is none."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except RecursionError as error:
        raise errors.WireError(f"not a {kind.__name__} message: it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is one
        raise errors.WireError(f"not a {kind.__name__} message: {error}") from error
