"""One client's session inside the hub: who it is, its cursor, and the operations it may ask for.

To add an operation: a function here, and a line in ``OPERATIONS``.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import duckdb
import msgspec

from store import query, read
from store.errors import InputError, RoleError, SpiritsafeError, StoreError, WireError
from store.ledger import reviewer, verify_chain
from store.queue_kind import QueueSpec
from store.queue_ledger import HIDDEN, hide_others, names_payload
from store.queue_letters import letter
from store.rows import one_row, one_value
from store.wire import Channel, Request, Response, problem_of

if TYPE_CHECKING:
    from store.database import Database
    from store.queues import Queues

log = logging.getLogger("spiritsafe.hub")

VERSIONS = "Client and hub differ in version."
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Questions whose answers tell what others judged, or which model wrote a text. Others do so too (``scored``), but
# a reviewer's own screens ask them.
TELLING = frozenset({"checks", "events", "given", "outputs", "pair_verdicts", "verdicts"})


@dataclass(slots=True)
class Shared:
    """What all sessions of a hub share."""

    database: Database
    queues: Queues
    jobs: dict[str, dict[str, Any]]
    stop: threading.Event
    leave: Callable[[], None]  # ask the hub to leave


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end: the account and role are ours to say, the claimed name and the instance theirs."""

    actor: str
    role: str  # owner | reviewer
    claimed: str | None
    instance: str


class Session:
    """One connection of a client. ``run`` serves it until it leaves."""

    def __init__(self, shared: Shared, channel: Channel, caller: Caller) -> None:
        self.shared, self.channel, self.caller = shared, channel, caller
        self.role, self.who = caller.role, reviewer(caller.actor, caller.claimed)
        self.cursor = shared.database.connection.cursor()

    def run(self) -> None:
        """Answer requests until the client leaves, talks nonsense or stops reading."""
        try:
            while not self.shared.stop.is_set():
                self._answer(self._request())
        except EOFError:
            pass
        except WireError as error:
            log.info("%s: %s", self.who, error)
        except OSError as error:
            log.info("%s left, or reads no more: %s", self.who, error)
        finally:
            self.channel.close()
            self.cursor.close()

    def _request(self) -> Request:
        while True:
            try:
                return self.channel.receive(Request)
            except RecursionError:
                self.channel.send(
                    Response(problem=problem_of(InputError("the request is nested too deeply")))
                )

    def _answer(self, request: Request) -> None:
        try:
            arrow = self.channel.receive_arrow() if request.arrow else None
            answer = self._operate(request, arrow)
            if isinstance(answer, Bulk):
                self.channel.send(Response(arrow=True))
                answer.send(self.channel)
            else:
                self.channel.send(Response(result=answer))
        except SpiritsafeError as error:
            self.channel.send(Response(problem=problem_of(error)))
        except (TypeError, ValueError, RecursionError) as error:  # of a shape that nobody foresaw
            log.exception("%s", request.op)
            said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            self.channel.send(Response(problem=problem_of(InputError(f"{request.op}: {said}"))))
        except duckdb.FatalException as error:
            log.exception("the database gave up; leaving, so that the next client starts a hub anew")
            self.shared.leave()
            raise EOFError from error
        except duckdb.Error as error:
            log.warning("%s: %s", request.op, error)
            problem = StoreError(f"{request.op}: {error}", where=str(self.shared.database.path))
            self.channel.send(Response(problem=problem_of(problem)))

    def _operate(self, request: Request, arrow: bytes | None) -> Any:
        operation = OPERATIONS.get(request.op)
        if operation is None:
            raise WireError(f"no operation {request.op!r}", todo=VERSIONS)
        args = request.args if arrow is None else request.args | {"arrow": arrow}
        return operation(self, **_arguments(request.op, args))


def _arguments(op: str, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an operation, each of the type that its function states; raises WireError where one is not."""
    try:
        return msgspec.structs.asdict(msgspec.convert(args, ARGUMENTS[op]))
    except msgspec.ValidationError as error:
        raise WireError(f"{op}: {error}", todo=VERSIONS) from error


class Bulk:
    """A bulk answer: record batches as Arrow frames, each a stream of its own, then an empty frame."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def send(self, channel: Channel) -> None:
        import pyarrow as pa

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


# ---- reads
def _kept_blind(session: Session) -> bool:
    return session.role != "owner" and session.shared.queues.any_blind()


def _refuse_while_blind(session: Session, what: str) -> None:
    if _kept_blind(session):
        raise RoleError(f"{what} needs the owner's role while a blind queue is open", todo="Ask the owner.")


def _parameters(question: read.Question[Any], params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if f"${name}" in question.sql}


def _question(session: Session, name: str) -> read.Question[Any]:
    question = read.QUESTIONS.get(name)
    if question is None:
        raise WireError(f"no question {name!r}", todo=VERSIONS)
    if name in TELLING:
        _refuse_while_blind(session, name)
    return question


def ask(session: Session, question: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of one question of ``read.py``."""
    asked = _question(session, question)
    return session.cursor.execute(asked.sql, _parameters(asked, params)).fetchall()


def fetch(session: Session, question: str, params: dict[str, Any]) -> Bulk:
    """The same rows as Arrow."""
    asked = _question(session, question)
    found = session.cursor.sql(asked.sql, params=_parameters(asked, params))
    return Bulk(found.to_arrow_reader(query.BULK_ROWS))


def rows_of_run(session: Session, run_no: int, table: str, columns: list[str]) -> Bulk:
    """A closed run's rows of one artifact table in stored order: what its digest was taken over."""
    _refuse_while_blind(session, "rows_of_run")
    return Bulk(query.run_rows(session.cursor, run_no, table, columns))


def slice_counts(
    session: Session,
    *,
    project: str,
    run_id: str,
    metric: str,
    teacher: str,
    student: str,
    predicates: list[str],
) -> list[tuple[Any, ...]]:
    """Paired counts of two models' scores for each predicate."""
    names = {"project": project, "run_id": run_id, "metric": metric, "teacher": teacher, "student": student}
    return query.slice_counts(session.cursor, predicates=predicates, **names)


def sql(session: Session, text: str, limit: int = 10_000, seconds: float = 30.0) -> dict[str, Any]:
    """One SELECT of the client's own, in a read-only transaction, with limits."""
    _refuse_while_blind(session, "sql")
    return query.client_sql(session.shared.database.connection, text, limit=limit, seconds=seconds)


def chain(session: Session) -> dict[str, Any]:
    """The state of the hash chain, and every fault in it."""
    database = session.shared.database
    head = one_row(session.cursor, "select seq, hash from event order by seq desc limit 1")
    return {"faults": verify_chain(session.cursor, database.root), "head": list(head or (0, database.root))}


# ---- acts and artifacts
def act(session: Session, id: Name, project: Name, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Put one act on the ledger; the event, for a run its number, for an undo what it undid."""
    if not (id.isprintable() and project.isprintable()):
        raise InputError("an act's id and project are of printable characters")
    shared, caller = session.shared, session.caller
    with shared.database.lock:  # marks follow verdicts in the ledger's order
        if kind == "verdict":
            payload = shared.queues.stamped(project, payload, session.who)
        done = shared.database.apply(id, project, kind, payload, actor=caller.actor, claimed=caller.claimed)
        if kind == "verdict" and done.fresh:
            mark = letter(payload["verdict"], payload.get("reason"))
            shared.queues.judged(
                project, payload["queue"], session.who, subject=payload["subject"], mark=mark
            )
        elif kind in ("undo", "redo"):
            shared.queues.forget(project, session.who)
    event = done.event
    answer: dict[str, Any] = {"seq": event.seq, "hash": event.hash, "at_us": event.at_us}
    if kind in ("undo", "redo"):
        answer["undone"] = _undone(session, event.payload)
    elif kind == "run.open":
        answer["run_no"] = one_value(
            session.cursor, "select run_no from run_opened where seq = ?", [event.seq]
        )
    return answer


def _undone(session: Session, payload: str) -> dict[str, Any]:
    """What an undo or redo was about, so that the screen can name it and go there."""
    target = session.shared.database.event(msgspec.json.decode(payload)["target"])
    if target.kind == "undo":
        target = session.shared.database.event(msgspec.json.decode(target.payload)["target"])
    return {"seq": target.seq, "kind": target.kind, **msgspec.json.decode(target.payload)}


def append(session: Session, run_no: int, table: str, first_seq: int, arrow: bytes) -> int:
    """Append an Arrow stream to an open run of one's own."""
    import pyarrow as pa

    try:
        batch = pa.ipc.open_stream(arrow).read_all()
    except pa.ArrowInvalid as error:
        raise InputError(f"not an Arrow stream: {error}") from error
    return session.shared.database.append(run_no, table, first_seq, batch, who=session.who)


# ---- queues
def open_queue(session: Session, spec: dict[str, Any]) -> dict[str, Any]:
    """Open a queue and say how long it is and how much of it the caller has judged."""
    try:
        wanted = msgspec.convert(spec, QueueSpec)
    except msgspec.ValidationError as error:
        raise InputError(f"not a queue: {error}") from error
    if wanted.kind == "ledger" and names_payload(wanted):
        _refuse_while_blind(session, "a filter on payloads")
    seq = session.shared.database.ledger.seq
    queue = session.shared.queues.open(
        session.cursor, wanted, reviewer=session.who, instance=session.caller.instance, seq=seq
    )
    return {"id": queue.id, "length": queue.length, "reviewed": queue.reviewed, "seq": seq}


def close_queue(session: Session, queue: str) -> None:
    """Forget a queue of one's own; one that is gone already is fine."""
    try:
        session.shared.queues.get(queue, session.who)
    except InputError:
        return
    session.shared.queues.close(session.cursor, queue)


def window(session: Session, queue: str, low: int, high: int) -> list[tuple[int, str, str, tuple[str, ...]]]:
    """List rows at positions low … high - 1, at most 1,000."""
    if high - low > 1000:
        raise InputError("a window has at most 1,000 rows")
    queues = session.shared.queues
    found = queues.get(queue, session.who)
    rows = queues.window(session.cursor, found, low, high)
    hides = found.view.spec.kind == "ledger" and _kept_blind(session)
    return hide_others(rows, session.who) if hides else rows


def detail(session: Session, queue: str, position: int) -> dict[str, Any]:
    """Everything that may be seen of one subject."""
    queues = session.shared.queues
    found = queues.get(queue, session.who)
    told = queues.detail(session.cursor, found, position)
    if found.view.spec.kind != "ledger" or told["kind"] != "verdict" or not _kept_blind(session):
        return told
    return told if reviewer(told["actor"], told["claimed"]) == session.who else told | {"payload": HIDDEN}


def unreviewed(session: Session, queue: str, position: int, step: int) -> int | None:
    """The next position that the caller has not judged."""
    queues = session.shared.queues
    return queues.unreviewed(session.cursor, queues.get(queue, session.who), position, 1 if step > 0 else -1)


def find(session: Session, queue: str, text: str, position: int, step: int) -> int | None:
    """The next position whose text contains ``text``."""
    queues = session.shared.queues
    found = queues.get(queue, session.who)
    if found.view.spec.kind == "ledger":
        _refuse_while_blind(session, "a search in the ledger")
    return queues.find(session.cursor, found, text, position, 1 if step > 0 else -1)


# ---- the hub itself
def progress(session: Session, job: Name, state: dict[str, str | int | float | bool | None]) -> None:
    """Say how far a job is: scratch, shown on the home screen. An empty state ends it."""
    if state:
        session.shared.jobs[job] = state | {"actor": session.who}
    else:
        session.shared.jobs.pop(job, None)


def jobs(session: Session) -> dict[str, dict[str, Any]]:
    """The jobs that said how far they are."""
    return dict(session.shared.jobs)


def status(session: Session) -> dict[str, Any]:
    """What the hub holds."""
    database = session.shared.database
    size = database.path.stat().st_size if database.path.exists() else 0
    return {"path": str(database.path), "bytes": size, "events": database.ledger.seq, "owner": database.owner}


def stop(session: Session) -> None:
    """Ask the hub to leave."""
    if session.role != "owner":
        raise RoleError("only the owner stops a hub", todo=f"Ask {session.shared.database.owner}.")
    session.shared.leave()


OPERATIONS: dict[str, Callable[..., Any]] = {
    "ask": ask,
    "fetch": fetch,
    "rows_of_run": rows_of_run,
    "slice_counts": slice_counts,
    "sql": sql,
    "chain": chain,
    "act": act,
    "append": append,
    "open_queue": open_queue,
    "close_queue": close_queue,
    "window": window,
    "detail": detail,
    "unreviewed": unreviewed,
    "find": find,
    "progress": progress,
    "jobs": jobs,
    "status": status,
    "stop": stop,
}


def _struct(operation: Callable[..., Any]) -> type[msgspec.Struct]:
    """The arguments of an operation as a struct, from its annotations."""
    hints = get_type_hints(operation, include_extras=True)
    given = list(inspect.signature(operation).parameters.values())[1:]
    fields: list[Any] = [
        (a.name, hints[a.name], *(() if a.default is a.empty else (a.default,))) for a in given
    ]
    return msgspec.defstruct(operation.__name__, fields, forbid_unknown_fields=True)


ARGUMENTS = {name: _struct(operation) for name, operation in OPERATIONS.items()}
