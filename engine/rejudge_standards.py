"""What people agreed on, judged again: standards and their stewards, contracts under them, signatures, baselines taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from engine.contract import from_payload
from engine.standards import Standards, against_contract, from_standards
from store import acts
from store.answers import ActRow
from store.canonical import digest_of
from store.errors import InputError
from store.standards_rules import WHOLE_STORE, decision_faults, lock_faults, may_change, subject_of


class Agreed:
    """Standards, signatures and what the newest run of baselines found, as they stood before each event."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.standards: tuple[str, dict[str, Any]] | None = None
        self.read: Standards | None = None
        self.signed: defaultdict[tuple[str, str, str], set[str]] = defaultdict(
            set
        )  # project, outcome, subject
        self.opened = 0  # runs
        self.baselines: dict[int, str] = {}  # run number: run id
        self.met: dict[
            str, tuple[str, list[str]]
        ] = {}  # project: newest run of baselines, what met every bar

    def faults(self, row: ActRow, act: acts.Act, who: str) -> Iterator[str]:
        """What of an act the standards, or their stewards, would have refused."""
        match act:
            case acts.LockStandards():
                yield from self._lock(row, act, who)
            case acts.LockContract():
                if act.hash != digest_of(act.contract):
                    yield "the hash is not that of the contract"
                yield from self._contract(act) if self.read is not None else ()
            case acts.Decide() if self.standards is not None:
                signers = self.signed[row.project, act.outcome, subject_of(act.record)]
                for what in decision_faults(*self.standards, act.record, signers):
                    yield f"the decision: {what}"
            case acts.TakeBaseline():
                run_id, met = self.met.get(row.project, ("", []))
                if run_id != act.run_id or act.baseline not in met:
                    yield f"takes {act.baseline}, which the newest run of baselines does not find to meet every bar"

    def _lock(self, row: ActRow, act: acts.LockStandards, who: str) -> Iterator[str]:
        if row.project != WHOLE_STORE:
            yield f"locks standards for the project {row.project}"
        if not may_change(who, row.actor, self.standards and self.standards[1], self.owner):
            yield f"the standards are changed by {who}, who is none of their stewards"
        yield from lock_faults(act.hash, act.standards)
        try:
            from_standards(act.standards)
        except InputError as error:  # no contract could be held against them
            yield f"the standards {error.what}"

    def _contract(self, act: acts.LockContract) -> Iterator[str]:
        try:
            found = against_contract(self.read, from_payload(act.contract)) if self.read else []
        except InputError as error:
            yield f"the contract {error.what}"
            return
        yield from (f"the contract is below the standards: {problem.what}" for problem in found)

    def note(self, row: ActRow, act: acts.Act, who: str) -> None:
        """What stands after an act."""
        match act:
            case acts.OpenRun():
                self.opened += 1
                if act.stage == "baselines":
                    self.baselines[self.opened] = act.run_id
            case acts.CloseRun() if act.run_no in self.baselines:
                met = act.result.get("meets")
                found = met if isinstance(met, list) else []
                self.met[row.project] = (self.baselines[act.run_no], found)
            case acts.LockStandards():
                self.standards = (act.hash, act.standards)
                try:
                    self.read = from_standards(act.standards)
                except InputError:
                    self.read = None  # named as such; whom they name as stewards still counts
            case acts.Sign():
                self.signed[row.project, act.outcome, act.subject].add(who)
