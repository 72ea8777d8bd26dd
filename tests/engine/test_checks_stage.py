"""`spiritsafe check` from a file to its counts: slices, a sample, hooks and a judge, stopping and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clean import check
from engine.context import Context
from store.client import Client
from store.errors import Cancelled, EndpointError
from tests.engine.judge_server import JudgeServer, longer
from tests.engine.shell import Shell

MANY, EVERY_SHORT, EVERY_MAIL = 9_000, 3, 5
CONTRACT = """
[task]
name = "desk"
kind = "text"
instruction = "Answer."
input_example = "?"
output_example = "!"
metric = "exact"
[teacher]
name = "big"
model = "big"
version = "1"
why = "it is good"
[gate]
margin = 0.03
minimum_n = 10
[[gate.slice]]
name = "vip"
where = "tier == 'vip'"
margin = 0.05
[constraints]
licence = "MIT"
teacher_terms_acknowledged = true
[people]
owner = "root"
[[checks]]
name = "length"
kind = "length"
options = { min = 10 }
[[checks]]
name = "private"
kind = "pii"
[[checks]]
name = "own"
kind = "hook"
options = { file = "own.py" }
"""
HOOK = "def check(output, reference, prompt):\n    return output.endswith(reference) and prompt.startswith('Q')\n"
JUDGE = '[[checks]]\nname = "judge"\nkind = "judge"\noptions = {{ criterion = "long", endpoint = "{}", model = "j" }}\n'


def row(i: int) -> dict[str, Any]:
    text = "ok" if i % EVERY_SHORT == 0 else f"answer to {i}"
    text += " ada@example.org" if i % EVERY_MAIL == 0 else ""
    return {"q": f"Q{i}?", "a": f"{text} {i % 2}", "gold": str(i % 2), "tier": "vip" if i < 100 else "free"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, Path]]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "own.py").write_text(HOOK)
    (folder / "own.py").chmod(0o600)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row(i)) + "\n" for i in range(MANY)))
    (folder / "contract.toml").write_text(CONTRACT)
    shell = Shell(folder / "d.duckdb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
        try:
            words = (
                "--prompt",
                "q",
                "--reference",
                "gold",
                "--meta",
                "tier=tier",
                "--split",
                "train",
                "--output",
                "big=a",
            )
            shell("import", "--retrospective", "desk", folder / "rows.jsonl", *words, "--teacher", "big")
            shell("contract", "lock", folder / "contract.toml")
            yield shell, folder
        finally:
            shell.close()


def truth(name: str, rows: range) -> int:
    """How many rows pass a check, counted by hand."""
    holds = {
        "length": lambda i: len(row(i)["a"]) >= 10,
        "private": lambda i: i % EVERY_MAIL != 0,
    }
    return sum(name not in holds or holds[name](i) for i in rows)


def counts(result: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {c["check"]: (c["passed"], c["total"]) for c in result["checks"]}


WHOLE = {name: (truth(name, range(MANY)), MANY) for name in ("length", "private", "own")}


def test_every_check_is_counted_whole_and_by_slice_without_an_interval(desk: tuple[Shell, Path]) -> None:
    result = desk[0]("check")
    assert counts(result) == WHOLE
    assert not any("low" in one for one in result["checks"])
    assert {(s["check"], s["slice"], s["failed"], s["total"]) for s in result["slices"]} == {
        (name, "vip", 100 - truth(name, range(100)), 100) for name in WHOLE
    }
    assert [h["hook"] for h in result["hooks"]] == ["own.py"]
    counted = "count(*), count(*) filter (where passed), count(distinct output_key)"
    stored = desk[0]("sql", f"select name, {counted} from check_results group by 1")  # noqa: S608
    assert {name: (passed, total) for name, total, passed, _ in stored["rows"]} == WHOLE
    assert {apart for *_, apart in stored["rows"]} == {MANY}


def test_no_detail_in_the_store_repeats_what_it_warns_of(desk: tuple[Shell, Path]) -> None:
    desk[0]("check", "--name", "private")
    told = "count(*), count(*) filter (where detail like '%ada%')"
    found = desk[0]("sql", f"select {told} from check_results where name = 'private' and not passed")  # noqa: S608
    assert found["rows"][0][0] > 0
    assert found["rows"][0][1] == 0


def test_a_sample_is_the_same_for_a_seed_and_carries_an_interval(desk: tuple[Shell, Path]) -> None:
    first, again, other = (
        desk[0]("check", "--name", "length", "--sample", 300, "--seed", seed) for seed in (1, 1, 2)
    )
    assert counts(first) == counts(again)
    assert first["checks"][0]["total"] == 300
    low, high = (float(first["checks"][0][end]) for end in ("low", "high"))
    assert low < first["checks"][0]["passed"] / 300 < high
    assert other["checks"][0]["total"] == 300
    newest = "select run_no from closed_run order by closed_seq desc limit 3"
    drawn = desk[0]("sql", f"select count(distinct output_key) from check_result where run_no in ({newest})")  # noqa: S608
    assert drawn["rows"][0][0] > 300  # another seed draws others


def test_a_stopped_check_goes_on_where_it_stopped_and_counts_nothing_twice(desk: tuple[Shell, Path]) -> None:
    shell, folder = desk
    with Client(shell.store) as store, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        before = len(Context(store, "desk").runs("check"))
        seen: list[int] = []
        stopped = Context(
            store, "desk", progress=lambda _w, n, _t: seen.append(n), cancelled=lambda: bool(seen)
        )
        with pytest.raises(Cancelled):
            check.run(stopped, check.Params())
        part = Context(store, "desk").runs("check")[-1]
        assert len(Context(store, "desk").runs("check")) == before + 1
        assert 0 < part.result["checks"][0]["total"] < MANY
        told = check.run(Context(store, "desk", progress=lambda _w, n, _t: seen.append(n)), check.Params())
        assert told["resumed"]
        assert counts(told) == WHOLE
        runs = tuple(r.run_no for r in Context(store, "desk").runs("check")[-2:])
        assert seen[-1] == MANY
    both = f"from check_result where run_no in {runs}"
    found = shell("sql", f"select count(*), count(distinct (output_key, name)) {both}")
    assert found["rows"] == [[3 * MANY, 3 * MANY]]
    assert not shell("check")["resumed"]  # that one was finished


KILLED = """
import os, signal, sys
from console.cli import main
from engine.clean import check
from engine.context import Context

check.BATCH, check.PART_ROWS, check.APART_FROM, tell = 300, 2_000, 0, Context.progress

def progress(self, what, done, total=None):
    tell(self, what, done, total)
    if done >= int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

Context.progress = progress
main(sys.argv[2:])
"""  # the command as it is, in small parts, which is killed without a word once so many are done


def test_a_check_that_is_killed_goes_on_behind_its_last_part_and_ends_as_if_nothing_had_been(
    desk: tuple[Shell, Path],
) -> None:
    shell, folder = desk
    whole = shell("check", "--seed", 7)
    words = ["--store", str(shell.store), "check", "--seed", "8"]
    command = [sys.executable, "-c", KILLED, "7000", *words]
    killed = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # It was heard out to the end of its standard error, which its processes share: they have left as well.
    told = shell("check", "--seed", 8)
    with Client(shell.store) as store:
        *_, last, _ = Context(store, "desk").runs("check")
        alone = next(run.run_no for run in Context(store, "desk").runs("check") if run.params["seed"] == 7)
        parts = [run.run_no for run in Context(store, "desk").runs("check") if run.params["seed"] == 8]
    before = last.result["checks"][0]["total"]
    assert len(parts) > 2
    assert 2_000 <= before < 7_000  # not what the open part had
    assert (told["resumed"], told["before"]) == (True, {"big": before})
    assert [told[name] for name in ("checks", "slices")] == [whole[name] for name in ("checks", "slices")]
    assert rows_of(shell, parts) == rows_of(shell, [alone])
    assert rows_of(shell, parts)[0] == 3 * MANY


def rows_of(shell: Shell, runs: list[int]) -> list[Any]:
    """How many results the runs have together, and one number for all that they say."""
    said = "count(*), bit_xor(hash(output_id, name, passed, detail)), count(distinct (output_id, name))"
    found = shell("sql", f"select {said} from check_result where list_contains({runs}, run_no)")  # noqa: S608
    return list(found["rows"][0])


def test_a_judge_is_asked_in_both_orders_keeps_what_was_paid_and_counts_on(desk: tuple[Shell, Path]) -> None:
    shell, folder = desk
    with JudgeServer(longer, refuse_after=401) as server:
        (folder / "judged.toml").write_text(CONTRACT + JUDGE.format(server.base_url))
        shell("contract", "lock", folder / "judged.toml")
        try:
            words = ("check", "--name", "judge", "--sample", 300)
            refused = shell.try_("--json", *words)
            assert refused.code == EndpointError.exit_code, refused
            paid, server.refuse_after = len(server.asked), None
            told = shell(*words)
            judge = told["judges"][0]
            assert told["resumed"] == (
                paid > 500
            )  # nothing whole was done after 200 of 300: the journal has it
            assert judge["win"] + judge["loss"] == 300
            assert judge["flip_rate"] == "0.0000"
            assert len(server.asked) < paid + 450  # not 600: what was answered came from the journal
            assert told["checks"][0]["low"] < told["checks"][0]["high"]
        finally:
            shell("contract", "lock", folder / "contract.toml")


def test_personal_data_is_found_whether_a_check_ran_or_not_and_a_policy_may_drop_it(
    desk: tuple[Shell, Path],
) -> None:
    from engine.clean.pii_scan import holding

    shell, folder = desk
    with Client(shell.store) as store:
        found = holding(Context(store, "desk"), "big")
    assert found.height == MANY // EVERY_MAIL
    assert all(detail.startswith("output: email at ") for detail in found["detail"])
    (folder / "policy.toml").write_text(CONTRACT + '[[filter]]\nrule = "personal"\n')
    shell("contract", "lock", folder / "policy.toml")
    told = shell("filter")
    assert told["dropped"] == {"personal data": MANY // EVERY_MAIL}
    assert told["kept"] == MANY - MANY // EVERY_MAIL
