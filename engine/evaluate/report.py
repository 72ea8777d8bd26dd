"""Stage ``evaluate``: every model on the frozen set, slice by slice, as scores and one standard report.

A trained student answers the set here, and its answers are kept as outputs like everybody's. A model that left
prompts unanswered is reported with how many, and the gate does not hold for it. All answers of all models are in
memory at once (texts only): 100,000 prompts of 200 characters and ten models are about half a gigabyte.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from engine import statistics
from engine.context import Closed, Context
from engine.contract_records import Contract
from engine.evaluate.answers import Scorer, answered, label_in, scored
from engine.evaluate.freeze import in_force
from engine.evaluate.measured import measures
from engine.evaluate.metrics import agreement, label_reports, macro_f1
from engine.stages import as_mapping
from engine.students.train import SPELLINGS, WEIGHTS
from engine.students.written import answer_row
from store import read
from store.client import Run
from store.errors import RuleError
from store.records import SEQ_BITS, Output, Score, key_of

TIMED = 100  # prompts that a trained student answers one by one, for latency


@dataclass(frozen=True, slots=True)
class Params:
    """Nothing to choose: the set, the metric and the slices are frozen."""


Answers = dict[str, read.Given]  # prompt id -> answer


def run(context: Context, params: Params) -> dict[str, Any]:
    """Evaluate. Result: set and harness hash, per model its numbers overall."""
    contract, frozen = context.contract(), context.evaluation_set()
    in_force(contract, frozen)
    members = _members(context, frozen)
    teacher = context.model("teacher")
    answers = {m.model: _answers(context, m.model, members, frozen) for m in context.models()}
    if not answers[teacher]:
        raise RuleError(
            f"the teacher {teacher} answered no prompt of the set",
            todo=f"spiritsafe generate --split {frozen.params.get('split', 'test')}, or import its outputs.",
        )
    opened = context.open("evaluate", dict(as_mapping(params)), {"set": frozen.result["set_sha256"],
        "harness": frozen.result["harness_sha256"], "contract": context.locked().hash})  # fmt: skip
    for trained in context.runs("train"):
        _let_answer(context, trained, members, answers[trained.result["model"]], opened)
    scorer, scores = Scorer(contract), {}
    for model, given in answers.items():
        scores[model] = _scores(scorer, model, members, given)
        opened.add("score", scores[model])
        context.progress("evaluate", len(scores), len(answers))
    result = {
        "set": frozen.result["set_sha256"],
        "harness": frozen.result["harness_sha256"],
        "metric": scorer.metric.name,
        "prompts": frozen.result["prompts"],
        "scorable": len(members),
        "teacher": teacher,
        "students": [m.model for m in context.models("student") if scores[m.model]],
        "models": {
            name: _summary(contract, members, given, answers[teacher], scores[name]) | _origin(context, given)
            for name, given in answers.items()
            if scores[name]
        },
    }
    opened.close(result)
    return result


def summarised(context: Context, evaluated: Closed) -> dict[str, Any]:
    """The models' numbers of an evaluation, computed again from outputs, references and metric."""
    contract = context.contract()
    members = _members(context, context.evaluation_set())
    scorer = Scorer(contract)
    answers = {m: scored(context, evaluated, m) for m in evaluated.result["models"]}
    teacher = answers[evaluated.result["teacher"]]
    return {
        name: _summary(contract, members, given, teacher, _scores(scorer, name, members, given))
        | _origin(context, given)
        for name, given in answers.items()
    }


def disagreeing(context: Context, evaluated: Closed) -> int:
    """How many stored scores are not what metric, output and reference say: 0 in an honest evaluation.

    The gate counts stored scores; here they are held against the texts. Counted are other values, rows missing or
    twice, prompts outside of the set, and scores that name another model's output.
    """
    members = _members(context, context.evaluation_set())
    scorer = Scorer(context.contract())
    rows = context.store.ask(read.SCORES, project=context.project, run_id=evaluated.run_id)
    stored = Counter((s.model, s.arrival_key, s.output_key, s.prompt_id, s.metric, s.value) for s in rows)
    expected = Counter(
        (s.model, s.arrival_key, s.output_key, s.prompt_id, s.metric, s.value)
        for model in evaluated.result["models"]
        for s in _scores(scorer, model, members, scored(context, evaluated, model))
    )
    return (stored - expected).total() + (expected - stored).total()


def _members(context: Context, frozen: Closed) -> list[read.SetRow]:
    """The prompts of the set that can be scored: those with a reference."""
    rows = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    return [row for row in rows if row.reference is not None]


def _answers(context: Context, model: str, members: list[read.SetRow], frozen: Closed) -> Answers:
    """The first answer (of sample 0) of a model to each prompt of the set: a later one is no second chance."""
    wanted = {m.prompt_id for m in members}
    found: Answers = {}
    for given in answered(context, model, frozen.params.get("split")):
        if given.prompt_id in wanted:
            found.setdefault(given.prompt_id, given)
    return found


def _origin(context: Context, given: Answers) -> dict[str, list[str]]:
    """Which stages the answers came by: ``import`` says that nobody here saw the model answer."""
    stages = {r.run_no: r.stage for r in context.runs()}
    numbers = {g.output_key >> SEQ_BITS for g in given.values()}
    return {"outputs_by": sorted({stages.get(number, "evaluate") for number in numbers})}


def _scores(scorer: Scorer, model: str, members: list[read.SetRow], given: Answers) -> list[Score]:
    metric = scorer.metric.name
    return [
        Score(0, 0, m.arrival_key, given[m.prompt_id].output_key, m.prompt_id, model, metric,
              scorer.score(given[m.prompt_id].text, m.reference or ""))
        for m in members
        if m.prompt_id in given
    ]  # fmt: skip


def _let_answer(
    context: Context, trained: Closed, members: list[read.SetRow], given: Answers, opened: Run
) -> None:
    """Let a trained student answer what it has not answered yet, and keep that as its outputs."""
    missing = [m for m in members if m.prompt_id not in given]
    if not missing:
        return
    first = opened.next_seq("output")
    outputs = _predict(context, trained, missing)
    opened.add("output", outputs)
    for seq, output in enumerate(outputs, first):
        given[output.prompt_id] = read.Given(
            output.prompt_id, key_of(opened.run_no, seq), output.text, output.latency_us
        )


def _predict(context: Context, trained: Closed, members: list[read.SetRow]) -> list[Output]:
    """The student's answers, written as the teacher writes; about ``TIMED`` are given one by one, timed."""
    from engine.students.classifier import Classifier

    name = trained.result["model"]
    files = {
        part: next(
            row
            for row in context.store.ask(read.FILES, project=context.project, name=f"{name}/{part}")
            if row.run_id == trained.run_id
        )
        for part in (WEIGHTS, SPELLINGS)
    }
    student = Classifier.from_bytes(files[WEIGHTS].body, sha256=trained.result["weights_sha256"])
    spelling = msgspec.json.decode(files[SPELLINGS].body, type=dict[str, str])
    arrivals = context.store.fetch(read.ARRIVALS, project=context.project, split=None)
    by_key = dict(zip(arrivals["arrival_key"].to_pylist(), arrivals["text"].to_pylist(), strict=True))
    texts = [by_key[m.arrival_key] for m in members]
    predictions = student.predict(texts)
    latency: dict[int, int] = {}
    for i in range(0, len(texts), max(1, len(texts) // TIMED)):
        start = time.perf_counter_ns()
        student.predict([texts[i]])
        latency[i] = (time.perf_counter_ns() - start) // 1000
    return [
        answer_row((member.arrival_key, member.prompt_id), name, prediction, spelling, latency.get(i))
        for i, (member, prediction) in enumerate(zip(members, predictions, strict=True))
    ]


def _summary(
    contract: Contract, members: list[read.SetRow], given: Answers, teacher: Answers, scores: list[Score]
) -> dict[str, Any]:
    """One model's standard numbers, as text where they are no integers."""
    n, right = len(scores), int(sum(s.value for s in scores))
    low, high = statistics.wilson(right, n) if n else (0.0, 1.0)
    scorer = Scorer(contract)
    both = [(scorer.stated(g.text), scorer.stated(teacher[p].text)) for p, g in given.items() if p in teacher]
    same, pairs = agreement(both)
    summary: dict[str, Any] = {
        "n": n,
        "right": right,
        "accuracy": _four(right / n if n else 0.0),
        "low": _four(low),
        "high": _four(high),
        "unanswered": len(members) - n,
        "same_as_teacher": same,
        "compared": pairs,
    }
    machine = (
        None if given is teacher else contract.student.machine_per_hour
    )  # what would serve the teacher is not said
    summary |= measures(given.values(), machine)
    if contract.task.metric == "label":
        summary |= _per_label(contract, members, given)
    return summary


def _per_label(contract: Contract, members: list[read.SetRow], given: Answers) -> dict[str, Any]:
    pairs = [
        (
            label_in(m.reference, contract) or m.reference,
            label_in(given[m.prompt_id].text, contract) or "(no label)",
        )
        for m in members
        if m.reference is not None and m.prompt_id in given
    ]
    reports = label_reports(pairs)
    f1 = macro_f1(reports)
    return {
        "macro_f1": None if f1 is None else _four(f1),
        "labels": [
            {
                "label": r.label,
                "support": r.support,
                "predicted": r.predicted,
                "right": r.right,
                "precision": None if r.precision is None else _four(r.precision),
                "recall": None if r.recall is None else _four(r.recall),
                "f1": None if r.f1 is None else _four(r.f1),
            }
            for r in reports
        ],
    }


def _four(value: float) -> str:
    return f"{value:.4f}"
