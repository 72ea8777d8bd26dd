"""The ledger against a model of plain lists: any order of acts by several people, resent, reused, reopened."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from store import acts
from store.database import Database
from store.errors import InputError, ReusedIdError, RuleError
from store.ledger import verify_chain
from tests.store.fault_desk import TORTURE

PROJECTS = ("one", "two")
PEOPLE = (("ada", None), ("bob", None), ("desk", "cem"), ("desk", "dia"))  # two of them share an account
VERDICTS = {
    "audit": ("ok", "bad", "unsure"),
    "duplicates": ("keep", "distinct"),
    "disagreements": ("left", "both"),
}
Person = tuple[str, "str | None"]


class Done(NamedTuple):
    """An act as the model remembers it."""

    seq: int
    id: str
    project: str
    who: Person
    kind: str
    payload: dict[str, Any]


class Model:
    """What the ledger must say, in lists: every act, and each person's two stacks in each project."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self.stacks: dict[tuple[str, Person], tuple[list[Done], list[Done]]] = {
            key: ([], []) for key in itertools.product(PROJECTS, PEOPLE)
        }

    def live(self) -> set[int]:
        """Seqs of the verdicts and comments that nobody took back."""
        return {act.seq for undo, _ in self.stacks.values() for act in undo}

    def current(self) -> set[tuple[str, str, str, str, str]]:
        """The last live verdict of everybody on every subject."""
        found = {}
        for act in self.done:
            if act.kind == "verdict" and act.seq in self.live():
                name = "/".join(filter(None, act.who))
                p = act.payload
                found[act.project, p["queue"], p["subject"], name] = p["verdict"]
        return {(*key, verdict) for key, verdict in found.items()}


class Ledger(RuleBasedStateMachine):
    """Acts, undos and redos in any order, sent once or more often, over reopenings of the store."""

    folder: Path
    project, who = st.sampled_from(PROJECTS), st.sampled_from(PEOPLE)
    which = st.integers(0, 10**6)

    @initialize()
    def begin(self) -> None:
        self.path = self.folder / f"{acts.new_id()}.duckdb"
        self.database = Database(self.path, owner="ada")
        self.model = Model()
        for project in PROJECTS:
            self.put("project.create", project, {}, ("ada", None))

    def apply(self, act_id: str, project: str, kind: str, payload: dict[str, Any], who: Person) -> Any:
        return self.database.apply(act_id, project, kind, payload, actor=who[0], claimed=who[1])

    def put(self, kind: str, project: str, payload: dict[str, Any], who: Person) -> Done:
        act_id = acts.new_id()
        applied = self.apply(act_id, project, kind, payload, who)
        assert applied.fresh
        assert applied.event.seq == len(self.model.done) + 1
        done = Done(applied.event.seq, act_id, project, who, kind, payload)
        self.model.done.append(done)
        return done

    # ---- acts
    @rule(
        project=project,
        who=who,
        queue=st.sampled_from(sorted(VERDICTS)),
        subject=st.sampled_from("xyz"),
        which=which,
    )
    def judge(self, project, who, queue, subject, which):
        verdict = VERDICTS[queue][which % len(VERDICTS[queue])]
        payload = {"queue": queue, "subject": subject, "verdict": verdict}
        payload |= {"reason": 1 + which % 9} if verdict == "bad" else {}
        self._push(self.put("verdict", project, payload, who))

    @rule(project=project, who=who, text=st.text(min_size=1, max_size=5))
    def comment(self, project, who, text):
        self._push(self.put("comment", project, {"subject": "x", "text": text}, who))

    def _push(self, done: Done) -> None:
        undo, redo = self.model.stacks[done.project, done.who]
        undo.append(done)
        redo.clear()

    @rule(project=project, who=who)
    def say_why(self, project, who):
        self.put("why", project, {"choice": "c", "reason": "r"}, who)  # on no stack, and clears none

    @rule(project=project, who=who, named=st.sampled_from(["nothing", "right", "wrong"]))
    def undo(self, project, who, named):
        undo, redo = self.model.stacks[project, who]
        if not undo:
            with pytest.raises(RuleError, match="nothing to undo"):
                self.apply(acts.new_id(), project, "undo", {}, who)
            return
        if named == "wrong":
            with pytest.raises(RuleError, match="not what undo would mean"):
                self.apply(acts.new_id(), project, "undo", {"target": undo[-1].seq + 1000}, who)
            return
        self.put("undo", project, {"target": undo[-1].seq} if named == "right" else {}, who)
        redo.append(undo.pop())

    @rule(project=project, who=who)
    def redo(self, project, who):
        undo, redo = self.model.stacks[project, who]
        if not redo:
            with pytest.raises(RuleError, match="nothing to redo"):
                self.apply(acts.new_id(), project, "redo", {}, who)
            return
        self.put("redo", project, {}, who)
        undo.append(redo.pop())

    # ---- the same again, and what is refused
    @rule(which=which)
    def resend(self, which):
        act = self.model.done[which % len(self.model.done)]
        applied = self.apply(act.id, act.project, act.kind, act.payload, act.who)
        assert (applied.fresh, applied.event.seq, applied.event.kind) == (False, act.seq, act.kind)

    @rule(which=which, how=st.sampled_from(["payload", "who", "project", "kind"]))
    def reuse(self, which, how):
        act = self.model.done[which % len(self.model.done)]
        project, kind, payload, who = act.project, act.kind, act.payload, act.who
        if how == "payload":
            kind, payload = "why", {"choice": "another", "reason": "r"}
        elif how == "who":
            who = PEOPLE[(PEOPLE.index(who) + 1) % len(PEOPLE)]
        elif how == "project":
            project = PROJECTS[1 - PROJECTS.index(project)]
        else:
            kind = "redo" if kind == "undo" else "undo"
        with pytest.raises(ReusedIdError):
            self.apply(act.id, project, kind, payload, who)

    @rule(
        who=who,
        payload=st.sampled_from([{}, {"subject": "x", "text": ""}, {"subject": 1, "text": "x"}, {"x": 0.5}]),
    )
    def say_nonsense(self, who, payload):
        with pytest.raises(InputError):
            self.apply(acts.new_id(), "one", "comment", payload, who)

    @rule()
    def reopen(self):
        self.database.close()
        self.database = Database(self.path, owner="somebody else")

    # ---- what must hold after each of them
    @invariant()
    def the_ledger_holds_each_act_once_in_its_order(self):
        if hasattr(self, "database"):
            rows = self.database.connection.execute("select seq, id, kind from event order by seq").fetchall()
            assert rows == [(act.seq, act.id, act.kind) for act in self.model.done]

    @invariant()
    def what_is_live_and_what_is_current_is_as_the_model_has_it(self):
        if hasattr(self, "database"):
            con = self.database.connection
            live = {
                row[0]
                for row in con.execute(
                    "select seq from verdict where live union all select seq from comment"
                ).fetchall()
            }
            assert live == self.model.live()
            current = con.execute(
                "select project, queue, subject, actor, verdict from current_verdict"
            ).fetchall()
            assert set(current) == self.model.current()
            assert len(current) == len(set(current))

    @invariant()
    def the_next_undo_and_redo_are_those_of_the_model(self):
        if hasattr(self, "database"):
            for (project, who), (undo, _) in self.model.stacks.items():
                if undo:
                    name = "/".join(filter(None, who))
                    assert self.database.ledger.target("undo", project, name, lambda _: False) == undo[-1].seq

    def teardown(self):
        if hasattr(self, "database"):
            assert verify_chain(self.database.connection, self.database.root) == []
            self.database.close()
            for file in self.path.parent.glob(self.path.name + "*"):
                file.unlink()


def test_any_order_of_acts_by_anybody_is_what_a_model_of_plain_lists_says(tmp_path):
    Ledger.folder = tmp_path
    examples, steps = (200, 60) if TORTURE else (6, 30)
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
