"""The command line: every command explains itself, every refusal says what, where and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli import command_in
from console.commands import COMMANDS
from tests.engine.shell import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.delenv("SPIRITSAFE_PROJECT", raising=False)
    found = Shell(tmp_path / "c.duckdb")
    yield found
    found.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, tmp_path: Path) -> None:
    answer = Shell(tmp_path / "none.duckdb").try_(name, "--help")
    assert answer.code == 0
    assert COMMANDS[name].help in " ".join(answer.out.split())
    assert "--store" in answer.out


def test_the_command_is_the_first_word_that_is_no_options_value() -> None:
    assert command_in(["--project", "gate", "--json", "report", "gate"]) == "report"
    assert command_in(["--as", "queue"]) is None
    assert command_in([]) is None


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["brew"], 2, "invalid choice"),
        (["gate", "--brew"], 2, "unrecognized arguments"),
        (["dedup", "--threshold", "high"], 2, "invalid float"),
        (["decide", "ship"], 2, "--why"),
        (["status"], 5, "no store here"),
        (["verify", "record.json"], 5, "no store here"),
        (["import", "--preview"], 2, "needs a file"),
        (["import", "--retrospective", "../x", "f.jsonl"], 2, "no project name"),
        (["init", "a b"], 2, "no project name"),
        (["contract", "check", "nowhere.toml"], 3, "cannot be read"),
    ],
)
def test_a_refusal_has_an_exit_code_and_says_why(
    shell: Shell, words: list[str], code: int, told: str
) -> None:
    assert told in shell.refused(*words, code=code)
    plain = shell.try_(*words)
    assert (plain.code, plain.out) == (code, "")
    assert plain.err.startswith("spiritsafe: ")
    assert not shell.store.exists()


def test_json_errors_are_one_document_on_standard_error(shell: Shell) -> None:
    answer = shell.try_("--json", "status")
    assert set(answer.error) == {"error", "what", "where", "todo"}
    assert answer.error["where"] == str(shell.store)


def test_projects_are_named_taken_from_the_environment_or_the_only_one(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("init", "one", "--contract", tmp_path / "1.toml")
    assert shell("report", "runs") == {"runs": []}
    assert "is there already" in shell.refused("init", "two", "--contract", tmp_path / "1.toml", code=3)
    assert "no such folder" in shell.refused("init", "two", "--contract", tmp_path / "x" / "1.toml", code=3)
    shell("init", "two", "--contract", tmp_path / "2.toml")
    assert "several projects" in shell.refused("report", "runs", code=2)
    assert "no project 'three'" in shell.refused("--project", "three", "report", "runs", code=3)
    monkeypatch.setenv("SPIRITSAFE_PROJECT", "two")
    assert shell("report", "runs") == {"runs": []}
    assert "not retrospective" in shell.refused(
        "import", "--retrospective", "one", tmp_path / "1.toml", code=4
    )


def test_what_a_stage_misses_is_said_with_the_command_that_makes_it(shell: Shell, tmp_path: Path) -> None:
    shell("init", "p", "--contract", tmp_path / "c.toml")
    for words, todo in (
        (["evaluation", "freeze"], "contract lock"),
        (["generate"], "contract lock"),
        (["train"], "contract lock"),
        (["gate"], "spiritsafe evaluate"),
        (["decide", "kill", "--why", "x"], "spiritsafe evaluate"),
        (["export"], "spiritsafe decide"),
        (["coverage"], "Import"),
    ):
        answer = shell.try_("--json", *words)
        assert answer.code == 4, words
        assert todo in answer.error["todo"], words
    problems = shell("contract", "check", tmp_path / "c.toml", code=1)["problems"]
    assert all(p["where"].startswith(str(tmp_path)) for p in problems)
    shell.try_("contract", "lock", tmp_path / "c.toml")
    assert "no locked contract" in shell.refused("contract", "show", code=4)


def test_a_preview_shows_rows_and_makes_nothing(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"q": "why?", "a": "so"}) + "\n")
    rows = shell("import", "--preview", path, "--prompt", "q", "--reference", "a")["rows.jsonl"]
    assert [(row["text"], row["reference"]) for row in rows] == [("why?", "so")]
    assert not shell.store.exists()


def test_a_failed_import_leaves_nothing_not_even_a_model(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "why?", "a": "so"}\n{"q": 3}\n')
    words = ("import", "--retrospective", "p", path, "--prompt", "q", "--output", "m=a", "--teacher", "m")
    answer = shell.try_("--json", *words)
    assert answer.code == 3
    assert answer.error["where"].endswith("rows.jsonl:2")
    assert shell("sql", "select count(*) from arrivals")["rows"] == [[0]]
    assert shell("sql", "select count(*) from model")["rows"] == [[0]]


def test_a_headless_verdict_is_on_a_row_or_subject_that_is_there(shell: Shell, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "one", "a": "1"}\n{"q": "two", "a": "2"}\n')
    shell("import", "--retrospective", "p", rows, "--prompt", "q", "--output", "t=a", "--teacher", "t")
    first, second = shell("queue", "audit")["rows"]
    assert shell("verdict", "audit", 2, "ok")["subject"] == second["subject"]
    assert shell("verdict", "audit", first["subject"], "bad", "--reason", 3)["subject"] == first["subject"]
    assert [row["mark"] for row in shell("queue", "audit")["rows"]] == ["3", "a"]
    for nobody in ("3", "0", "nonsense", "f" * 32):
        assert "no row or subject" in shell.refused("verdict", "audit", nobody, "ok", code=3)
        assert "no row or subject" in shell.refused("comment", "audit", nobody, "hm", code=3)
    assert "reason" in shell.refused("verdict", "audit", 1, "bad", code=3)


def test_a_filter_that_names_nothing_known_is_refused(shell: Shell, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "one", "a": "1", "tier": "vip"}\n')
    shell(
        "import",
        "--retrospective",
        "p",
        rows,
        "--prompt",
        "q",
        "--output",
        "t=a",
        "--teacher",
        "t",
        "--meta",
        "tier",
    )
    assert shell("queue", "audit", "--filter", "tier = vip")["length"] == 1
    assert "'teir'" in shell.refused("queue", "audit", "--filter", "teir = vip", code=3)
