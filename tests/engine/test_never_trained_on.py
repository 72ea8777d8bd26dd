"""A frozen evaluation set is never read into training: every way in, one by one, and what stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.context import Context
from store import read
from store.client import Client
from store.records import SetMember
from tests.engine.routing import CONTRACT, TEST, TRAIN, add
from tests.engine.shell import Shell

TEXTS = [text for text, _, _ in TEST]
NEAR = TRAIN[-1][0]  # a verified near-duplicate of the first test prompt


@pytest.fixture
def shell(routing: Shell) -> Shell:
    """The small project with its set frozen, its prompts compared, and one test prompt that came again as training data."""
    routing("evaluation", "freeze")
    return routing


def ready(shell: Shell, folder: Path) -> None:
    add(shell, folder, "again.jsonl", TEXTS[1], "train", "--output", "big=big", "--teacher", "big")
    for words in (("check",), ("dedup",)):
        shell(*words)


def trained_on(shell: Shell) -> set[str]:
    """Texts of the newest version's samples."""
    sql = (
        "select a.text from set_members m join arrivals a using (arrival_key) where m.run_id ="
        " (select run_id from closed_run where stage = 'dataset' order by closed_seq desc limit 1)"
    )
    return {row[0] for row in shell("sql", sql)["rows"]}


FREEZES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "every rule off": ("--keep-failing", "--keep-flagged", "--keep-duplicates"),
    "a draw by production": ("--match-production", "draw", "--by", "len(prompt): 40", "--shortfall", "0.1"),
    "weights by production": ("--match-production", "weights", "--by", "len(prompt): 40"),
}


def test_no_freeze_lets_a_test_prompt_in_or_what_is_nearly_one(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text(CONTRACT + '[[filter]]\nrule = "everything"\n')
    shell("contract", "lock", tmp_path / "all.toml")
    ready(shell, tmp_path)
    for name, words in FREEZES.items():
        told = shell("dataset", "freeze", *words)
        assert told["dropped"]["near-duplicate of the evaluation set"] == 1, name
        assert told["spoke_against"]["in the evaluation set"] == 1, name
        assert trained_on(shell), name
        assert not trained_on(shell) & {*TEXTS, NEAR}, name
    shell("dataset", "export", "--format", "jsonl", "--out", tmp_path / "weighted.jsonl")
    weights = [json.loads(line)["weight"] for line in (tmp_path / "weighted.jsonl").read_text().splitlines()]
    assert len(weights) == told["samples"]
    assert all(weight >= 0 for weight in weights)
    assert "every sample was dropped" in shell.refused("dataset", "freeze", "--split", "test", code=4)


def test_a_prompt_that_came_as_training_data_too_is_in_no_set(routing: Shell, tmp_path: Path) -> None:
    early = TEXTS[1] + " at night"
    for split in ("train", "test"):
        path = tmp_path / f"{split}_early.jsonl"
        path.write_text(json.dumps({"q": early, "gold": "card", "came": split}) + "\n")
        routing("import", path, "--prompt", "q", "--reference", "gold", "--split", split)
    assert "also arrive in another split" in routing.refused("evaluation", "freeze", code=4)
    routing("evaluation", "freeze", "--drop-leaks")
    assert early not in {row[0] for row in routing("sql", MEMBERS)["rows"]}


MEMBERS = "select a.text from set_members m join arrivals a using (arrival_key)"


def test_no_request_for_samples_takes_a_test_prompt(shell: Shell, tmp_path: Path) -> None:
    """Nor one that came again as training data: what the teacher says of it is for the evaluation alone."""
    add(shell, tmp_path, "again.jsonl", TEXTS[1], "train")
    fresh = "a fresh prompt that nobody answered"
    add(shell, tmp_path, "fresh.jsonl", fresh, "train")
    shell("request", "len(prompt) > 0", 50)
    from engine.clean.requests import standings

    with Client(shell.store) as store:
        context = Context(store, "r")
        (standing,) = standings(context, "another teacher", "")
        arrivals = store.ask(read.ARRIVALS, project="r", split=None)
    taken = {a.text for a in arrivals if a.arrival_key in set(standing.take)}
    assert fresh in taken
    assert not taken & set(TEXTS)


def slipped(shell: Shell, text: str) -> dict[str, Any]:
    """A dataset version with a test prompt in it, put there past the stage; the newest honest version's result."""
    with Client(shell.store) as store:
        context = Context(store, "r")
        honest = context.runs("dataset")[-1]
        arrivals = store.ask(read.ARRIVALS, project="r", split="test")
        outputs = store.ask(read.OUTPUTS, project="r", model="big", split="test")
        arrival = next(a for a in arrivals if a.text == text)
        output = next(o for o in outputs if o.arrival_key == arrival.arrival_key)
        members = store.ask(read.SET_MEMBERS, project="r", run_id=honest.run_id)
        opened = store.run("r", "dataset", params={}, inputs=honest.inputs)
        rows = [
            SetMember(0, 0, m.arrival_key, m.prompt_id, m.output_key, m.output_id, m.reference)
            for m in members
        ]
        rows.append(
            SetMember(0, 0, arrival.arrival_key, arrival.prompt_id, output.output_key, output.output_id, None)
        )
        opened.add("set_member", rows)
        opened.close(honest.result | {"version": 2, "dataset_sha256": "f" * 64})
        return honest.result


def test_no_export_holds_a_test_prompt_and_neither_train_nor_export_takes_one_slipped_past_the_freeze(
    shell: Shell, tmp_path: Path
) -> None:
    import polars as pl

    ready(shell, tmp_path)
    shell("dataset", "freeze", "--keep-failing")
    for form in ("chat", "jsonl", "csv", "parquet", "hf"):
        target = tmp_path / form
        shell("dataset", "export", "--format", form, "--out", target)
        if form in ("parquet", "hf"):
            file = target if form == "parquet" else target / "data" / "*.parquet"
            text = str(pl.read_parquet(file).to_dicts())
        else:
            text = target.read_text()
        assert TRAIN[0][0] in text
        assert not [one for one in (*TEXTS, NEAR) if one in text], form
    slipped(shell, TEXTS[2])
    assert "1 prompts of the evaluation set are in the dataset" in shell.refused("train", code=4)
    refused = shell.refused("dataset", "export", "--format", "chat", "--out", tmp_path / "x.jsonl", code=4)
    assert "1 prompts of version 2 are in the evaluation set now" in refused


def judge(shell: Shell, text: str, answer: str, *verdict: str) -> int:
    """Judge the teacher's answer of that wording; the row that it stands in."""
    rows = shell("queue", "audit", "--rows", "100")["rows"]
    found = [i for i, row in enumerate(rows, 1) if text in str(row) and f"'{answer}'" in str(row)]
    shell("verdict", "audit", rows[found[0] - 1]["subject"], *verdict)
    return found[0]


def test_pairs_are_of_the_versions_prompts_alone_and_of_texts_that_were_read(
    shell: Shell, tmp_path: Path
) -> None:
    ready(shell, tmp_path)
    shell("evaluate")
    inside, unread = TRAIN[5][0], TRAIN[2][0]
    lines = [{"q": text, "big": "other"} for text in (inside, unread)]  # a second answer to each
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shell("import", tmp_path / "more.jsonl", "--prompt", "q", "--output", "big=big", "--teacher", "big")
    for words in (("check",), ("dedup",)):
        shell(*words)
    judge(shell, inside, "cash", "bad", "--reason", "1")
    judge(shell, inside, "other", "ok")
    judge(shell, TEXTS[1], "other", "bad", "--reason", "1")  # a prompt of the evaluation set
    judge(shell, TEXTS[1], "card", "ok")
    subject = shell("queue", "disagreements")["rows"][0]["subject"]
    shell("verdict", "disagreements", subject, "left")
    row = judge(shell, unread, "other", "ok")
    shell("undo")
    shell("verdict", "audit", row, "bad", "--reason", "1", "--bulk", "1")  # a selection, its texts unread
    judge(shell, unread, "cash", "ok")
    shell("dataset", "freeze", "--keep-failing", "--keep-flagged")
    shell("dataset", "export", "--format", "dpo", "--out", tmp_path / "dpo.jsonl")
    (pair,) = [json.loads(line) for line in (tmp_path / "dpo.jsonl").read_text().splitlines()]
    assert pair == {
        "prompt": [{"role": "user", "content": inside}],
        "chosen": [{"role": "assistant", "content": "other"}],
        "rejected": [{"role": "assistant", "content": "cash"}],
    }


def test_what_is_the_same_as_a_near_duplicate_but_for_case_is_as_near(shell: Shell, tmp_path: Path) -> None:
    """Texts of one surface have an edge to the oldest alone, which alone is compared: so the guard goes on through it."""
    answered, cash = ("--output", "big=big", "--teacher", "big"), TRAIN[2][0]
    add(
        shell, tmp_path, "loud.jsonl", NEAR.upper(), "train", *answered
    )  # its edge is to NEAR, not to the test's
    add(shell, tmp_path, "held.jsonl", cash.upper(), "test", *answered)  # the oldest of it is training data
    add(shell, tmp_path, "close.jsonl", cash + "!", "train", *answered)  # its edge is to that oldest
    for words in (("evaluation", "freeze"), ("check",), ("dedup",)):
        shell(*words)
    for name, words in FREEZES.items():
        told = shell("dataset", "freeze", *words)
        assert told["dropped"]["near-duplicate of the evaluation set"] == 4, name
        assert not trained_on(shell) & {NEAR, NEAR.upper(), cash, cash + "!"}, name


def test_a_text_told_apart_from_its_twin_is_still_as_near_to_the_test(shell: Shell, tmp_path: Path) -> None:
    add(shell, tmp_path, "loud.jsonl", NEAR.upper(), "train", "--output", "big=big", "--teacher", "big")
    for words in (("check",), ("dedup",)):
        shell(*words)
    twins = shell("queue", "duplicates", "--filter", "edit = 'surface'")["rows"]
    assert len(twins) == 1
    shell("verdict", "duplicates", twins[0]["subject"], "distinct")
    shell("dedup")
    assert shell("queue", "duplicates", "--filter", "edit = 'surface'")["rows"] == []
    assert shell("dataset", "freeze")["dropped"]["near-duplicate of the evaluation set"] == 2
    assert not trained_on(shell) & {NEAR, NEAR.upper()}
