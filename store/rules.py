"""What the hub enforces before an act goes on the ledger: roles, existence, locks. The stages enforce the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store import acts, records
from store.canonical import digest_of
from store.errors import InputError, RoleError, RuleError
from store.rows import one_row

if TYPE_CHECKING:
    from store.database import Database


def allow(database: Database, project: str, kind: str, act: acts.Act, *, actor: str, who: str) -> None:
    """Roles, existence and locks: what the hub enforces (the stages enforce the rest)."""
    exists = project in database.ledger.projects
    if kind in acts.OWNER_ONLY and actor != database.owner:
        raise RoleError(
            f"{kind} needs the owner's role; {actor} is a reviewer", todo=f"Ask {database.owner}."
        )
    if kind == "project.create" and exists:
        raise RuleError(f"project {project!r} exists already", todo="Choose another name, or use it.")
    if kind != "project.create" and not exists:
        raise InputError(
            f"no project {project!r} in this store",
            todo="`spiritsafe init` makes one; `spiritsafe projects` lists them.",
        )
    if isinstance(act, acts.OpenRun) and act.stage in acts.OWNER_STAGES and actor != database.owner:
        raise RoleError(
            f"a run of {act.stage} needs the owner's role; {actor} is a reviewer",
            todo=f"Ask {database.owner}.",
        )
    if isinstance(act, acts.CloseRun):
        _allow_close(database, project, act, who)
    if isinstance(act, acts.Adjudicate):
        _allow_adjudication(database, project, act, actor, who)
    if isinstance(act, acts.Decide):
        _allow_decision(database, project, act, who)


def allow_undo(database: Database, project: str, target: int) -> None:
    """A verdict on a sample that was adjudicated since cannot be undone any more."""
    settled = (
        "select any_value(a.actor) from verdict_event v join verdict_event a"
        " on a.project = v.project and a.subject = v.subject and a.queue = 'adjudicate' and a.verdict <> 'escalate'"
        " where v.seq = ? and v.project = ? and v.queue = 'audit'"
    )
    if (by := database.scalar(settled, [target, project])) is not None:
        raise RuleError(f"{by} has adjudicated that sample: your verdict stays on record")


def _allow_adjudication(database: Database, project: str, act: acts.Adjudicate, actor: str, who: str) -> None:
    """Only a conflict is settled, and by somebody who is no party to it (the owner may)."""
    said = (
        "select count(distinct verdict), coalesce(bool_or(verdict = 'unsure'), false), list(actor)"
        " from current_verdict where project = ? and queue = 'audit' and subject = ? and not bulk"
    )
    verdicts, unsure, actors = one_row(database.connection, said, [project, act.subject]) or (0, False, [])
    if verdicts < 2 and not unsure:
        raise RuleError("there is nothing to settle on that sample: its reviewers agree")
    if who in (actors or []) and actor != database.owner:
        raise RoleError("you gave one of the verdicts in conflict", todo="Somebody else settles it.")


def _allow_decision(database: Database, project: str, act: acts.Decide, who: str) -> None:
    """The record must be the decision's own, whole, and rest on this ledger as it is."""
    record = act.record
    evidence = record.get("evidence")
    evidence = evidence if isinstance(evidence, dict) else {}
    ledger = evidence.get("ledger")
    ledger = ledger if isinstance(ledger, dict) else {}
    seq = ledger.get("seq")
    hash_ = digest_of({name: value for name, value in record.items() if name != "sha256"})
    faults = (
        (act.record_sha256 != hash_ or record.get("sha256") != hash_, "its hash is not that of the record"),
        (record.get("outcome") != act.outcome, "the record has another outcome"),
        (record.get("rationale") != act.rationale, "the record has another rationale"),
        (record.get("decided_by") != who, f"the record was not decided by {who}"),
        (evidence.get("project") != project, "the record is of another project"),
        (type(seq) is not int or not _is_event(database, seq, ledger.get("hash")), "no event as the record's evidence names it"),
        (act.outcome == "ship" and evidence.get("passes") is not True, "ship needs evidence that passes"),
    )  # fmt: skip
    for wrong, what in faults:
        if wrong:
            raise RuleError(f"the decision is refused: {what}", todo="`spiritsafe decide` makes its record.")


def _is_event(database: Database, seq: int, hash_: object) -> bool:
    if not 0 < seq <= database.ledger.seq:
        return False
    return bool(database.scalar("select hash from event where seq = ?", [seq]) == hash_)


def _allow_close(database: Database, project: str, act: acts.CloseRun, who: str) -> None:
    of_project, actor, closed = database.run(act.run_no)
    if of_project != project:
        raise InputError(f"project {project!r} has no run {act.run_no}")
    if closed:
        raise RuleError(f"run {act.run_no} is closed already")
    if actor != who:
        raise RoleError(f"run {act.run_no} is {actor}'s")
    if unknown := sorted(act.tables.keys() - records.ARTIFACTS.keys()):
        raise InputError(f"run {act.run_no} closes with rows of {unknown[0]!r}, which is no table")
    for table in records.ARTIFACTS:
        rows, stated = database.next_seq(act.run_no, table), act.tables.get(table)
        if rows != (stated.rows if stated else 0):
            raise RuleError(
                f"run {act.run_no} closes with {stated.rows if stated else 0} rows of {table},"
                f" the store has {rows}"
            )
        if stated and tuple(stated.columns) != records.columns_of(table):
            raise InputError(f"run {act.run_no}: the digest of {table} does not cover its columns")
