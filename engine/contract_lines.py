"""Where in a contract's text a key stands: so that every complaint names its line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

Path = tuple[str | int, ...]

HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\- \"']+?)\s*\]\]?\s*(?:#.*)?$")
OFF = re.compile(r"\s*#\s*(\w+)\s*=")  # a key that is commented out: where it would be written
KEY = re.compile(r"\s*([\w.\-\"']+(?:\s*\.\s*[\w\-\"']+)*)\s*=")


def line_numbers(text: str) -> dict[Path, int]:
    """Path of every table and key -> its 1-based line, by scanning: good for messages, not for parsing.

    A key that stands there only as a comment has the line of that.

    >>> line_numbers("[gate]\\nlevel = 0.9\\n[[gate.slice]]\\nname = 'a'")[("gate", "slice", 0, "name")]
    4
    """
    lines: dict[Path, int] = {}
    off: dict[Path, int] = {}
    counts: Counter[Path] = Counter()
    table: Path = ()
    fence = ""  # the quotes of an open multi-line string
    for number, line in enumerate(text.splitlines(), 1):
        if not fence and (header := HEADER.match(line)):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[table] += 1
                table = (*table, counts[table] - 1)
            lines.setdefault(table, number)
        elif not fence and (key := KEY.match(line)):
            lines.setdefault((*table, *_parts(key[1])), number)
        elif not fence and (key := OFF.match(line)):
            off.setdefault((*table, key[1]), number)
        for quotes in ('"""', "'''"):
            if fence in {"", quotes} and line.count(quotes) % 2:
                fence = "" if fence else quotes
    return off | lines


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest table around it, or 1."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def path_of(what: str, path_text: str) -> Path:
    r"""The path in msgspec's words: "`$.gate.slice[0].margin`", and the unknown field that it names before."""
    parts = re.findall(r"\.([\w-]+)|\[(\d+)\]", path_text)
    path: Path = tuple(int(index) if index else name for name, index in parts)
    unknown = re.search(r"unknown field `([^`]*)`", what)
    return (*path, unknown[1]) if unknown else path
