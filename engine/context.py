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
from store.client import Client, Run
from store.errors import Cancelled, InputError, RuleError


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
        if self._cancelled():
            raise Cancelled(
                f"stopped while {what} was at {done:,}", todo="Run the same command again to go on."
            )
        self._progress(what, done, total)

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
        """Declared models, teacher first."""
        return [m for m in self.store.ask(read.MODELS, project=self.project) if role in (None, m.role)]

    def model(self, role: str, name: str = "") -> str:
        """The model of a role: the named one, else the only (for students: the newest trained) one."""
        found = [m.model for m in self.models(role)]
        if name and name not in [m.model for m in self.models()]:
            raise InputError(
                f"no model {name!r} in project {self.project}",
                todo="Known: " + ", ".join(m.model for m in self.models()),
            )
        if name:
            return name
        if not found:
            raise RuleError(
                f"project {self.project} has no {role}", todo="Import or generate its outputs first."
            )
        trained = [r.result["model"] for r in self.runs("train")] if role == "student" else []
        return trained[-1] if trained else found[0]

    # ---- what it leaves
    def declare(self, model: str, role: str, fingerprint: dict[str, Any]) -> None:
        """Put a model on record, once; a changed role or fingerprint is a new declaration."""
        known = {m.model: (m.role, msgspec.json.decode(m.fingerprint)) for m in self.models()}
        if known.get(model) != (role, fingerprint):
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
