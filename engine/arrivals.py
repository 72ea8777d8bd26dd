"""Stage ``import``: files become arrivals and outputs of one run, or nothing at all.

An arrival is (file digest, row): a file that was imported before adds nothing. Everything becomes visible
with the run's closing event, so an import that fails half-way leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.stages import as_mapping, option
from store import read
from store.errors import InputError, RuleError, UsageError
from store.mapping import Mapping

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Params:
    """What to read, and where in a row it stands."""

    files: tuple[Path, ...] = option((), "JSONL, CSV or Parquet files (.gz too)", flag="FILE")
    map: Path | None = option(None, "TOML file with the mapping, instead of the flags below")
    prompt: str = option("", "dotted path of the prompt's text")
    messages: str = option("", "dotted path of a chat, instead of --prompt")
    reference: str = option("", "dotted path of the reference answer")
    source: str = option("production", "production, synthetic, edge_case, or a path")
    split: str = option("train", "train, validation, test, or a path")
    at: str = option("", "dotted path of the time of arrival")
    meta: tuple[str, ...] = option((), "NAME=PATH of a metadata value, or * for everything else")
    output: tuple[str, ...] = option((), "MODEL=PATH[,logprobs=PATH,…] of a model's output")
    derive: tuple[str, ...] = option((), "NAME = EXPRESSION over prompt, reference and metadata")
    teacher: str = option("", "which of the models is the teacher")
    student: tuple[str, ...] = option((), "which are students; the others are baselines")
    predictions: bool = option(False, "the prompts are here already: add outputs only")
    rejects: Path | None = option(None, "write bad rows' faults here instead of stopping")

    def mapping(self) -> Mapping:
        """The mapping that flags or file describe."""
        if self.map is not None:
            try:
                text = self.map.read_text()
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", where=str(self.map)) from error
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
    """Import the files. Result: arrivals, outputs, rejected, files, and which files were here already."""
    from store.ingest import file_id

    if not params.files:
        raise UsageError("import needs a file")
    for path in params.files:
        if not path.is_file():
            raise InputError("no such file", where=str(path))
    mapping = params.mapping()
    ids = {path: file_id(path) for path in params.files}
    seen = _imported(context, params, mapping)
    fresh = {path: i for path, i in ids.items() if i not in seen}
    result: dict[str, Any] = {"arrivals": 0, "outputs": 0, "rejected": 0, "files": list(fresh.values())}
    result["already_imported"] = [path.name for path in params.files if path not in fresh]
    if result["already_imported"] and mapping.outputs and not params.predictions:
        result["note"] = "outputs that were not mapped then: --predictions adds them"
    if fresh:
        roles = _roles(context, params, mapping)
        recorded = dict(as_mapping(replace(params, files=(), map=None, rejects=None))) | {
            "mapping": repr(mapping)
        }
        opened = context.open("import", recorded, {"files": {p.name: i for p, i in fresh.items()}})
        rejects: list[InputError] = []
        known = _known_prompts(context) if params.predictions else None
        taken = _answered(context, mapping) if params.predictions else set()
        for path in fresh:
            for arrivals, outputs in _parsed(
                context, path, mapping, opened, rejects if params.rejects else None
            ):
                if known is None:
                    result["arrivals"] += opened.add_table("arrival", arrivals)
                    result["outputs"] += opened.add_table("output", outputs)
                else:
                    result["outputs"] += opened.add_table("output", _matched(outputs, known, taken, path))
        result["rejected"] = len(rejects)
        if params.rejects:
            params.rejects.write_text("".join(f"{e.where}: {e.what}\n" for e in rejects), encoding="utf-8")
        for model, role in roles.items():  # not before every row was read: a failed import declares nothing
            context.declare(model, role, {"origin": "import"})
        opened.close(result)
    return result


def _imported(context: Context, params: Params, mapping: Mapping) -> set[str]:
    """Files that add nothing: imported before; for predictions, with this very mapping."""
    return {
        file
        for r in context.runs("import")
        for file in r.result.get("files", [])
        if r.params.get("predictions", False) == params.predictions
        and (not params.predictions or r.params["mapping"] == repr(mapping))
    }


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


def _parsed(
    context: Context, path: Path, mapping: Mapping, opened: Any, rejects: list[InputError] | None
) -> Iterator[tuple[pa.Table, pa.Table]]:
    from store.ingest import read_batches

    size = path.stat().st_size
    batches = read_batches(
        path,
        mapping,
        run_no=opened.run_no,
        first_arrival_seq=opened.next_seq("arrival"),
        first_output_seq=opened.next_seq("output"),
        on_reject=rejects.append if rejects is not None else None,
    )
    for batch in batches:
        yield batch.arrivals, batch.outputs
        context.progress(f"import {path.name}", batch.bytes_read, size)


def _known_prompts(context: Context) -> dict[str, int]:
    table = context.store.fetch(read.ARRIVALS, project=context.project, split=None)
    known: dict[str, int] = {}
    for prompt_id, key in zip(table["prompt_id"].to_pylist(), table["arrival_key"].to_pylist(), strict=True):
        known.setdefault(prompt_id, key)
    return known


Answer = tuple[str, str, int]  # model, prompt id, sample index


def _answered(context: Context, mapping: Mapping) -> set[Answer]:
    """What the mapped models answered already."""
    found: set[Answer] = set()
    for model in {output.model for output in mapping.outputs}:
        table = context.store.fetch(read.OUTPUTS, project=context.project, model=model, split=None)
        prompts, samples = table["prompt_id"].to_pylist(), table["sample_index"].to_pylist()
        found |= {(model, *pair) for pair in zip(prompts, samples, strict=True)}
    return found


def _matched(outputs: pa.Table, known: dict[str, int], taken: set[Answer], path: Path) -> pa.Table:
    """Outputs with the key of the first arrival of their prompt; ``taken`` grows by them.

    Raises InputError for a prompt that is not here, or that the model answered before: no second chances.
    """
    import pyarrow as pa

    ids = outputs["prompt_id"].to_pylist()
    missing = next((i for i, prompt_id in enumerate(ids) if prompt_id not in known), None)
    if missing is not None:
        raise InputError(f"output {missing + 1} answers a prompt that was never imported", where=path.name)
    for answer in zip(outputs["model"].to_pylist(), ids, outputs["sample_index"].to_pylist(), strict=True):
        if answer in taken:
            raise InputError(
                f"{answer[0]} answered a prompt that it answered before: {answer[1]}",
                where=path.name,
                todo="Import the other answers under another model's name.",
            )
        taken.add(answer)
    keys = pa.array([known[prompt_id] for prompt_id in ids], pa.int64())
    return outputs.set_column(outputs.schema.get_field_index("arrival_key"), "arrival_key", keys)
