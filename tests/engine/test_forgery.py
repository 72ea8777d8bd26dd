"""What somebody might slip past ``verify``, and that it is found: scores, roles, decisions, typed copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from console.demo import PROJECT, build
from engine.audit import stage as audit
from engine.context import Context
from engine.decide import decide, export
from engine.evaluate.bars import newest
from engine.record import evidence
from engine.verify import verify_record, verify_store
from store import read
from store.client import Client
from store.errors import RuleError
from store.records import Score
from tests.factories import stop_hub


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample project, judged by nobody yet."""
    path = tmp_path_factory.mktemp("built") / "desk.duckdb"
    build(path)
    stop_hub(path)
    return path


@pytest.fixture
def desk(built: Path, tmp_path: Path) -> Iterator[Client]:
    """A copy of it."""
    path = tmp_path / "desk.duckdb"
    shutil.copy(built, path)
    with Client(path) as client:
        yield client
    stop_hub(path)


def judge(desk: Client, verdict: str, position: int) -> dict[str, Any]:
    """Judge a disagreement as the console does; its detail after that, names and all."""
    evaluated, student = newest(Context(desk, PROJECT))
    spec = {"kind": "disagreements", "project": PROJECT, "run_id": evaluated.run_id, "model": student,
            "teacher": evaluated.result["teacher"], "metric": evaluated.result["metric"]}  # fmt: skip
    queue = desk.call("open_queue", spec=spec)["id"]
    seen = desk.call("detail", queue=queue, position=position)
    shown = [output["output_id"] for output in seen["outputs"]]
    payload = {"queue": "disagreements", "subject": seen["subject"], "verdict": verdict, "shown": shown}
    desk.act("verdict", PROJECT, payload)
    found: dict[str, Any] = desk.call("detail", queue=queue, position=position)
    return found


def test_a_left_verdict_counts_for_the_model_that_stood_on_the_left(desk: Client) -> None:
    models = [judge(desk, "left", 0)["outputs"][0]["model"], judge(desk, "right", 1)["outputs"][1]["model"]]
    context = Context(desk, PROJECT)
    triage = {row["better"]: row["count"] for row in evidence(context, *newest(context))["triage"]}
    assert triage == {model: models.count(model) for model in models}


def test_scores_that_the_texts_do_not_give_are_no_evidence(desk: Client) -> None:
    context = Context(desk, PROJECT)
    evaluated, student = newest(context)
    rows = desk.ask(read.SCORES, project=PROJECT, run_id=evaluated.run_id)
    forged = desk.run(PROJECT, "evaluate", params={}, inputs=evaluated.inputs)
    forged.add("score", (Score(0, 0, s.arrival_key, s.output_key, s.prompt_id, s.model, s.metric,
                               1.0 if s.model == student else s.value) for s in rows))  # fmt: skip
    forged.close(evaluated.result)
    wrong = sum(s.model == student and s.value == 0.0 for s in rows)
    assert evidence(context, *newest(context))["evaluation"]["disagreeing_scores"] == 2 * wrong > 0
    with pytest.raises(RuleError, match="not what the texts give"):
        decide(context, "ship", "looks perfect")


def test_a_baseline_and_the_teacher_have_no_gate(desk: Client) -> None:
    for name in ("majority", "desk-teacher"):
        with pytest.raises(RuleError, match="as a student"):
            newest(Context(desk, PROJECT), name)


def test_a_decision_by_a_claimed_name_is_theirs_in_record_and_ledger(desk: Client, tmp_path: Path) -> None:
    with Client(desk.path, claimed="mara") as mara:
        record = decide(Context(mara, PROJECT), "iterate", "fifteen points short")
        assert record["decided_by"].endswith("/mara")
        path = next(p for p in export(Context(mara, PROJECT), tmp_path / "out") if p.suffix == ".json")
    assert verify_record(desk, path).sound


@pytest.mark.parametrize(
    "sql",
    [
        "delete from undo_event",
        "update run_opened set actor = 'somebody' where run_no = 1",
        "insert into run_closed select * from run_closed where run_no = 1",
        "delete from verdict_event",
    ],
)
def test_a_typed_copy_that_is_gone_doubled_or_changed_is_found(desk: Client, sql: str) -> None:
    judge(desk, "both", 0)
    desk.act("undo", PROJECT, {})
    assert verify_store(desk).sound
    stop_hub(desk.path)
    with duckdb.connect(str(desk.path)) as file:
        file.execute(sql)
    assert any("typed copy" in d.where for d in verify_store(desk).differences)


@pytest.mark.parametrize(
    "sql",
    [
        "delete from verdict_event where subject = 's1'",
        "update verdict_event set verdict = 'bad' where subject = 's2'",
        "update verdict_event set bulk = false",
        "insert into verdict_event select * from verdict_event where subject = 's1'",
    ],
)
def test_a_changed_copy_of_a_bulk_verdict_is_found(desk: Client, sql: str) -> None:
    desk.act("verdicts", PROJECT, {"queue": "audit", "subjects": ["s1", "s2"], "verdict": "ok"})
    assert verify_store(desk).sound
    stop_hub(desk.path)
    with duckdb.connect(str(desk.path)) as file:
        file.execute(sql)
    assert any("typed copies" in d.where or "typed copy" in d.where for d in verify_store(desk).differences)


def audited(desk: Client) -> str:
    """Lock a plan, judge five of its samples; its run id."""
    plan: str = audit.run(Context(desk, PROJECT), audit.Params(gate=0.3, n=20))["plan"]
    spec = {"kind": "audit", "project": PROJECT, "model": "desk-teacher", "plan": plan}
    queue = desk.call("open_queue", spec=spec)["id"]
    for row in desk.call("window", queue=queue, low=0, high=5):
        desk.act("verdict", PROJECT, {"queue": "audit", "subject": row[1], "verdict": "ok"})
    return plan


def test_a_record_carries_its_audits_and_they_come_out_again_after_more_was_judged(
    desk: Client, tmp_path: Path
) -> None:
    plan = audited(desk)
    record = decide(Context(desk, PROJECT), "iterate", "fifteen points short")
    (told,) = record["evidence"]["audit"]["plans"]
    assert (told["plan"], told["judged"], told["errors"], told["verdict"]) == (plan, 5, 0, "insufficient")
    desk.act("undo", PROJECT, {})
    path = next(p for p in export(Context(desk, PROJECT), tmp_path / "out") if p.suffix == ".json")
    assert verify_record(desk, path).sound


@pytest.mark.parametrize(
    "sql",
    [
        "update draw set inclusion = 1",
        "update draw set reserve = true where draw_key = (select min(draw_key) from draw)",
        "delete from draw where draw_key = (select max(draw_key) from draw)",
        "update verdict_event set revealed = not revealed",
        "update verdict_event set bulk = true where queue = 'audit'",
    ],
)
def test_a_changed_draw_or_verdict_is_found_and_located(desk: Client, sql: str) -> None:
    audited(desk)
    assert verify_store(desk).sound
    stop_hub(desk.path)
    with duckdb.connect(str(desk.path)) as file:
        file.execute(sql)
    found = verify_store(desk).differences
    assert found
    assert any("table draw" in d.where or "typed copy" in d.where for d in found)


def test_a_changed_row_is_located_by_the_marks_of_its_tables_digest(desk: Client) -> None:
    run = desk.run(PROJECT, "coverage", params={}, inputs={})
    run.add("score", (Score(0, 0, i, i, "p", "m", "exact", 1.0) for i in range(10_000)))
    run.close()
    stop_hub(desk.path)
    with duckdb.connect(str(desk.path)) as file:
        file.execute(f"update score set value = 0 where score_key = {(run.run_no << 40) + 5000}")  # noqa: S608
    (found,) = verify_store(desk).differences
    assert found.where.endswith("table score, rows 4096 to 8191")
