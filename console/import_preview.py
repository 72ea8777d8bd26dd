"""``import --preview``: the first rows as a mapping reads them, and the mapping that their keys suggest."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from console.output import emit
from console.text import cells, fit, line, visible
from engine.arrivals import Params, of_file, suggested_words
from store.errors import InputError, UsageError
from store.mapping import Mapping
from store.source_files import Found, find_files

FILES, ROWS = 3, 5  # of a folder so many files, and of each so many rows
LEAST, MOST = 12, 60  # cells of a column; where not even the least fit, a row gets lines of its own
LOOKED_AT = 600  # characters of a text that could ever be shown


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``import`` can do besides importing."""
    parser.add_argument(
        "--preview", action="store_true", help="show the first rows as they would be read, import nothing"
    )
    parser.add_argument(
        "--save-map",
        metavar="FILE",
        type=Path,
        help="write the mapping as TOML, for --map; no file is replaced",
    )


def show(options: argparse.Namespace, params: Params) -> int:
    """Preview the files. Without a mapping: under the one that the first rows suggest."""
    if not params.files:
        raise UsageError("a preview needs a file")
    found = find_files(params.files)
    mapping = params.mapping() if params.maps() else _guess(found)
    if mapping is not None and options.save_map is not None:
        save(options.save_map, mapping)
    rows = {} if mapping is None else _previews(found, mapping, params)
    if params.maps():
        return emit(options, rows) if options.json else _print(rows, found, [])
    words = suggested_words(found.files, params)
    for name in ("retrospective", "project", "store"):
        if words and getattr(options, name, None):
            words += [f"--{name}", str(getattr(options, name))]
    keys = _keys(found)
    if options.json:
        command = shlex.join(words) if words else None
        return emit(options, {"keys": keys, "suggested": words or None, "command": command, "rows": rows})
    told = [f"keys      {', '.join(keys) or 'none'}"]
    told += (
        ["suggested", f"  {shlex.join(words)}"]
        if words
        else ["nothing looks like a prompt: --prompt KEY names it"]
    )
    return _print(rows, found, told)


def save(path: Path, mapping: Mapping) -> None:
    """Write a mapping as TOML. Raises InputError where there is a file already."""
    from store.mapping_text import as_toml

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(as_toml(mapping))
    except FileExistsError:
        raise InputError(
            "is there already", where=str(path), todo="Name another file for the mapping."
        ) from None


def _guess(found: Found) -> Mapping | None:
    from store.suggest import first_rows, suggest

    return suggest(first_rows(found.files[0]))


def _keys(found: Found) -> list[str]:
    from store.suggest import first_rows, keys_of

    return keys_of(first_rows(found.files[0]))


def _previews(found: Found, mapping: Mapping, params: Params) -> dict[str, list[dict[str, Any]]]:
    from store.ingest import preview

    return {
        file.name: preview(file.path, of_file(mapping, file, params), ROWS, name=file.name)
        for file in found.files[:FILES]
    }


def _print(rows: dict[str, list[dict[str, Any]]], found: Found, told: Iterable[str]) -> int:
    width = max(shutil.get_terminal_size().columns, 60)
    lines: list[str] = []
    for name, some in rows.items():
        lines += [visible(name), *(f"  {text}" for text in _table(some, width - 2)), ""]
    if (more := len(found.files) - FILES) > 0:
        lines.append(f"and {more:,} more file{'s' if more > 1 else ''}")
    if found.skipped:
        lines.append(
            visible(f"skipped   {', '.join(found.skipped[:10])}{', …' if len(found.skipped) > 10 else ''}")
        )
    lines += [visible(text) for text in told]
    sys.stdout.write("\n".join(lines).rstrip("\n") + "\n")
    return 0


def _table(rows: Sequence[dict[str, Any]], width: int) -> list[str]:
    """The rows as lines of at most ``width`` cells; a column that is empty everywhere is left out."""
    if not rows:
        return ["no rows"]
    flat = [_cells_of(row) for row in rows]
    heads = list(dict.fromkeys(head for row in flat for head in row))
    columns = [[head, *(row.get(head, "") for row in flat)] for head in heads]
    wanted = [min(MOST, max(map(cells, column))) for column in columns]
    widths = _widths(wanted, width - 2 * (len(columns) - 1))
    if sum(widths) + 2 * (len(columns) - 1) > width:
        return [text for row in flat for text in _one_below_the_other(row, width)]
    return [
        "  ".join(_cut(text, size) for text, size in zip(told, widths, strict=True)).rstrip()
        for told in zip(*columns, strict=True)
    ]


def _one_below_the_other(row: dict[str, str], width: int) -> list[str]:
    side = min(max(map(cells, row)), width // 3)
    return [f"{_cut(head, side)}  {_cut(text, width - side - 2)}".rstrip() for head, text in row.items()] + [
        ""
    ]


def _cut(text: str, width: int) -> str:
    """Exactly ``width`` cells, with a sign where something is cut off."""
    return fit(text, width) if cells(text) <= width else f"{fit(text, width - 1)}…"


def _cells_of(row: dict[str, Any]) -> dict[str, str]:
    """A row's cells under their heads; those of a model under its name."""
    told = {
        "row": row["file_row"], "prompt": row["text"], "reference": row["reference"], "source": row["source"],
        "split": row["split"], "at": row["at_us"],
    }  # fmt: skip
    for model, text in row["outputs"]:
        told[model if model not in told else f"{model} again"] = text
    told["metadata"] = msgspec.json.encode(row["metadata"]).decode() if row["metadata"] else None
    told = {head: str(value)[:LOOKED_AT] for head, value in told.items() if value is not None}
    return {visible(head): line(text, LOOKED_AT).rstrip() for head, text in told.items()}


def _widths(wanted: list[int], room: int) -> list[int]:
    """Widths that fit into ``room``: the widest column gives way first, down to ``LEAST``.

    >>> _widths([3, 60, 20], 50)
    [3, 27, 20]
    """
    widths = list(wanted)
    while sum(widths) > room and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths
