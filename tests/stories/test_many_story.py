"""Many samples at once: marked, judged, named, found by likeness, taken away; and who else is at it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..console.pty_harness import Terminal
from .desk import ESCAPES, SPIRITSAFE, Desk
from .test_sample_story import assert_fits

ROWS = 681


@contextmanager
def audit(desk: Desk, cols: int = 80, rows: int = 24, *words: str) -> Iterator[Terminal]:
    """The audit queue, everything painted."""
    with desk.console(cols, rows, "console", "--screen", "audit", *words) as term:
        term.wait_for(r"[>»].? +\d+ \S")
        term.until_quiet(0.3)
        yield term


def marked(term: Terminal) -> list[int]:
    """Numbers of the rows in sight that show as marked."""
    return [int(m[1].replace(",", "")) for m in re.finditer(r"^[•»].? *([\d,]+) ", term.text(), re.MULTILINE)]


def bulk(desk: Desk) -> list[tuple[str, int | None, int]]:
    """Verdict, reason and number of samples of what was said in bulk and is in force."""
    sql = "select verdict, reason, count(*) from current_verdict where bulk group by all order by all"
    return [tuple(row) for row in desk.json("sql", sql)["rows"]]


def refused(desk: Desk, code: int, *words: str) -> dict[str, str]:
    """What a refused command says on standard error, as JSON."""
    env = {k: v for k, v in os.environ.items() if k not in ESCAPES} | desk.env
    done = subprocess.run(
        [*SPIRITSAFE, *words, "--json"], env=env, cwd=desk.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    told: dict[str, str] = json.loads(done.stderr)
    return told


# ---- marks and ranges
@pytest.mark.parametrize(("cols", "rows"), [(80, 24), (120, 40), (60, 15)])
def test_rows_are_marked_one_by_one_and_by_range_beside_their_verdicts(
    sample: Desk, cols: int, rows: int
) -> None:
    with audit(sample, cols, rows) as term:
        term.send(b"a")
        term.wait_for(r">.? +2 ")
        term.until_quiet()
        term.send(b"km")
        term.wait_for(r"^»a +1 ")
        term.wait_for(r"1 marked")
        term.send(b":4\rvjj")
        term.wait_for(r"^».? +6 ")
        assert marked(term) == [1, 4, 5, 6]
        term.send(b"k")
        term.wait_for(r"^».? +5 ")
        term.until_quiet()
        assert marked(term) == [1, 4, 5]
        term.send(b"v")
        term.wait_for(r"3 marked")
        term.send(b"m")
        term.wait_for(r"2 marked")
        assert marked(term) == [1, 4]
        assert_fits(term)
        term.send(b":unmark\r")
        term.until_quiet()
        assert marked(term) == []
        assert "marked" not in term.screen()[0]


def test_a_mark_costs_160_bytes_in_the_list(shown: Desk) -> None:
    with audit(shown) as term:
        term.keys("j k")
        costs = [term.bytes_for(key, quiet=0.25) for key in ("m", "m", "m", "j", "m", "v", "j", "j", "v")]
        assert max(costs) <= 160, costs


def test_escape_drops_a_range_that_was_begun_and_nothing_else(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b"mjjvjj")
        term.wait_for(r"^».? +5 ")
        assert marked(term) == [1, 3, 4, 5]
        term.send(b"\x1b")
        term.wait_for(r"^>.? +5 ")
        term.until_quiet()
        assert marked(term) == [1]


def test_marks_survive_paging_and_the_session_but_no_other_filter(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b"m:300\rmG")
        term.wait_for(r"2 marked")
        term.wait_for(rf"^>.? +{ROWS} ")
        term.send(b"gg")
        term.wait_for(r"^».? +1 ")
        term.until_quiet()
        term.send(b"q")
        term.wait_for("support-desk")
        term.send(b"q")
        assert term.wait() == 0
    with audit(shown) as term:
        term.wait_for(r"2 marked")
        assert marked(term) == [1]
        term.send(b"ftier = vip\r")
        term.wait_for(r"2 marks dropped")
        term.until_quiet()
        assert marked(term) == []
        term.send(b"f\x15\r")
        term.wait_for(rf"of {ROWS} judged")
        term.until_quiet()
        assert marked(term) == []


def test_marks_are_dropped_where_the_same_positions_are_other_samples_by_now(sample: Desk) -> None:
    with audit(sample) as term:
        term.send(b"fnot reviewed\r")
        term.wait_for(r"filter not reviewed")
        term.until_quiet()
        term.send(b":3\rm")
        term.wait_for(r"1 marked")
        term.send(b"r")
        term.until_quiet(0.5)
        assert marked(term) == [3]  # the very same rows
        term.send(b":1\r")
        term.wait_for(r"^>.? +1 ")
        term.until_quiet()
        term.send(b"a")
        term.wait_for(r"1 of 681 judged")
        term.until_quiet()
        term.send(b"r")
        term.wait_for(r"1 mark dropped")
        term.until_quiet()
        assert marked(term) == []


# ---- one verdict on many
def test_a_bulk_verdict_wants_its_count_typed_and_one_undo_takes_all_of_it_back(sample: Desk) -> None:
    count = sample.json("queue", "audit", "--filter", "tier = vip")["length"]
    with audit(sample, 120, 40) as term:
        term.send(b"ftier = vip\r")
        term.wait_for(rf"of {count} judged")
        term.until_quiet()
        term.send(b"a")
        term.wait_for(rf"1 of {count} judged")
        term.until_quiet()
        term.send(b"B")
        term.wait_for(rf"one verdict on all {count} rows here \(a ok, 1–9 bad, z unsure\)")
        term.send(b"5\r")
        term.wait_for(rf"bad 5 on {count - 1} samples unread, for no audit plan; type {count - 1}:")
        assert_fits(term)
        term.send(f"{count}\r".encode())
        term.wait_for(rf"nothing was judged: you typed {count}, not {count - 1}")
        assert bulk(sample) == []
        term.send(b"\x15\x7fB")
        term.wait_for(r"one verdict")
        term.send(b"5\r")
        term.wait_for(r"type \d+:")
        term.send(f"{count - 1}\r".encode())
        term.wait_for(rf"bulk bad 5 on {count - 1} samples; u takes all of it back")
        term.wait_for(rf"{count} of {count} judged .*ok 1 bad {count - 1}")
        assert bulk(sample) == [("bad", 5, count - 1)]
        term.send(b"u")
        term.wait_for(rf"undid bulk bad 5 on {count - 1} samples")
        term.wait_for(rf"1 of {count} judged .*ok 1 bad 0")
        assert bulk(sample) == []
        term.send(b"\x12")
        term.wait_for(rf"redid bulk bad 5 on {count - 1} samples")
    assert bulk(sample) == [("bad", 5, count - 1)]
    said = "select payload->>'selection' from event where kind = 'verdicts'"
    assert sample.json("sql", said)["rows"] == [["tier = vip"]]


def test_a_bulk_verdict_is_on_the_marked_rows_where_there_are_any(sample: Desk) -> None:
    with audit(sample) as term:
        term.send(b"mjjvjjv")
        term.wait_for(r"4 marked")
        term.send(b"B")
        term.wait_for(r"one verdict on 4 marked rows")
        term.send(b"a\r")
        term.wait_for(r"ok on 4 samples")
        term.send(b"4\r")
        term.wait_for(r"bulk ok on 4 samples")
        term.wait_for(rf"4 of {ROWS} judged")
        term.until_quiet()
        assert [line[1:5] for line in term.screen()[2:7]] == ["a  1", "   2", "a  3", "a  4", "a  5"]
        assert marked(term) == []


def test_every_row_is_judged_only_where_the_word_all_was_typed(sample: Desk) -> None:
    with audit(sample) as term:
        for word in (b"", b"yes", b"5"):
            term.send(b"B")
            term.wait_for(r"type all to judge every row")
            term.send(word + b"\r")
            term.wait_for(r"nothing was judged")
        term.send(b"B")
        term.wait_for(r"type all")
        term.send(b"all\r")
        term.wait_for(rf"one verdict on all {ROWS} rows")
        term.send(b"7 \r")
        term.wait_for(r"bad 7 on 677 samples")  # four answers came twice
        term.send(b"\x1b")
        term.wait_for(r"\? help *$")
        term.until_quiet()
        term.send(b"B")
        term.wait_for(r"type all")
        term.send(b"all\r")
        term.wait_for(r"one verdict")
        term.send(b"left\r")
        term.wait_for(r"nothing was judged: 'left' is none of")
    assert bulk(sample) == []


def test_keys_typed_ahead_of_the_count_judge_no_single_sample(sample: Desk) -> None:
    with audit(sample) as term:
        term.send(b"mB5\r1\r")
        term.until_quiet(0.8)
    assert [v for v in sample.verdicts() if v[1] != "bad" or v[2] != 5] == []


def test_pairs_and_disagreements_are_judged_in_bulk_as_far_as_that_makes_sense(sample: Desk) -> None:
    with sample.console(80, 24, "console", "--screen", "duplicates") as term:
        term.wait_for(r"> +1 ")
        term.send(b"fjaccard = 1\r")
        term.wait_for(r"\d+ of \d+ fit")
        term.until_quiet()
        term.send(b"B")
        term.wait_for(r"\(a keep, n distinct\)")
        term.send(b"n\r")
        count = term.wait_for(r"distinct on (\d+) pairs")[1]
        term.send(f"{count}\r".encode())
        term.wait_for(rf"bulk distinct on {count} pairs")
        term.send(b"gx")
        term.wait_for(r"disagreements · 0 of \d+ judged")
        term.until_quiet()
        term.send(b"mB")
        term.wait_for(r"\(= both, 1–9 neither\)")
        term.send(b"<\r")
        term.wait_for(r"nothing was judged: '<' is none of")
    assert bulk(sample) == [("distinct", None, int(count))]


# ---- slices
def test_a_filter_is_saved_under_a_name_offered_and_listed(sample: Desk) -> None:
    with audit(sample, 120, 40) as term:
        term.send(b"S")
        term.wait_for(r"nothing is filtered")
        term.send(b"flen(prompt) > 200\r")
        term.wait_for(r"fit")
        term.until_quiet()
        term.send(b"S")
        term.wait_for(r"save the filter .* as slice:")
        term.send(b"VIP\r")
        term.wait_for(r"the slice 'VIP' is the contract's and cannot be replaced")
        term.send(b"\x05\x15long ones\r")  # the line stayed open for another name
        term.wait_for(r"saved; slice = 'long ones' filters by it")
        length = int(term.wait_for(r"0 of (\d+) judged")[1])
        term.send(b"f")
        term.wait_for(r"^filter:")
        term.send(b"\x15")
        term.send(b"slice = 'lo")
        for _ in range(50):  # the values that completion offers are asked for when the line opens
            term.send(b"\t")
            term.until_quiet(0.2)
            if "'long ones'" in term.screen()[-1]:
                break
        term.send(b" and tier = vip\r")
        term.wait_for(r"slice = 'long ones' and tier = vip")
        term.wait_for(r"of \d+ judged")
        term.send(b":slices\r")
        term.wait_for(rf"long ones +\S+ +{length} samples")
        term.wait_for(r"VIP +the contract +\d+ samples")
        assert_fits(term)


def test_slices_headless(sample: Desk) -> None:
    sample.run("slice", "save", "long", "--filter", "len(prompt) > 200")
    rows = {row["name"]: row for row in sample.json("slice", "list")["slices"]}
    assert rows["VIP"]["by"] == "the contract"
    found = sample.json("queue", "audit", "--filter", "slice = long")
    assert rows["long"]["samples"] == found["length"] > 0
    assert "saved a slice" in refused(sample, 3, "slice", "save", "long", "--filter", "tier = vip")["what"]
    sample.run("slice", "save", "long", "--filter", "tier = vip", "--replace")
    assert "the contract's" in refused(sample, 4, "slice", "save", "VIP", "--filter", "tier = free")["what"]
    round_ = refused(sample, 3, "slice", "save", "long", "--filter", "slice = long", "--replace")
    assert "circle" in round_["what"]
    assert "no slice" in refused(sample, 3, "queue", "audit", "--filter", "slice = nobody")["what"]
    sample.run("slice", "drop", "long")
    assert "no saved slice" in refused(sample, 3, "slice", "drop", "long")["what"]


# ---- export
def test_the_rows_shown_are_written_in_their_order_and_marked_ones_alone(sample: Desk) -> None:
    with audit(sample, 200, 60) as term:
        term.send(b"ftier = vip\r")
        term.wait_for(r"filter tier = vip")
        term.send(b"Olen(output) desc\r")
        term.wait_for(r"sort len")
        term.until_quiet()
        term.send(b"E")
        count = int(term.wait_for(r"write (\d+) rows to")[1])
        term.send(b"\t")
        term.wait_for(r"support-desk-audit\.")
        term.send(b"\x15vips.js\t\r")
        term.wait_for(rf"{count} rows, .*kB: {re.escape(str(sample.folder))}")
        term.send(b"mjm")
        term.wait_for(r"2 marked")
        term.send(b"E")
        term.wait_for(r"m the 2 marked")
        term.send(b"\r")
        term.wait_for(r"write 2 rows to")
        term.send(b"vips.jsonl\r")
        term.wait_for(r"vips.jsonl is there; type its name again")
        term.send(b"no\r")
        term.wait_for(r"stays as it is")
        term.send(b"Em\r")
        term.wait_for(r"write 2 rows to")
        term.send(b"two.csv\r")
        term.wait_for(r"2 rows, ")
    rows = [json.loads(line) for line in (sample.folder / "vips.jsonl").read_text().splitlines()]
    assert len(rows) == count
    assert {row["metadata"]["tier"] for row in rows} == {"vip"}
    lengths = [len(row["output"]) for row in rows]
    assert lengths == sorted(lengths, reverse=True)
    assert {row["model"] for row in rows} == {None}
    twin = sample.folder / "twin.jsonl"
    sample.run("queue", "audit", "--filter", "tier = vip", "--sort", "len(output) desc", "--to", str(twin))
    assert twin.read_bytes() == (sample.folder / "vips.jsonl").read_bytes()
    assert (sample.folder / "two.csv").read_text().splitlines()[1].startswith("1,")


def test_an_export_can_be_stopped_and_leaves_nothing(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b"Eall.parquet\rx")
        term.wait_for(r"the export was stopped; nothing was written|681 rows, ")
        stopped = "stopped" in term.text()
    assert list(shown.folder.glob("*.parquet")) == [] or not stopped
    assert list(shown.folder.glob(".*.part")) == []


def test_leaving_in_the_middle_of_an_export_leaves_no_half_a_file(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b"Eall.csv\r:quit\r")
        assert term.wait() == 0
    assert list(shown.folder.glob(".*.part")) == []


# ---- similar
def test_similar_samples_are_one_key_away_and_one_key_back(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b":17\rm")
        term.wait_for(r"^».? +17 ")
        term.until_quiet()
        term.send(b"s")
        term.wait_for(r"similar to row 17")
        term.wait_for(r"^>.? +1 ")
        assert "marked" not in term.text()
        term.until_quiet()
        term.send(b"q")
        term.wait_for(r"^».? +17 ")
        term.wait_for(r"1 marked")
        assert "similar" not in term.screen()[0]
        term.send(b":similar where is my refund\r")
        term.wait_for(r"similar to “where is my refund”")
        term.until_quiet()
        term.send(b"\x7f")
        term.wait_for(r"^».? +17 ")


def test_similar_samples_of_a_disagreement_lead_back_to_it(shown: Desk) -> None:
    with shown.console(80, 24, "console", "--screen", "disagreements") as term:
        term.wait_for(r"> +1 ")
        term.send(b":5\r")
        term.wait_for(r"> +5 ")
        term.until_quiet(0.4)
        term.send(b"s")
        term.wait_for(r"similar to disagreements row 5")
        term.until_quiet()
        term.send(b"q")
        term.wait_for(r"> +5 ")
        term.send(b"ga")
        term.wait_for(rf"0 of {ROWS} judged")
        assert "similar" not in term.screen()[0]


# ---- company
def test_two_reviewers_see_each_other_by_name_and_nothing_that_was_judged(sample: Desk) -> None:
    with audit(sample, 120, 40, "--as", "ann") as ann, audit(sample, 120, 40, "--as", "bob") as bob:
        bob.wait_for(r"also here: ann")
        ann.until_quiet(0.3)
        ann.send(b"a;needs a look\r")
        ann.wait_for(r"comment recorded")
        ann.send(b"k")
        bob.send(b"j")
        bob.wait_for(r">.? +2 ")
        bob.send(b"k")
        bob.wait_for(r">.? +1 ")
        bob.until_quiet(0.5)
        assert "needs a look" not in bob.text()
        assert sample.json("here", "--as", "cid")["here"] == [
            {"who": f"root/{name}", "screen": "audit"} for name in ("ann", "bob")
        ]
        bob.send(b"2")
        bob.wait_for(r"1 of 681 judged")
        bob.until_quiet()
        bob.send(b"kk")
        bob.wait_for(r">2 +1 ")
        bob.wait_for(r"root/ann: ok")
        ann.send(b"gh")
        ann.wait_for(r"✓gate")
        ann.until_quiet(0.5)
        assert sample.json("here", "--as", "cid")["here"] == [
            {"who": "root/ann", "screen": "home"}, {"who": "root/bob", "screen": "audit"}
        ]  # fmt: skip
        bob.send(b"q")
        bob.wait_for("support-desk")
        bob.send(b"q")
        assert bob.wait() == 0
        assert [there["who"] for there in sample.json("here", "--as", "cid")["here"]] == ["root/ann"]


def test_new_rows_are_told_of_while_one_works_and_r_reads_them(sample: Desk) -> None:
    with audit(sample) as term:
        more = sample.folder / "more.jsonl"
        more.write_text("".join(json.dumps({"q": f"late {i}", "a": "so"}) + "\n" for i in range(3)))
        sample.run("import", str(more), "--prompt", "q", "--output", "desk-teacher=a", "--split", "train")
        before = len(term.raw)
        term.until_quiet(1.0, limit=1.0)
        assert len(term.raw) == before  # idle
        term.send(b"?")  # a page over the room, and back: activity after a while
        term.wait_for("q closes")
        term.send(b"q")
        term.wait_for(r"\+3 new, r reads them")
        term.send(b"r")
        term.wait_for(rf"of {ROWS + 3} judged")
        term.until_quiet()
        assert "new, r" not in term.screen()[0]


# ---- headless
def test_a_headless_bulk_verdict_names_its_number_or_does_nothing(sample: Desk) -> None:
    words = ("verdict", "audit", "all", "bad", "--reason", "5", "--filter", "tier = vip")
    told = refused(sample, 4, *words, "--bulk", "3")
    count = int(re.match(r"(\d+) samples would be judged, not 3", told["what"])[1])
    assert bulk(sample) == []
    assert sample.json(*words, "--bulk", str(count))["judged"] == count
    assert bulk(sample) == [("bad", 5, count)]
    assert sample.json(*words, "--bulk", "0")["judged"] == 0  # all are judged by now
    was = sample.json("undo")["was"]
    assert (was["what"], was["subjects"]) == (f"bulk bad 5 on {count} samples", count)
    assert sample.json("verdict", "audit", "3-5,9", "ok", "--bulk", "4")["judged"] == 4
    assert [row["mark"] for row in sample.json("queue", "audit", "--rows", "5")["rows"]] == [
        "",
        "",
        "a",
        "a",
        "a",
    ]
    assert "--bulk" in refused(sample, 2, "verdict", "audit", "all", "ok")["what"]
    assert (
        "one at a time"
        in refused(sample, 3, "verdict", "disagreements", "all", "left", "--bulk", "9")["what"]
    )
    assert "no rows" in refused(sample, 3, "verdict", "audit", "1-9999", "ok", "--bulk", "9")["what"]


def test_similar_headless_lists_as_a_queue_does(sample: Desk) -> None:
    by_row = sample.json("similar", "17", "--rows", "3")
    one = sample.json("show", "audit", "--at", "17")
    assert by_row["rows"] == sample.json("similar", one["subject"], "--rows", "3")["rows"]
    assert len(by_row["rows"]) == 3
    assert one["subject"] not in [row["subject"] for row in by_row["rows"]]  # nothing is like itself
    words = one["prompt"]["text"]
    assert sample.json("similar", words, "--rows", "1")["rows"][0]["subject"] == one["subject"]
    refunds = sample.json("similar", words, "--filter", "route = refund", "--rows", "20")["rows"]
    assert refunds
    assert all("refund" in row["cells"][1] for row in refunds[:5])


def test_a_hangup_in_the_middle_of_a_selection_keeps_the_marks(shown: Desk) -> None:
    with audit(shown) as term:
        term.send(b":7\rm")
        term.wait_for(r"1 marked")
        term.until_quiet(0.3)
        os.kill(term.pid, signal.SIGHUP)
        assert term.wait() == 129
    with audit(shown) as term:
        term.wait_for(r"^».? +7 ")
        term.wait_for(r"1 marked")


def test_a_file_named_in_the_console_lies_where_it_says(shown: Desk) -> None:
    with audit(shown, 200, 60) as term:
        term.send(b"mE")
        term.wait_for(r"m the 1 marked")
        term.send(b"\rone.openai.jsonl\r")
        path = Path(term.wait_for(r"1 row, .*: (/\S+one\.openai\.jsonl)")[1])
    assert path == shown.folder / "one.openai.jsonl"
    assert json.loads(path.read_text())["messages"][-1]["role"] == "assistant"
