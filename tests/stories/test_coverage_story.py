"""The coverage room: buckets with their shares, samples asked for, a bucket that may stay thin, the way into the audit."""

from __future__ import annotations

import re

from .desk import Desk


def test_a_bucket_is_asked_for_waived_and_opened(sample: Desk) -> None:
    with sample.console(120, 40) as term:
        term.wait_for("support-desk")
        term.send(b"gc")
        term.wait_for(r"coverage by .* missing")
        term.until_quiet()
        term.send(b"+")
        term.wait_for("samples wanted in this bucket")
        term.send(b"a few\r")
        term.wait_for(r"a whole number, not .a few")
        term.send(b"+")
        term.wait_for("samples wanted in this bucket")
        term.send(b"150\r")
        term.wait_for("asked for +150 samples")
        term.send(b"w")
        term.wait_for("may stay thin because")
        term.send(b"nobody writes such\r")
        term.wait_for(r"waived +nobody writes such \(root")
        term.send(b"\r")
        term.wait_for(r"audit · .*filter ")
    (asked,) = sample.json("request")["requests"]
    assert (asked["asked"], asked["about"]) == (150, "coverage")
    (waived,) = sample.json("waive")["waivers"]
    assert (waived["where"], waived["reason"]) == (asked["where"], "nobody writes such")


def test_the_grid_fits_a_small_terminal(sample: Desk) -> None:
    with sample.console(80, 24) as term:
        term.wait_for("support-desk")
        term.send(b"gc")
        term.wait_for(r"coverage by .* missing")
        term.wait_for(r"prod +eval +ours +prod")
        term.until_quiet()
        assert all(len(line) <= 80 for line in term.text().splitlines())


def test_shares_are_plots_in_the_list_and_beside_it_on_any_terminal(sample: Desk) -> None:
    with sample.console(80, 24, NO_COLOR="1") as term:
        term.wait_for("support-desk")
        term.send(b"gc")
        term.wait_for(r"coverage by .* missing")
        term.until_quiet()
        term.send(b"p")
        term.wait_for(r"├─■─┤ ours, ┆ production")
        assert any(re.search(r"\d%  .*[├■].*", line) for line in term.text().splitlines()[2:])
        term.send(b"\r")  # the bucket whole: no room beside the list
        term.wait_for(r"evaluation +█*├?─*■.*%")
        assert all(len(line) <= 80 for line in term.text().splitlines())
        term.send(b" ")
        term.wait_for(r"by .*: ours, ┆ production")
        term.send(b"\r")
        term.wait_for(r"audit · \d+ of \d+ judged")


def test_what_the_student_saw_is_a_key_on_a_sample_and_a_word_for_typed_input(sample: Desk) -> None:
    with sample.console(80, 24) as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r"audit · ")
        term.until_quiet()
        term.send(b"T")
        term.wait_for(r"what did the student see · dataset v\d")
        term.wait_for(r"in the dataset")
        term.send(b"qgc")
        term.wait_for(r"coverage by")
        term.send(b"T")
        term.wait_for("what did the student see of this input")
        term.send(b"quarterly dividends of zinc mines\r")
        term.wait_for("Nothing like it")
        term.send(b"qgx")
        term.wait_for(r"disagreements · ")
        term.until_quiet()
        term.send(b"T")
        term.wait_for("judge it first")
        term.send(b"=")
        term.wait_for("1 of [0-9]+ judged")
        term.until_quiet()
        term.send(b"k")
        term.wait_for(">= +1 ")
        term.until_quiet()
        term.send(b"T")
        term.wait_for(r"what did the student see · dataset v\d")
        term.send(b"qge")
        term.wait_for(r"gate ")
        term.send(b":seen where is my parcel\r")
        term.wait_for(r"what did the student see · dataset v\d")
