"""One client's session inside the hub: who it is, its cursor, and how it is answered.

What it may ask for is in ``operations.py``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from store.errors import InputError, SpiritsafeError, StoreError, WireError
from store.faults import fault_of, gave_up
from store.ledger import reviewer
from store.wire import MAX_REQUEST, Channel, Request, Response, decoded, problem_of

if TYPE_CHECKING:
    from store.database import Database
    from store.queues import Queues
    from store.text_follow import Follower

log = logging.getLogger("spiritsafe.hub")

# What arguments of a shape that nobody thought of may end in. The session says so and goes on.
UNFORESEEN = (
    TypeError, ValueError, ArithmeticError, LookupError, AttributeError, NotImplementedError, MemoryError,
    RecursionError,
)  # fmt: skip

Operate = Callable[["Session", str, dict[str, Any]], Any]


@dataclass(slots=True)
class Shared:
    """What all sessions of a hub share."""

    database: Database
    queues: Queues
    jobs: dict[str, dict[str, Any]]
    stop: threading.Event
    leave: Callable[[], None]  # ask the hub to leave
    text: Follower
    # of each client: who, project, screen, when said
    present: dict[str, tuple[str, str, str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end: the account and role are ours to say, the claimed name and the instance theirs."""

    actor: str
    role: str  # owner | reviewer
    claimed: str | None
    instance: str


class Session:
    """One connection of a client. ``run`` serves it until it leaves."""

    def __init__(self, shared: Shared, channel: Channel, caller: Caller, operate: Operate) -> None:
        """``operate(session, name, arguments)``: does what a request asks for."""
        self.shared, self.channel, self.caller, self._operate = shared, channel, caller, operate
        self.role, self.who = caller.role, reviewer(caller.actor, caller.claimed)
        self.cursor = shared.database.cursor()

    def run(self) -> None:
        """Answer requests until the client leaves, talks nonsense or stops reading."""
        try:
            while not self.shared.stop.is_set():
                request = self._request()
                self._answer(request, self._arrow() if request.arrow else None)
        except EOFError:
            pass
        except WireError as error:
            log.info("%s: %s", self.who, error)
            self.channel.refuse(error)
        except OSError as error:
            log.info("%s left, or reads no more: %s", self.who, error)
        finally:
            self.channel.close()
            self.cursor.close()

    def _request(self) -> Request:
        """The next request. What is no request is answered with the reason; what is no frame ends the session."""
        while True:
            body = self.channel.message(limit=MAX_REQUEST)
            try:
                return decoded(body, Request)
            except WireError as error:
                self.channel.send(Response(problem=problem_of(error)))

    def _arrow(self) -> bytes:
        try:
            return self.channel.receive_arrow()
        except WireError:
            raise
        except SpiritsafeError as error:
            raise WireError(f"an error came where rows were due: {error.what}") from error

    def _done(self, op: str, arguments: dict[str, Any]) -> Any:
        try:
            return self._operate(self, op, arguments)
        except OSError as error:  # of a file, or of Arrow's: the socket's own come from sending
            raise StoreError(f"{op}: {error.strerror or error}", where=str(error.filename or "")) from error

    def _answer(self, request: Request, arrow: bytes | None) -> None:
        try:
            arguments = request.args if arrow is None else request.args | {"arrow": arrow}
            with self.shared.database.room_for(request.op):
                answer = self._done(request.op, arguments)
                if isinstance(answer, Bulk):
                    with answer.room():
                        answer.send(self.channel)
                    return
            self.channel.send(Response(result=answer))
        except SpiritsafeError as error:
            self.channel.send(Response(problem=problem_of(error)))
        except UNFORESEEN as error:
            log.exception("%s", request.op)
            said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            self.channel.send(Response(problem=problem_of(InputError(f"{request.op}: {said}"))))
        except duckdb.Error as error:
            if gave_up(error):
                log.exception("the database gave up; leaving, so that the next client starts a hub anew")
                self.shared.leave()
                raise EOFError from error
            log.warning("%s: %s", request.op, error)
            problem = fault_of(error, self.shared.database.path, request.op)
            self.channel.send(Response(problem=problem_of(problem)))


class Bulk:
    """A bulk answer: record batches as Arrow frames, each a stream of its own, then an empty frame.

    ``room``: the memory that it takes to send it, beside what the operation has.
    """

    room: Callable[[], AbstractContextManager[None]] = nullcontext

    def __init__(self, reader: Any, room: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.reader, self.room = reader, room

    def send(self, channel: Channel) -> None:
        import pyarrow as pa

        channel.send(Response(arrow=True))
        empty = True
        for batch in self.reader:
            channel.send_arrow(_stream(pa, self.reader.schema, [batch]))
            empty = False
        if empty:
            channel.send_arrow(_stream(pa, self.reader.schema, []))
        channel.send_arrow(b"")


def _stream(pa: Any, schema: Any, batches: list[Any]) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return memoryview(sink.getvalue())
