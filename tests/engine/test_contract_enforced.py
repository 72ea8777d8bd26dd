"""What a locked contract says is kept to: by import, freezes and generate, whatever else anybody asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.engine.label_server import LabelServer, LabelTeacher
from tests.engine.shell import Shell
from tests.engine.test_contract_page import WHOLE

PERSON = sha256(b"4711").hexdigest()
RULES = f"""exclude = ["consent = no"]
exclude_ids = ["{PERSON}"]
exclude_keys = ["customer"]"""
TEXTS = [f"where is parcel number {i}, it should be here since {i} days" for i in range(1, 41)]
TEXTS += [f"invoice {i} is wrong, please correct the amount of {i}.50" for i in range(1, 41)]


def contract(text: str = WHOLE) -> str:
    """The page with the three exclusions, one per kind of rule."""
    return text.replace('exclude = ["consent = no"]', RULES).replace("planned_n = 1_000\n", "")


def label_of(text: str) -> str:
    return "billing" if "invoice" in text else "shipping"


def rows(path: Path, split: str, numbers: range, **more: Any) -> Path:
    """Mails, of which number 1 gave no consent and number 2 is of a person who is excluded by hash."""
    lines = []
    for i in numbers:
        meta = {"consent": "no" if i % 10 == 1 else "yes", "customer": 4711 if i % 10 == 2 else i}
        lines.append({"q": TEXTS[i], "gold": label_of(TEXTS[i]), "split": split, **meta, **more})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


MAP = ("--prompt", "q", "--reference", "gold", "--meta", "consent=consent", "--meta", "customer=customer")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.delenv("SPIRITSAFE_PROJECT", raising=False)
    found = Shell(tmp_path / "e.duckdb")
    try:
        found("init", "mail", "--contract", tmp_path / "template.toml")
        (tmp_path / "contract.toml").write_text(contract())
        yield found
    finally:
        found.close()


def prompts(shell: Shell) -> set[str]:
    return {row[0] for row in shell("sql", "select text from arrivals")["rows"]}


def test_excluded_rows_are_not_imported_once_the_contract_is_locked(shell: Shell, tmp_path: Path) -> None:
    before = shell("import", rows(tmp_path / "before.jsonl", "train", range(10)), *MAP)
    assert (before["arrivals"], before.get("excluded")) == (10, None)
    shell("contract", "lock", tmp_path / "contract.toml")
    after = shell("import", rows(tmp_path / "after.jsonl", "train", range(10, 20)), *MAP)
    assert after["arrivals"] == 8
    assert after["excluded"] == {"consent = no": 1, "id named by its hash": 1}
    assert TEXTS[11] not in prompts(shell)
    assert TEXTS[12] not in prompts(shell)
    assert shell("verify")["sound"]


def test_rows_imported_before_the_lock_are_neither_evaluated_on_nor_sent_to_the_teacher_nor_trained_on(
    shell: Shell, tmp_path: Path
) -> None:
    shell("import", rows(tmp_path / "train.jsonl", "train", range(40)), *MAP)
    shell("import", rows(tmp_path / "test.jsonl", "test", range(40, 80)), *MAP, "--split", "test")
    teacher = LabelTeacher(TEXTS, [label_of(text) for text in TEXTS])
    with LabelServer(teacher) as server:
        asked = (
            contract()
            .replace("big-1", server.manners.model)
            .replace('2026-01-01"\nwhy', f'{server.manners.reported}"\nwhy')
        )
        (tmp_path / "contract.toml").write_text(asked)
        shell("contract", "lock", tmp_path / "contract.toml")
        frozen = shell("evaluation", "freeze")
        assert (frozen["prompts"], frozen["excluded"]) == (32, 8)
        told = shell("generate", "--endpoint", server.base_url)
    assert told["answered"] == 64
    answered = {
        row[0]
        for row in shell("sql", "select a.text from outputs o join arrival a using (arrival_key)")["rows"]
    }
    assert not answered & {TEXTS[i] for i in range(80) if i % 10 in (1, 2)}


def test_what_came_with_its_outputs_before_the_lock_is_left_out_of_the_dataset(
    shell: Shell, tmp_path: Path
) -> None:
    some = rows(tmp_path / "train.jsonl", "train", range(40), big="shipping")
    shell("import", some, *MAP, "--output", "big=big", "--teacher", "big")
    shell("import", rows(tmp_path / "test.jsonl", "test", range(40, 80)), *MAP, "--split", "test")
    shell("contract", "lock", tmp_path / "contract.toml")
    shell("evaluation", "freeze")
    shell("dedup")
    assert shell("dataset", "freeze", "--keep-duplicates")["dropped"]["excluded by the contract"] == 8


def test_generate_wants_a_locked_contract_and_train_a_frozen_set_that_still_measures_the_same(
    shell: Shell, tmp_path: Path
) -> None:
    some = rows(tmp_path / "train.jsonl", "train", range(40), big="shipping")
    shell("import", some, *MAP, "--output", "big=big", "--teacher", "big")
    shell("import", rows(tmp_path / "test.jsonl", "test", range(40, 80)), *MAP, "--split", "test")
    assert "no locked contract" in shell.refused("generate", code=4)
    shell("contract", "lock", tmp_path / "contract.toml")
    assert "no closed 'evaluation' run" in shell.refused("train", code=4)
    shell("evaluation", "freeze")
    shell("dedup")
    shell("dataset", "freeze", "--keep-duplicates")
    (tmp_path / "contract.toml").write_text(contract().replace("channel = phone", "channel = chat"))
    shell("contract", "lock", tmp_path / "contract.toml")
    assert "changed since the evaluation set was frozen" in shell.refused("train", code=4)


def test_a_problem_is_refused_with_its_line_and_nothing_is_locked(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    path.write_text(contract().replace("margin = 0.03", "margin = 0"))
    (problem,) = shell("contract", "check", path, code=1)["problems"]
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if text == "margin = 0")
    assert problem["where"] == f"{path}:{line}"
    assert "1 problem" in shell.refused("contract", "lock", path, code=4)
    assert "no locked contract" in shell.refused("contract", "show", code=4)


def test_versions_are_shown_and_compared_in_words(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    first = shell("contract", "lock", path)
    assert first["version"] == 1
    assert "locked already" in shell.refused("contract", "lock", path, code=4)
    path.write_text(contract().replace("margin = 0.03", "margin = 0.02"))
    (change,) = shell("contract", "diff", path)["changes"]
    assert change == {"key": "gate.margin", "before": "0.03", "after": "0.02", "effect": "stricter"}
    assert shell("contract", "lock", path)["version"] == 2
    assert shell("contract", "diff", "--at", 1, "--to", 2)["changes"] == [change]
    assert shell("contract", "diff", path)["changes"] == []
    assert shell("contract", "show", "--at", 1)["hash"] == first["locked"]
    assert "no version 3" in shell.refused("contract", "show", "--at", 3, code=3)
    told = shell.try_("contract", "show").out
    assert "Contract version 2, locked by" in told
    assert "margin 0.02: takes" in told
    words = shell.try_("contract", "diff", path, "--at", "1").out
    assert "gate.margin: 0.03 became 0.02 (stricter)" in words


def test_a_name_that_no_arrival_has_is_advised_against_when_the_contract_is_locked(
    shell: Shell, tmp_path: Path
) -> None:
    shell("import", rows(tmp_path / "some.jsonl", "train", range(10)), *MAP)
    advice = shell("contract", "lock", tmp_path / "contract.toml")["advice"]
    assert [a["what"] for a in advice] == [
        "no arrival so far has 'channel', so that nothing fits 'channel = phone'"
    ]


def test_break_even_is_printed_from_the_contract_and_from_what_is_given(shell: Shell, tmp_path: Path) -> None:
    found = shell("breakeven", tmp_path / "contract.toml")
    assert found["break_even_requests_per_month"] == 71_429
    assert shell("breakeven", tmp_path / "contract.toml", "--requests", 1000)["pays"] is False
    assert (
        shell("breakeven", tmp_path / "none", "--teacher", 1, "--once", 12, "--months", 1)[
            "break_even_requests"
        ]
        == 12_000
    )
    assert "needs the teacher's cost" in shell.refused("breakeven", tmp_path / "none", code=2)
    assert "no number" in shell.refused("breakeven", "--teacher", "much", "--once", 1, code=2)
    shown = shell("contract", "check", tmp_path / "contract.toml")
    assert shown["break_even"]["pays"] is True
    assert [bar["at_least"] for bar in shown["bars"]] == [88, 52, 14]


def test_rows_come_back_once_a_new_version_lets_them_in_and_no_row_comes_twice(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "contract.toml"
    shell("contract", "lock", path)
    some = rows(tmp_path / "some.jsonl", "train", range(10), big="shipping")
    words = ("import", some, *MAP, "--output", "big=big", "--teacher", "big")
    first = shell(*words)
    assert (first["arrivals"], sum(first["excluded"].values())) == (8, 2)
    assert "import the same file again" in first["note"]
    again = shell(*words)
    assert (again["arrivals"], again["already_imported"]) == (0, ["some.jsonl"])  # the rules are the same
    path.write_text(contract().replace('exclude = ["consent = no"]\n', ""))
    told = shell("contract", "lock", path)
    (command,) = told["import_again"]
    assert command == (
        "spiritsafe import some.jsonl --meta consent=consent --meta customer=customer --output big=big --prompt q"
        " --reference gold --source production --split train --teacher big"
    )
    second = shell(*words)
    assert (second["arrivals"], second["outputs"], second["read_again"]) == (1, 1, ["some.jsonl"])
    assert second["excluded"] == {"id named by its hash": 1}
    assert TEXTS[1] in prompts(shell)
    path.write_text(contract().replace(RULES, ""))
    assert shell("contract", "lock", path)["import_again"]
    third = shell(*words)
    assert (third["arrivals"], third.get("excluded")) == (1, None)
    assert prompts(shell) == set(TEXTS[:10])
    assert shell(*words)["already_imported"] == ["some.jsonl"]
    assert shell("sql", "select count(*) from arrivals")["rows"] == [[10]]
    assert shell("verify")["sound"]


def test_answers_to_prompts_that_come_back_come_back_too(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "contract.toml"
    shell("contract", "lock", path)
    some = rows(tmp_path / "some.jsonl", "train", range(10), big="shipping")
    predictions = ("import", some, "--prompt", "q", *MAP[4:], "--predictions", "--output", "big=big")
    shell("import", some, *MAP)
    assert shell(*predictions)["outputs"] == 8
    path.write_text(contract().replace(RULES, ""))
    assert len(shell("contract", "lock", path)["import_again"]) == 2
    assert shell("import", some, *MAP)["arrivals"] == 2
    assert shell(*predictions)["outputs"] == 2
    assert shell(*predictions)["already_imported"] == ["some.jsonl"]
    assert shell("sql", "select count(*) from outputs")["rows"] == [[10]]
