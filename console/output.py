"""What commands share: the store they mean, the project they mean, and how they say what they found."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.text import cells, fit, visible
from store.address import find_store
from store.errors import InputError, UsageError

if TYPE_CHECKING:
    from store.client import Client

LONGEST_NAME = 64
WIDEST = 60  # cells of a table's column
NAMES = ("name", "model", "slice")  # what a record is about: told first
_opened: list[Client] = []


def open_store(
    options: argparse.Namespace, *, create: bool = False, start: bool = True, outbox: Path | None = None
) -> Client:
    """The store that the options mean; ``close_stores`` leaves it when the command is over."""
    from store.client import Client

    path = find_store(options.store)
    store = Client(path, claimed=options.claimed, create=create, start=start, outbox=outbox)
    _opened.append(store)
    return store


def close_stores() -> None:
    """Leave every store that the command opened."""
    while _opened:
        _opened.pop().close()


def project_of(options: argparse.Namespace, store: Client) -> str:
    """The project that the options mean: named, from the environment, or the only one."""
    from store import read

    names = [p.name for p in store.ask(read.PROJECTS)]
    wanted: str | None = options.project or os.environ.get("SPIRITSAFE_PROJECT")
    if wanted:
        if wanted not in names:
            raise InputError(
                f"no project {wanted!r} in this store",
                todo="Known: " + (", ".join(names) or "none; spiritsafe init"),
            )
        return wanted
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            "the store has no project yet", todo="spiritsafe init NAME, or import --retrospective NAME"
        )
    raise UsageError("the store has several projects", todo="--project " + "|".join(names))


def project_name(name: str) -> str:
    """A new project's name, which also becomes part of file names; raises UsageError for one that is none."""
    if not (name.replace("-", "").replace("_", "").isalnum() and len(name) <= LONGEST_NAME):
        todo = f"Letters, digits, - and _; {LONGEST_NAME} at most."
        raise UsageError(f"{name!r} is no project name", todo=todo)
    return name


def emit(options: argparse.Namespace, result: Any) -> int:
    """Print a result: JSON where asked for, else indented text. Returns 0."""
    if options.json:
        print(msgspec.json.encode(result, enc_hook=str).decode())
    else:
        sys.stdout.write(as_text(result))
    return 0


def as_text(value: Any, indent: int = 0) -> str:
    """A result for people: ``name  value`` lines, lists of records as one line each; nothing raw reaches the terminal."""
    pad = "  " * indent
    value = {visible(str(k)): v for k, v in value.items()} if isinstance(value, dict) else value
    if not isinstance(value, dict):
        return f"{pad}{_one(value)}\n"
    width = max((len(str(key)) for key in value), default=0)
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines.append(f"{pad}{key}\n{as_text(item, indent + 1)}")
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{pad}{key}\n" + "".join(_record(row, pad + "  ") for row in item))
        else:
            lines.append(f"{pad}{key:<{width}}  {_one(item)}\n")
    return "".join(lines)


def _record(row: dict[str, Any], pad: str) -> str:
    """A record as one line; records inside of it stand below, further in."""
    told, below = [], ""
    for key, value in sorted(row.items(), key=lambda pair: pair[0] not in NAMES):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            below += "".join(_record(inner, pad + "  ") for inner in value)
        elif value not in (None, "", [], {}):
            told.append(f"{visible(str(key))} {_one(value)}")
    return f"{pad}{'  '.join(told)}\n{below}"


def _one(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_one(v) for v in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{visible(str(key))} {_one(v)}" for key, v in value.items()) or "-"
    return visible(str(value)) if value is not None else "-"


def as_table(columns: list[str], rows: list[list[Any]], *, widest: int = WIDEST) -> str:
    """Rows under their headings, long values cut; nothing raw reaches the terminal.

    >>> print(as_table(["model", "n"], [["big", 2], ["small", None]]), end="")
    model  n
    big    2
    small  -
    """
    lines = [[visible(str(name)) for name in columns]]
    lines += [[_short(_one(value), widest) for value in row] for row in rows]
    sizes = [max(cells(line[i]) for line in lines) for i in range(len(columns))]
    return "".join(
        "  ".join(fit(cell, size) for cell, size in zip(line, sizes, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _short(text: str, widest: int) -> str:
    return text if cells(text) <= widest else fit(text, widest - 1).rstrip() + "…"
