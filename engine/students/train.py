"""Stage ``train``: a classifier student on a frozen dataset version; weights are kept in the store.

It reads the dataset's members and nothing else: the evaluation set cannot get in (the freeze refused it, and
this stage checks again).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean.match import samples_hash, weights_of
from engine.context import Closed, Context
from engine.contract_records import Contract
from engine.evaluate.answers import codes_of, label_in, spellings
from engine.evaluate.freeze import in_force
from engine.evaluate.measured import refuse_large
from engine.stages import as_mapping, option
from store import read
from store.canonical import canonical, digest
from store.errors import RuleError
from store.records import File

if TYPE_CHECKING:
    from engine.students.classifier import Target


@dataclass(frozen=True, slots=True)
class Params:
    """How the student is trained."""

    name: str = option("", "name of the student (default: made of mode and size)")
    mode: str = option("soft", "hard: the teacher's label; soft: its distribution", choices=("hard", "soft"))
    temperature: float = option(2.0, "soft only: flattens the teacher's distribution")
    limit: int = option(0, "at most so many samples, drawn by --seed; 0: all")
    seed: int = option(1, "of the draw")
    c: float = option(10.0, "inverse strength of regularisation")
    features: int = option(50_000, "words and phrases known at most")
    words: int = option(2, "longest phrase, in words")


Row = tuple[str, str, str | None, float]  # prompt, teacher's text, logprobs, weight
WEIGHTS, SPELLINGS = "weights.npz", "spellings.json"


def run(context: Context, params: Params) -> dict[str, Any]:
    """Train. Result: model, samples, sha256 of the weights. Raises RuleError without dataset or evaluation set."""
    from engine.students.classifier import TrainParams, train

    contract = context.contract()
    frozen = context.evaluation_set()
    in_force(contract, frozen)
    dataset = _dataset(context, frozen)
    if params.name and context.declared(params.name):
        raise RuleError(f"there is a model {params.name} already", todo="Give this one another --name.")
    rows = _rows(context, dataset, frozen)
    texts, targets, said, heavy = targets_of(rows, contract)
    chosen = TrainParams(
        mode=params.mode,  # type: ignore[arg-type]  # its own __post_init__ refuses others
        temperature=params.temperature, C=params.c, seed=params.seed, limit=params.limit or None,
        most_features=params.features, ngrams=(1, params.words),
    )  # fmt: skip
    context.progress("train", 0, len(texts))
    student = train(texts, targets, chosen, sample_weights=heavy)
    parameters = (len(student.vocabulary) + 1) * len(student.labels)  # weights and intercepts
    refuse_large(contract.student, parameters)
    weights = student.to_bytes()
    name = params.name or _free_name(
        context, f"tfidf-{params.mode}-{min(len(texts), params.limit or len(texts))}"
    )
    told = {
        "kind": "tfidf-logistic",
        "weights_sha256": digest(weights),
        "dataset": dataset.result["dataset_sha256"],
    }
    _refuse_twin(context, told)
    inputs = {
        "dataset": dataset.result["dataset_sha256"],
        "set": frozen.result["set_sha256"],
        "contract": context.locked().hash,
    }
    opened = context.open("train", dict(as_mapping(params)), inputs)
    spelled = canonical(spellings(said, contract))
    opened.add(
        "file",
        [
            File(0, 0, f"{name}/{WEIGHTS}", "application/x-npz", digest(weights), weights),
            File(0, 0, f"{name}/{SPELLINGS}", "application/json", digest(spelled), spelled),
        ],
    )
    result = {"model": name, "samples": min(len(texts), params.limit or len(texts)), "unusable": len(rows) - len(texts),
              "features": len(student.vocabulary), "labels": len(student.labels), "parameters": parameters, **told}  # fmt: skip
    context.declare(name, "student", told)
    opened.close(result)
    context.tell("train", len(texts), len(texts))
    return result


def _dataset(context: Context, frozen: Closed) -> Closed:
    """The newest version; raises RuleError where there is none against this evaluation set."""
    dataset = context.latest("dataset", "Freeze one first: spiritsafe dataset freeze")
    if dataset.inputs["set"] != frozen.result["set_sha256"]:
        raise RuleError(
            "the dataset was frozen against an earlier evaluation set",
            todo="Freeze it again: spiritsafe dataset freeze",
        )
    return dataset


def _refuse_twin(context: Context, told: dict[str, str]) -> None:
    """Raises RuleError where an earlier student has the same weights from the same data."""
    for earlier in context.runs("train"):
        if all(earlier.result[key] == value for key, value in told.items()):
            raise RuleError(
                f"{earlier.result['model']} is this very student", todo="Go on: spiritsafe evaluate"
            )


def _free_name(context: Context, name: str) -> str:
    """``name``, or with the first number behind it that no model has: a name stands for one student."""
    taken = {m.model for m in context.models()}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _rows(context: Context, dataset: Closed, frozen: Closed) -> list[Row]:
    """The dataset's members in its order; without those that production never asks for, where they are weighted."""
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=dataset.run_id)
    test = context.store.fetch(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)[
        "prompt_id"
    ].to_pylist()
    if leaked := {m.prompt_id for m in members} & set(test):
        raise RuleError(
            f"{len(leaked)} prompts of the evaluation set are in the dataset",
            todo="Freeze the dataset again.",
        )
    outputs = context.store.fetch(
        read.OUTPUTS, project=context.project, model=dataset.result["teacher"], split=None
    )
    columns = [outputs[name].to_pylist() for name in ("output_key", "prompt", "text", "logprobs")]
    by_key = {key: (prompt, text, logprobs) for key, prompt, text, logprobs in zip(*columns, strict=True)}
    heavy = weights_of(context, dataset.run_id)
    if dataset.result["dataset_sha256"] != samples_hash([(m.prompt_id, m.output_id) for m in members], heavy):
        raise RuleError(
            "the samples or weights of the dataset are not those of its hash",
            todo="Freeze the dataset again.",
        )
    weights = [1.0] * len(members) if heavy is None else heavy
    return [
        (*by_key[m.output_key], weight)
        for m, weight in zip(members, weights, strict=True)
        if m.output_key in by_key and weight > 0
    ]


def targets_of(rows: list[Row], contract: Contract) -> tuple[list[str], list[Target], list[str], list[float]]:
    """Texts and targets of the rows whose answer is a label, how the teacher wrote it, and how much each counts."""
    from engine.students.classifier import target_of

    codes = codes_of(contract)
    names = {label.name: label.name for label in contract.task.labels}
    texts, targets, said, heavy = [], [], [], []
    for prompt, answer, logprobs, weight in rows:
        label = label_in(answer, contract)
        if label is None:
            continue
        code = next((c for c, n in codes.items() if n == label), label)
        texts.append(prompt)
        targets.append(target_of(code, logprobs, codes | names | {label: label}))
        said.append(answer)
        heavy.append(weight)
    if not texts:
        raise RuleError(
            "no answer of the dataset is a label of the contract", todo="See task.labels in the contract."
        )
    return texts, targets, said, heavy
