"""Stage ``crossfit``: students that never saw a sample say what they would have answered to it.

The teacher's answers are split into folds; for each fold a student learns from the others and answers this one. Where
it contradicts the teacher with confidence, one of the two is wrong, and often it is the teacher: these are the samples
to look at first (``audit plan --mode weighted --suspicion held_out``). That a model's confidence out of its own fold
finds label errors is Northcutt, Jiang and Chuang 2021, "Confident learning", JAIR 70. The answers are kept as outputs
of a model of the role ``held-out``: it is no student, is never evaluated, and nothing is dropped because of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean import dataset
from engine.context import Context
from engine.evaluate.answers import label_in, spellings
from engine.stages import as_mapping, option
from engine.students.train import targets_of
from engine.students.written import answer_row
from store import read
from store.errors import InputError, RuleError
from store.records import Output

if TYPE_CHECKING:
    from engine.students.classifier import TrainParams

ROLE = "held-out"


@dataclass(frozen=True, slots=True)
class Params:
    """Who learns from what."""

    folds: int = option(5, "how many parts; each is answered by a student of the others")
    split: str = option("train", "the split whose answers are held against each other")
    mode: str = option("hard", "hard: the teacher's label; soft: its distribution", choices=("hard", "soft"))
    c: float = option(10.0, "inverse strength of regularisation")
    seed: int = option(1, "of the folds")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Answer every sample from outside. Result: model, samples, folds, same (as the teacher says).

    Raises RuleError without answers that are labels of the contract, InputError for a number of folds that is none.
    """
    from engine.students.classifier import TrainParams

    if not 2 <= params.folds <= 100:
        raise InputError(f"{params.folds} folds", where="--folds", todo="From 2 to 100.")
    contract, teacher = context.contract(), context.model("teacher")
    test = dataset.test_prompts(context)
    found = context.store.ask(read.OUTPUTS, project=context.project, model=teacher, split=params.split)
    usable = [row for row in found if row.prompt_id not in test and label_in(row.text, contract) is not None]
    if len(usable) < params.folds:
        raise RuleError(
            f"{teacher} gave {len(usable):,} labels in split {params.split!r}: too few for {params.folds} folds",
            todo="spiritsafe generate, or import its outputs.",
        )
    chosen = TrainParams(mode=params.mode, C=params.c, seed=params.seed)  # type: ignore[arg-type]  # one of its choices
    told = {"kind": "held-out", "teacher": teacher, **as_mapping(params)}
    model = f"{teacher}-held-out"
    context.declare(model, ROLE, {name: str(value) for name, value in told.items()})
    outputs = _answers(context, usable, (model, params), chosen)
    inputs = {"contract": context.locked().hash, "folds_of": teacher}
    opened = context.open("crossfit", dict(as_mapping(params)), inputs)
    opened.add("output", outputs)
    said = {row.output_key: label_in(row.text, contract) for row in usable}
    keys = {row.prompt_id: row.output_key for row in reversed(usable)}
    same = sum(label_in(o.text, contract) == said[keys[o.prompt_id]] for o in outputs)
    result = {"model": model, "samples": len(outputs), "folds": params.folds, "same": same}
    opened.close(result)
    return result


def fold_of(prompt_id: str, folds: int, seed: int) -> int:
    """The fold of a prompt: the same on every machine, and for all answers to it.

    >>> [fold_of(i, 5, 1) for i in ("a", "c", "d")]
    [4, 4, 2]
    """
    return int.from_bytes(hashlib.sha256(f"{seed}.{prompt_id}".encode()).digest()[:8]) % folds


def _answers(
    context: Context, usable: list[read.OutputRow], named: tuple[str, Params], chosen: TrainParams
) -> list[Output]:
    """One output a prompt, in the order of its first answer."""
    from engine.students.classifier import train

    (model, params), contract = named, context.contract()
    spelled = spellings((row.text for row in usable), contract)
    outputs: dict[str, Output] = {}
    for fold in range(params.folds):
        context.progress("held out", fold, params.folds)
        inside = [row for row in usable if fold_of(row.prompt_id, params.folds, params.seed) == fold]
        others = [row for row in usable if fold_of(row.prompt_id, params.folds, params.seed) != fold]
        texts, targets, _, _ = targets_of([(r.prompt, r.text, r.logprobs, 1.0) for r in others], contract)
        student = train(texts, targets, chosen)
        for row, prediction in zip(inside, student.predict([r.prompt for r in inside], top=20), strict=True):
            outputs.setdefault(
                row.prompt_id, answer_row((row.arrival_key, row.prompt_id), model, prediction, spelled)
            )
    return [outputs[p] for p in dict.fromkeys(row.prompt_id for row in usable)]
