"""``verify``: the store against itself, and a decision record against the store.

A store is sound when its chain is whole, every act is one that the hub would have taken, and every closed
run's rows still have the digest that its closing event names. A record is sound when it is byte for byte the
one on the ledger and every number in it comes out again from the rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.context import Context
from engine.record import evidence, record_hash, render_json
from engine.rejudge import faults
from engine.stages import Progress, silent
from store import read
from store.canonical import BLOCK, RowDigest, messages_of, output_id_of, prompt_id_of
from store.client import Client
from store.errors import InputError, SpiritsafeError
from store.records import SEQ_BITS, columns_of
from store.row_values import rows_of

NEWLINE = b"\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree: where, what stands there, what was found."""

    where: str
    recorded: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: recorded {self.recorded}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification looked at, and everything that did not agree."""

    checked: dict[str, int]
    differences: list[Difference]

    @property
    def sound(self) -> bool:
        return not self.differences


def verify_store(store: Client, progress: Progress = silent) -> Verdict:
    """Check chain, acts and digests of every project, and that nothing lies beside them."""
    chain = store.call("chain")
    differences = [Difference("ledger", "whole", fault) for fault in chain["faults"]]
    runs = rows = 0
    try:
        differences += _acts(store)
        for project in store.ask(read.PROJECTS):
            differences += _copies(store, project.name)
            for run in store.ask(read.RUNS, project=project.name):
                found, counted = _run(store, project.name, run)
                differences += found
                runs, rows = runs + 1, rows + counted
                progress("verify", rows, None)
        differences += _strays(store)
    except (SpiritsafeError, msgspec.DecodeError, KeyError) as error:
        if not chain["faults"]:
            raise
        differences.append(Difference("store", "readable to its end", f"{error}"))  # why, the chain says
    return Verdict({"events": chain["head"][0], "runs": runs, "rows": rows}, differences)


def _run(store: Client, project: str, run: read.Run) -> tuple[list[Difference], int]:
    """What of a run's rows is not as its closing event says, and how many rows there are."""
    differences, rows = [], 0
    for table, stated in msgspec.json.decode(run.summary)["tables"].items():
        found = run_digest(store, run.run_no, table, stated["columns"])
        rows += found.rows
        if (found.rows, found.hexdigest()) != (stated["rows"], stated["sha256"]):
            where = f"project {project}, run {run.run_no} ({run.stage}), table {table}"
            where += _changed_row(store, run.run_no, table) or _changed_block(stated.get("marks", []), found)
            recorded = f"{stated['rows']} rows {stated['sha256'][:16]}…"
            differences.append(Difference(where, recorded, f"{found.rows} rows {found.hexdigest()[:16]}…"))
    return differences, rows


def _changed_block(stated: list[str], found: RowDigest) -> str:
    """Between which rows something was changed first, by the marks that the digest left on its way."""
    at = next(
        (i for i, pair in enumerate(zip(stated, found.marks, strict=False)) if pair[0] != pair[1]), None
    )
    at = min(len(stated), len(found.marks)) if at is None else at
    last = min(found.rows, (at + 1) * BLOCK)
    return f", rows {at * BLOCK} to {last - 1}" if last > at * BLOCK else f", after row {found.rows - 1}"


def _changed_row(store: Client, run_no: int, table: str) -> str:
    """Which row was changed, where a row carries a hash of its own: an output does, and so does an arrival."""
    if table not in ("output", "arrival"):
        return ""

    def take(found: list[str], rows: Any) -> None:
        found += [] if found else [told for row in rows.to_pylist() if (told := _misfit(table, row))][:1]

    columns = list(columns_of(table))
    changed = store.fold("rows_of_run", list[str], take, run_no=run_no, table=table, columns=columns)
    return changed[0] if changed else ""


def _misfit(table: str, row: dict[str, Any]) -> str:
    """Where a row's own id is not that of its content."""
    if table == "output":
        expected = output_id_of(row["prompt_id"], row["model"], row["sample_index"], row["text"])
        own, key = row["output_id"], row["output_key"]
    else:
        messages = msgspec.json.decode(row["messages"]) if row["messages"] else messages_of(row["text"])
        expected, own, key = prompt_id_of(messages), row["prompt_id"], row["arrival_key"]
    return "" if expected == own else f", row {key & (1 << SEQ_BITS) - 1} (its id {own} does not fit it)"


def _strays(store: Client) -> Iterator[Difference]:
    """Rows that no event accounts for: of a run never opened, in a table a closing event does not name, copies."""
    for stored in store.ask(read.STORED):
        where = f"run {stored.run_no}, table {stored.table}"
        if stored.project is None:
            yield Difference(where, "no such run", f"{stored.rows} rows")
        elif stored.summary is not None and stored.table not in msgspec.json.decode(stored.summary)["tables"]:
            yield Difference(f"project {stored.project}, {where}", "0 rows", f"{stored.rows} rows")
    for orphan in store.ask(read.ORPHANS):
        yield Difference(f"event {orphan.seq}, typed copy", "no such event", f"a row in {orphan.table}")


def run_digest(store: Client, run_no: int, table: str, columns: list[str]) -> RowDigest:
    """The digest of a run's rows as they are stored now."""

    def take(digest: RowDigest, rows: Any) -> None:
        for some in rows_of(rows):
            digest.update(some)

    return store.fold("rows_of_run", RowDigest, take, run_no=run_no, table=table, columns=columns)


def _acts(store: Client) -> Iterator[Difference]:
    """Acts that the hub's rules would have refused."""
    for seq, fault in faults(store.ask(read.ACTS), store.call("status")["owner"]):
        yield Difference(f"event {seq}", "an act that the rules allow", fault)


def _copies(store: Client, project: str) -> Iterator[Difference]:
    """Typed copies that differ from their event."""
    before = 0
    for event in store.ask(read.EVENTS, project=project):
        if event.seq == before:
            yield Difference(f"event {event.seq}, typed copy", "one", "two of them")
        before = event.seq
        if event.copy != event.original:
            yield Difference(f"event {event.seq}, typed copy", str(event.original), str(event.copy))
    for bulk in store.ask(read.BULK_COPIES, project=project):
        if bulk.copies != bulk.original:
            yield Difference(f"event {bulk.seq}, typed copies", _short(bulk.original), _short(bulk.copies))


def verify_record(store: Client, path: Path) -> Verdict:
    """Check a record file against the ledger and recompute every number in it.

    Raises InputError where the file is no record, or of another store.
    """
    text, record = _read(path)
    decision, twin = _twin(store, path, record)
    differences = list(_compare("record", record, twin))
    if not differences and text != render_json(twin):
        where = _first_difference(text, render_json(twin))
        differences.append(Difference(where, "the bytes of the record", "other bytes that say the same"))
    differences += _decided(decision, twin)
    whole = verify_store(store)
    try:
        differences += _recomputed(store, twin["evidence"])
    except (SpiritsafeError, msgspec.DecodeError, KeyError) as error:
        if whole.sound:
            raise
        differences.append(Difference("recomputed", "every number", f"{error}"))
    checked = {"numbers": len(list(_leaves(twin["evidence"]))), **whole.checked}
    return Verdict(checked, differences + whole.differences)


def _decided(decision: read.DecisionRow, twin: dict[str, Any]) -> Iterator[Difference]:
    """Where the record on the ledger is not the decision that its event is, or one that the rules allow."""
    stated = {
        "outcome": decision.outcome,
        "rationale": decision.rationale,
        "decided_by": decision.actor,
        "sha256": decision.record_sha256,
    }
    for name, value in stated.items():
        if twin.get(name) != value:
            yield Difference(f"event {decision.seq}, {name}", value, _short(twin.get(name)))
    if record_hash(twin) != twin["sha256"]:
        yield Difference("ledger, record.sha256", twin["sha256"], record_hash(twin))
    if twin["evidence"]["ledger"]["seq"] >= decision.seq:
        yield Difference(
            "ledger, evidence.ledger.seq", f"before {decision.seq}", _short(twin["evidence"]["ledger"]["seq"])
        )
    if decision.outcome == "ship" and twin["evidence"]["passes"] is not True:
        yield Difference("ledger, outcome", "ship only where every row passes", "a gate that does not pass")
    if twin["evidence"]["evaluation"]["disagreeing_scores"] != 0:
        found = str(twin["evidence"]["evaluation"]["disagreeing_scores"])
        yield Difference("evidence.evaluation.disagreeing_scores", "0", found)


def _twin(store: Client, path: Path, record: dict[str, Any]) -> tuple[read.DecisionRow, dict[str, Any]]:
    """The decision and record on the ledger that this one is, or, if its hash was changed, the one most like it."""
    kept: list[tuple[read.DecisionRow, dict[str, Any]]] = [
        (decision, msgspec.json.decode(decision.record))
        for project in store.ask(read.PROJECTS)
        for decision in store.ask(read.DECISIONS, project=project.name)
    ]
    for decision, one in kept:
        if one.get("sha256") == record.get("sha256"):
            return decision, one
    evidence_ = record.get("evidence")
    if not isinstance(evidence_, dict):
        raise InputError("is no decision record", where=str(path))
    if evidence_.get("store") != store.welcome.store_id:
        todo = "Name that store with --store."
        raise InputError("is the record of another store", where=str(path), todo=todo)
    if not kept:
        raise InputError("is a record of this store, and it holds no decision", where=str(path))
    return min(kept, key=lambda pair: sum(1 for _ in _compare("", record, pair[1])))


def _recomputed(store: Client, recorded: dict[str, Any]) -> Iterator[Difference]:
    """Every number of the evidence that does not come out again, as of the ledger seq of the record."""
    then = Context(store, recorded["project"], seq=recorded["ledger"]["seq"])
    run_id = recorded["evaluation"]["run"]
    evaluated = next((r for r in then.runs("evaluate") if r.run_id == run_id), None)
    if evaluated is None:
        yield Difference("recomputed.evaluation.run", run_id, "no such run")
        return
    if evaluated.run_id != then.runs("evaluate")[-1].run_id:
        yield Difference("recomputed.evaluation.run", run_id, "a newer evaluation stood when it was decided")
    again = evidence(then, evaluated, recorded["evaluation"]["student"])
    yield from _compare("recomputed", recorded, json.loads(json.dumps(again)))


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text, every byte of it, and the record in it."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
        record = msgspec.json.decode(data)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"is no UTF-8 text: byte {error.start}",
            where=f"{path}:{data.count(NEWLINE, 0, error.start) + 1}",
            todo="The file was changed.",
        ) from error
    except msgspec.DecodeError as error:
        at = re.search(r"byte (\d+)", str(error))
        line = data.count(NEWLINE, 0, int(at[1]) if at else len(data)) + 1
        raise InputError(
            f"is no JSON: {error}", where=f"{path}:{line}", todo="The file was changed."
        ) from error
    if not isinstance(record, dict):
        raise InputError("is no decision record", where=str(path))
    return text, record


def _compare(where: str, recorded: Any, found: Any) -> Iterator[Difference]:
    """Every leaf in which two documents differ, by its path."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in sorted(recorded.keys() | found.keys()):
            yield from _compare(f"{where}.{key}", recorded.get(key), found.get(key))
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for i, (one, other) in enumerate(zip(recorded, found, strict=True)):
            yield from _compare(f"{where}[{i}]", one, other)
    elif recorded != found:
        yield Difference(where, _short(recorded), _short(found))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _first_difference(one: str, other: str) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return f"line {one.count(chr(10), 0, at) + 1}"
