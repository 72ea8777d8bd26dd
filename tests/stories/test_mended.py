"""What somebody new to the console stumbled over: refused lines, conflicts of others, counts that differ, words cut."""

from __future__ import annotations

import re

from ..console.pty_harness import Terminal
from .desk import Desk

PLAN = ("audit", "plan", "--gate", "0.4", "--n", "24", "--overlap", "1", "--seed", "3")


def audit(term: Terminal) -> Terminal:
    """The audit queue, everything painted."""
    term.wait_for("support-desk")
    term.send(b"ga")
    term.wait_for(r"> +1 ")
    term.until_quiet(0.3)
    return term


def cursor(term: Terminal) -> tuple[int, int]:
    """Column and row of the reversed cell in the line: where the next letter goes."""
    line = term._screen.buffer[term.rows - 1]
    return next(x for x in range(term.cols) if line[x].reverse), term.rows - 1


# ---- lines that are refused
def test_a_refused_filter_stays_in_its_line_with_the_reason_and_the_cursor_on_the_mistake(
    shown: Desk,
) -> None:
    with audit(shown.console()) as term:
        term.send(b"ftier = vip and tone in calm\r")
        term.wait_for(r"^expected '\('")
        term.wait_for(r"^filter: tier = vip and tone in calm *$")
        term.until_quiet()
        assert cursor(term)[0] == len("filter: tier = vip and tone in ")
        term.send(b"\x7f")  # no way out of the room
        term.wait_for(r"^filter: tier = vip and tone incalm *$")
        term.send(b"\x15\x0btire = vip\r")  # the hub does not know that name
        term.wait_for(r"^no column or metadata key 'tire'\. There are prompt, ")
        term.wait_for(r"^filter: tire = vip *$")
        term.until_quiet()
        assert cursor(term)[0] == len("filter: ")
        assert "0 of 681 judged" in term.screen()[0]
        term.send(b"\x0btier = vip\r")
        term.wait_for(r"\d+ of 681 fit")
        term.wait_for(r"\? help *$")
        term.send(b"f\x15\x0bx in\r")
        term.wait_for(r"^filter: x in *$")
        term.send(b"\x1b")
        term.wait_for(r"\? help *$")
        assert re.search(r"\d+ of 681 fit", term.screen()[0])  # nothing was lost


def test_other_lines_that_are_refused_stay_too(sample: Desk) -> None:
    sample.run("audit", "plan", "--gate", "0.4", "--n", "12")
    with audit(sample.console()) as term:
        for typed, why, left in (
            (b"Osource desc\r", r"^no column 'source'\. There are prompt", r"^sort: source desc *$"),
            (b"P9\r", r"^no plan '9'; P and Enter lists them", r"^plan 1 or all .*: 9 *$"),
            (b":nonsense\r", r"^:nonsense is no command", r"^: nonsense *$"),
            (b"Erows.doc\r", r"^not exported: ", r"^write 12 rows to .*: rows\.doc *$"),
        ):
            term.send(typed)
            term.wait_for(why)
            term.wait_for(left)
            term.send(b"\x1b")
            term.wait_for(r"\? help *$")
        term.send(b"gh")
        term.wait_for(r"✓gate")
        term.until_quiet(0.3)
        term.send(b":2\rr")
        term.wait_for(r"spiritsafe import")
        term.send(b"\x15rm -r x\r")
        term.wait_for(r"^not run: only stages run from here")
        term.wait_for(r"spiritsafe rm -r x *$")
        term.send(b"\x15\x7fgd")
        term.wait_for(r"^decision")
        term.until_quiet(0.3)
        term.send(b":kill\rIt cannot be mended.\rsupport-dsk\r")
        term.wait_for(r"^not decided: the project's name was not typed, which is support-desk")
        term.send(b"\x15support-desk\r")
        term.wait_for(r"^decision · kill on record")


# ---- conflicts
def test_conflicts_are_counted_alike_for_all_and_those_one_still_owes_a_verdict_on_are_held_back(
    sample: Desk,
) -> None:
    who = {name: sample.json("--as", name, "whoami")["signs_as"] for name in ("ann", "bob", "cid")}
    sample.run(*PLAN, *(word for name in who.values() for word in ("--reviewers", name)))
    shares = {
        name: [
            row["subject"]
            for row in sample.json("--as", name, "queue", "audit", "--plan", "newest", "--rows", "99")["rows"]
        ]
        for name in who
    }
    for subject in shares["ann"]:
        sample.run("--as", "ann", "verdict", "audit", subject, "unsure")
    of_all, owed = len(shares["ann"]), len(set(shares["ann"]) & set(shares["bob"]))
    free = of_all - owed
    assert free > 2
    assert owed > 1
    assert sample.json("--as", "ann", "queue", "adjudicate")["length"] == 0  # each is hers
    listed = {row["subject"] for row in sample.json("--as", "bob", "queue", "adjudicate")["rows"]}
    assert listed == set(shares["ann"]) - set(shares["bob"])
    with sample.console(80, 24, "--as", "ann", "console", "--screen", "adjudicate") as term:
        term.wait_for(
            rf"^adjudicate · 0 of {of_all} settled, for good · {of_all} for others: your verdict is in them"
        )
        term.wait_for(rf"^{of_all} conflicts in which you gave a verdict: somebody else settles them")
    with sample.console(80, 24, "--as", "bob", "console", "--screen", "adjudicate") as term:
        head = rf"of {of_all} settled, for good · {owed} more after your own verdict"
        term.wait_for(rf"^adjudicate · 0 {head}")
        term.wait_for("take one")
        term.until_quiet(0.3)
        term.send(b":2\r")  # the second first
        term.wait_for(rf"2/{free}|take one")
        term.until_quiet(0.3)
        term.send(b"1")
        term.wait_for(rf"^adjudicate · 1 {head}")
        term.until_quiet(0.3)
        term.send(b":1\r")
        term.until_quiet(0.3)
        term.send(b"1")  # the cursor passes over what is settled, to the third
        term.wait_for(rf"^adjudicate · 2 {head}")
        term.wait_for(r"row 1 settled: ok")
        term.until_quiet(0.3)
        term.send(b"1")
        term.wait_for(r"row 3 settled: ok")
        for done in range(4, free + 1):
            term.until_quiet(0.3)
            term.send(b"1")
            term.wait_for(rf"row {done} settled: ok")
        term.until_quiet(0.3)
        term.send(b"1")  # a held key settles nothing twice
        term.wait_for(r"it is judged: move")
    settled = sample.json("sql", "select count(*) from event where kind = 'adjudicate'")["rows"]
    assert settled == [[free]]
    with sample.console(80, 24, "--as", "cid", "console", "--screen", "adjudicate") as term:
        term.wait_for(rf"^adjudicate · {free} of {of_all} settled")


# ---- who is here
def test_whoever_looks_at_a_sheet_or_the_ledger_is_here_too(sample: Desk) -> None:
    def here() -> list[str]:
        return [there["screen"] for there in sample.json("here", "--as", "cid")["here"]]

    with sample.console(80, 24, "--as", "ann") as term:
        term.wait_for(r"✓gate")
        for letter, header in (
            ("h", "✓gate"),
            ("r", "^reviewers"),
            ("d", "^decision"),
            ("l", "^ledger"),
            ("j", "^adjud"),
        ):
            term.send(f"g{letter}".encode())
            term.wait_for(header)
            term.until_quiet(0.8)
            place = {"h": "home", "r": "reviewers", "d": "decision", "l": "ledger", "j": "adjudicate"}[letter]
            assert here() == [place]
        term.send(b"\x11")
        term.wait()
    assert here() == []


# ---- one count, one meaning
def test_home_and_decision_say_which_verdicts_they_count_and_which_grid_they_show(sample: Desk) -> None:
    sample.run("verdict", "audit", "1", "ok")
    sample.run("verdict", "audit", "2", "ok")
    sample.run("verdict", "disagreements", "1", "left")
    with sample.console() as term:
        term.wait_for(r"· 3 verdicts \(2 of the audit\) ·")
        run = term.wait_for(r"✓coverage .* · run \d+ \(gc: the dataset's, run (\d+)\)")[1]
        term.send(b"gd")
        term.wait_for(r"audit +2 verdicts in ga by 1 reviewer")
        term.send(b"gc")
        term.wait_for(
            rf"^coverage by route × channel × tier · run {run} \(dataset\) · \d+ missing, \d+ thin of \d+"
        )


def test_the_words_above_the_ledger_are_those_of_its_filter(sample: Desk) -> None:
    sample.run("--as", "ann", "verdict", "audit", "1", "ok")
    with sample.console() as term:
        term.wait_for("✓gate")
        term.send(b"gl")
        head = term.wait_for(r"^ +(event +time +actor +kind +payload) *$")[1].split()
        term.until_quiet(0.3)
        term.send(b"factor = 'root/ann' and kind = verdict and event > 1 and time ~ '20' and payload ~ ok\r")
        term.wait_for(r"^ledger · 1 of \d+ fit")
        for name in head:
            term.send(f"O\x15{name} desc\r".encode())
            term.wait_for(rf"sort {name} desc")
    columns = (120, 24)
    with sample.console(*columns, "console", "--screen", "ledger") as term:
        term.wait_for(r"^ +event time +actor +kind +payload")
        term.wait_for(r"^> +\d+ 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d root/ann +verdict +\{")


# ---- what is listed fits
def test_what_tab_lists_stands_above_the_line_where_it_does_not_fit_behind_it(shown: Desk) -> None:
    with audit(shown.console()) as term:
        term.send(b"f\t")
        term.wait_for(r"^prompt  text  reference")
        term.wait_for(r"^filter: *$")
        names = " ".join(term.screen()[-4:-1])
        assert all(name in names.split() for name in ("tokens", "tier", "slice", "len("))
        term.send(b"to\t")  # what fits stands behind the text
        term.wait_for(r"^filter: to +tokens  tone *$")
        assert "reference" not in "\n".join(term.screen()[-4:])
        term.send(b"\x1b")
        term.wait_for(r"^a ok .* f filter .*g… go  u undo  \? help *$|^a ok .*g… go .*\? help *$")


# ---- headless
def test_the_gate_and_the_evaluation_are_read_as_tables_worst_first(shown: Desk) -> None:
    told = shown.run("report", "gate")
    assert max(map(len, told.splitlines())) <= 80
    rows = [line for line in told.splitlines() if re.search(r" (FAIL|INSUFFICIENT|PASS) ", line)]
    verdicts = [re.search(r"FAIL|INSUFFICIENT|PASS", row)[0] for row in rows]  # type: ignore[index]
    assert verdicts == sorted(verdicts, key=["FAIL", "INSUFFICIENT", "PASS"].index)
    assert re.search(r"^all \* +FAIL +194/270 +235/270 +-0\.1519 +-0\.2013 +-0\.03$", told, re.MULTILINE)
    assert "at best -0.1040, below the bar" in told
    told = shown.run("report", "evaluation")
    assert max(map(len, told.splitlines())) <= 80
    assert re.search(r"desk-student \(student\) +194/270 +0\.7185 +0\.6621 to 0\.7688", told)
    assert told.index("majority") < told.index("desk-teacher (teacher)")
    assert "FAIL" in told
    assert shown.json("report", "gate")["gate"]["judgement"] == "fail"


def test_a_row_is_shown_by_its_number_its_id_or_an_option(shown: Desk) -> None:
    third = shown.json("show", "audit", "3", "--filter", "tier = vip")
    assert third == shown.json("show", "audit", "--filter", "tier = vip", "--row", "3")
    assert third["position"] == 2
    assert shown.json("show", "audit", third["subject"])["subject"] == third["subject"]
    assert shown.json("show", "audit")["position"] == 0
    shown.run("show", "audit", "3", "--at", "3", code=2)
    shown.run("show", "audit", "9999", code=3)


def test_a_plan_of_flags_that_do_not_go_together_is_a_mistake_of_usage(shown: Desk) -> None:
    for words in (("--by", "tier"), ("--overlap", "0.2"), ("--n", "9", "--c", "1")):
        shown.run("audit", "plan", "--gate", "0.2", *words, code=2)


def test_a_census_is_a_step_and_keeps_no_reserve(shown: Desk) -> None:
    told = shown.run("audit", "plan", "--gate", "0.02", "--n", "9999", "--dry-run")
    assert "Nothing is drawn, so the verdict is exact" in " ".join(told.split())
    assert re.search(r"^up to 1\.92 % \(13 of 677\) +100 %  #+$", told, re.MULTILINE)
    assert re.search(r"^from 2\.07 % \(14 of 677\) +0 %  < the gate$", told, re.MULTILINE)
    assert "0 in reserve" in told
    assert max(map(len, told.splitlines())) <= 80
    assert "at most 5 %" not in told


def test_keys_that_came_too_early_are_said_without_waiting_for_the_next_verdict(sample: Desk) -> None:
    with audit(sample.console()) as term:
        term.send(b"a")
        term.wait_for(r"^judged from the list")
        term.send(b"j")
        term.wait_for(r"\? help *$")
        term.until_quiet(0.3)
        term.send(b"a" * 11)
        term.wait_for(r"^\d+ keys? came too early and judged nothing")
        told = int(term.wait_for(r"^(\d+) keys? came")[1])
        assert len(sample.verdicts()) + told == 12
