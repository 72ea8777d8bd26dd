"""What is wrong with a page (a contract, the standards), and what it takes, as text for 80 columns. No Textual."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from console.output import emit
from console.text import counted, visible

WIDE = 79


def say(options: Any, told: Mapping[str, Any]) -> int:
    """What a check found: JSON where it is asked for, else a line for each finding, led by file and line. Returns 0."""
    if options.json:
        return emit(options, told)
    problems, advice = told.get("problems", []), told.get("advice", [])
    lines = []
    if problems:
        lines += [counted(len(problems), "problem"), *_findings(problems)]
    else:
        lines += ["nothing keeps it from being locked; its hash would be", told["hash"]]
    for bar in told.get("bars", []):
        likely = f", {bar['likely']:,} to pass a good one" if bar["likely"] else ""
        critical = " (critical)" if bar["critical"] else ""
        lines += _wrapped(
            f"{bar['slice']}{critical}: {bar['bar']} takes {bar['at_least']:,} prompts at the least{likely}"
        )
    if "break_even" in told:
        lines += _wrapped(f"break-even: {told['break_even']['in_words']}")
    if advice:
        lines += ["", "advice, which hinders nothing", *_findings(advice)]
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    return 0


def _findings(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return [line for row in rows for line in _wrapped(f"{row['where']}: {row['what']}: {row['todo']}")]


def _wrapped(text: str) -> list[str]:
    """Lines of one finding; a path is never broken, nor is a word at its hyphen."""
    return textwrap.wrap(text, WIDE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
