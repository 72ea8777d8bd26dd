"""Do nothing first: baselines are held against the bars, one that meets them may end the project, going on has a reason."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.do_nothing import GO_ON
from engine.rejudge import faults
from store.answers import ActRow
from store.canonical import canonical_text
from tests.console.pty_harness import Terminal
from tests.engine.label_server import LabelServer, LabelTeacher
from tests.engine.shell import ROOT, Shell

CONTRACT = """
[task]
name = "queues"
kind = "label"
instruction = "Name the queue."
metric = "label"
labels = ["shipping", "billing"]
[teacher]
name = "big"
model = "MODEL"
version = "VERSION"
[student]
p95_latency_ms = 5_000
cost_per_1000 = 0.10
machine_per_hour = 0.50
[gate]
margin = 0.05
attempts = 2
[[gate.slice]]
name = "short"
where = "len(prompt) < 22"
floor = 0.90
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
"""
SHIPPING = [f"shipping of order {i}" for i in range(100)]
BILLING = [f"billing of order {i}" for i in range(100)]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Two hundred test prompts with references and no teacher's answer: nothing was spent yet."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.delenv("SPIRITSAFE_PROJECT", raising=False)
    found = Shell(tmp_path / "n.duckdb")
    try:
        found("init", "p", "--contract", tmp_path / "template.toml")
        rows = [{"q": text, "gold": text.split()[0]} for text in SHIPPING + BILLING]
        (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        found("import", tmp_path / "test.jsonl", "--prompt", "q", "--reference", "gold", "--split", "test")
        yield found
    finally:
        found.close()


def lock(shell: Shell, folder: Path, text: str = CONTRACT) -> None:
    (folder / "contract.toml").write_text(text.replace("MODEL", "big-1").replace("VERSION", "1"))
    shell("contract", "lock", folder / "contract.toml")
    shell("evaluation", "freeze")


def test_the_commonest_answer_is_judged_by_every_bar_and_does_not_do(shell: Shell, tmp_path: Path) -> None:
    lock(shell, tmp_path)
    found = shell("baselines")
    assert found["meets"] == []
    (rival,) = found["rivals"]
    assert (rival["model"], rival["right"], rival["n"], rival["judgement"]) == ("majority", 100, 200, "fail")
    assert rival["teacher"] == "taken as never wrong"
    judged = {(row["slice"], row["bar"].split()[0]): row["judgement"] for row in rival["rows"]}
    assert judged["all", "margin"] == "fail"
    assert judged["all", "p95_latency_ms"] == judged["all", "cost_per_1000"] == "pass"
    assert "was not found to meet every bar" in shell.refused("take", "majority", "--why", "free", code=4)


def test_a_baseline_that_meets_every_bar_is_taken_in_ones_name_and_ends_the_project(
    shell: Shell, tmp_path: Path
) -> None:
    lock(shell, tmp_path)
    found = shell("baselines", "--kind", "label_names")
    assert found["meets"] == ["label_names"]
    assert "spiritsafe take label_names" in found["next"]
    assert "needs a rationale" in shell.refused("take", "label_names", "--why", " ", code=2)
    taken = shell("take", "label_names", "--why", "as good as asked, and free")
    assert (taken["outcome"], taken["signed_by"]) == ("don't distil", shell("whoami")["signs_as"])
    assert shell("sql", "select baseline, rationale from taken_baseline")["rows"] == [
        ["label_names", "as good as asked, and free"]
    ]
    assert "the project ended" in shell.refused("generate", code=4)
    assert shell("verify")["sound"]
    home = shell.try_("console", "--plain").out
    assert "p · ended" in home
    assert f"ENDED by {taken['signed_by']}: label_names taken; generate asks a reason to go on" in home
    assert "next:" not in home


def test_generate_asks_once_for_a_reason_to_go_on_and_records_it(shell: Shell, tmp_path: Path) -> None:
    teacher = LabelTeacher(SHIPPING + BILLING, ["shipping"] * 100 + ["billing"] * 100)
    with LabelServer(teacher) as server:
        named = CONTRACT.replace("MODEL", server.manners.model).replace("VERSION", server.manners.reported)
        lock(shell, tmp_path, named)
        shell("baselines", "--kind", "label_names")
        words = ("generate", "--endpoint", server.base_url, "--limit", 3)
        assert "label_names meets every bar" in shell.refused(*words, code=4)
        assert server.stats.told()["answered"] == 0
        assert shell(*words, "--reason", "it cannot explain itself")["answered"] == 3
        assert shell(*words)["answered"] == 3  # the reason stands
        shell("take", "label_names", "--why", "it will do")
        assert "the project ended" in shell.refused(*words, code=4)
        assert "ENDED by" in shell.try_("console", "--plain").out
        assert shell(*words, "--reason", "and yet")["answered"] == 3
        home = shell.try_("console", "--plain").out
    assert "ENDED" not in home
    assert f"gone on by {shell('whoami')['signs_as']} after label_names was taken" in home
    choices = shell("sql", "select choice, reason, rejected from choice")["rows"]
    assert [[c[0], c[1], json.loads(c[2])] for c in choices] == [
        [GO_ON, "it cannot explain itself", ["label_names"]],
        [GO_ON, "and yet", ["label_names"]],
    ]


def test_a_baseline_is_paired_with_the_teachers_own_answers_where_they_are_there(
    shell: Shell, tmp_path: Path
) -> None:
    lock(shell, tmp_path)
    rows = [{"q": text, "big": "shipping", "small": text.split()[0]} for text in SHIPPING + BILLING]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shell("import", tmp_path / "out.jsonl", "--prompt", "q", "--split", "test", "--predictions",
          "--output", "big=big", "--output", "small=small", "--teacher", "big")  # fmt: skip
    rivals = {rival["model"]: rival for rival in shell("baselines")["rivals"]}
    assert rivals["small"]["teacher"] == "its own answers"
    rows_of = {row["bar"]: row["judgement"] for row in rivals["majority"]["rows"] if row["slice"] == "all"}
    assert rows_of["margin 0.05"] == "pass"  # as good as a teacher that always says the same
    missing = {row["bar"]: row for row in rivals["small"]["rows"]}
    for bar, what in (("p95_latency_ms 5000", "latency_ms=path"), ("cost_per_1000 0.1", "cost=path")):
        assert missing[bar]["judgement"] == "insufficient"
        assert what in missing[bar]["why"]
    assert rivals["small"]["judgement"] == "insufficient"  # nobody measured it: it does not meet the budget


def judged(*given: tuple[str, str, dict[str, Any]]) -> list[str]:
    rows = [
        ActRow(seq, "demo", kind, who, None, canonical_text(payload), f"hash {seq}")
        for seq, (who, kind, payload) in enumerate([("ada", "project.create", {}), *given], 1)
    ]
    return [fault for _, fault in faults(rows, "ada")]


def test_taking_what_no_run_found_to_do_is_found_by_verify() -> None:
    opened = ("ada", "run.open", {"run_id": "r", "stage": "baselines"})
    closed = ("ada", "run.close", {"run_no": 1, "tables": {}, "result": {"meets": ["majority"]}})
    take = {"baseline": "majority", "run_id": "r", "rationale": "free"}
    assert judged(opened, closed, ("ada", "baseline.take", take)) == []
    (fault,) = judged(opened, closed, ("ada", "baseline.take", take | {"baseline": "other"}))
    assert "takes other" in fault
    (fault,) = judged(opened, closed, ("bob", "baseline.take", take))
    assert "owner's to do" in fault


def test_on_a_terminal_generate_asks_for_the_reason_itself(shell: Shell, tmp_path: Path) -> None:
    lock(shell, tmp_path)
    shell("baselines", "--kind", "label_names")
    words = [sys.executable, "-m", "console.cli", "--store", str(shell.store), "generate"]
    with Terminal(
        words, env={**os.environ, "PYTHONPATH": str(ROOT), "SPIRITSAFE_IDLE_SECONDS": "5"}
    ) as terminal:
        terminal.wait_for("label_names meets every bar")
        terminal.wait_for("Why go on")
        terminal.send(b"it cannot explain itself\r")
        terminal.wait_for("names no endpoint")
    assert shell("sql", "select reason from choice")["rows"] == [["it cannot explain itself"]]


def test_what_met_the_bars_once_is_counted_again_before_it_is_taken(shell: Shell, tmp_path: Path) -> None:
    lock(shell, tmp_path)
    assert shell("baselines", "--kind", "label_names")["meets"] == ["label_names"]
    (tmp_path / "stricter.toml").write_text(
        (tmp_path / "contract.toml").read_text().replace("floor = 0.90", "floor = 0.995")
    )
    shell("contract", "lock", tmp_path / "stricter.toml")
    assert "counted again" in shell.refused("take", "label_names", "--why", "free", code=4)


def test_references_that_are_no_labels_of_the_contract_are_refused_before_everything_scores_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="'shipping' is none"):
        lock(shell, tmp_path, CONTRACT.replace('["shipping", "billing"]', '["parcels", "money"]'))
    codes = CONTRACT.replace('["shipping", "billing"]', '{ parcels = "shipping", money = "billing" }')
    with pytest.raises(AssertionError, match="'shipping' is the code of parcels"):
        lock(shell, tmp_path, codes)
    lock(shell, tmp_path, CONTRACT.replace('["shipping", "billing"]', '["Shipping ", "other"]'))


def test_the_records_inside_of_a_result_are_told_in_lines_of_their_own(shell: Shell, tmp_path: Path) -> None:
    lock(shell, tmp_path)
    told = shell.try_("baselines").out
    assert "\n  model majority  judgement fail  right 100  n 200" in told
    assert "\n    slice all  bar margin 0.05  n 200  judgement fail  why at best" in told
    assert "{" not in told
