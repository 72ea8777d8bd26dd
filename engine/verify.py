"""``verify``: the store against itself, and a decision record against the store.

A store is sound when its chain is whole, every act is one that the hub would have taken, and every closed
run's rows still have the digest that its closing event names. A record is sound when it is byte for byte the
one on the ledger and every number in it comes out again from the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.context import Context
from engine.record import evidence, record_hash, render_json
from engine.stages import Progress, silent
from store import acts, read
from store.canonical import RowDigest
from store.client import Client
from store.errors import InputError, SpiritsafeError


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
    """Check chain, acts and digests of every project."""
    chain = store.call("chain")
    differences = [Difference("ledger", "whole", fault) for fault in chain["faults"]]
    runs = rows = 0
    for project in store.ask(read.PROJECTS):
        differences += _acts(store, project.name)
        for run in store.ask(read.RUNS, project=project.name):
            summary = msgspec.json.decode(run.summary)
            runs += 1
            for table, stated in summary["tables"].items():
                found = run_digest(store, run.run_no, table, stated["columns"])
                rows += found.rows
                progress("verify", rows, None)
                if (found.rows, found.hexdigest()) != (stated["rows"], stated["sha256"]):
                    where = f"project {project.name}, run {run.run_no} ({run.stage}), table {table}"
                    recorded = f"{stated['rows']} rows {stated['sha256'][:16]}…"
                    differences.append(
                        Difference(where, recorded, f"{found.rows} rows {found.hexdigest()[:16]}…")
                    )
    return Verdict({"events": chain["head"][0], "runs": runs, "rows": rows}, differences)


def run_digest(store: Client, run_no: int, table: str, columns: list[str]) -> RowDigest:
    """The digest of a run's rows as they are stored now."""
    digest = RowDigest()
    for batch in store.rows_of_run(run_no, table, columns).to_batches():
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        digest.update([tuple(v.hex() if isinstance(v, bytes) else v for v in row) for row in rows])
    return digest


def _acts(store: Client, project: str) -> Iterator[Difference]:
    """Acts that are not what their kind demands, and typed copies that differ from their event."""
    for event in store.ask(read.EVENTS, project=project):
        try:
            acts.parse(event.kind, msgspec.json.decode(event.payload))
        except SpiritsafeError as error:
            yield Difference(f"event {event.seq}", event.kind, str(error.what))
        if event.copy is not None and event.copy != event.original:
            yield Difference(f"event {event.seq}, typed copy", event.original or "", event.copy)


def verify_record(store: Client, path: Path) -> Verdict:
    """Check a record file against the ledger and recompute every number in it.

    Raises InputError where the file is no record, or of another store.
    """
    text, record = _read(path)
    evidence_ = record.get("evidence", {})
    if evidence_.get("store") != store.welcome.store_id:
        raise InputError(
            "is the record of another store", where=str(path), todo="Name that store with --store."
        )
    context = Context(store, evidence_["project"])
    on_ledger = [msgspec.json.decode(d.record) for d in store.ask(read.DECISIONS, project=context.project)]
    twin = next((r for r in on_ledger if r["sha256"] == record.get("sha256")), None)
    if twin is None:
        twin = min(on_ledger, key=lambda r: len(list(_compare("", record, r))), default=None)
    differences: list[Difference] = []
    if twin is None:
        differences.append(Difference("ledger", "a decision", "none in this project"))
        twin = record
    differences += _compare("record", record, twin)
    if record_hash(record) != record.get("sha256"):
        differences.append(Difference("record.sha256", str(record.get("sha256")), record_hash(record)))
    if not differences and text != render_json(record):
        differences.append(
            Difference(_first_difference(text, render_json(record)), "other bytes", "same content")
        )
    then = Context(store, context.project, seq=twin["evidence"]["ledger"]["seq"])
    evaluated = next(
        (r for r in then.runs("evaluate") if r.run_id == twin["evidence"]["evaluation"]["run"]), None
    )
    if evaluated is None:
        differences.append(
            Difference("evidence.evaluation.run", twin["evidence"]["evaluation"]["run"], "no such run")
        )
    else:
        again = evidence(then, evaluated, twin["evidence"]["evaluation"]["student"])
        differences += _compare("recomputed", twin["evidence"], json.loads(json.dumps(again)))
    whole = verify_store(store)
    checked = {"numbers": len(list(_leaves(twin["evidence"]))), **whole.checked}
    return Verdict(checked, differences + whole.differences)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        record = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"is no JSON: {error.msg}", where=f"{path}:{error.lineno}", todo="The file was changed."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"is no UTF-8 text: byte {error.start}", where=str(path), todo="The file was changed."
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("evidence"), dict):
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
