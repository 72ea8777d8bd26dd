"""A dataset version with production's shares: by a draw or by weights, the same on any machine, nothing of the test set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clean.match import WEIGHTS_FILE
from engine.context import Context
from store import read
from store.canonical import digest
from store.client import Client
from store.records import File, SetMember
from tests.engine.routing import CONTRACT
from tests.engine.shell import Shell

WORDS = ("--prompt", "q", "--reference", "gold", "--meta", "tier")
ANSWERED = ("--output", "big=big", "--teacher", "big")
HAVE = {"basic": 60, "vip": 20, "old": 10}
PRODUCTION = {"basic": 40, "vip": 40, "new": 20}


def put(shell: Shell, path: Path, rows: list[dict[str, Any]], *words: str) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shell("import", "--retrospective", "m", path, *WORDS, *words)


def samples(some: dict[str, int], what: str) -> list[dict[str, Any]]:
    """Prompts no two of which are near-duplicates."""
    return [
        {"q": " ".join(f"{i * 7 + k:x}{what}{tier}" for k in range(9)), "tier": tier, "big": "card", "gold": "card"}
        for tier, n in some.items()
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """90 samples in three tiers, a production log of 100 with other shares, and a test set of 5."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    found = Shell(tmp_path / "m.duckdb")
    try:
        made = ("--source", "synthetic", "--split", "train", *ANSWERED)
        put(found, tmp_path / "have.jsonl", samples(HAVE, "have"), *made)
        put(found, tmp_path / "log.jsonl", samples(PRODUCTION, "log"), "--split", "validation")
        test = samples({"vip": 5}, "kept")
        put(found, tmp_path / "test.jsonl", test, "--source", "synthetic", "--split", "test", *ANSWERED)
        (tmp_path / "c.toml").write_text(CONTRACT)
        found("contract", "lock", tmp_path / "c.toml")
        found("evaluation", "freeze")
        put(found, tmp_path / "leak.jsonl", test[:1], *made)  # of the test set, and a candidate
        for words in (("check",), ("dedup",)):
            found(*words)
        yield found
    finally:
        found.close()


NEWEST = (
    "select json_extract_string(a.metadata, '$.tier') from set_members m join arrivals a using (arrival_key)"
    " where m.stage = 'dataset' and m.run_no = (select max(run_no) from set_members) order by m.member_key"
)


def tiers(shell: Shell) -> list[str]:
    """The tier of every sample of the newest version, in its order."""
    return [tier for (tier,) in shell("sql", NEWEST)["rows"]]


def test_a_draw_has_productions_shares_and_says_of_each_sample_left_out_why(shell: Shell) -> None:
    told = shell("dataset", "freeze", "--match-production", "draw", "--by", "tier", "--shortfall", "1")
    assert (told["samples"], told["match"]["left_out"]) == (40, 50)
    assert Counter(tiers(shell)) == {"basic": 20, "vip": 20}  # as in production, as far as there is something
    assert told["match"]["production_unseen"] == "0.2000"  # nobody has a sample of tier new
    assert told["dropped"] == {"in the evaluation set": 1, "left out to match production": 50}
    reasons = shell("dataset", "show", "--rows", "--rule", "left out to match production")["rows"]
    assert Counter(r["detail"] for r in reasons) == {"basic: 20 of 60": 40, "old: 0 of 10": 10}
    assert shell("verify")["sound"]


def test_a_thin_bucket_may_stay_short_so_that_it_does_not_shrink_the_rest(shell: Shell) -> None:
    told = shell("dataset", "freeze", "--match-production", "draw", "--by", "tier")
    assert (told["samples"], told["match"]["shortfall"]) == (60, "0.5")
    assert Counter(tiers(shell)) == {"basic": 40, "vip": 20}


def test_the_same_seed_draws_the_same_samples_and_another_seed_others(shell: Shell) -> None:
    words = ("dataset", "freeze", "--match-production", "draw", "--by", "tier")
    first = shell(*words)
    assert "nothing changed" in shell.refused(*words, code=4)
    other = shell(*words, "--seed", "2")
    assert other["samples"] == first["samples"]
    assert other["dataset_sha256"] != first["dataset_sha256"]
    plain = shell("dataset", "freeze")
    assert plain["samples"] == 90
    assert shell(*words)["dataset_sha256"] == first["dataset_sha256"]
    left = shell("dataset", "diff", "3", "4")["why"]
    assert [(w["change"], w["why"], w["samples"]) for w in left] == [
        ("left", "left out to match production", 30)
    ]


def test_weights_keep_every_sample_and_add_up_to_productions_shares(shell: Shell) -> None:
    plain = shell("dataset", "freeze", "--by", "tier")
    told = shell("dataset", "freeze", "--match-production", "weights", "--by", "tier")
    assert told["samples"] == plain["samples"] == 90
    assert told["dataset_sha256"] != plain["dataset_sha256"]  # other weights are another dataset
    (body,) = shell("sql", "select decode(body) from files where name = 'sample_weights.txt'")["rows"][0]
    weights = [float(line) for line in body.splitlines()]
    total: Counter[str] = Counter()
    for tier, weight in zip(tiers(shell), weights, strict=True):
        total[tier] += weight
    assert total["basic"] / total["vip"] == pytest.approx(1.0, abs=1e-3)
    assert total["old"] == 0
    back = shell("dataset", "restore", "1") and shell("dataset", "restore", "2")
    assert back["dataset_sha256"] == told["dataset_sha256"]
    again = shell("sql", "select decode(body) from files where name = 'sample_weights.txt' order by run_no")[
        "rows"
    ]
    assert [text for (text,) in again] == [body, body]


def test_other_weights_are_told_by_the_difference_and_forged_ones_train_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    words = ("dataset", "freeze", "--match-production", "weights", "--by", "tier")
    shell(*words)
    put(shell, tmp_path / "log2.jsonl", samples({"vip": 40}, "more"), "--split", "validation")
    shell("dedup")
    shell(*words)
    told = shell("dataset", "diff", "1", "2")
    assert (told["entered"], told["left"], told["inputs_changed"]["weights"]) == (0, 0, {"samples": 80})
    with Client(shell.store) as store:
        context = Context(store, "m")
        honest = context.runs("dataset")[-1]
        members = store.ask(read.SET_MEMBERS, project="m", run_id=honest.run_id)
        forged = store.run("m", "dataset", params=honest.params, inputs=honest.inputs)
        forged.add("set_member", members_of(members))
        body = b"5.0000\n" * 3 + b"0.0001\n" * (len(members) - 3)
        forged.add("file", [File(0, 0, WEIGHTS_FILE, "text/plain", digest(body), body)])
        forged.close(honest.result)
    assert "not those of its hash" in shell.refused("train", "--mode", "hard", code=4)


def members_of(rows: list[read.SetRow]) -> list[SetMember]:
    return [SetMember(0, 0, m.arrival_key, m.prompt_id, m.output_key, m.output_id, m.reference) for m in rows]


def test_what_cannot_be_matched_is_refused_with_what_to_do(shell: Shell) -> None:
    words = ("dataset", "freeze", "--match-production", "draw")
    assert "shortfall" in shell.refused(*words, "--shortfall", "2", code=3)
    assert "no sample is in a bucket" in shell.refused(*words, "--by", "prompt ~ log", code=4)
    assert shell("dataset", "list")["versions"] == []
