"""The rules between the stages, on a project small enough to count by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine.clean.near import Near
from engine.contract import parse
from engine.evaluate.answers import label_in, written
from engine.record import render_markdown
from engine.stages import STAGES, as_mapping, load
from engine.verify import _compare, _read
from store.errors import InputError
from tests.engine.routing import CONTRACT, TEST, add
from tests.engine.shell import Shell


@pytest.fixture
def shell(routing: Shell) -> Shell:
    """The small project."""
    return routing


def test_a_contract_is_locked_once_and_shown_as_data(shell: Shell, tmp_path: Path) -> None:
    assert "locked already" in shell.refused("contract", "lock", tmp_path / "contract.toml", code=4)
    assert shell("contract", "show")["contract"]["task"]["name"] == "routing"


def test_a_leak_stops_the_freeze_until_it_is_left_out(shell: Shell, tmp_path: Path) -> None:
    add(shell, tmp_path, "leak.jsonl", TEST[1][0], "train")
    assert "also arrive in another split" in shell.refused("evaluation", "freeze", code=4)
    frozen = shell("evaluation", "freeze", "--drop-leaks")
    assert (frozen["prompts"], frozen["leaked"]) == (2, 1)
    assert "frozen already" in shell.refused("evaluation", "freeze", "--drop-leaks", code=4)


def test_a_set_that_a_student_was_scored_on_stays(shell: Shell, tmp_path: Path) -> None:
    shell("evaluation", "freeze")
    shell("evaluate")
    add(shell, tmp_path, "more.jsonl", "an easier one", "test", "--output", "big=big")
    assert "so it stays" in shell.refused("evaluation", "freeze", code=4)
    assert shell("gate", code=1)["protocol"]["unanswered"] == 0


def test_a_set_without_a_single_reference_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bare.jsonl"
    path.write_text('{"q": "and now?"}\n')
    shell("import", path, "--prompt", "q", "--split", "validation")
    assert "no prompt of split" in shell.refused("evaluation", "freeze", "--split", "validation", code=4)


def test_what_a_student_left_unanswered_keeps_the_gate_from_holding(shell: Shell, tmp_path: Path) -> None:
    add(shell, tmp_path, "more.jsonl", "only the teacher saw this", "test", "--output", "big=big")
    shell("evaluation", "freeze")
    assert shell("evaluate")["models"]["small"]["unanswered"] == 1
    protocol = shell("gate", code=1)["protocol"]
    assert (protocol["unanswered"], protocol["holds"]) == (1, False)


def test_a_later_import_changes_no_models_role(shell: Shell, tmp_path: Path) -> None:
    add(shell, tmp_path, "more.jsonl", "once more", "train", "--output", "big=big")
    roles = dict(shell("sql", "select model, role from model")["rows"])
    assert roles == {"big": "teacher", "small": "student"}


def test_a_check_that_ran_again_replaces_what_it_said(shell: Shell) -> None:
    first = shell("check")["checks"]
    assert first == shell("check")["checks"] == [
        {"model": "big", "check": "a label", "passed": 9, "total": 10}
    ]  # fmt: skip
    assert "no model 'huge'" in shell.refused("check", "--model", "huge", code=3)


def test_a_dataset_holds_what_no_rule_drops_and_counts_the_rest(shell: Shell, tmp_path: Path) -> None:
    assert "no closed 'evaluation' run" in shell.refused("dataset", "freeze", code=4)
    shell("evaluation", "freeze")
    assert "not compared" in shell.refused("dataset", "freeze", code=4)
    shell("dedup")
    shell("check")
    flagged = next(
        row["subject"] for row in shell("queue", "audit")["rows"] if "close my account" in str(row["cells"])
    )
    shell("verdict", "audit", flagged, "bad", "--reason", 1)
    frozen = shell("dataset", "freeze")
    assert frozen["dropped"] == {
        "near-duplicate of the evaluation set": 1, "excluded by the contract": 1, "fails a check": 1,
        "flagged by a reviewer": 1, "near-duplicate": 1,
    }  # fmt: skip
    assert frozen["samples"] == 2
    assert "nothing changed" in shell.refused("dataset", "freeze", code=4)
    again = shell("dataset", "freeze", "--keep-duplicates")
    assert (again["version"], again["samples"], again["parent"]) == (2, 3, frozen["dataset_sha256"])
    add(shell, tmp_path, "more.jsonl", "came late", "train", "--output", "big=big")
    assert "came after the last near-duplicate pass" in shell.refused("dataset", "freeze", code=4)


def test_pairs_judged_since_the_last_pass_are_not_overlooked(shell: Shell) -> None:
    shell("evaluation", "freeze")
    shell("dedup")
    before = shell("dataset", "freeze", "--keep-failing")["samples"]
    shell("verdict", "duplicates", "1", "distinct")
    assert "since the last near-duplicate pass" in shell.refused("dataset", "freeze", code=4)
    shell("undo")
    assert "nothing changed" in shell.refused("dataset", "freeze", "--keep-failing", code=4)
    shell("redo")
    shell("dedup")
    assert shell("dataset", "freeze", "--keep-failing")["samples"] == before + 1


def test_a_pass_over_outputs_does_not_forget_the_prompts(shell: Shell) -> None:
    shell("evaluation", "freeze")
    shell("dedup")
    shell("dedup", "--field", "output")
    dropped = shell("dataset", "freeze")["dropped"]
    assert dropped["near-duplicate of the evaluation set"] == 1
    assert dropped["near-duplicate"] == 1  # one prompt; equal labels are no duplicates


def test_the_pairs_to_judge_are_the_newest_of_each_field_whichever_was_compared_last(shell: Shell) -> None:
    def shown() -> tuple[int, set[str]]:
        queue = shell("queue", "duplicates", "--rows", "100")
        fields = {
            shell("show", "duplicates", row["position"])["field"]
            for row in queue["rows"][:: len(queue["rows"]) - 1]
        }
        return queue["length"], fields

    shell("dedup", "--field", "both")
    both = shown()
    assert both[1] == {"prompt", "output"}
    shell("dedup", "--field", "output")
    assert shown() == both
    prompts = shell("queue", "duplicates", "--filter", "field = prompt")["length"]
    shell("dedup", "--threshold", "1")  # no prompt is the same as another
    assert shown() == (both[0] - prompts, {"output"})


def test_coverage_compares_with_the_frozen_set_and_not_with_a_splits_name(shell: Shell) -> None:
    shell("coverage", "--by", "split")
    assert sum(b["evaluation"] for b in shell("report", "coverage")["buckets"]) == 0
    shell("evaluation", "freeze")
    shell("coverage", "--by", "split")
    assert {b["split"]: b["evaluation"] for b in shell("report", "coverage")["buckets"]}["test"] == 3


def test_a_name_stands_for_one_baseline(shell: Shell) -> None:
    shell("evaluation", "freeze")
    assert shell("baselines")["outputs"] == 3
    assert shell("baselines")["outputs"] == 0
    assert "another model small" in shell.refused("baselines", "--name", "small", code=4)


def test_a_majority_is_written_as_the_teacher_is_asked_to_write_it() -> None:
    contract = parse(
        CONTRACT.replace('metric = "label"\n', 'metric = "label"\nmetric_options = { field = "route" }\n')
    )
    for reference in ('{"route": "cash"}', "cash"):
        assert written(label_in(reference, contract) or reference, contract) == '{"route":"cash"}'


# ---- without a store


def test_a_duplicate_stays_where_the_one_that_stands_for_it_was_dropped() -> None:
    near = Near("run", {"a": {"b", "c"}, "b": {"a"}, "c": {"a"}}, {"b", "c"})
    rows = pl.DataFrame(
        {"output_key": range(4), "prompt_id": list("abcd"), "output_id": [f"o{i}" for i in range(4)]}
    )
    assert near.stood_for(rows[[1, 0, 2, 3]], outputs=False)["prompt_id"].to_list() == ["b", "c"]
    assert near.stood_for(rows[1:], outputs=False).is_empty()


def test_copies_of_one_surface_go_for_whichever_of_them_stays_and_a_second_answer_is_no_copy() -> None:
    near = Near(
        "run", {"a": {"d"}, "d": {"a"}}, {"a", "c"}, {"b": "a", "c": "a"}
    )  # a, b, c: one text; d: near it
    prompts, rows = list("abcd"), range(4)
    frame = pl.DataFrame({"output_key": rows, "prompt_id": prompts, "output_id": [f"o{i}" for i in rows]})
    assert near.stood_for(frame[:3], outputs=False)["prompt_id"].to_list() == ["a", "c"]  # b was chosen
    assert near.stood_for(frame[2:], outputs=False)["prompt_id"].to_list() == ["c"]  # d is near a, so near c
    twice = pl.DataFrame({"output_key": [1, 2], "prompt_id": ["c", "c"], "output_id": ["x", "y"]})
    assert near.stood_for(twice, outputs=False).is_empty()


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_has_parameters_that_explain_themselves(name: str) -> None:
    module = load(name)
    assert module.run.__doc__
    for field in dataclasses.fields(module.Params):
        assert field.metadata["help"], field.name
    assert as_mapping(module.Params()).keys() <= {field.name for field in dataclasses.fields(module.Params)}


def test_a_record_that_is_none_says_where_it_breaks(tmp_path: Path) -> None:
    for content, told in (
        (b'{"a": 1,\n "b": }', "x.json:2"), (b"\xff", "x.json:1"), (b"[]", "x.json"), (b'{"a": "\\ud800"}', "x.json:1"),
    ):  # fmt: skip
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(InputError) as refused:
            _read(tmp_path / "x.json")
        assert refused.value.where.endswith(told)


def test_documents_are_compared_leaf_by_leaf() -> None:
    one: dict[str, Any] = {"a": [1, {"b": "x"}], "c": None}
    assert list(_compare("r", one, one)) == []
    assert [d.where for d in _compare("r", one, {"a": [1, {"b": "y"}], "d": 1})] == ["r.a[1].b", "r.d"]
    assert [d.where for d in _compare("r", one, {"a": [1], "c": None})] == ["r.a"]


def test_the_record_for_people_shows_no_control_character_and_breaks_no_table() -> None:
    count = {
        "n": 1,
        "teacher_right": 1,
        "student_right": 1,
        "both_right": 1,
        "teacher_only": 0,
        "student_only": 0,
    }
    record: dict[str, Any] = {
        "outcome": "kill", "decided_us": "1760000000000000", "decided_by": "ann", "sha256": "0",
        "rationale": "no\x1b[2J\nnever",
        "evidence": {
            "project": "p", "retrospective": True, "store": "s", "ledger": {"seq": 1, "hash": "h"},
            "contract": {"version": 1, "hash": "h"},
            "evaluation_set": {"prompts": 1, "set_sha256": "s", "harness_sha256": "h"},
            "evaluation": {"student": "a|b", "teacher": "t", "models": {
                "a|b": {"n": 1, "right": 1, "accuracy": "1.0000", "low": "0", "high": "1", "outputs_by": ["import"]}}},
            "gate": {"judgement": "fail", "level": "0.95", "rows": []},
            "slices": [{"slice": "x|y\u202e", "where": "", **count}],
            "protocol": {"attempts_spent": 1, "attempts_allowed": 1, "unanswered": 0},
            "audit": {"judged": 0, "reviewers": 0, "verdicts": [], "plans": [], "agreement": {"overlapped": 0}}, "triage": [],
        },
    }  # fmt: skip
    text = render_markdown(record)
    assert all(c == "\n" or c.isprintable() for c in text)
    assert "| a\\|b | import |" in text
    assert "> never" in text
