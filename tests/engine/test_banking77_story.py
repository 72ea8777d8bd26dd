"""banking77 from an empty folder to a verified decision, through the `spiritsafe` command and a real endpoint.

The teacher (label_server.py, trained on half A) answers 1,000 prompts of half B and every second test prompt (1,540) over
HTTP with the log-probabilities of its top 20 labels; students are trained on what it said. The 1,000 are those
that test_banking77_reference.py draws.

The reference figures were measured on plain draws, so their dataset is frozen with --keep-duplicates after a
pass that only looks for all but identical texts. With the ordinary pass (0.7) a twelfth of the pool turns out to
be near-duplicates of test prompts and is left out, and the same student is a point or two worse.
"""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
def teacher(banking_teacher: LabelTeacher) -> LabelTeacher:
    return banking_teacher


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
attempts = 3
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


def pool(size: int) -> list[tuple[str, str]]:
    """The first ``size`` (text, label) of half B in the order in which seed 1 draws them."""
    texts, labels = rows_of(DATA / "banking77_train.csv")
    _, half_b = halves(len(texts), seed=13)
    order = np.random.default_rng(1).permutation(len(half_b))[:size]
    return [(texts[half_b[i]], labels[half_b[i]]) for i in order]


def asked() -> list[tuple[str, str]]:
    """Every second (text, label) of the test file: twenty of each label."""
    texts, labels = rows_of(DATA / "banking77_test.csv")
    return list(zip(texts, labels, strict=True))[1::2]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    """Texts and labels as a CSV."""
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["text", "category"])
        writer.writerows(rows)
    return path


def start(shell: Shell, folder: Path, teacher: LabelTeacher, size: int) -> None:
    """A project with a locked contract and the pool as its training prompts."""
    shell("init", "banking", "--contract", folder / "template.toml")
    (folder / "contract.toml").write_text(contract_of(teacher))
    assert shell.refused("generate", code=4).endswith("has no locked contract")
    shell("contract", "lock", folder / "contract.toml")
    drawn = write(folder / "pool.csv", pool(size))
    shell("import", drawn, "--prompt", "text", "--reference", "category", "--split", "train")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, teacher: LabelTeacher) -> Iterator[dict[str, Any]]:
    """Every command once; what each of them answered, and the shell itself."""
    folder = tmp_path_factory.mktemp("banking")
    shell = Shell(folder / "b.duckdb")
    told: dict[str, Any] = {"shell": shell, "folder": folder}
    try:
        start(shell, folder, teacher, SAMPLES)
        test = write(folder / "test.csv", asked())
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
        shell("dedup", "--threshold", 0.99)
        shell("dataset", "freeze", "--keep-duplicates")
        for mode in ("hard", "soft"):
            told[mode] = shell("train", "--mode", mode, "--limit", SAMPLES)
        told["dedup"] = shell("dedup")
        told["coverage"] = shell("coverage")
        told["dataset"] = shell("dataset", "freeze")
        told["clean"] = shell("train", "--mode", "soft", "--name", "clean")
        told["evaluate"] = shell("evaluate")
        told["gate"] = shell("gate", code=1)
        told["decide"] = shell("decide", "kill", "--why", "a thousand samples are too few")
        told["export"] = shell("export", "--to", folder / "out")
        told["verify"] = shell("verify", told["export"]["written"][0])
        yield told
    finally:
        shell.close()


def test_the_endpoint_was_asked_each_prompt_once(story: dict[str, Any]) -> None:
    prompts = story["dedup"]["prompt"]["texts"]
    assert story["generate"]["called"] == story["generate"]["answered"] == prompts > 2500
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
    assert soft - 0.05 < accuracy["clean"] < soft  # without near-duplicates of the test prompts
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
    assert (
        story["dataset"]["samples"] + sum(dropped.values())
        == story["dedup"]["prompt"]["texts"] - story["evaluation"]["prompts"]
    )
    assert dropped["near-duplicate of the evaluation set"] > 20
    assert story["clean"]["samples"] == story["dataset"]["samples"] < story["soft"]["samples"]


def test_the_student_is_timed_and_its_latency_is_of_milliseconds(story: dict[str, Any]) -> None:
    timed = story["evaluate"]["models"][story["soft"]["model"]]["latency_ms"]
    assert timed["n"] >= 100
    assert 0 < float(timed["p50"]) <= float(timed["p95"]) < 1000


def test_the_gate_fails_and_the_record_verifies(story: dict[str, Any]) -> None:
    assert story["gate"]["gate"]["judgement"] == "fail"
    assert story["gate"]["protocol"] == {
        "attempts_spent": 3, "attempts_allowed": 3, "unanswered": 0, "holds": True,
    }  # fmt: skip
    assert story["verify"]["sound"]
    assert "no closed 'evaluation' run" in story["train too early"]
    assert "not compared" in story["no dedup yet"]


def test_the_same_student_is_not_trained_twice_and_a_name_stands_for_one(story: dict[str, Any]) -> None:
    shell = story["shell"]
    assert "this very student" in shell.refused("train", "--mode", "soft", code=4)
    assert "already" in shell.refused("train", "--name", story["soft"]["model"], code=4)


def test_a_killed_run_asks_no_answered_prompt_again(tmp_path: Path, teacher: LabelTeacher) -> None:
    shell = Shell(tmp_path / "k.duckdb")
    try:
        start(shell, tmp_path, teacher, 120)
        with LabelServer(teacher, Manners(delay_s=0.05)) as server:
            words = ("generate", "--endpoint", server.base_url, "--in-flight", 4)
            run = shell.apart(*words)
            wait_for(server, 40)
            run.kill()
            run.communicate()
            answered = server.stats.told()["answered"]
            assert 40 <= answered < 120
            again = shell(*words)
            assert again["answered"] == 120
            assert again["replayed"] >= answered - 4
            assert server.stats.told()["repeated"] <= 4  # those in flight when it was killed
        assert shell("sql", "select count(*), count(distinct prompt_id) from outputs")["rows"] == [[120, 120]]
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
