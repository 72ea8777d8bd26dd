"""Every act of a ledger judged again, by the rules that the hub goes by, from the events alone.

The hub refuses what its rules forbid; a file that was changed behind its back, or a hub that was, is found here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from store import acts
from store.answers import ActRow
from store.canonical import digest_of
from store.errors import SpiritsafeError
from store.ledger import reviewer

Fault = tuple[int, str]  # event, what is wrong with it
Key = tuple[str, str]


class Judge:
    """The state that the rules ask about, as it stood before each event."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.projects: set[str] = set()
        self.runs: dict[int, tuple[str, str]] = {}  # run number: project, who opened it
        self.closed: set[int] = set()
        self.done: defaultdict[Key, list[int]] = defaultdict(list)
        self.undone: defaultdict[Key, list[int]] = defaultdict(list)
        self.undo_of: dict[int, int] = {}
        self.said: dict[
            int, tuple[str, str, list[str], bool]
        ] = {}  # verdict event: queue, verdict, subjects, bulk
        self.dead: set[int] = set()
        self.of_subject: defaultdict[Key, list[tuple[int, str]]] = defaultdict(
            list
        )  # (seq, who) of audit verdicts
        self.settled: set[Key] = set()

    def faults(self, row: ActRow) -> Iterator[str]:
        """What is wrong with an event, and then what stands after it."""
        who = reviewer(row.actor, row.claimed)
        try:
            payload = msgspec.json.decode(row.payload)
            act = acts.parse(row.kind, payload)
        except (msgspec.DecodeError, SpiritsafeError) as error:
            yield f"is no {row.kind}: {error}"
            return
        yield from self._roles(row, act)
        match act:
            case acts.Undo():
                yield from self._undo(row, payload.get("target"), (row.project, who))
            case acts.CloseRun(run_no=run_no):
                if run_no in self.closed or self.runs.get(run_no) != (row.project, who):
                    yield f"closes run {run_no}, which was not open, or not {who}'s"
                self.closed.add(run_no)
            case acts.Adjudicate():
                yield from self._adjudication(row, act, who)
            case acts.Decide():
                yield from self._decision(act, who)
        self._note(row, act, who)

    def _roles(self, row: ActRow, act: acts.Act) -> Iterator[str]:
        if row.actor != self.owner:
            if row.kind in acts.OWNER_ONLY:
                yield f"{row.kind} is the owner's to do, not {row.actor}'s"
            if isinstance(act, acts.OpenRun) and act.stage in acts.OWNER_STAGES:
                yield f"a run of {act.stage} is the owner's to open, not {row.actor}'s"
        if (row.kind == "project.create") == (row.project in self.projects):
            yield f"project {row.project} {'was there already' if row.project in self.projects else 'was not there'}"

    def _undo(self, row: ActRow, target: Any, key: Key) -> Iterator[str]:
        if row.kind == "undo":
            meant = self.done[key][-1] if self.done[key] else None
        else:
            meant = self.undo_of[self.undone[key][-1]] if self.undone[key] else None
        if target != meant:
            yield f"{row.kind} of event {target}, where event {meant} was meant"
        elif row.kind == "undo" and meant in self.said:
            queue, _, subjects, _ = self.said[meant]
            if queue == "audit" and any((row.project, s) in self.settled for s in subjects):
                yield f"undoes event {meant}, whose sample was adjudicated"

    def _adjudication(self, row: ActRow, act: acts.Adjudicate, who: str) -> Iterator[str]:
        current: dict[str, str] = {}
        for seq, by in self.of_subject[row.project, act.subject]:
            if seq not in self.dead:
                current[by] = self.said[seq][1] if not self.said[seq][3] else ""
        said = {verdict for verdict in current.values() if verdict}
        if len(said) < 2 and "unsure" not in said:
            yield "settles a sample on which the reviewers agree"
        if current.get(who) and row.actor != self.owner:
            yield f"{who} settles a conflict of his own"

    @staticmethod
    def _decision(act: acts.Decide, who: str) -> Iterator[str]:
        record = act.record
        if act.record_sha256 != digest_of({name: v for name, v in record.items() if name != "sha256"}):
            yield "the decision's hash is not that of its record"
        if (record.get("outcome"), record.get("rationale"), record.get("decided_by")) != (
            act.outcome,
            act.rationale,
            who,
        ):
            yield "the decision is not what its record says"

    def _note(self, row: ActRow, act: acts.Act, who: str) -> None:
        key = (row.project, who)
        match act:
            case acts.CreateProject():
                self.projects.add(row.project)
            case acts.OpenRun():
                self.runs[len(self.runs) + 1] = (row.project, who)
            case acts.GiveVerdict() | acts.GiveVerdicts():
                bulk = isinstance(act, acts.GiveVerdicts)
                subjects = act.subjects if isinstance(act, acts.GiveVerdicts) else [act.subject]
                self.said[row.seq] = (act.queue, act.verdict, subjects, bulk)
                if act.queue == "audit":
                    for subject in subjects:
                        self.of_subject[row.project, subject].append((row.seq, who))
                elif act.queue == "adjudicate" and act.verdict != "escalate":
                    self.settled.update((row.project, subject) for subject in subjects)
        if row.kind in acts.UNDOABLE:
            self.done[key].append(row.seq)
            self.undone[key].clear()
        elif row.kind == "undo" and self.done[key]:
            self.undo_of[self.done[key][-1]] = row.seq
            self.dead.add(self.done[key][-1])
            self.undone[key].append(self.done[key].pop())
        elif row.kind == "redo" and self.undone[key]:
            self.dead.discard(self.undone[key][-1])
            self.done[key].append(self.undone[key].pop())


def faults(rows: Iterable[ActRow], owner: str) -> Iterator[Fault]:
    """(event, fault) of every act that the rules would have refused, oldest first."""
    judge = Judge(owner)
    for row in rows:
        for fault in judge.faults(row):
            yield row.seq, fault
