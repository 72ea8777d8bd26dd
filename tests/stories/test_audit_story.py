"""An audit by keys: a plan locked from home, judged blind, with numbers that hold; and the same numbers headless."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from console.standings import percent

from ..console.pty_harness import Terminal
from .conftest import GSM8K
from .desk import Desk

TEACHER = "175b_verification"
FIXED = ("audit", "plan", "--gate", "0.3", "--c", "1")  # 14 samples


def in_audit(term: Terminal, header: str = r"audit · plan") -> Terminal:
    """The room, everything painted."""
    term.wait_for(r"\(retrospective\)")
    term.send(b"ga")
    term.wait_for(header)
    term.wait_for(r"> +1 ")
    term.until_quiet(0.3)
    return term


def judge(term: Terminal, key: str, wait_for: str) -> None:
    """One verdict, once the sample stands on the screen."""
    term.send(key.encode())
    term.wait_for(wait_for)
    term.until_quiet(0.1)


def right_answers() -> dict[str, bool]:
    """Question → whether the teacher's solution is right, as the file says."""
    with GSM8K.open(encoding="utf-8") as lines:
        return {row["question"].strip(): row[TEACHER]["is_correct"] for row in map(json.loads, lines)}


def test_a_plan_is_seen_before_it_is_locked_and_then_opens_as_the_audit(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for(r"audit +next|audit +lock a sampling plan")
        term.send(b":11\r")
        term.wait_for(r"^>.audit")
        term.send(b"r")
        term.wait_for(r"spiritsafe audit plan")
        term.send(b" --gate 0.02 --c 0\r")
        term.wait_for(r"audit plan, not locked yet", 40)
        term.wait_for(r"a teacher that is wrong in 2 % or more|wrong in 2 %")
        term.wait_for(r"if it is wrong in +it passes")
        term.wait_for(r"2 % +\d.* % .*< the gate")
        term.wait_for(r"sent back +\d+ % +of|is sent")
        assert sample.json("report", "audit")["plans"] == []  # nothing is locked by looking
        term.send(b"q")
        term.wait_for(r"Enter locks.*--gate 0.02 --c 0")
        term.send(b"\r")
        term.wait_for(r"✓audit +simple plan, gate 2 %: \d+ of \d+, at most 0 errors", 40)
        term.send(b"\r")
        term.wait_for(r"audit · plan 0/\d+ · 0 errors · insufficient: \d+ to go, 0 (spare|more)")
    told = sample.json("report", "audit")["plans"]
    assert [(p["verdict"], p["judged"], p["rate"]) for p in told] == [("insufficient", 0, None)]


def test_the_header_counts_every_verdict_and_undo_and_says_once_that_the_plan_is_over(sample: Desk) -> None:
    n = sample.json(*FIXED)["n"]
    with in_audit(sample.console()) as term:
        for judged in range(1, n + 1):
            judge(term, "a", rf"plan {judged}/{n} · 0 errors")
            said = "plan 1 passes: 0 errors, at most 1 in" in term.screen()[-1]
            assert said == (judged == n - 1)  # the last one cannot change it any more; said once
        term.wait_for(r"Wilson 0–\d+ %.*pass")
        term.send(b"u")
        term.wait_for(rf"plan {n - 1}/{n} · 0 errors · .*pass")
        judge(term, "3", rf"plan {n}/{n} · 1 error · .*pass")
        term.send(b"u")
        term.wait_for(rf"plan {n - 1}/{n} · 0 errors")
        term.send(b"\x12")
        term.wait_for(rf"plan {n}/{n} · 1 error · ")
    found = sample.json("report", "audit")["plans"][0]
    assert (found["judged"], found["errors"], found["verdict"]) == (n, 1, "pass")
    assert re.search(rf"PASS: 1 errors?, .*\njudged {n}, 1 error", sample.run("report", "audit"))
    assert f"judged {n} · 1 error" in sample.run("console", "--plain")


def test_a_bad_prompt_is_replaced_and_the_queue_grows_at_its_end(sample: Desk) -> None:
    n = sample.json(*FIXED)["n"]
    with in_audit(sample.console()) as term:
        judge(term, "9", r"1 replaced|another sample is drawn, at the end of the queue")
        term.wait_for(rf"plan 0/{n} · ")
        term.send(b"G")
        term.wait_for(rf"^> +{n} ")
        term.until_quiet()
        term.send(b"a")
        term.wait_for(r"1 sample joined the draw, in place of bad prompts")
        term.wait_for(rf"^> +{n + 1} ")
        term.until_quiet(0.3)
        judge(term, "a", rf"plan 2/{n} · ")
        term.wait_for("that was the last row")
    assert sample.json("queue", "audit", "--plan", "1")["length"] == n + 1


def test_without_a_plan_there_are_counts_and_no_rate_and_plans_are_chosen_by_number(sample: Desk) -> None:
    sample.json(*FIXED)
    sample.json("audit", "plan", "--gate", "0.4", "--mode", "sequential", "--n", "30")
    with in_audit(sample.console(), r"audit · plan 0/30 ") as term:
        judge(term, "1", r"plan 1/30 · 1 error · (≤|at most) \d+ % (any time|whenever looked at)")
        term.send(b"P")
        term.wait_for(r"plan 1–2 or all")
        term.send(b"\r")
        term.wait_for(r"plan 1 on desk-teacher: simple")
        term.wait_for(r"INSUFFICIENT: undecided after 1")
        term.send(b"q")
        term.send(b":plan all\r")
        term.wait_for(r"audit · 1 of 681 judged · ok 0 bad 1 unsure 0")
        assert "%" not in term.screen()[0]
        term.send(b":plan 1\r")
        term.wait_for(r"audit · plan 0/\d+ · 0 errors · insufficient|audit · plan 1/\d+ ")
        term.send(b":plan 7\r")
        term.wait_for("no plan '7'")
        term.send(b"\x15\x7f:plan 2\r")
        term.wait_for(r"audit · plan 1/30 ")
        term.send(b":17\r")
        term.wait_for(r"^> +17 ")
        term.until_quiet()
        term.send(b"qq")
        term.wait()
    with sample.console(80, 24, "console", "--screen", "audit") as term:
        term.wait_for(r"resumed at 17 of 30")
        term.wait_for(r"audit · plan 1/30 ")


def test_a_verdict_under_a_plan_costs_160_bytes(sample: Desk) -> None:
    sample.json("audit", "plan", "--gate", "0.4", "--mode", "sequential", "--n", "60")
    sample.json("audit", "plan", "--gate", "0.02", "--c", "2")
    with in_audit(sample.console()) as term:
        term.keys("a a", quiet=0.4)  # the first says once that it was judged from the list
        simple = [term.bytes_for("a", quiet=0.4) for _ in range(5)]
        term.send(b":plan 1\r")
        term.wait_for(r"plan \d+/60")
        term.wait_for(r"^>. +1 ")
        term.send(b":12\r")
        term.wait_for(r"^> +12 ")
        term.until_quiet(0.4)
        sequential = [term.bytes_for(key, quiet=0.4) for key in ("a", "1", "a", "a", "1")]
        assert max(simple) <= 160, (simple, sequential)
        assert max(sequential) <= 160, sequential


def test_only_what_is_assigned_is_shown_until_everyones_is_asked_for(sample: Desk) -> None:
    me = sample.json("whoami")["signs_as"]
    words = ("--reviewers", me, "--reviewers", "bob")
    n = sample.json("audit", "plan", "--gate", "0.1", "--c", "1", *words)["n"]
    mine = sample.json("queue", "audit", "--plan", "newest")["length"]
    assert 0 < mine < n
    assert sample.json("queue", "audit", "--plan", "newest", "--everyone")["length"] == n
    with in_audit(sample.console(120, 40), rf"audit · plan 0/{n} .*yours 0/{mine}") as term:
        term.send(b":everyone\r")
        term.wait_for(rf"audit · plan 0/{n} · everyone's")
        term.send(b"G")
        term.wait_for(rf"^> +{n} ")
        term.send(b":everyone\r")
        term.wait_for(rf"yours 0/{mine}")


@pytest.mark.parametrize(("cols", "rows"), [(80, 24), (60, 15), (200, 60)])
def test_the_rooms_of_an_audit_fit_every_size(sample: Desk, cols: int, rows: int) -> None:
    sample.json(*FIXED)
    with in_audit(sample.console(cols, rows)) as term:
        judge(term, "a", r"plan 1/")
        judge(term, "z", r"plan 2/")
        term.send(b"gj")
        term.wait_for(r"take one")
        term.wait_for(r"1 +ok \(nobody said so\)")
        term.send(b"gr")
        term.wait_for(r"alpha +- +no unit was judged by two reviewers")
        term.wait_for(r"judged 2: ok 1 bad 0 unsure 1")
        term.send(b"gd")
        term.wait_for(r"plan 1 +INSUFFICIENT")
        assert max(map(len, term.screen())) <= cols


def test_a_sequential_audit_of_gsm8k_by_keys_ends_as_the_truth_demands(gsm8k: Desk) -> None:
    gsm8k.json("audit", "plan", "--gate", "0.6", "--mode", "sequential", "--seed", "6")
    right = right_answers()
    said: list[bool] = []
    with in_audit(gsm8k.console(120, 40)) as term:
        queue = gsm8k.json("queue", "audit", "--plan", "newest", "--rows", "200")
        starts = [(row["cells"][0], row["position"]) for row in queue["rows"]]
        for start, position in starts:
            truth = [
                is_right for question, is_right in right.items() if question.startswith(start[:120].strip())
            ]
            assert len(truth) == 1, start
            said.append(truth[0])
            wrong = said.count(False)
            judge(term, "a" if truth[0] else "1", rf"plan {position}/1,319 · {wrong} errors? ")
            if "pass" in term.screen()[0]:
                break
        assert 0 < len(said) < 200
        header = term.wait_for(r"audit · plan (\d+)/1,319 · (\d+) errors? · ≤ (\S+) % any time · pass")
        term.wait_for(r"plan 1 passes: the bound")
    told = gsm8k.json("report", "audit")["plans"][0]
    assert (told["judged"], told["errors"], told["verdict"]) == (len(said), said.count(False), "pass")
    assert header.groups() == (f"{told['judged']}", f"{told['errors']}", percent(float(told["bound"])))
    assert gsm8k.json("verify")["sound"]


def test_the_dry_run_teaches_in_80_columns(gsm8k_built: Desk, tmp_path: Path) -> None:
    desk = gsm8k_built.copy_to(tmp_path)
    told = desk.run("audit", "plan", "--gate", "0.02", "--c", "2", "--dry-run")
    assert max(map(len, told.splitlines())) <= 80
    assert "(n = " in told
    assert "< the gate" in told
    assert re.search(r"95 % of the time at an\s+error\s+rate of 0\.\d %", told)
    assert "nothing is locked yet" in told
    desk.close()
