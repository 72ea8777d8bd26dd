"""What models wrote never reaches the terminal as anything but text."""

from __future__ import annotations

import json
import unicodedata

from rich.cells import cell_len

from .desk import Desk

CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8=\x07"
TEXTS = (
    "plain",
    "\x1b[2J\x1b[31mred\x1b[0m and \x9b31m",
    CLIPBOARD,
    "\x1bPtmux;\x1b" + CLIPBOARD + "\x1b\\",
    "file \u202egpj.exe\u202c \u2066isolated\u2069",
    "zero\u200bwidth\u200djoin\u2060er\ufeff",
    "nul \x00 bell \x07 back \x08 delete \x7f return \r over",
    "x" * 1_000_000,
    "wide 漢字かな交じり文 emoji 👩‍👩‍👧 flag 🇩🇪 combining e\u0301\u0323" + "\u0301" * 60,
    "עברית وعربي right to left",
    "tab\tseparated\tand\ttab",
    "line\u2028separator\u2029paragraph\x85next",
)
NEVER = (b"\x1b]52", b"\x1b[2J\x1b[31m", b"\x1bPtmux", b"\x07", b"\x08", b"\x00", b"\x7f", b"\x1b[31mred")
POINTER = b"\x1b]22;default\x07"  # Textual's own, at the start: the shape of the mouse pointer
NEVER_TEXT = "\u202e\u202c\u2066\u2069\u200b\u200d\u2060\ufeff\u2028\u2029\x85\x9b"


def hostile_store(desk: Desk) -> None:
    rows = [
        json.dumps({"id": str(i), "q": f"{i} {text}", "a": text, "b": f"{text}!", "meta": text[:300]})
        for i, text in enumerate(TEXTS)
    ]
    (desk.folder / "rows.jsonl").write_text("\n".join(rows))
    desk.run(
        "import", "--retrospective", "hostile", "rows.jsonl", "--prompt", "q", "--output", "t=a", "--output", "s=b",
        "--meta", "note=meta", "--teacher", "t", "--student", "s",
    )  # fmt: skip


def test_no_escape_mark_or_override_of_a_text_reaches_the_terminal(bare: Desk) -> None:
    hostile_store(bare)
    with bare.console(120, 40) as term:
        term.wait_for("hostile")
        down = [b"j"] * len(TEXTS)
        for keys in (b"ga", *down, b"\r", b"t", b"t", b"t", b"t", b" ", b"q", b"gg", b"\r", *down):
            term.send(keys)
            term.until_quiet(0.08)
            for line in term.screen():
                assert cell_len(line) <= 120, line
        term.send(b"a")
        term.wait_for(r"1 of 12 judged")
        # our own frames hold CSI sequences, the cursor query and text: nothing else
        raw = bytes(term.raw).replace(POINTER, b"")
        for sequence in NEVER:
            assert sequence not in raw, sequence
        text = raw.decode(errors="replace")
        assert not [c for c in NEVER_TEXT if c in text]
        shown = {c for line in term.screen() for c in line if unicodedata.category(c) in ("Cc", "Cf")}
        assert not shown


def test_hostile_text_in_plain_output_is_harmless_too(bare: Desk) -> None:
    hostile_store(bare)
    told = bare.run("console", "--plain")
    assert not [c for c in told if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
