"""Dataset versions as files for others: chat JSONL, a folder for HF datasets, CSV, Parquet, pairs for DPO.

Only members of the version are written, and none while one of its prompts is in the evaluation set in force, so nothing
of that can get out this way. Beside the rows lies a
manifest that names version, hash, contract and the SHA-256 of every file written: whoever trains on them elsewhere can
say which version it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.export_formats import WRITERS, Columns, Row, Writer, json_line
from engine.clean.match import WEIGHTS, weights_of
from engine.clean.versions import Version
from store import read, read_dataset
from store.canonical import messages_of
from store.errors import InputError, RuleError
from store.wire import VERSION

if TYPE_CHECKING:
    from engine.context import Context

COLUMNS: Columns = {
    "prompt_id": "text", "output_id": "text", "prompt": "text", "messages": "json", "output": "text",
    "reference": "text", "source": "text", "split": "text", "model": "text", "metadata": "json",
}  # fmt: skip
WEIGHT: Columns = {"weight": "float"}  # of versions that were brought to production by weights
FORMATS = {
    "chat": ".openai.jsonl",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "csv": ".csv",
    "hf": "",
    "dpo": ".jsonl",
}
BATCH = 5_000
MANIFEST = "spiritsafe.json"
_DATA = "data/train-00000-of-00001.parquet"


def write(
    context: Context, one: Version, form: str, target: Path, *, replace: bool = False
) -> dict[str, Any]:
    """Write a version as ``form`` to ``target`` (a file; for ``hf`` a folder) with its manifest.

    Result: the manifest and where it lies. Raises InputError where the target is there already or cannot be written,
    RuleError where a prompt of the version is in the evaluation set now, and for ``dpo`` where no verdict prefers one
    answer of the version's prompts.
    """
    _refuse_leaks(context, one)
    if target.exists() and not replace:
        raise InputError("is there already", where=str(target), todo="--replace writes over it.")
    if not target.parent.is_dir():
        raise InputError("no such folder", where=str(target.parent), todo="Make it, or name another.")
    part = target.with_name(f".{target.name}.part")
    _forget(part)
    try:
        if form == "hf":
            rows = _hf_folder(context, one, part)
        elif form == "dpo":
            rows = _pairs(context, one, part)
        else:
            rows = _table(context, one, WRITERS[FORMATS[form]], part)
        told = _manifest(one, form, rows, part, target.name)
        manifest = part / MANIFEST if form == "hf" else target.with_name(target.name + ".manifest.json")
        manifest.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        if replace:
            _forget(target)
        part.rename(target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(target)) from error
    finally:
        _forget(part)
    return told | {"path": str(target)}


def _refuse_leaks(context: Context, one: Version) -> None:
    """An older version may hold what was frozen for evaluation since: whoever trains on the file would not know."""
    from engine.clean.dataset import test_prompts

    members = context.store.fetch(read.SET_MEMBERS, project=context.project, run_id=one.run.run_id)
    if leaks := test_prompts(context).intersection(members["prompt_id"].to_pylist()):
        raise RuleError(
            f"{len(leaks):,} prompts of version {one.number} are in the evaluation set now",
            todo="Freeze a new version without them: spiritsafe dataset freeze",
        )


def _forget(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def samples(context: Context, one: Version) -> Iterator[list[Row]]:
    """The version's samples in their order, some at a time; with a weight each, where the version has weights."""
    table = context.store.fetch(read_dataset.SAMPLES, project=context.project, run_id=one.run.run_id)
    heavy = iter(weights_of(context, one.run.run_id) or ())
    for batch in table.to_batches(BATCH):
        rows = []
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row = read_dataset.SampleRow(*values)
            chat = msgspec.json.decode(row.messages) if row.messages else messages_of(row.prompt)
            told = {name: getattr(row, name) for name in COLUMNS}
            told |= {"messages": chat, "metadata": msgspec.json.decode(row.metadata)}
            rows.append(told | dict(zip(WEIGHT, heavy, strict=False)))
        context.progress("export", len(rows))
        yield rows


def _columns(one: Version) -> Columns:
    weighted = one.run.result.get("match", {}).get("how") == WEIGHTS
    return {**COLUMNS, **(WEIGHT if weighted else {})}


def _table(context: Context, one: Version, kind: Callable[..., Writer], path: Path) -> int:
    """One file in a format of the console's own exports."""
    count = 0
    with path.open("xb") as file:
        writer = kind(file, _columns(one))
        for rows in samples(context, one):
            writer.write(rows)
            count += len(rows)
        writer.close()
    return count


def _hf_folder(context: Context, one: Version, folder: Path) -> int:
    """A folder that ``datasets.load_dataset(FOLDER)`` reads: Parquet with chats as lists, and a card.

    https://huggingface.co/docs/hub/datasets-manual-configuration
    """
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "data").mkdir(parents=True)
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    named = {name: pa.float64() if name in WEIGHT else pa.string() for name in _columns(one)}
    schema = pa.schema(
        {**named, "messages": pa.list_(message)}  # metadata is text: it differs from row to row
    )
    count = 0
    with parquet.ParquetWriter(folder / _DATA, schema, compression="zstd") as writer:
        for rows in samples(context, one):
            for row in rows:
                answer = {"role": "assistant", "content": row["output"]}
                row["messages"] = [_flat(m) for m in (*row["messages"], answer)]
                row["metadata"] = msgspec.json.encode(row["metadata"]).decode()
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n\n"
        f"# {context.project}, dataset version {one.number}\n\n{count:,} samples; SHA-256 {one.sha256}. "
        f"What this version rests on is in {MANIFEST}.\n",
        encoding="utf-8",
    )
    return count


def _flat(message: dict[str, Any]) -> dict[str, str]:
    """A message with text content; parts of other kinds as JSON."""
    content = message.get("content")
    return {
        "role": str(message.get("role", "user")),
        "content": content if isinstance(content, str) else msgspec.json.encode(content).decode(),
    }


def _pairs(context: Context, one: Version, path: Path) -> int:
    """Preference pairs of the version's prompts, as chats: {prompt, chosen, rejected}, what TRL's DPO trainer reads.

    https://huggingface.co/docs/trl/dataset_formats
    """
    own = {row["prompt_id"] for rows in samples(context, one) for row in rows}
    found = context.store.ask(read_dataset.PREFERENCES, project=context.project)
    inside = [p for p in found if p.prompt_id in own]
    if not inside:
        why = (
            f"{len(found)} lie outside this version, in the evaluation set for instance"
            if found
            else "none was given"
        )
        raise RuleError(
            f"no verdict prefers one answer to a prompt of version {one.number}: {why}",
            todo="In ga, call one answer to a training prompt ok and another one bad.",
        )
    with path.open("xb") as file:
        for p in inside:
            chat = msgspec.json.decode(p.messages) if p.messages else messages_of(p.prompt)
            said = {
                name: [{"role": "assistant", "content": text}]
                for name, text in (("chosen", p.chosen), ("rejected", p.rejected))
            }
            file.write(json_line({"prompt": chat, **said}))
    return len(inside)


def _manifest(one: Version, form: str, rows: int, path: Path, name: str) -> dict[str, Any]:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return {
        "spiritsafe": VERSION,
        "format": form,
        "version": one.number,
        "dataset_sha256": one.sha256,
        "parent": one.run.result["parent"],
        "samples": one.run.result["samples"],
        "rows": rows,
        "inputs": one.run.inputs,
        "teacher": one.run.result["teacher"],
        "files": {str(f.relative_to(path)) if path.is_dir() else name: sha256_of(f) for f in files},
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
