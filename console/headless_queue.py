"""Queues headless: list them, look at one row, take rows away in a file, find what is like a text, see who is here."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.headless import Options, context_of, queue_options, spec_of
from console.output import emit
from engine.context import Context
from store.canonical import ID_CHARS
from store.client import Client
from store.errors import InputError, UsageError

ROWS = 20  # listed unless more are asked for
TELL_EVERY = 5.0  # seconds between two words of a long export, on a terminal


@contextmanager
def opened(context: Context, spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A queue, open as long as it is looked at."""
    queue = context.store.call("open_queue", spec=spec)
    try:
        yield queue
    finally:
        context.store.call("close_queue", queue=queue["id"])


def configure_queue(parser: argparse.ArgumentParser) -> None:
    queue_options(parser)
    parser.add_argument("--at", type=int, default=1, help="first position shown, from 1")
    parser.add_argument(
        "--rows", type=int, help=f"how many (default: {ROWS}; all of them with --to)", metavar="N"
    )
    _file_options(parser)


def _file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        dest="file",
        type=Path,
        metavar="FILE",
        help="write the rows whole: .jsonl, .parquet, .csv, or .openai.jsonl to fine-tune with",
    )
    parser.add_argument("--replace", action="store_true", help="write over a file that is there already")


def queue(options: Options) -> int:
    """List a queue's rows: position, subject, your verdict, texts; or write them to a file."""
    context = context_of(options)
    return _list(options, context, spec_of(context, options.kind, options))


def _list(options: Options, context: Context, spec: dict[str, Any]) -> int:
    with opened(context, spec) as found:
        if options.file is not None:
            return _to_file(options, context.store, found, spec["kind"])
        low = options.at - 1
        rows = ROWS if options.rows is None else options.rows
        shown = context.store.call("window", queue=found["id"], low=low, high=low + min(rows, 1000))
    told = [
        {"position": p + 1, "subject": s, "mark": m, "cells": [str(c)[:200] for c in cells]}
        for p, s, m, cells in shown
    ]
    return emit(options, {"length": found["length"], "reviewed": found["reviewed"], "rows": told})


def _to_file(options: Options, store: Client, found: dict[str, Any], kind: str) -> int:
    from console.exporting import COLUMNS, export, target_of

    if kind not in COLUMNS:
        raise InputError(
            f"the rows of {kind} are not exported", todo="audit, duplicates, semantic or disagreements"
        )
    path = target_of(str(options.file), replace=options.replace)
    low = min(max(0, options.at - 1), found["length"])
    high = found["length"] if options.rows is None else min(found["length"], low + options.rows)
    told = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told
        if sys.stderr.isatty() and not options.json and time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            sys.stderr.write(f"{done:,} of {total:,} rows\n")

    written = export(
        store, found, kind, path, ranges=((low, high),), replace=options.replace, progress=progress
    )
    return emit(options, {"written": str(written.path), "rows": written.rows, "bytes": written.bytes})


def configure_show(parser: argparse.ArgumentParser) -> None:
    queue_options(parser)
    parser.add_argument(
        "subject", nargs="?", default="", help="a row number, or the subject's id; without it the first row"
    )
    parser.add_argument("--at", "--row", type=int, metavar="ROW", help="the row number, as an option")


def show(options: Options) -> int:
    """Everything that may be seen of one subject."""
    if options.subject and options.at is not None:
        raise UsageError("the row is named twice", todo="spiritsafe show audit 17")
    context = context_of(options)
    named = options.subject or str(1 if options.at is None else options.at)
    with opened(context, spec_of(context, options.kind, options)) as found:
        return emit(options, detail_of(context, found, options.kind, named))


def configure_similar(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="a text, or the number of a row of the audit queue")
    parser.add_argument("--filter", default="", help="only among these; the row is one of them too")
    parser.add_argument("--rows", type=int, help=f"how many (default: {ROWS}; all of them with --to)")
    _file_options(parser)


def similar(options: Options) -> int:
    """List the samples most like a text, nearest first."""
    context = context_of(options)
    text = options.text.strip()
    if text.isdigit():
        text = subject_of(context, "audit", text, options.filter)["subject"]
    if not text:
        raise InputError("nothing is like an empty text")
    options.at = 1
    return _list(options, context, spec_of(context, "audit", filter=options.filter, similar=text))


def subject_of(context: Context, kind: str, named: str, filter: str = "") -> dict[str, Any]:
    """The detail of a subject by row number or id; raises InputError where the queue holds none such."""
    with opened(context, spec_of(context, kind, filter=filter)) as found:
        return detail_of(context, found, kind, named)


def detail_of(context: Context, found: dict[str, Any], kind: str, named: str) -> dict[str, Any]:
    """The same in a queue that is open."""
    if named.isdigit() and len(named) < ID_CHARS:
        position: int | None = int(named) - 1
    else:
        position = _position(context.store, found, named)
    if position is None or not 0 <= position < found["length"]:
        raise InputError(
            f"no row or subject {named!r} among the {found['length']:,} of {kind}",
            todo=f"spiritsafe queue {kind} lists rows and subjects.",
        )
    detail: dict[str, Any] = context.store.call("detail", queue=found["id"], position=position)
    return detail


def _position(store: Client, found: dict[str, Any], subject: str) -> int | None:
    for low in range(0, found["length"], 1000):
        for position, other, *_ in store.call(
            "window", queue=found["id"], low=low, high=min(low + 1000, found["length"])
        ):
            if other == subject:
                return int(position)
    return None


def here(options: Options) -> int:
    """Who has a queue of this project open in the console, and which."""
    context = context_of(options)
    others = context.store.call("here", project=context.project, screen="")
    return emit(options, {"here": [{"who": who, "screen": screen} for who, screen in others]})
