"""Rows of a queue, taken away in a file: exactly those shown, with what may be seen of each. No Textual.

The hub redacts (``texts``): while a sample is blind to the caller its model is null and no metadata tells it. JSONL
and Parquet hold every text as it is. CSV is for spreadsheets, which run a cell that begins with = + - or @ as a
formula: there such a text gets an apostrophe in front of it.

A file is written without a name where it is to be, private, and gets its name when it is whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from console.export_formats import WRITERS, Row, Writer
from store.canonical import messages_of
from store.errors import Cancelled, InputError, SpiritsafeError

if TYPE_CHECKING:
    from store.client import Client

FIRST, MOST = 100, 1000  # rows of one question to the hub: as many as it answers soon
SOON = 0.25  # seconds
TELL_EVERY = 0.5  # seconds between two words on how far it is


@dataclass(frozen=True, slots=True)
class Written:
    """What an export left."""

    path: Path
    rows: int
    bytes: int


def suffix_of(name: str) -> str:
    """The ending that says how a file is written. Raises InputError where none does.

    >>> suffix_of("a.openai.jsonl"), suffix_of("openai.jsonl"), suffix_of("a.jsonl"), suffix_of("A.CSV")
    ('.openai.jsonl', '.openai.jsonl', '.jsonl', '.csv')
    """
    lowered = "." + Path(name).name.lower()
    for suffix in sorted(WRITERS, key=len, reverse=True):  # one ends like another
        if lowered.endswith(suffix):
            return suffix
    raise InputError("unknown ending", where=name, todo="Take " + ", ".join(WRITERS) + ".")


def names_for(text: str, default: str) -> list[str]:
    """Names that what was typed may become; nothing typed: the default ones.

    >>> names_for("", "desk-audit")[:2], names_for("out.j", "x"), names_for("out", "x")[-1]
    (['desk-audit.jsonl', 'desk-audit.parquet'], ['out.jsonl'], 'out.openai.jsonl')
    """
    stem = text or default
    begun = [stem + s[k:] for s in WRITERS for k in range(1, len(s)) if stem.endswith(s[:k])]
    return begun or [stem + s for s in WRITERS]


def target_of(name: str, *, replace: bool = False) -> Path:
    """The absolute path of a file to write. Raises InputError where it cannot be one, or is there already."""
    path = Path(name).expanduser().absolute()
    suffix_of(path.name)
    if not path.parent.is_dir():
        raise InputError("no such folder", where=str(path.parent), todo="Make it, or name another.")
    if path.is_dir():
        raise InputError("is a folder", where=str(path), todo="Name a file in it.")
    if path.exists() and not replace:
        raise InputError("is there already", where=str(path), todo="--replace writes over it.")
    return path


def _silent(done: int, total: int) -> None:
    del done, total


def export(
    store: Client,
    queue: Mapping[str, Any],
    kind: str,
    path: Path,
    *,
    ranges: tuple[tuple[int, int], ...] | None = None,
    replace: bool = False,
    progress: Callable[[int, int], None] = _silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Written:
    """Write positions ``ranges`` (low … high - 1; None: all) of an open queue of ``kind`` to ``path``.

    Raises InputError for a file that cannot be written or a format that cannot hold these rows, Cancelled where
    ``stopped`` says so; then nothing is left of it.
    """
    wanted = ((0, queue["length"]),) if ranges is None else ranges
    total, done, told = sum(high - low for low, high in wanted), 0, time.monotonic()
    writer_of = WRITERS[suffix_of(path.name)]
    columns = COLUMNS[kind]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _unnamed(path.parent, part) as file:
            writer: Writer = writer_of(file, columns)
            for rows in read_rows(store, queue["id"], kind, wanted, stopped):
                writer.write(rows)
                done += len(rows)
                if time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    progress(done, total)
            writer.close()
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
            if not part.exists():
                os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=file.fileno())
        target_of(str(path), replace=replace)  # another may have made it meanwhile
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    return Written(path, done, size)


def _unnamed(folder: Path, part: Path) -> IO[bytes]:
    """A file that nobody else can open and that is gone with its writer, whatever ends him; where the file system
    has no such thing, one called ``part``."""
    part.unlink(missing_ok=True)
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "wb")


def read_rows(
    store: Client, queue: str, kind: str, ranges: tuple[tuple[int, int], ...], stopped: Callable[[], bool]
) -> Iterator[list[Row]]:
    """Rows of positions of an open queue, some hundred at a time. Raises Cancelled between two questions."""
    size, row_of = FIRST, ROWS[kind]
    for low, high in ranges:
        at = low
        while at < high:
            if stopped():
                raise Cancelled("the export was stopped; nothing was written")
            began = time.monotonic()
            try:
                found = store.call("texts", queue=queue, low=at, high=min(high, at + size))
            except InputError as error:
                if "one frame" not in error.what or size == 1:
                    raise
                size = max(1, size // 8)
                continue
            if not found:
                raise SpiritsafeError("the queue ended before its last row: export again")
            yield [row_of(detail, store.who) for detail in found]
            at += len(found)
            took = time.monotonic() - began
            size = min(MOST, size * 2) if took < SOON else max(1, size // 2) if took > 2 * SOON else size


# ---- what a row holds, by kind of queue
def _verdict(detail: Mapping[str, Any], who: str) -> Row:
    own = [v for v in detail["verdicts"] or [] if v[0] == who] if detail["mark"] else []
    return {"verdict": own[-1][1] if own else None, "reason": own[-1][2] if own else None}


def _prompt(detail: Mapping[str, Any]) -> Row:
    prompt = detail["prompt"]
    kept = msgspec.json.decode(prompt["messages"]) if prompt["messages"] else messages_of(prompt["text"])
    return {
        "position": detail["position"] + 1,
        "subject": detail["subject"],
        "prompt_id": prompt["prompt_id"],
        "prompt": prompt["text"],
        "messages": kept,
        "reference": prompt["reference"],
        "split": prompt["split"],
        "metadata": msgspec.json.decode(prompt["metadata"] or "{}"),
    }


def _audit(detail: Mapping[str, Any], who: str) -> Row:
    (output,) = detail["outputs"]
    texts = {"output": output["text"], "model": output["model"]}
    return _prompt(detail) | texts | _verdict(detail, who)


def _disagreement(detail: Mapping[str, Any], who: str) -> Row:
    left, right = detail["outputs"]
    sides = {
        "output_left": left["text"], "model_left": left["model"],
        "output_right": right["text"], "model_right": right["model"],
    }  # fmt: skip
    return _prompt(detail) | sides | _verdict(detail, who)


def _pair(detail: Mapping[str, Any], who: str) -> Row:
    (left, right), (left_id, right_id) = detail["texts"], detail["ids"]
    kept = left_id if detail["representative"][0] or not detail["representative"][1] else right_id
    names = ("field", "jaccard", "containment", "edit", "cluster", "size", "leak")
    return {
        "position": detail["position"] + 1,
        "subject": detail["subject"],
        "left": left,
        "right": right,
        "left_id": left_id,
        "right_id": right_id,
        "kept_id": kept,
        **{name: detail[name] for name in names},
        **_verdict(detail, who),
    }


def _meaning(detail: Mapping[str, Any], who: str) -> Row:
    (left, right), (left_id, right_id) = detail["texts"], detail["ids"]
    return {
        "position": detail["position"] + 1,
        "subject": detail["subject"],
        "left": left,
        "right": right,
        "left_id": left_id,
        "right_id": right_id,
        **{name: detail[name] for name in ("field", "cosine", "near", "leak")},
        **_verdict(detail, who),
    }


_HEAD = {"position": "int", "subject": "text"}
_OF_PROMPT = _HEAD | {
    "prompt_id": "text", "prompt": "text", "messages": "json", "reference": "text", "split": "text", "metadata": "json",
}  # fmt: skip
_SAID = {"verdict": "text", "reason": "int"}
COLUMNS: dict[str, dict[str, str]] = {
    "audit": _OF_PROMPT | {"output": "text", "model": "text"} | _SAID,
    "disagreements": _OF_PROMPT
    | dict.fromkeys(("output_left", "model_left", "output_right", "model_right"), "text")
    | _SAID,
    "duplicates": _HEAD
    | dict.fromkeys(("left", "right", "left_id", "right_id", "kept_id", "field"), "text")
    | {"jaccard": "float", "containment": "float", "edit": "text", "cluster": "int", "size": "int", "leak": "bool"}
    | _SAID,
    "semantic": _HEAD
    | dict.fromkeys(("left", "right", "left_id", "right_id", "field"), "text")
    | {"cosine": "float", "near": "bool", "leak": "bool"}
    | _SAID,
}  # fmt: skip
ROWS = cast(
    "dict[str, Callable[[Mapping[str, Any], str], Row]]",
    {"audit": _audit, "disagreements": _disagreement, "duplicates": _pair, "semantic": _meaning},
)
