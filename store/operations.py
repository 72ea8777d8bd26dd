"""The operations: everything that a client may ask of the hub, as one table.

To add one: a function here (or in ``queue_operations.py``), and a line in ``OPERATIONS``. Its annotations are the
types that its arguments must have on the wire.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import msgspec

from store import query, read
from store.covering import cover
from store.cut import backup
from store.errors import InputError, RoleError, WireError
from store.ledger import verify_chain
from store.queue_letters import letter
from store.queue_operations import QUEUE_OPERATIONS, refuse_while_blind
from store.queue_pairs import PAIR_OPERATIONS
from store.review_operations import REVIEW_OPERATIONS
from store.rows import one_row, one_value
from store.session import Bulk, Session

VERSIONS = "Client and hub differ in version."
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Questions whose answers tell what others judged, or which model wrote a text. Others do so too (``scored``), but
# a reviewer's own screens ask them.
# Counts of what people said: as of two ledger seqs in a row they would tell single verdicts.
COUNTING = frozenset({"drawn", "patterns", "reviewers", "tallies", "triage"})
JUDGING = ("verdict", "adjudicate")
TELLING = frozenset(
    {
        "acts",
        "against",
        "answer_sizes",
        "answers",
        "answers_at",
        "answers_between",
        "bulk_copies",
        "candidates",
        "change_counts",
        "changes",
        "checks",
        "confidences",
        "drawn",
        "drop_counts",
        "drops",
        "events",
        "failures",
        "given",
        "judged",
        "outputs",
        "pair_verdicts",
        "pool",
        "preferences",
        "samples",
        "told_apart",
        "verdicts",
    }
)


# ---- reads
def _parameters(question: read.Question[Any], params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if f"${name}" in question.sql}


def _question(session: Session, name: str, params: dict[str, Any]) -> read.Question[Any]:
    question = read.QUESTIONS.get(name)
    if question is None:
        raise WireError(f"no question {name!r}", todo=VERSIONS)
    if name in TELLING or (name in COUNTING and params.get("seq") is not None):
        refuse_while_blind(session, name)
        _note_looked(session)
    return question


def _note_looked(session: Session) -> None:
    """A reviewer who reads what tells of any sample judges blind no more, also when nobody does just now."""
    if session.role != "owner":
        session.shared.queues.looked(session.who)


def ask(session: Session, question: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of one question of ``read.py``."""
    asked = _question(session, question, params)
    return session.cursor.execute(asked.sql, _parameters(asked, params)).fetchall()


def fetch(session: Session, question: str, params: dict[str, Any]) -> Bulk:
    """The same rows as Arrow."""
    asked = _question(session, question, params)
    found = session.cursor.sql(asked.sql, params=_parameters(asked, params))
    return Bulk(found.to_arrow_reader(query.BULK_ROWS))


def rows_of_run(session: Session, run_no: int, table: str, columns: list[str]) -> Bulk:
    """A closed run's rows of one artifact table in stored order: what its digest was taken over."""
    refuse_while_blind(session, "rows_of_run")
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
    refuse_while_blind(session, "sql")
    _note_looked(session)
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
        if kind in JUDGING:
            payload = shared.queues.stamped(project, payload, session.who)
        done = shared.database.apply(id, project, kind, payload, actor=caller.actor, claimed=caller.claimed)
        if kind in JUDGING and done.fresh:
            mark = letter(payload["verdict"], payload.get("reason"))
            shared.queues.judged(
                project, payload["queue"], session.who, subject=payload["subject"], mark=mark
            )
        elif kind in ("undo", "redo", "verdicts"):
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
        batch.validate(full=True)  # offsets that lead out of a buffer would take the hub down
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not an Arrow stream: {error}") from error
    return session.shared.database.append(run_no, table, first_seq, batch, who=session.who)


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
    "cover": cover,
    "sql": sql,
    "chain": chain,
    "act": act,
    "append": append,
    "progress": progress,
    "jobs": jobs,
    "status": status,
    "backup": backup,
    "stop": stop,
    **QUEUE_OPERATIONS,
    **PAIR_OPERATIONS,
    **REVIEW_OPERATIONS,
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


def operate(session: Session, op: str, given: dict[str, Any]) -> Any:
    """Do what a request asks for; raises WireError for an operation or an argument that this version does not know."""
    operation = OPERATIONS.get(op)
    if operation is None:
        raise WireError(f"no operation {op!r}", todo=VERSIONS)
    try:
        arguments = msgspec.structs.asdict(msgspec.convert(given, ARGUMENTS[op]))
    except msgspec.ValidationError as error:
        raise WireError(f"{op}: {error}", todo=VERSIONS) from error
    return operation(session, **arguments)
