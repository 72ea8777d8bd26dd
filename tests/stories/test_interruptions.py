"""What must not be lost: held keys, dropped lines, killed consoles and killed hubs."""

from __future__ import annotations

import os
import re
import signal

from .desk import Desk


def test_a_held_key_judges_only_what_was_on_the_screen(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r"> +1 ")
        term.until_quiet()
        term.send(b"a" * 30)  # thirty repeats in one packet: the reviewer saw one sample
        term.wait_for(r"1 of 681 judged")
        term.until_quiet()
        judged = int(re.search(r"([\d,]+) of 681 judged", term.text())[1])
        assert judged == 1
        term.send(b"z")
        term.wait_for(r"2 of 681 judged .* 29 keys too early")
    assert [row[1] for row in sample.verdicts()] == ["ok", "unsure"]


def test_after_a_dropped_line_the_next_start_goes_on_where_we_were(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r"> +1 ")
        term.send(b":17\r")
        term.wait_for(r"> +17 ")
        term.until_quiet()
        os.kill(term.pid, signal.SIGHUP)
        term.wait()
    with sample.console() as term:
        term.wait_for(r"resumed at 17 of 681")
        term.wait_for(r"> +17 ")


def test_a_closed_terminal_is_a_dropped_line(sample: Desk) -> None:
    term = sample.console()
    term.wait_for("support-desk")
    term.send(b"ga")
    term.wait_for(r"> +1 ")
    term.send(b"ftier = vip\r")
    term.wait_for(r"filter tier = vip")
    term.send(b":9\r")
    term.wait_for(r"> +9 ")
    term.until_quiet()
    os.close(term.fd)
    os.waitpid(term.pid, 0)
    with sample.console() as again:
        again.wait_for(r"resumed at 9 of \d+, filter tier = vip")


def test_a_killed_console_keeps_every_verdict_and_the_place(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for("support-desk")
        term.send(b"ga")
        term.wait_for(r"> +1 ")
        for n in range(1, 4):
            term.until_quiet()
            term.send(b"2")
            term.wait_for(rf"{n} of 681 judged")
        term.until_quiet()
        os.kill(term.pid, signal.SIGKILL)
        term.wait()
    assert [row[1:3] for row in sample.verdicts()] == [("bad", 2)] * 3
    with sample.console() as term:
        term.wait_for(r"3 of 681 judged")
        term.wait_for(r"> +4 ")


def test_a_killed_hub_comes_back_and_the_queue_goes_on_at_the_same_place(sample: Desk) -> None:
    with sample.console() as term:
        term.wait_for("support-desk")
        term.send(b"gx")
        term.wait_for(r"disagreements · 0 of")
        term.send(b"ga:40\r")  # typed ahead of the room and its queue
        term.wait_for(r"> +40 ")
        term.until_quiet()
        term.send(b"a")
        term.wait_for(r"1 of 681 judged")
        term.until_quiet()
        os.kill(sample.hub_pid(), signal.SIGKILL)
        for n in (2, 3, 4):
            term.send(b"3")
            term.wait_for(rf"{n} of 681 judged")
            term.until_quiet(0.3)
        term.wait_for(r"> +44 ")
        term.send(b"gx")  # its queue is gone, too
        term.wait_for(r"disagreements · 0 of \d+ judged")
        term.until_quiet()
        term.send(b"=")
        term.wait_for(r"disagreements · 1 of \d+ judged")
    found = [row[:3] for row in sample.verdicts()]
    assert found == [("audit", "ok", None), *[("audit", "bad", 3)] * 3, ("disagreements", "both", None)]
    assert sample.json("verify")["sound"]
