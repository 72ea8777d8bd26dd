"""What the hub holds itself, whatever a client says: shapes, decisions, and who saw what before a verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import acts, read
from store.canonical import digest_of
from store.client import Client
from store.database import Database
from store.errors import RoleError, RuleError, SpiritsafeError
from store.hub import Hub
from store.ledger import verify_chain
from store.queue_ledger import HIDDEN
from store.wire import MESSAGE, Response
from tests.factories import arrival, output

AUDIT = {"kind": "audit", "project": "demo", "model": "teacher"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[[str], Client]]:
    """A store that ``boss`` owns, with two outputs; clients of it by their claimed names, none of them the owner."""
    path = tmp_path / "store.duckdb"
    hub = Hub(path, idle_seconds=60)
    thread = threading.Thread(target=hub.serve)
    thread.start()
    with Client(path, start=False) as owner:
        owner.act("project.create", "demo", {})
        run = owner.run("demo", "import", params={}, inputs={})
        run.add("arrival", [arrival("p0"), arrival("p1")])
        first = run.run_no << 40
        for i in range(2):
            run.add("output", [output("a", to=f"p{i}", model="teacher", arrival_key=first + i)])
        run.close()
    hub.database.owner = "boss"
    clients: list[Client] = []

    def enter(name: str) -> Client:
        clients.append(Client(path, start=False, claimed=name))
        return clients[-1]

    yield enter
    for client in clients:
        client.close()
    hub.leave()
    thread.join()


def revealed(client: Client) -> list[bool]:
    sql = "select payload->>'revealed' from event where kind = 'verdict' order by seq"
    return [row[0] == "true" for row in client.call("sql", text=sql)["rows"]]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# ---- shapes
ACT = {"id": "x", "project": "demo", "kind": "comment", "payload": {"subject": "s", "text": "t"}}


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("act", ACT | {"id": 123}),
        ("act", ACT | {"id": ["x"]}),
        ("act", ACT | {"id": ""}),
        ("act", ACT | {"id": "x" * 201}),
        ("act", ACT | {"id": "a\x00b"}),
        ("act", ACT | {"project": 7}),
        ("act", ACT | {"project": "de\x1bmo"}),
        ("act", ACT | {"kind": 1}),
        ("act", ACT | {"payload": []}),
        ("act", ACT | {"payload": {1: 2}}),
        ("act", ACT | {"payload": {"subject": "s", "text": 1}}),
        ("act", ACT | {"kind": "verdict", "payload": {"queue": ["audit"], "subject": {}, "verdict": "ok"}}),
        ("act", ACT | {"kind": "model.declare", "payload": {"model": "m", "role": "r", "fingerprint": {"a": deep(450)}}}),
        ("slice_counts", {"foo": 1}),
        ("sql", {"text": 1}),
        ("sql", {"text": "select 1", "limit": "many"}),
        ("ask", {"question": ["x"], "params": {}}),
        ("window", {"queue": {}, "low": 0, "high": 1}),
        ("detail", {"queue": "q", "position": 0.5}),
        ("progress", {"job": ["x"], "state": {"a": 1}}),
        ("append", {"run_no": 1, "table": "output", "first_seq": 0}),
        ("rows_of_run", {"run_no": 1, "table": ["x"], "columns": []}),
        ("stop", {"now": True}),
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_an_error_and_harms_nothing(near_store, op, args):
    with pytest.raises(SpiritsafeError):
        near_store.call(op, **args)
    assert near_store.call("status")["events"] == 1
    assert near_store.call("chain")["faults"] == []


def test_a_request_nested_without_end_is_answered_and_the_session_lives(near_store):
    for levels in (900, 5_000):
        body = (
            b"\x83\xa2op\xa8progress\xa4args\x82\xa3job\xa1j\xa5state\x81\xa1a"
            + b"\x91" * levels
            + b"\x01\xa5arrow\xc2"
        )
        channel = near_store._take()
        channel._send(MESSAGE, body)
        assert channel.receive(Response).problem is not None
        near_store._give(channel)
    assert near_store.call("status")["events"] == 1


def test_an_act_that_breaks_off_between_two_writes_leaves_nothing(tmp_path, monkeypatch):
    database = Database(tmp_path / "store.duckdb", "me")
    database.apply("a", "demo", "project.create", {}, actor="me", claimed=None)
    with monkeypatch.context() as broken:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        broken.setattr("store.database.write_copies", stop)
        with pytest.raises(KeyboardInterrupt):
            database.apply("b", "demo", "comment", ACT["payload"], actor="me", claimed=None)
    done = database.apply("c", "demo", "comment", ACT["payload"], actor="me", claimed=None)
    assert (done.event.seq, verify_chain(database.connection, database.root)) == (2, [])
    database.close()


# ---- decisions and stages
def decision(client: Client, **changed: Any) -> dict[str, Any]:
    """A decide payload that is all right but for what is changed in its record."""
    head = client.ask(read.HEAD, seq=None)[0]
    evidence = {"project": "demo", "passes": True, "ledger": {"seq": head.seq, "hash": head.hash}}
    record: dict[str, Any] = {
        "outcome": "ship",
        "rationale": "why",
        "decided_by": client.welcome.actor,
        "evidence": evidence | changed.pop("evidence", {}),
    } | changed
    record["sha256"] = digest_of(record)
    return {"outcome": "ship", "rationale": "why", "record_sha256": record["sha256"], "record": record}


def test_a_decision_with_its_whole_record_is_taken(near_store):
    near_store.act("decide", "demo", decision(near_store))
    assert [d.outcome for d in near_store.ask(read.DECISIONS, project="demo")] == ["ship"]


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "kill"},
        {"rationale": "other"},
        {"decided_by": "mallory"},
        {"evidence": {"project": "other"}},
        {"evidence": {"passes": False}},
        {"evidence": {"passes": 1}},
        {"evidence": {"ledger": {"seq": 1, "hash": "0" * 64}}},
        {"evidence": {"ledger": {"seq": 2, "hash": "0" * 64}}},
        {"evidence": {"ledger": {"seq": True, "hash": "0" * 64}}},
        {"evidence": {"ledger": []}},
    ],
)
def test_a_decision_whose_record_says_otherwise_is_refused(near_store, changed):
    with pytest.raises(RuleError):
        near_store.act("decide", "demo", decision(near_store, **changed))
    assert near_store.call("status")["events"] == 1


def test_a_decision_with_another_records_hash_or_no_record_is_refused(near_store):
    whole = decision(near_store)
    for broken in (
        whole | {"record_sha256": "0" * 64},
        whole | {"record": whole["record"] | {"sha256": "0" * 64}},
        whole | {"record": whole["record"] | {"added": "later"}},
        whole | {"record": {}},
    ):
        with pytest.raises(RuleError):
            near_store.act("decide", "demo", broken)
    assert near_store.call("status")["events"] == 1


def test_stages_that_a_decision_rests_on_are_the_owners(house):
    bob = house("bob")
    for stage in ("evaluate", "evaluation", "gate", "dataset", "train"):
        with pytest.raises(RoleError):
            bob.run("demo", stage, params={}, inputs={})
    bob.run("demo", "check", params={}, inputs={}).close()


# ---- blind
def test_a_verdict_after_an_unblinded_look_is_recorded_as_one_whatever_the_client_says(house):
    bob, amy = house("bob"), house("amy")
    open_ = bob.call("open_queue", spec=AUDIT | {"blind": False})["id"]
    subject = bob.call("window", queue=open_, low=0, high=1)[0][1]
    blind = amy.call("open_queue", spec=AUDIT)["id"]
    other = amy.call("window", queue=blind, low=1, high=2)[0][1]
    amy.call("close_queue", queue=blind)
    for client, about in ((bob, subject), (amy, subject), (bob, other)):
        client.act(
            "verdict", "demo", {"queue": "audit", "subject": about, "verdict": "ok", "revealed": False}
        )
    assert revealed(bob) == [True, False, False]


def test_an_undone_verdict_given_again_after_the_reveal_is_recorded_as_one(house):
    bob = house("bob")
    queue = bob.call("open_queue", spec=AUDIT)["id"]
    subject = bob.call("detail", queue=queue, position=0)["subject"]
    given = {"queue": "audit", "subject": subject, "verdict": "ok"}
    bob.act("verdict", "demo", given)
    assert bob.call("detail", queue=queue, position=0)["revealed"]
    bob.act("undo", "demo", {})
    bob.act("verdict", "demo", given | {"verdict": "unsure"})
    bob.call("close_queue", queue=queue)
    assert revealed(bob) == [False, True]


def test_a_verdict_sent_again_after_the_reveal_has_its_first_answer(house):
    bob = house("bob")
    queue = bob.call("open_queue", spec=AUDIT)["id"]
    subject = bob.call("detail", queue=queue, position=0)["subject"]
    for given in ({"queue": "audit", "subject": subject, "verdict": "ok"},
                  {"queue": "audit", "subject": subject, "verdict": "unsure", "revealed": False}):  # fmt: skip
        act_id = acts.new_id()
        first = bob.act("verdict", "demo", given, act_id=act_id)
        bob.call("detail", queue=queue, position=0)
        assert bob.act("verdict", "demo", given, act_id=act_id) == first
    assert bob.call("chain")["faults"] == []


def test_what_tells_of_others_verdicts_or_of_the_source_waits_while_anybody_judges_blind(house):
    bob, amy = house("bob"), house("amy")
    queue = amy.call("open_queue", spec=AUDIT)["id"]
    ledger = bob.call("open_queue", spec={"kind": "ledger", "project": "demo"})
    for tell in (
        lambda: bob.ask(read.VERDICTS, project="demo", queue=None),
        lambda: bob.ask(read.EVENTS, project="demo"),
        lambda: bob.fetch(read.OUTPUTS, project="demo", model="teacher", split=None),
        lambda: bob.rows_of_run(1, "output", ["model"]),
        lambda: bob.call("find", queue=ledger["id"], text="teacher", position=0, step=1),
        lambda: bob.call(
            "open_queue", spec={"kind": "ledger", "project": "demo", "filter": "payload ~ 'ok'"}
        ),
    ):
        with pytest.raises(RoleError):
            tell()
    bob.ask(read.TALLIES, project="demo", seq=None)
    bob.ask(read.COUNTS, project="demo")
    amy.call("close_queue", queue=queue)
    assert bob.ask(read.VERDICTS, project="demo", queue=None) == []
    assert bob.rows_of_run(1, "output", ["model"]).num_rows == 2


def test_the_ledger_keeps_others_verdicts_to_itself_while_anybody_judges_blind(house):
    bob, amy = house("bob"), house("amy")
    blind = amy.call("open_queue", spec=AUDIT)["id"]
    for client in (amy, bob):
        client.act("verdict", "demo", {"queue": "audit", "subject": "s", "verdict": "ok"})
    ledger = bob.call("open_queue", spec={"kind": "ledger", "project": "demo"})
    low, high = ledger["length"] - 2, ledger["length"]
    payloads = [row[3][4] for row in bob.call("window", queue=ledger["id"], low=low, high=high)]
    assert payloads[0] == bob.call("detail", queue=ledger["id"], position=low)["payload"] == HIDDEN
    assert "ok" in payloads[1]
    amy.call("close_queue", queue=blind)
    assert "ok" in bob.call("detail", queue=ledger["id"], position=low)["payload"]
