"""Held-out students: they answer what they never saw, point at the teacher's mistakes, and drop nothing themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from engine.students.crossfit import fold_of
from tests.engine.routing import CONTRACT, TEST, rows
from tests.engine.shell import Shell

THINGS = {"card": ["card", "plastic", "chip"], "cash": ["cash", "notes", "coins"]}
SAID = ("please tell me about the {}", "my {} is a problem", "I lost the {} today", "a question about {}",
        "what of the {}, then", "how long until my {} arrives", "the {} was stolen", "{} fees seem high")  # fmt: skip
WRONG_EVERY = 7
ONE_MODEL = (
    "--prompt",
    "q",
    "--reference",
    "gold",
    "--split",
    "$.split",
    "--output",
    "big=big",
    "--teacher",
    "big",
)


@pytest.fixture
def doubtful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """48 prompts of two labels; the teacher is wrong on every seventh."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    found = Shell(tmp_path / "d.duckdb")
    train: list[tuple[str, str, str]] = []
    for said, label in product(SAID, THINGS):
        for thing in THINGS[label]:
            wrong = len(train) % WRONG_EVERY == 0
            train.append(
                (said.format(thing), label, {"card": "cash", "cash": "card"}[label] if wrong else label)
            )
    try:
        for split, some in (("train", train), ("test", TEST)):
            words = [split if word == "$.split" else word for word in ONE_MODEL]
            found("import", "--retrospective", "r", rows(tmp_path / f"{split}.jsonl", some, split), *words)
        (tmp_path / "contract.toml").write_text(CONTRACT)
        found("contract", "lock", tmp_path / "contract.toml")
        yield found
    finally:
        found.close()


def suspicious(shell: Shell) -> list[tuple[bool, str]]:
    """(is the teacher wrong, its output) of what a weighted plan draws, by the chance it had, highest first."""
    shell("audit", "plan", "--mode", "weighted", "--suspicion", "held_out", "--n", "10", "--gate", "0.5",
          "--where", "split = train")  # fmt: skip
    found = shell(
        "sql", "select o.text != a.reference, o.output_id from draws d join outputs o using (output_key)"
        " join arrivals a on a.arrival_key = o.arrival_key order by d.inclusion desc",
    )  # fmt: skip
    return [(bool(wrong), output) for wrong, output in found["rows"]]


def test_held_out_students_point_at_the_teachers_mistakes(doubtful: Shell) -> None:
    told = doubtful("crossfit", "--folds", "6")
    assert told["model"] == "big-held-out"
    assert told["samples"] == 48
    assert told["same"] < 48
    drawn = suspicious(doubtful)
    assert 5 <= len(drawn) <= 17  # a weighted draw has its size by chance
    assert sum(wrong for wrong, _ in drawn) >= 4  # seven of 48 are wrong: a simple draw of ten would find 1.5


def test_what_held_out_students_say_is_the_same_again(doubtful: Shell) -> None:
    def said() -> Any:
        doubtful("crossfit")
        return doubtful(
            "sql", "select prompt_id, text, logprobs from outputs where model = 'big-held-out' order by output_key"
        )["rows"]  # fmt: skip

    first = said()
    assert said()[len(first) :] == first


def test_a_held_out_model_is_no_student_and_drops_nothing(doubtful: Shell) -> None:
    doubtful("evaluation", "freeze")
    doubtful("dedup")
    before = doubtful("filter")
    doubtful("crossfit")
    doubtful("dedup")
    assert doubtful("filter")["kept"] == before["kept"]
    frozen = doubtful("dataset", "freeze", "--keep-duplicates")
    assert frozen["teacher"] == "big"
    trained = doubtful("train", "--mode", "hard")["model"]
    told = doubtful("evaluate")
    assert "big-held-out" not in told["models"]
    assert told["students"] == [trained]
    assert json.loads(doubtful.try_("--json", "gate").out)["student"] == trained


def test_without_a_crossfit_a_plan_names_the_command(doubtful: Shell) -> None:
    refused = doubtful.try_("--json", "audit", "plan", "--mode", "weighted", "--suspicion", "held_out",
                            "--n", "9", "--gate", "0.5").error  # fmt: skip
    assert refused["todo"] == "spiritsafe crossfit"
    doubtful.refused("crossfit", "--folds", "1", code=3)


def test_all_answers_to_a_prompt_are_held_out_together() -> None:
    folds = {fold_of(f"prompt {i}", 5, 1) for i in range(200)}
    assert folds == set(range(5))
    assert fold_of("a prompt", 5, 1) == fold_of("a prompt", 5, 1)
