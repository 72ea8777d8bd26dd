"""Stage ``import``: files become arrivals and outputs of one run, or nothing at all.

An arrival is (file digest, row): a file that was imported before adds nothing. Everything becomes visible
with the run's closing event, so an import that fails half-way leaves nothing behind.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.contract_exclusions import in_force
from engine.import_files import Chosen, Reading
from engine.stages import as_mapping, option
from store.errors import InputError, RuleError, UsageError
from store.file_rows import format_of
from store.mapping import SPLITS, Mapping
from store.source_files import SourceFile, find_files, names_say_splits, split_of

if TYPE_CHECKING:
    from engine.predictions import Known

MOST_NAMES = 200  # of skipped files that a result tells
PEEKED_FILES = 20  # files of which the first rows are looked at for what the mapping asks
PEEKED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Params:
    """What to read, and where in a row it stands."""

    files: tuple[Path, ...] = option(
        (), "JSONL, CSV (.gz too) or Parquet files, or folders of them", flag="FILE"
    )
    map: Path | None = option(None, "TOML file with the mapping, instead of the flags below")
    prompt: str = option("", "dotted path of the prompt's text")
    messages: str = option("", "dotted path of a chat, instead of --prompt")
    reference: str = option("", "dotted path of the reference answer")
    source: str = option("production", "production, synthetic, edge_case, or a path")
    split: str = option("train", "train, validation, test, or a path")
    split_by_file: bool = option(False, "the split is in each file's name: …train…, …validation…, …test…")
    at: str = option("", "dotted path of the time of arrival")
    meta: tuple[str, ...] = option((), "NAME=PATH of a metadata value, or * for everything else")
    output: tuple[str, ...] = option((), "MODEL=PATH[,logprobs=PATH,…] of a model's output")
    derive: tuple[str, ...] = option((), "NAME = EXPRESSION over prompt, reference and metadata")
    teacher: str = option("", "which of the models is the teacher")
    student: tuple[str, ...] = option((), "which are students; the others are baselines")
    predictions: bool = option(False, "the prompts are here already: add outputs only")
    rejects: Path | None = option(None, "write bad rows' faults here instead of stopping")

    def maps(self) -> bool:
        """Whether anything says where the prompt is."""
        return bool(self.map or self.prompt or self.messages)

    def mapping(self) -> Mapping:
        """The mapping that flags or file describe."""
        if self.map is not None:
            try:
                text = self.map.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "is not UTF-8"
                raise InputError(f"cannot be read: {why}", where=str(self.map)) from error
            return Mapping.from_toml(text, where=self.map.name).with_derived(*self.derive)
        return Mapping.from_flags(
            prompt=self.prompt or None,
            messages=self.messages or None,
            reference=self.reference or None,
            source=self.source,
            split=self.split,
            at=self.at or None,
            meta=self.meta,
            output=self.output,
            derive=self.derive,
        )


def run(context: Context, params: Params) -> dict[str, Any]:
    """Import the files. Result: arrivals, outputs (of each model too), rejected, files, and what of the given files
    was here already, is there twice or was skipped."""
    if not params.files:
        raise UsageError("import needs a file")
    found = find_files(params.files)
    mapping = params.mapping() if params.maps() else _guessed(found.files, params)
    chosen = Chosen.of(found.files, *_imported(context, params, mapping))
    result: dict[str, Any] = {
        "arrivals": 0,
        "outputs": 0,
        "rejected": 0,
        "files": list(chosen.fresh.values()),
    }
    result |= chosen.told()
    if found.skipped:
        result["skipped"] = list(found.skipped[:MOST_NAMES])
        result |= {"skipped_more": more} if (more := len(found.skipped) - MOST_NAMES) > 0 else {}
    if chosen.known and mapping.outputs and not params.predictions:
        result["note"] = "outputs that were not mapped then: --predictions adds them"
    if not params.split_by_file and mapping.split in SPLITS and names_say_splits(list(chosen.fresh)):
        result["note"] = (
            f"all of it is split {mapping.split}; the files' names differ: --split-by-file goes by them"
        )
    if chosen.fresh:
        result |= _import(context, params, mapping, chosen, result)
    return result


def _import(
    context: Context,
    params: Params,
    mapping: Mapping,
    chosen: Chosen,
    result: dict[str, Any],
) -> dict[str, Any]:
    """One run over the chosen files, closed when every row was read. Raises what the first bad row or file raises."""
    from store.feed import Feed
    from store.rejects import Rejects

    fresh = chosen.fresh
    mappings = {file: of_file(mapping, file, params) for file in fresh}
    _check_fits(mappings)
    roles = _roles(context, params, mapping)
    known = _known(context, mapping) if params.predictions else None
    recorded = dict(as_mapping(replace(params, files=(), map=None, rejects=None))) | {
        "mapping": repr(mapping)
    }
    total = sum(file.path.stat().st_size for file in fresh)
    with Rejects(params.rejects) if params.rejects else nullcontext() as rejects:
        opened = context.open("import", recorded, {"files": {file.name: i for file, i in fresh.items()}})
        with Feed(opened) as feed:
            rules = in_force(context)
            reading = Reading(context, opened, feed, known, rejects, total, rules=rules, again=chosen.again)
            for file, identity in fresh.items():
                reading.read(file, mappings[file], identity)
        counts = reading.counts(mapping)
        notes = [told["note"] for told in (result, counts) if "note" in told]
        counts |= {"note": "; ".join(notes)} if notes else {}
        if rejects is not None:
            rejects.keep()
            if rejects.count and not reading.taken:
                what = f"every row was rejected, {rejects.count:,} in all: nothing was imported"
                raise InputError(what, where=str(params.rejects))
        for model, role in roles.items():  # not before every row was read: a failed import declares nothing
            context.declare(model, role, {"origin": "import"})
        opened.close(result | counts)
    return counts


def of_file(mapping: Mapping, file: SourceFile, params: Params) -> Mapping:
    """The mapping for one of the files. Raises InputError where its split should be in its name and is not."""
    return replace(mapping, split=split_of(file)) if params.split_by_file else mapping


def _guessed(files: Sequence[SourceFile], params: Params) -> Mapping:
    """No mapping was given: raises InputError that shows one which the first rows suggest."""
    from store.suggest import first_rows, keys_of

    words = suggested_words(files, params)
    keys = ", ".join(keys_of(first_rows(files[0])))[:500] or "none"
    todo = f"Perhaps: {shlex.join(words)}" if words else f"Its keys are {keys}."
    raise InputError("nothing says which field is the prompt", where=files[0].name, todo=todo[:2000])


def suggested_words(files: Sequence[SourceFile], params: Params) -> list[str]:
    """The words of a whole import command that the first rows suggest, none where nothing looks like a prompt."""
    from store.mapping_text import as_flags
    from store.suggest import first_rows, suggest

    mapping = suggest(first_rows(files[0]))
    if mapping is None:
        return []
    words = ["spiritsafe", "import", *(os.fspath(path) for path in params.files), *as_flags(mapping)]
    return [*words, "--split-by-file"] if mapping.split in SPLITS and names_say_splits(files) else words


def _check_fits(mappings: dict[SourceFile, Mapping]) -> None:
    """Raises InputError where the first rows of none of the files have what the mapping calls the prompt.

    So a wrong path is told before anything is opened, and with the keys that are there.
    """
    from store.mapping_text import as_flags
    from store.row_parser import RowParser
    from store.suggest import first_rows, keys_of, suggest

    seen: list[dict[str, Any]] = []
    for file, mapping in list(mappings.items())[:PEEKED_FILES]:
        try:
            rows = first_rows(file, PEEKED_ROWS)
        except InputError:
            return  # reading it says where
        parser = RowParser(mapping, file.name, flat=format_of(file.path) in ((".csv", True), (".csv", False)))
        if any(parser.fits(row) for row in rows):
            return
        seen += rows
    if seen:
        path = mapping.prompt or mapping.messages
        where = next(iter(mappings)).name if len(mappings) == 1 else f"{len(mappings)} files"
        keys = ", ".join(keys_of(seen))[:500] or "none"
        like = suggest(seen)
        todo = f"Their keys are {keys}." + (f" Perhaps: {shlex.join(as_flags(like))}" if like else "")
        raise InputError(f"the first rows have no {path!r}", where=where, todo=todo)


def _imported(context: Context, params: Params, mapping: Mapping) -> tuple[set[str], set[str]]:
    """(files that add nothing: imported before; those of which other rules left out rows when they were imported last).

    For predictions, with this very mapping.
    """
    rules = in_force(context).fingerprint()
    known: set[str] = set()
    again: set[str] = set()
    for r in context.runs("import"):
        same = not params.predictions or r.params["mapping"] == repr(mapping)
        if r.params.get("predictions", False) != params.predictions or not same:
            continue
        files = set(r.result.get("files", []))
        changed = bool(r.result.get("excluded")) and r.result.get("exclusions") != rules
        known = known - files if changed else known | files
        again = again | files if changed else again - files
    return known, again


def _known(context: Context, mapping: Mapping) -> Known:
    from engine.predictions import Known

    return Known(context, [output.model for output in mapping.outputs])


def _roles(context: Context, params: Params, mapping: Mapping) -> dict[str, str]:
    """The role of every mapped model: as named here, else as declared before, else baseline.

    Raises InputError for a name that is not mapped, RuleError for a model that was not imported but made here.
    """
    models = list(dict.fromkeys(output.model for output in mapping.outputs))
    named = [name for name in (params.teacher, *params.student) if name]
    if missing := [name for name in named if name not in models]:
        raise InputError(
            f"no output of a model {missing[0]!r} is mapped", todo="Models: " + ", ".join(models)
        )
    roles = {}
    for model in models:
        role, told = context.declared(model) or ("baseline", {"origin": "import"})
        if told != {"origin": "import"}:
            raise RuleError(
                f"{model} is a {role} that was generated or trained here",
                todo="Import its outputs under another name: --output NAME=PATH.",
            )
        roles[model] = (
            "teacher" if model == params.teacher else "student" if model in params.student else role
        )
    return roles
