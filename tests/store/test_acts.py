"""Acts happen exactly once, undo is one's own, roles are the kernel's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from store import acts, read
from store.client import Client
from store.database import Database
from store.errors import InputError, ReusedIdError, RoleError, RuleError, StoreError
from store.ledger import verify_chain
from store.outbox import Outbox, Waiting
from tests.factories import stop_hub

OK = {"queue": "audit", "subject": "s1", "verdict": "ok"}
BAD = {"queue": "audit", "subject": "s1", "verdict": "bad", "reason": 1}


def events(client: Client) -> list[read.EventRow]:
    return client.ask(read.EVENTS, project="demo")


# ---- exactly once
@pytest.mark.parametrize(
    ("kind", "payload"), [("verdict", OK), ("undo", {}), ("run.open", {"run_id": "r", "stage": "x"})]
)
def test_the_same_act_sent_again_has_its_first_answer(store, store_path, kind, payload):
    store.act("verdict", "demo", OK | {"subject": "s0"})
    act_id = acts.new_id()
    first = store.act(kind, "demo", payload, act_id=act_id)
    assert store.act(kind, "demo", payload, act_id=act_id) == first
    stop_hub(store_path)
    assert store.act(kind, "demo", payload, act_id=act_id) == first
    assert len(events(store)) == 3


@pytest.mark.parametrize(
    ("kind", "payload"), [("verdict", BAD), ("comment", {"subject": "s1", "text": "?"}), ("undo", {})]
)
def test_an_id_used_for_another_act_is_refused(store, kind, payload):
    act_id = acts.new_id()
    store.act("verdict", "demo", OK, act_id=act_id)
    with pytest.raises(ReusedIdError):
        store.act(kind, "demo", payload, act_id=act_id)
    assert len(events(store)) == 2


def test_an_id_used_by_somebody_else_is_refused(store, store_path):
    act_id = acts.new_id()
    store.act("verdict", "demo", OK, act_id=act_id)
    with Client(store_path, claimed="bob") as bob, pytest.raises(ReusedIdError):
        bob.act("verdict", "demo", OK, act_id=act_id)


def test_a_late_repeat_of_an_old_verdict_leaves_the_newer_mark(filled):
    store = filled({"q": {"teacher": "a"}})
    queue = store.call("open_queue", spec={"kind": "audit", "project": "demo", "model": "teacher"})["id"]
    subject = store.call("window", queue=queue, low=0, high=1)[0][1]
    act_id = acts.new_id()
    store.act("verdict", "demo", OK | {"subject": subject}, act_id=act_id)
    store.act("verdict", "demo", BAD | {"subject": subject})
    store.act("verdict", "demo", OK | {"subject": subject}, act_id=act_id)
    assert store.call("window", queue=queue, low=0, high=1)[0][2] == "1"


def test_many_threads_share_one_client(store):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: store.act("verdict", "demo", OK | {"subject": f"s{i}"}), range(40)))
    assert sorted(answer["seq"] for answer in answers) == list(range(2, 42))
    assert len(store._free) <= 8
    assert store.call("chain")["faults"] == []


# ---- the outbox
def test_an_act_stands_in_the_outbox_until_it_is_answered(store, store_path, tmp_path):
    with Client(store_path, outbox=tmp_path / "out.jsonl") as client:
        client.act("verdict", "demo", OK)
        with pytest.raises(InputError):
            client.act("verdict", "demo", OK | {"verdict": "splendid"})
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        assert len(lines) == 4
        assert client.resend_outbox() == []
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    Outbox(tmp_path / "out.jsonl").close()
    assert (tmp_path / "out.jsonl").read_bytes() == b""


CRASHER = """
import os, signal, sys
from pathlib import Path
from store.client import Client
class Doomed(Client):
    def _send_act(self, act):
        os.kill(os.getpid(), signal.SIGKILL)
Doomed(Path(sys.argv[1]), outbox=Path(sys.argv[2])).act("verdict", "demo", {"queue": "audit", "subject": "s1", "verdict": "ok"})
"""


def test_an_act_of_a_client_that_was_killed_before_sending_is_sent_by_the_next_one(
    store, store_path, tmp_path
):
    box = tmp_path / "out.jsonl"
    killed = subprocess.run([sys.executable, "-c", CRASHER, str(store_path), str(box)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(events(store)) == 1
    with Client(store_path, outbox=box) as client:
        (resent,) = client.resend_outbox()
        assert resent.answer["seq"] == 2
        assert resent.act.payload == OK
        assert client.resend_outbox() == []
    assert len(events(store)) == 2


def test_what_was_written_but_never_acknowledged_is_not_written_twice(store, store_path, tmp_path):
    act = Waiting(acts.new_id(), store.welcome.store_id, "demo", "verdict", OK)
    first = store.act("verdict", "demo", OK, act_id=act.id)
    box = Outbox(tmp_path / "out.jsonl")
    box.put(act)
    box.close()
    with Client(store_path, outbox=tmp_path / "out.jsonl") as client:
        assert [resent.answer for resent in client.resend_outbox()] == [first]
    assert len(events(store)) == 2


def test_a_line_cut_off_by_a_crash_spoils_nothing(store, store_path, tmp_path):
    box, act = tmp_path / "out.jsonl", Waiting(acts.new_id(), store.welcome.store_id, "demo", "verdict", OK)
    outbox = Outbox(box)
    outbox.put(act)
    outbox.close()
    with box.open("ab") as file:
        file.write(b'{"type":"act","id":"half')
    outbox = Outbox(box)
    outbox.put(Waiting(acts.new_id(), "another store", "demo", "verdict", OK))
    outbox.close()
    with Client(store_path, outbox=box) as client:
        assert [resent.act for resent in client.resend_outbox()] == [act]


def test_an_act_that_the_hub_refuses_when_sent_again_says_why(store, store_path, tmp_path):
    box = Outbox(tmp_path / "out.jsonl")
    box.put(Waiting(acts.new_id(), store.welcome.store_id, "demo", "undo", {}))
    box.close()
    with Client(store_path, outbox=tmp_path / "out.jsonl") as client:
        (resent,) = client.resend_outbox()
    assert isinstance(resent.error, RuleError)


def test_an_act_that_found_no_hub_waits(store, store_path, tmp_path):
    with Client(store_path, start=False, outbox=tmp_path / "out.jsonl") as client:
        stop_hub(store_path)
        with pytest.raises(StoreError):
            client.act("verdict", "demo", OK)
        store.call("status")  # starts the hub again
        assert len(client.resend_outbox()) == 1
    assert len(events(store)) == 2


# ---- undo
def test_an_undo_names_what_it_undid(store):
    store.act("verdict", "demo", BAD)
    assert store.act("undo", "demo", {})["undone"] == {"seq": 2, "kind": "verdict"} | BAD
    assert store.act("redo", "demo", {})["undone"]["seq"] == 2
    with pytest.raises(RuleError, match="nothing to redo"):
        store.act("redo", "demo", {})


def test_an_undo_that_means_an_older_act_is_refused(store):
    first = store.act("verdict", "demo", OK)["seq"]
    second = store.act("verdict", "demo", BAD)["seq"]
    with pytest.raises(RuleError, match=f"event {second}"):
        store.act("undo", "demo", {"target": first})
    store.act("undo", "demo", {"target": second})


class Undoing(RuleBasedStateMachine):
    """Acts, undos and redos of two people in two projects, against two plain stacks each."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.path = self.folder / f"{acts.new_id()}.duckdb"
        self.database = Database(self.path, owner="ada")
        self.done: dict[tuple[str, str], list[int]] = {}
        self.undone: dict[tuple[str, str], list[int]] = {}
        for project in ("one", "two"):
            self.act("project.create", project, {}, "ada")
            for who in ("ada", "bob"):
                self.done[project, who], self.undone[project, who] = [], []

    def act(self, kind: str, project: str, payload: dict[str, Any], who: str) -> int:
        applied = self.database.apply(acts.new_id(), project, kind, payload, actor=who, claimed=None)
        return applied.event.seq

    project = st.sampled_from(("one", "two"))
    who = st.sampled_from(("ada", "bob"))

    @rule(project=project, who=who, subject=st.sampled_from("xy"), verdict=st.sampled_from(("ok", "unsure")))
    def judge(self, project, who, subject, verdict):
        payload = {"queue": "audit", "subject": subject, "verdict": verdict}
        self.done[project, who].append(self.act("verdict", project, payload, who))
        self.undone[project, who].clear()

    @rule(project=project, who=who)
    def note_why(self, project, who):
        self.act("why", project, {"choice": "c", "reason": "r"}, who)

    @rule(project=project, who=who)
    def undo(self, project, who):
        done = self.done[project, who]
        if not done:
            with pytest.raises(RuleError, match="nothing to undo"):
                self.act("undo", project, {}, who)
            return
        self.act("undo", project, {}, who)
        self.undone[project, who].append(done.pop())

    @rule(project=project, who=who)
    def redo(self, project, who):
        undone = self.undone[project, who]
        if not undone:
            with pytest.raises(RuleError, match="nothing to redo"):
                self.act("redo", project, {}, who)
            return
        self.act("redo", project, {}, who)
        self.done[project, who].append(undone.pop())

    @precondition(lambda self: hasattr(self, "database"))
    @rule()
    def restart(self):
        self.database.close()
        self.database = Database(self.path, owner="ada")

    @invariant()
    def the_live_verdicts_are_those_not_undone(self):
        if hasattr(self, "database"):
            rows = self.database.connection.execute("select seq from verdict where live").fetchall()
            assert {seq for (seq,) in rows} == {seq for stack in self.done.values() for seq in stack}

    def teardown(self):
        if hasattr(self, "database"):
            assert verify_chain(self.database.connection, self.database.root) == []
            self.database.close()


def test_undo_and_redo_follow_the_stacks_of_each_person_and_project(tmp_path):
    from hypothesis.stateful import run_state_machine_as_test

    Undoing.folder = tmp_path
    quick = settings(
        max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Undoing, settings=quick)


# ---- roles
AS_NOBODY = """
import os, sys
from pathlib import Path
from store.client import Client
from store.errors import SpiritsafeError
os.setgid(65534); os.setuid(65534)
with Client(Path(sys.argv[1])) as client:
    print(client.welcome.role)
    for line in sys.stdin:
        op, _, text = line.strip().partition(" ")
        try:
            if op == "sql":
                client.call("sql", text=text)
            elif op == "stop":
                client.call("stop")
            else:
                client.act(op, "demo", eval(text))
            print("done", flush=True)
        except SpiritsafeError as error:
            print(type(error).__name__, error.what, flush=True)
"""


@pytest.fixture
def nobody(store, store_path):
    """Ask as another account: a line in (``sql …``, ``stop``, or an act with its payload), a line out."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    for folder in (store_path.parent, *store_path.parent.parents):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    store_path.with_name(store_path.name + ".sock").chmod(0o666)
    command = [sys.executable, "-c", AS_NOBODY, str(store_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def ask(line: str) -> str:
            process.stdin.write(line + "\n")
            return process.stdout.readline().strip()

        assert process.stdout.readline().strip() == "reviewer"
        yield ask
        process.stdin.close()


def test_a_reviewer_judges_and_the_kernel_says_who(store, nobody):
    assert nobody(f"verdict {OK}") == "done"
    assert store.call("sql", text="select distinct actor from verdict")["rows"] == [["nobody"]]


@pytest.mark.parametrize(
    "line",
    [
        "project.create {}",
        "contract.lock {'hash': 'h', 'contract': {}}",
        "decide {'outcome': 'ship', 'rationale': 'r', 'record_sha256': 'h', 'record': {}}",
        "stop",
    ],
)
def test_what_only_the_owner_may_is_refused_to_a_reviewer(nobody, line):
    assert nobody(line).startswith(RoleError.__name__)


def test_sql_is_refused_to_reviewers_while_anybody_judges_blind(store, store_path, nobody):
    spec = {"kind": "audit", "project": "demo", "model": "teacher"}
    assert nobody("sql select 1") == "done"
    queue = store.call("open_queue", spec=spec)["id"]
    assert nobody("sql select 1").startswith("RoleError")
    assert store.call("sql", text="select 1")["rows"] == [[1]]
    store.call("close_queue", queue=queue)
    assert nobody("sql select 1") == "done"
    store.call("open_queue", spec=spec | {"blind": False})
    assert nobody("sql select 1") == "done"


def test_a_blind_queue_of_somebody_who_vanished_blocks_nobody(store, store_path, nobody):
    code = (
        "import sys; from pathlib import Path; from store.client import Client; c = Client(Path(sys.argv[1]));"
        "c.call('open_queue', spec={'kind': 'audit', 'project': 'demo', 'model': 'teacher'});"
        "print('open', flush=True); sys.stdin.read()"
    )
    vanishing = subprocess.Popen(
        [sys.executable, "-c", code, str(store_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with vanishing:
        assert vanishing.stdout.readline() == b"open\n"
        assert nobody("sql select 1").startswith("RoleError")
        vanishing.kill()
    while nobody("sql select 1") != "done":  # as soon as the hub has seen it leave
        pass


def test_a_run_is_closed_by_who_opened_it(store, store_path):
    run = store.run("demo", "import", params={}, inputs={})
    with Client(store_path, claimed="bob") as bob, pytest.raises(RoleError):
        bob.act("run.close", "demo", {"run_no": run.run_no, "tables": {}})
