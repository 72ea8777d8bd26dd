"""The client: the one way to a store, for the console, the commands and the jobs.

Connects to the hub of a store, starting it when the caller owns the store, and again when it died: a request
that was cut off is sent again under its own id, so that nothing is lost and nothing happens twice.
Safe to share between threads: a request takes a free connection, or makes one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from store import acts, address
from store.errors import RoleError, SpiritsafeError, StoreError, WireError
from store.hub_process import HubProcess, dial
from store.ledger import reviewer
from store.outbox import Outbox, Resent, Waiting
from store.read import Question
from store.run import Run
from store.wire import MAX_HELLO, PROTOCOL, VERSION, Channel, Hello, Request, Response, Welcome, error_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Client", "Resent", "Run"]

R = TypeVar("R")
START_SECONDS = 20.0
OPEN_SECONDS = 300.0  # a hub of ours that is still opening a big store, or bringing its schema up to date
RETRIES = 8


class Client:
    """A store, as everything above sees it."""

    def __init__(
        self,
        path: Path,
        *,
        claimed: str | None = None,
        create: bool = False,
        start: bool = True,
        outbox: Path | None = None,
    ) -> None:
        """Connect. ``outbox``: a file of the caller's own that keeps acts until they are acknowledged.

        Raises StoreError where there is no store or no hub can be had, RoleError where it is not ours to start.
        """
        self.path = path.absolute()
        self.instance = acts.new_id()
        self._claimed, self._create, self._start = claimed, create, start
        self._lock = threading.Lock()
        self._free: list[Channel] = []
        self._closed = False
        channel, self.welcome = self._connect()
        self._free.append(channel)
        self._outbox = None
        if outbox is not None:
            try:
                self._outbox = Outbox(outbox)
            except StoreError:
                self.close()
                raise

    @property
    def who(self) -> str:
        """The reviewer that this client's acts are by: the kernel's name, and the claimed one behind it."""
        return reviewer(self.welcome.actor, self._claimed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; the hub stays."""
        with self._lock:
            self._closed = True
        self._forget_free()
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None

    # ---- connection
    def _take(self) -> Channel:
        with self._lock:
            if self._closed:
                raise StoreError("this client is closed", where=str(self.path))
            if self._free:
                return self._free.pop()
        return self._connect()[0]

    def _give(self, channel: Channel) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(channel)
                return
        channel.close()

    def _forget_free(self) -> None:
        with self._lock:
            free, self._free = self._free, []
        for channel in free:
            channel.close()

    def _connect(self) -> tuple[Channel, Welcome]:
        hub: HubProcess | None = None
        begun = time.monotonic()
        try:
            while time.monotonic() < begun + (START_SECONDS if hub is None else OPEN_SECONDS):
                channel = dial(self.path)
                if channel is not None:
                    try:
                        return channel, self._greet(channel)
                    except (EOFError, OSError):  # it was just leaving
                        channel.close()
                    except SpiritsafeError:
                        channel.close()
                        raise
                elif hub is None:
                    hub = self._start_hub()
                elif hub.ended():
                    hub.close()
                    hub = None
                time.sleep(0.02)
        finally:
            if hub is not None:
                hub.close()
        raise StoreError(
            "its hub does not answer", where=str(self.path), todo=f"See {address.log_path(self.path)}."
        )

    def _greet(self, channel: Channel) -> Welcome:
        channel.deadline = time.monotonic() + START_SECONDS
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it refused us, and said why
            channel.send(Hello(PROTOCOL, VERSION, self._claimed, self.instance))
        answer = channel.receive(Response, limit=MAX_HELLO)
        if answer.problem is not None:
            raise error_of(answer.problem)
        channel.deadline = None
        channel.sock.settimeout(None)
        try:
            return msgspec.convert(answer.result, Welcome)
        except msgspec.ValidationError as error:
            todo = "Who listens there is no hub, or one of another version: `spiritsafe stop` ends it."
            raise WireError(f"no greeting of a hub: {error}", where=str(self.path), todo=todo) from error

    def _start_hub(self) -> HubProcess | None:
        if not self._start:
            raise StoreError("no hub is running", where=str(self.path))
        if not self.path.exists():
            if not self._create:
                raise StoreError(
                    "no store here",
                    where=str(self.path),
                    todo="`spiritsafe init` makes one; --store names another.",
                )
            address.check_parent(self.path)
        elif self.path.stat().st_uid != os.getuid():
            owner = address.user_name(self.path.stat().st_uid)
            raise RoleError(
                f"belongs to {owner}, and no hub is running",
                where=str(self.path),
                todo=f"Ask {owner} to run: spiritsafe serve {self.path}",
            )
        return HubProcess.start(self.path)

    # ---- requests
    def call(self, op: str, *, arrow: bytes | None = None, **args: Any) -> Any:
        """One request, its result. Sent again when the hub went away meanwhile: every operation bears that."""
        return self._request(Request(op, args, arrow is not None), arrow, lambda response, _: response.result)

    def stream(self, op: str, receive: Callable[[Response, Channel], R], **args: Any) -> R:
        """An operation whose answer ``receive`` reads frame by frame; asked anew where the hub goes away."""
        return self._request(Request(op, args), None, receive)

    def _request(self, request: Request, arrow: bytes | None, finish: Callable[[Response, Channel], R]) -> R:
        lost: Exception | None = None
        for _ in range(RETRIES):
            channel = self._take()
            try:
                return self._exchange(channel, request, arrow, finish)
            except (EOFError, OSError) as error:
                lost = error
                self._forget_free()  # they lead to the same hub
        raise StoreError(
            "its hub keeps going away", where=str(self.path), todo=f"See {address.log_path(self.path)}."
        ) from lost

    def _exchange(
        self,
        channel: Channel,
        request: Request,
        arrow: bytes | None,
        finish: Callable[[Response, Channel], R],
    ) -> R:
        whole = False
        try:
            channel.send(request)
            if arrow is not None:
                channel.send_arrow(arrow)
            response = channel.receive(Response)
            if response.problem is not None:
                whole = True
                raise error_of(response.problem)
            result = finish(response, channel)
            whole = True
            return result
        finally:
            if whole:
                self._give(channel)
            else:  # cut off in the middle, by whatever: what comes next on it would answer another question
                channel.close()

    def ask(self, question: Question[R], **params: Any) -> list[R]:
        """The records that answer a question."""
        rows = self.call("ask", question=question.name, params=params)
        return [question.record(*row) for row in rows]

    def fetch(self, question: Question[Any], **params: Any) -> pa.Table:
        """The same rows as one Arrow table."""
        return self._fetch("fetch", {"question": question.name, "params": params})

    def rows_of_run(self, run_no: int, table: str, columns: list[str]) -> pa.Table:
        """A run's rows of one artifact table, in stored order."""
        return self._fetch("rows_of_run", {"run_no": run_no, "table": table, "columns": columns})

    def fold(self, op: str, begin: Callable[[], R], take: Callable[[R, pa.Table], None], **args: Any) -> R:
        """An answer in bulk taken piece by piece, so that it need not fit into memory; begun anew where the hub died."""
        import pyarrow as pa

        def finish(_: Response, channel: Channel) -> R:
            state = begin()
            for frame in _frames(channel):
                take(state, pa.ipc.open_stream(frame).read_all())
            return state

        return self.stream(op, finish, **args)

    def table(self, op: str, **args: Any) -> pa.Table:
        """The answer of an operation that answers in bulk, as one Arrow table."""
        return self._fetch(op, args)

    def _fetch(self, op: str, args: dict[str, Any]) -> pa.Table:
        import pyarrow as pa

        def finish(_: Response, channel: Channel) -> pa.Table:
            return pa.concat_tables([pa.ipc.open_stream(frame).read_all() for frame in _frames(channel)])

        return self._request(Request(op, args), None, finish)

    # ---- acts and runs
    def act(
        self, kind: str, project: str, payload: dict[str, Any], *, act_id: str | None = None
    ) -> dict[str, Any]:
        """Put one act on the ledger, exactly once however often it is sent.

        With an outbox it is on the disk before it is sent. A StoreError leaves it there, to be sent again; any
        other error is the hub's answer.
        """
        act = Waiting(act_id or acts.new_id(), self.welcome.store_id, project, kind, payload)
        if self._outbox is not None:
            self._outbox.put(act)
        return self._send_act(act)

    def _send_act(self, act: Waiting) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.call(
                "act", id=act.id, project=act.project, kind=act.kind, payload=act.payload
            )
        except StoreError:
            raise
        except SpiritsafeError:
            self._answered(act)
            raise
        self._answered(act)
        return answer

    def _answered(self, act: Waiting) -> None:
        if self._outbox is not None:
            self._outbox.answered(act.id)

    def resend_outbox(self) -> list[Resent]:
        """Send what an earlier client left unanswered, oldest first, each under its own id.

        Raises StoreError where the hub cannot be had; what was not answered then stays in the outbox.
        """
        done = []
        for act in self._outbox.waiting() if self._outbox is not None else []:
            if act.store != self.welcome.store_id:
                continue
            try:
                done.append(Resent(act, self._send_act(act), None))
            except StoreError:
                raise
            except SpiritsafeError as error:
                done.append(Resent(act, None, error))
        return done

    def run(self, project: str, stage: str, *, params: dict[str, Any], inputs: dict[str, Any]) -> Run:
        """Open a run; see ``Run``."""
        run_id = acts.new_id()
        payload = {
            "run_id": run_id,
            "stage": stage,
            "params": acts.exact(params),
            "inputs": acts.exact(inputs),
        }
        opened = self.act("run.open", project, payload)
        return Run(self, project, run_id, opened["run_no"], opened["hash"])


def _frames(channel: Channel) -> Iterator[bytes]:
    while frame := channel.receive_arrow():
        yield frame
