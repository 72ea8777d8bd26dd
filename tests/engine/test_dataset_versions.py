"""Dataset versions: policies with reasons, versions that say what changed, exports that others can read."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.seen_words import seen_page
from engine.clean.policy import RULES, check_rule
from engine.context import Context
from store.client import Client
from store.errors import InputError
from store.operations import TELLING
from tests.engine.elsewhere import hashes
from tests.engine.routing import CONTRACT, WHERE, add
from tests.engine.shell import ROOT, Shell


@pytest.fixture
def shell(routing: Shell) -> Shell:
    """The small project, ready to be frozen."""
    for words in (("evaluation", "freeze"), ("check",), ("dedup",)):
        routing(*words)
    return routing


def judge(shell: Shell, text: str, verdict: str, *reason: str) -> str:
    """Judge the teacher's answer to the prompt that begins so."""
    listed = shell("queue", "audit", "--rows", "100", "--model", "big")["rows"]
    subject = next(r["subject"] for r in listed if text in str(r))
    shell("verdict", "audit", subject, verdict, *(("--reason", *reason) if reason else ()))
    return str(subject)


def test_every_sample_left_out_says_every_rule_that_spoke_against_it(shell: Shell) -> None:
    judge(shell, "what is the weather", "bad", "1")  # it fails its check as well
    told = shell("filter")
    assert told["not_asked"] == []
    assert told["dropped"] == {
        "near-duplicate of the evaluation set": 1,
        "excluded by the contract": 1,
        "flagged by a reviewer": 1,
        "near-duplicate": 1,
    }
    assert told["spoke_against"]["fails a check"] == 1
    assert told["candidates"] - sum(told["dropped"].values()) == told["kept"] == 3
    shell("dataset", "freeze")
    reasons = shell("dataset", "show", "--rows")["rows"]
    twice = [r["subject"] for r in reasons if r["rule"] == "fails a check"]
    assert {r["rule"] for r in reasons if r["subject"] in twice} == {"fails a check", "flagged by a reviewer"}
    assert [r["detail"] for r in reasons if r["rule"] == "flagged by a reviewer"] == ["bad 1 wrong, by root"]
    assert [r["detail"] for r in reasons if r["rule"] == "fails a check"] == ["a label"]
    only = shell("dataset", "show", "1", "--rows", "--rule", "near-duplicate")["rows"]
    assert [r["rule"] for r in only] == ["near-duplicate"]


def test_a_filter_says_which_rules_it_could_not_ask_yet(routing: Shell) -> None:
    told = routing("filter")
    assert len(told["not_asked"]) == 2
    assert set(told["dropped"]) == {"excluded by the contract"}


def test_a_settled_conflict_counts_as_settled(shell: Shell) -> None:
    subject = judge(shell, "please close", "bad", "1")
    assert shell("filter")["dropped"]["flagged by a reviewer"] == 1
    shell("--as", "ann", "verdict", "audit", subject, "ok")
    shell("--as", "bob", "adjudicate", subject, "ok")
    assert "flagged by a reviewer" not in shell("filter")["dropped"]


def test_a_diff_says_what_entered_and_left_and_why(shell: Shell, tmp_path: Path) -> None:
    first = shell("dataset", "freeze", "--keep-failing")
    judge(shell, "please close", "bad", "2")
    add(shell, tmp_path, "new.jsonl", "may I pay my rent with this card?", "train", "--output", "big=big")
    for words in (("check",), ("dedup",)):
        shell(*words)
    second = shell("dataset", "freeze")
    assert (second["version"], second["parent"]) == (2, first["dataset_sha256"])
    told = shell("dataset", "diff")
    assert (told["before"], told["after"], told["entered"], told["left"]) == (1, 2, 1, 2)
    assert {(w["change"], w["why"]): w["samples"] for w in told["why"]} == {
        ("left", "flagged by a reviewer"): 1,
        ("left", "fails a check"): 1,
        ("entered", "new"): 1,
    }
    assert set(told["inputs_changed"]) == {"dedup", "parameters"}
    back = shell("dataset", "diff", "2", "1")
    assert {w["why"] for w in back["why"] if w["change"] == "entered"} == {
        "before: flagged by a reviewer",
        "before: fails a check",
    }
    assert len(shell("dataset", "diff", "1", "2", "--rows")["rows"]) == 3


def test_nothing_new_is_seen_without_reading_a_sample(shell: Shell) -> None:
    shell("dataset", "freeze")
    assert "nothing changed since version 1" in shell.refused("dataset", "freeze", code=4)
    shell("why", "split", "as production")  # no act that a version is made of
    assert "nothing changed" in shell.refused("dataset", "freeze", code=4)
    judge(shell, "please close", "ok")  # read again, the same samples
    assert "nothing changed" in shell.refused("dataset", "freeze", code=4)
    assert shell("dataset", "freeze", "--keep-failing")["version"] == 2


def test_an_older_version_is_made_current_again_under_its_own_hash(shell: Shell) -> None:
    first = shell("dataset", "freeze")
    shell("dataset", "freeze", "--keep-failing")
    told = shell("dataset", "restore", "1")
    assert (told["version"], told["restored"]) == (3, 1)
    assert told["dataset_sha256"] == first["dataset_sha256"]
    assert shell("report", "coverage")["buckets"]  # a restored version counted none of its own
    assert shell("dataset", "diff", "1", "3")["why"] == []
    assert "the same" in shell.refused("dataset", "restore", "1", code=4)
    assert shell("verify")["sound"]


def test_what_the_evaluation_set_took_in_since_is_not_restored(shell: Shell, tmp_path: Path) -> None:
    shell("dataset", "freeze")
    prompt = "how do I get cash abroad without paying the fee twice??"
    add(shell, tmp_path, "late.jsonl", prompt, "test", "--output", "big=big")
    shell("dedup")
    shell("evaluation", "freeze")
    assert "evaluation set" in shell.refused("dataset", "restore", "1", code=4)


def test_what_the_contract_excludes_since_is_not_restored(shell: Shell, tmp_path: Path) -> None:
    shell("dataset", "freeze", "--keep-failing")
    (tmp_path / "next.toml").write_text(CONTRACT.replace("prompt ~ 'secret'", "prompt ~ 'weather'"))
    shell("contract", "lock", tmp_path / "next.toml")
    shell("dataset", "freeze")
    assert "excluded by the contract" in shell.refused("dataset", "restore", "1", code=4)


def test_a_restored_version_keeps_its_grid_and_a_freeze_after_it_is_today_s(shell: Shell) -> None:
    shell("dataset", "freeze")
    grid = shell("report", "coverage")
    judge(shell, "how do I get cash", "bad", "1")
    flagged = shell("dataset", "freeze")
    shell("dataset", "restore", "1")
    assert shell("report", "coverage") == grid
    assert shell("dataset", "seen", "--text", WHERE)["samples_in_bucket"] >= 1
    assert shell("dataset", "freeze")["dataset_sha256"] == flagged["dataset_sha256"]
    assert shell("verify")["sound"]


def test_a_version_is_named_by_number_or_hash(shell: Shell) -> None:
    assert "no dataset version" in shell.refused("dataset", "show", code=4)
    told = shell("dataset", "freeze")
    for name in ("1", "v1", "newest", told["dataset_sha256"][:8]):
        assert shell("dataset", "show", name)["sha256"] == told["dataset_sha256"]
    assert "no dataset version" in shell.refused("dataset", "show", "7", code=3)
    assert "2 versions at most" in shell.refused("dataset", "diff", "1", "1", "1", code=2)


def test_two_stores_give_the_same_version_the_same_hash(shell: Shell, tmp_path: Path) -> None:
    from tests.engine.routing import TEST, TRAIN, WORDS, rows

    other = Shell(tmp_path / "other.duckdb")
    try:
        for name, some in (("test", TEST), ("train", list(reversed(TRAIN)))):  # in another order, too
            words = [name if word == "$.split" else word for word in WORDS]
            other("import", "--retrospective", "r", rows(tmp_path / f"{name}2.jsonl", some, name), *words)
        (tmp_path / "same.toml").write_text(CONTRACT)
        other("contract", "lock", tmp_path / "same.toml")
        for words in (("evaluation", "freeze"), ("check",), ("dedup",)):
            other(*words)
        flags = ("dataset", "freeze", "--keep-duplicates")
        assert other(*flags)["dataset_sha256"] == shell(*flags)["dataset_sha256"]
    finally:
        other.close()


def test_another_machine_gives_contract_sets_and_version_the_same_hashes(
    routing: Shell, tmp_path: Path
) -> None:
    """Another order of imports, other batches, another time, locale, time zone and seed of Python's own hashes."""
    foreign = {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4711"}
    words = [sys.executable, "-m", "tests.engine.elsewhere", str(tmp_path)]
    done = subprocess.run(
        words, env={**os.environ, **foreign, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == hashes(routing)


def test_a_version_is_exported_in_every_format_with_a_manifest(shell: Shell, tmp_path: Path) -> None:
    frozen = shell("dataset", "freeze")
    read: dict[str, list[Any]] = {}
    for form, name in (("chat", "c.jsonl"), ("jsonl", "j.jsonl"), ("csv", "t.csv"), ("parquet", "p.parquet")):
        target = tmp_path / name
        told = shell("dataset", "export", "--format", form, "--out", target)
        assert told["dataset_sha256"] == frozen["dataset_sha256"]
        assert told["rows"] == frozen["samples"]
        manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
        assert manifest["files"] == {name: hashlib.sha256(target.read_bytes()).hexdigest()}
        assert "there already" in shell.refused(
            "dataset", "export", "--format", form, "--out", target, code=3
        )
        if name.endswith(".jsonl"):
            read[form] = [json.loads(line) for line in target.read_text().splitlines()]
    chats = read["chat"]
    assert [m["role"] for m in chats[0]["messages"]] == ["user", "assistant"]
    assert [c["messages"][0]["content"] for c in chats] == [r["prompt"] for r in read["jsonl"]]
    assert WHERE in {r["prompt"] for r in read["jsonl"]}
    with (tmp_path / "t.csv").open(newline="") as file:
        assert [r["output"] for r in csv.DictReader(file)] == [r["output"] for r in read["jsonl"]]


def test_the_hf_folder_is_what_a_parquet_reader_finds_there(shell: Shell, tmp_path: Path) -> None:
    import polars as pl
    from pyarrow import dataset as arrow

    frozen = shell("dataset", "freeze")
    told = shell("dataset", "export", "--format", "hf", "--out", tmp_path / "set")
    found = pl.read_parquet(tmp_path / "set" / "data" / "train-*.parquet")
    assert found.height == frozen["samples"]
    assert [m["role"] for m in found["messages"][0]] == ["user", "assistant"]
    again = arrow.dataset(tmp_path / "set" / "data", format="parquet").to_table()
    assert again.to_pylist() == found.to_dicts()
    assert {type(json.loads(text)) for text in again["metadata"].to_pylist()} == {dict}
    card = (tmp_path / "set" / "README.md").read_text()
    front, body = card.split("---\n")[1:]
    # What datasets.load_dataset(FOLDER) goes by: huggingface.co/docs/hub/datasets-manual-configuration
    assert front.splitlines() == [
        "configs:", "- config_name: default", "  data_files:", "  - split: train", "    path: data/train-*",
    ]  # fmt: skip
    assert frozen["dataset_sha256"] in body
    assert set(told["files"]) == {"README.md", "data/train-00000-of-00001.parquet"}


def test_no_pair_of_the_evaluation_set_is_exported_for_training(shell: Shell, tmp_path: Path) -> None:
    shell("evaluate")
    shell("dataset", "freeze")
    subject = shell("queue", "disagreements")["rows"][0]["subject"]
    shell("verdict", "disagreements", subject, "left")
    words = ("dataset", "export", "--format", "dpo", "--out", tmp_path / "d.jsonl")
    assert "1 lie outside this version" in shell.refused(*words, code=4)
    assert not (tmp_path / "d.jsonl").exists()


def test_what_the_student_saw_of_an_input(shell: Shell) -> None:
    shell("dataset", "freeze")
    told = shell("dataset", "seen", "--text", "Where is my new card? I have been waiting since last month")
    assert told["like"]
    assert told["nearest"][0]["prompt"] == WHERE
    assert told["samples_in_bucket"] >= 1
    exact = shell("dataset", "seen", "1", "--text", WHERE.upper())
    assert (exact["nearest"][0]["jaccard"], exact["nearest"][0]["containment"]) == ("1.000", "1.000")
    other = shell("dataset", "seen", "--text", "quarterly dividends of zinc mines", "--meta", "tier=vip")
    assert not other["like"]
    assert other["told"].startswith("nothing like it")


def test_what_was_left_out_was_not_seen(shell: Shell) -> None:
    shell("dataset", "freeze")
    told = shell("dataset", "seen", "--text", "the secret word is mellon, please tell nobody about it")
    assert not told["like"]
    assert "one like it (1.00) is not in the dataset: excluded by the contract" in told["told"]
    first = told["nearest"][0]
    assert (first["jaccard"], first["standing"]) == ("1.000", "excluded by the contract")
    assert {n["standing"] for n in told["nearest"] if "mellon" not in n["prompt"]} >= {"in"}


def test_who_judges_blind_is_not_told_by_the_look_into_a_version_what_others_flagged(shell: Shell) -> None:
    flagged = judge(shell, "how do I get cash", "bad", "1")
    shell("dataset", "freeze")
    words = ("dataset", "seen", "--text", "how do I get cash abroad without paying the fee twice?")
    assert shell(*words)["nearest"][0]["standing"] == "flagged by a reviewer"  # the owner may know
    anna = shell("--as", "anna", *words)["nearest"][0]
    assert (anna["subject"], anna["standing"]) == (flagged, "left out")
    with Client(shell.store) as store:
        page = seen_page(Context(store, "r"), words[-1], blind=True)
    assert "not in it: left out" in page
    assert "flagged" not in page
    assert {
        "against",
        "told_apart",
    } <= TELLING  # nor does the hub answer a reviewer while somebody judges blind


def test_a_log_of_live_inputs_says_how_many_have_nothing_like_them(shell: Shell, tmp_path: Path) -> None:
    shell("dataset", "freeze")
    log = tmp_path / "live.jsonl"
    live = [WHERE.replace("my", "the"), "quarterly dividends of zinc mines", "how do I get cash abroad?"]
    log.write_text(
        "".join(json.dumps({"q": text, "tier": "vip"}) + "\n\n" for text in live) + "a plain line of zinc\n"
    )
    told = shell("dataset", "seen", "--file", log, "--field", "q")
    assert (told["inputs"], told["nothing_like_it"], told["share"]) == (4, 2, "0.5000")
    assert 0 < float(told["low"]) < 0.5 < float(told["high"]) < 1  # four inputs tell little
    assert [(r["line"], r["like"]) for r in told["rows"]] == [(1, True), (3, False), (5, True), (7, False)]
    assert told["rows"][0]["sample"] == WHERE
    assert "has no text in prompt" in shell.refused("dataset", "seen", "--file", log, code=3)
    assert "cannot be read" in shell.refused("dataset", "seen", "--file", tmp_path / "none", code=3)


def test_a_rule_or_option_that_is_none_is_named() -> None:
    for name, options in (
        ("no_such", {}),
        ("flagged", {"below": 1}),
        ("low_confidence", {"below": "x"}),
        ("best_of", {"n": 0}),
    ):
        with pytest.raises(InputError):
            check_rule(name, options)
    for name in RULES:
        check_rule(name, {})


@given(st.floats(allow_nan=True))
def test_a_probability_is_one_or_refused(value: float) -> None:
    try:
        check_rule("low_confidence", {"below": value})
    except InputError:
        assert not 0 <= value <= 1
    else:
        assert 0 <= value <= 1


def test_personal_data_that_the_contract_forbids_is_never_trained_on(shell: Shell, tmp_path: Path) -> None:
    text = CONTRACT.replace("[people]", 'pii = ["email", "card"]\n[people]')
    add(
        shell,
        tmp_path,
        "mail.jsonl",
        "write to ann.smith@example.org about it, please",
        "train",
        "--output",
        "big=big",
    )
    (tmp_path / "stricter.toml").write_text(text)
    shell("contract", "lock", tmp_path / "stricter.toml")
    shell("dedup")
    told = shell("dataset", "freeze", "--keep-failing", "--keep-flagged")
    assert told["dropped"]["personal data"] == 1
    (row,) = shell("dataset", "show", "--rows", "--rule", "personal data")["rows"]
    assert row["detail"] == "prompt: email at 9"
    assert "example.org" not in str(row)


def test_a_policy_is_data_in_the_contract(shell: Shell, tmp_path: Path) -> None:
    rules = '[[filter]]\nrule = "everything"\n'
    (tmp_path / "all.toml").write_text(CONTRACT + rules)
    shell("contract", "lock", tmp_path / "all.toml")
    assert "fails a check" not in shell("filter")["spoke_against"]
    (tmp_path / "wrong.toml").write_text(
        CONTRACT + '[[filter]]\nrule = "low_confidence"\noptions = { below = "2" }\n'
    )
    told = shell.try_("--json", "contract", "check", tmp_path / "wrong.toml")
    assert told.code != 0
    assert "below is '2'" in told.out + told.err
