"""banking77 from an empty folder to a verified decision, through the `spiritsafe` command and a real endpoint.

The teacher (label_server.py, trained on half A) answers 1,000 prompts of half B and the 3,080 test prompts over
HTTP with the log-probabilities of its top 20 labels; students are trained on what it said. Near-duplicates are
kept in the dataset (--keep-duplicates), because the reference figures were measured on plain draws.
"""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.label_server import LabelServer, LabelTeacher, Manners, halves, rows_of
from tests.engine.shell import Shell

BESIDE = Path(__file__).parents[2] / ".." / "shared" / "data"
DATA = Path(os.environ.get("SPIRITSAFE_DATA", BESIDE)) / "banking77"
SAMPLES = 1000

pytestmark = pytest.mark.skipif(
    not (DATA / "banking77_train.csv").exists(), reason=f"no banking77_train.csv in {DATA}"
)


@pytest.fixture(scope="module", autouse=True)
def short_lived_hubs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
        yield


@pytest.fixture(scope="module")
def teacher() -> LabelTeacher:
    texts, labels = rows_of(DATA / "banking77_train.csv")
    half_a, _ = halves(len(texts), seed=13)
    return LabelTeacher([texts[i] for i in half_a], [labels[i] for i in half_a])


def contract_of(teacher: LabelTeacher, *, classes: int | None = None) -> str:
    labels = "\n".join(f'"{label}" = "{code}"' for code, label in list(teacher.codes.items())[:classes])
    return f"""
[task]
name = "banking77"
kind = "label"
instruction = "Answer with the code of the customer's intent."
input_example = "Where is my card?"
output_example = "{next(iter(teacher.codes))}"
metric = "label"
[task.labels]
{labels}
[teacher]
name = "label-teacher"
endpoint = "http://127.0.0.1:9/v1"
model = "label-teacher"
version = "label-teacher-2024-01"
why = "the only one in the house"
[teacher.params]
max_tokens = 1
logprobs = true
top_logprobs = 20
[gate]
level = "0.95"
margin = 0.03
minimum_n = 200
attempts = 2
[[gate.slice]]
name = "short prompts"
where = "len(prompt) < 40"
margin = 0.05
[constraints]
licence = "Apache-2.0"
teacher_terms_acknowledged = true
[people]
owner = "root"
[[checks]]
name = "is a code"
kind = "regex"
options = {{ pattern = "^[a-z][0-9][0-9]$" }}
"""


def write_pool(path: Path, size: int) -> Path:
    """``size`` texts of half B (the first under its seed) as a CSV."""
    texts, labels = rows_of(DATA / "banking77_train.csv")
    _, half_b = halves(len(texts), seed=13)
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["text", "category"])
        writer.writerows((texts[i], labels[i]) for i in half_b[:size])
    return path


def start(shell: Shell, folder: Path, teacher: LabelTeacher, size: int) -> None:
    """A project with a locked contract and the pool as its training prompts."""
    shell("init", "banking", "--contract", folder / "template.toml")
    (folder / "contract.toml").write_text(contract_of(teacher))
    assert shell.refused("generate", code=4).endswith("has no locked contract")
    shell("contract", "lock", folder / "contract.toml")
    pool = write_pool(folder / "pool.csv", size)
    shell("import", pool, "--prompt", "text", "--reference", "category", "--split", "train")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, teacher: LabelTeacher) -> Iterator[dict[str, Any]]:
    """Every command once; what each of them answered, and the shell itself."""
    folder = tmp_path_factory.mktemp("banking")
    shell = Shell(folder / "b.duckdb")
    told: dict[str, Any] = {"shell": shell, "folder": folder}
    try:
        start(shell, folder, teacher, SAMPLES)
        test = DATA / "banking77_test.csv"
        shell("import", test, "--prompt", "text", "--reference", "category", "--split", "test")
        told["train too early"] = shell.refused("train", code=4)
        told["evaluation"] = shell("evaluation", "freeze")
        told["baselines"] = shell("baselines")
        with LabelServer(teacher) as server:
            told["generate"] = shell("generate", "--endpoint", server.base_url, "--in-flight", "8")
            told["again"] = shell("generate", "--endpoint", server.base_url)
            told["stats"] = server.stats.told()
        told["check"] = shell("check")
        told["no dedup yet"] = shell.refused("dataset", "freeze", code=4)
        told["dedup"] = shell("dedup")
        told["coverage"] = shell("coverage")
        told["dataset"] = shell("dataset", "freeze", "--keep-duplicates")
        for mode in ("hard", "soft"):
            told[mode] = shell("train", "--mode", mode, "--limit", SAMPLES)
        told["evaluate"] = shell("evaluate")
        told["gate"] = shell("gate", code=1)
        told["decide"] = shell("decide", "kill", "--why", "a thousand samples are too few")
        told["export"] = shell("export", "--to", folder / "out")
        told["verify"] = shell("verify", told["export"]["written"][0])
        yield told
    finally:
        shell.close()


def test_the_endpoint_was_asked_each_prompt_once(story: dict[str, Any]) -> None:
    assert story["generate"]["answered"] == SAMPLES + 3080 - (SAMPLES + 3080 - story["generate"]["called"])
    assert story["generate"]["failed"] == 0
    assert story["again"]["called"] == story["again"]["answered"] == 0
    assert story["stats"]["repeated"] == 0


def test_every_answer_passes_its_check(story: dict[str, Any]) -> None:
    assert all(count["passed"] == count["total"] for count in story["check"]["checks"])


def test_teacher_and_students_reach_the_reference_and_soft_wins_by_four_points(
    story: dict[str, Any],
) -> None:
    models = story["evaluate"]["models"]
    accuracy = {name: float(models[name]["accuracy"]) for name in models}
    assert accuracy["label-teacher"] == pytest.approx(0.885, abs=0.015)
    hard, soft = accuracy[story["hard"]["model"]], accuracy[story["soft"]["model"]]
    assert hard == pytest.approx(0.668, abs=0.015)
    assert soft == pytest.approx(0.738, abs=0.015)
    assert soft >= hard + 0.04
    assert accuracy["majority"] < 0.05


def test_no_prompt_of_the_evaluation_set_nor_a_near_duplicate_of_one_is_in_the_dataset(
    story: dict[str, Any],
) -> None:
    shell = story["shell"]
    leaked = shell(
        "sql",
        "select count(*) from set_members d join set_members e using (prompt_id)"
        " where d.stage = 'dataset' and e.stage = 'evaluation'",
    )
    assert leaked["rows"] == [[0]]
    dropped = story["dataset"]["dropped"]
    assert story["dataset"]["samples"] + sum(dropped.values()) == story["dedup"]["prompt"]["texts"] - 3080
    assert set(dropped) <= {"near-duplicate of the evaluation set"}


def test_the_student_is_timed_and_its_latency_is_of_milliseconds(story: dict[str, Any]) -> None:
    timed = story["evaluate"]["models"][story["soft"]["model"]]["latency_ms"]
    assert timed["n"] >= 100
    assert 0 < float(timed["p50"]) <= float(timed["p95"]) < 1000


def test_the_gate_fails_and_the_record_verifies(story: dict[str, Any]) -> None:
    assert story["gate"]["gate"]["judgement"] == "fail"
    assert story["gate"]["protocol"] == {
        "attempts_spent": 2, "attempts_allowed": 2, "unanswered": 0, "holds": True,
    }  # fmt: skip
    assert story["verify"]["sound"]
    assert "no closed 'evaluation' run" in story["train too early"]
    assert "not compared" in story["no dedup yet"]


def test_the_same_student_is_not_trained_twice_and_a_name_stands_for_one(story: dict[str, Any]) -> None:
    shell = story["shell"]
    assert "this very student" in shell.refused("train", "--mode", "hard", "--limit", SAMPLES, code=4)
    assert "already" in shell.refused("train", "--name", story["soft"]["model"], code=4)


def test_a_killed_run_asks_no_answered_prompt_again(tmp_path: Path, teacher: LabelTeacher) -> None:
    shell = Shell(tmp_path / "k.duckdb")
    try:
        start(shell, tmp_path, teacher, 200)
        with LabelServer(teacher, Manners(delay_s=0.05)) as server:
            words = ("generate", "--endpoint", server.base_url, "--in-flight", 4)
            run = shell.apart(*words)
            wait_for(server, 60)
            run.kill()
            run.communicate()
            answered = server.stats.told()["answered"]
            assert 60 <= answered < 200
            again = shell(*words)
            assert again["answered"] == 200
            assert again["replayed"] >= answered - 4
            assert server.stats.told()["repeated"] <= 4  # those in flight when it was killed
        assert shell("sql", "select count(*), count(distinct prompt_id) from outputs")["rows"] == [[200, 200]]
    finally:
        shell.close()


def test_an_interrupted_run_keeps_what_was_answered_and_exits_130(
    tmp_path: Path, teacher: LabelTeacher
) -> None:
    shell = Shell(tmp_path / "i.duckdb")
    try:
        start(shell, tmp_path, teacher, 200)
        with LabelServer(teacher, Manners(delay_s=0.05)) as server:
            run = shell.apart("--json", "generate", "--endpoint", server.base_url, "--in-flight", 4)
            wait_for(server, 40)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=30)
            assert (run.returncode, out) == (130, ""), err
            answered = server.stats.told()["answered"]
        stored = shell("sql", "select count(*) from outputs")["rows"][0][0]
        assert stored == answered < 200
    finally:
        shell.close()


def wait_for(server: LabelServer, answered: int) -> None:
    """Until so many prompts were answered."""
    deadline = time.monotonic() + 30
    while server.stats.told()["answered"] < answered:
        assert time.monotonic() < deadline
        time.sleep(0.01)
