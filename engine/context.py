"""What a stage works in: one project of one store, and what already stands there.

A stage that misses something says which command makes it (RuleError), before it starts any work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from engine.contract import from_payload
from engine.contract_records import Contract
from engine.stages import Progress, silent
from store import read
from store.acts import exact
from store.client import Client, Run
from store.errors import Cancelled, InputError, RuleError

AGAIN = "Run the same command again to go on."


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed run with its parameters, inputs and result, decoded."""

    run_no: int
    run_id: str
    stage: str
    seq: int
    params: dict[str, Any]
    inputs: dict[str, Any]
    result: dict[str, Any]
    digests: dict[str, str]


class Context:
    """One project of one store."""

    def __init__(
        self,
        store: Client,
        project: str,
        *,
        progress: Progress = silent,
        cancelled: Callable[[], bool] = lambda: False,
        seq: int | None = None,
    ) -> None:
        """``seq``: see the project as it stood at that ledger seq (runs, contract, verdict counts)."""
        self.store, self.project, self.seq = store, project, seq
        self._progress, self._cancelled = progress, cancelled

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        """Say how far it is; raises Cancelled where the user asked to stop."""
        if self.stopped():
            raise Cancelled(f"stopped while {what} was at {done:,}", todo=AGAIN)
        self.tell(what, done, total)

    def tell(self, what: str, done: int, total: int | None = None) -> None:
        """Say how far it is, for work that asks ``stopped`` itself and ends in order."""
        self._progress(what, done, total)

    def stopped(self) -> bool:
        """Whether the user asked to stop."""
        return self._cancelled()

    # ---- what stands
    @cached_property
    def projects(self) -> list[read.Project]:
        return self.store.ask(read.PROJECTS)

    def retrospective(self) -> bool:
        """Whether outputs and predictions came by import instead of stages."""
        return any(p.retrospective for p in self.projects if p.name == self.project)

    def contract(self) -> Contract:
        """The locked contract; raises RuleError where there is none."""
        return from_payload(msgspec.json.decode(self.locked().contract))

    def locked(self) -> read.LockedContract:
        """The contract's latest locked version (as of ``self.seq``)."""
        versions = [c for c in self.store.ask(read.CONTRACTS, project=self.project) if self._then(c.seq)]
        if not versions:
            raise RuleError(
                f"project {self.project} has no locked contract",
                todo="Write it (spiritsafe init), then: spiritsafe contract lock contract.toml",
            )
        return versions[-1]

    def runs(self, stage: str | None = None) -> list[Closed]:
        """Closed runs, oldest first."""
        runs = self.store.ask(read.RUNS, project=self.project)
        return [_closed(run) for run in runs if stage in (None, run.stage) and self._then(run.closed_seq)]

    def _then(self, seq: int) -> bool:
        return self.seq is None or seq <= self.seq

    def latest(self, stage: str, todo: str) -> Closed:
        """The newest closed run of a stage; raises RuleError that says how to make one."""
        runs = self.runs(stage)
        if not runs:
            raise RuleError(f"project {self.project} has no closed {stage!r} run", todo=todo)
        return runs[-1]

    def evaluation_set(self) -> Closed:
        """The frozen evaluation set in force."""
        return self.latest("evaluation", "Freeze it first: spiritsafe evaluation freeze")

    def models(self, role: str | None = None) -> list[read.Model]:
        """Declared models, teachers first, then students; within a role in order of declaration."""
        return [m for m in self.store.ask(read.MODELS, project=self.project) if role in (None, m.role)]

    def model(self, role: str, name: str = "") -> str:
        """The model of a role: the named one; else the contract's teacher, or the one declared last.

        Raises InputError for a name that is none, RuleError where the project has none of that role.
        """
        models = self.models()
        known = [m.model for m in models]
        if name and name not in known:
            raise InputError(
                f"no model {name!r} in project {self.project}", todo="Known: " + (", ".join(known) or "none")
            )
        if name:
            return name
        found = [m.model for m in models if m.role == role]
        if not found:
            todo = (
                "Train one, or import its outputs."
                if role == "student"
                else "Import or generate its outputs."
            )
            raise RuleError(f"project {self.project} has no {role}", todo=todo)
        pinned = self._pinned() if role == "teacher" else ""
        return pinned if pinned in found else found[-1]

    def _pinned(self) -> str:
        """The name of the contract's teacher, "" without a contract."""
        try:
            teacher = self.contract().teacher
        except RuleError:
            return ""
        return teacher.name or teacher.model

    def declared(self, model: str) -> tuple[str, dict[str, Any]] | None:
        """Role and fingerprint of a model, None where it was never declared."""
        found = next((m for m in self.models() if m.model == model), None)
        return None if found is None else (found.role, msgspec.json.decode(found.fingerprint))

    # ---- what it leaves
    def declare(self, model: str, role: str, fingerprint: dict[str, Any]) -> None:
        """Put a model on record, once; a changed role or fingerprint is a new declaration."""
        if self.declared(model) != (role, exact(fingerprint)):
            self.store.act(
                "model.declare", self.project, {"model": model, "role": role, "fingerprint": fingerprint}
            )

    def open(self, stage: str, params: dict[str, Any], inputs: dict[str, Any]) -> Run:
        """Open a run of ``stage``."""
        return self.store.run(self.project, stage, params=params, inputs=inputs)


def _closed(run: read.Run) -> Closed:
    opened, summary = msgspec.json.decode(run.opened), msgspec.json.decode(run.summary)
    digests = {table: d["sha256"] for table, d in summary["tables"].items()}
    return Closed(
        run.run_no,
        run.run_id,
        run.stage,
        run.closed_seq,
        opened["params"],
        opened["inputs"],
        summary["result"],
        digests,
    )
