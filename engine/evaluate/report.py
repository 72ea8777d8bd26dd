"""Stage ``evaluate``: every model on the frozen set, slice by slice, as scores and one standard report.

A trained student answers the set here, and its answers are kept as outputs like everybody's. A model that left
prompts unanswered is reported with how many; the gate counts none of them as right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from engine import statistics
from engine.context import Closed, Context
from engine.contract_records import Contract
from engine.evaluate.answers import Scorer, label_in
from engine.evaluate.metrics import agreement, label_reports, macro_f1
from engine.stages import as_mapping, option
from engine.students.train import SPELLINGS, WEIGHTS
from store import read
from store.canonical import canonical_text, output_id_of
from store.errors import RuleError
from store.records import Output, Score

TIMED = 100  # prompts that a trained student answers one by one, for latency
WHOLE = "all"


@dataclass(frozen=True, slots=True)
class Params:
    """Nothing to choose: the set, the metric and the slices are frozen."""

    student: str = option("", "only this student is new here (default: every model)")


Answers = dict[str, read.OutputRow]  # prompt id -> output


def run(context: Context, params: Params) -> dict[str, Any]:
    """Evaluate. Result: set and harness hash, per model its numbers overall and per slice."""
    contract, frozen = context.contract(), context.evaluation_set()
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    teacher = context.model("teacher")
    opened = context.open("evaluate", dict(as_mapping(params)), {"set": frozen.result["set_sha256"],
        "harness": frozen.result["harness_sha256"], "contract": context.locked().hash})  # fmt: skip
    answers = {m.model: _answers(context, m.model, members) for m in context.models()}
    for trained in context.runs("train"):
        name = trained.result["model"]
        if not answers.get(name):
            opened.add(
                "output",
                _predict(context, trained, members, opened.run_no, opened.next_seq("output"), answers),
            )
    scorer, scores = Scorer(contract), {}
    for model, given in answers.items():
        scores[model] = _scores(scorer, model, members, given)
        opened.add("score", scores[model])
        context.progress("evaluate", len(scores), len(answers))
    if not scores.get(teacher):
        raise RuleError(
            f"the teacher {teacher} answered no prompt of the set", todo="spiritsafe generate --split test"
        )
    students = [m.model for m in context.models("student")]
    result = {
        "set": frozen.result["set_sha256"],
        "harness": frozen.result["harness_sha256"],
        "metric": scorer.metric.name,
        "prompts": len(members),
        "teacher": teacher,
        "students": [name for name in students if scores.get(name)],
        "models": {
            name: _summary(contract, members, answers[name], answers[teacher], scores[name])
            for name in scores
            if scores[name]
        },
    }
    opened.close(result)
    return result


def summarised(context: Context, evaluated: Closed) -> dict[str, Any]:
    """The models' numbers of an evaluation, computed again from outputs, references and metric."""
    contract = context.contract()
    members = context.store.ask(
        read.SET_MEMBERS, project=context.project, run_id=context.evaluation_set().run_id
    )
    scorer = Scorer(contract)
    answers = {m: _answers(context, m, members, evaluated) for m in evaluated.result["models"]}
    teacher = answers[evaluated.result["teacher"]]
    return {
        name: _summary(contract, members, given, teacher, _scores(scorer, name, members, given))
        for name, given in answers.items()
    }


def _answers(
    context: Context, model: str, members: list[read.SetRow], evaluated: Closed | None = None
) -> Answers:
    """The first answer (sample 0) of a model to each prompt of the set; those that an earlier evaluation scored."""
    if evaluated is not None:
        scored = {
            s.output_key
            for s in context.store.ask(read.SCORES, project=context.project, run_id=evaluated.run_id)
        }
        rows = context.store.ask(read.OUTPUTS, project=context.project, model=model, split=None)
        return {row.prompt_id: row for row in rows if row.output_key in scored}
    wanted = {m.prompt_id for m in members}
    found: Answers = {}
    for row in context.store.ask(read.OUTPUTS, project=context.project, model=model, split=None):
        if row.prompt_id in wanted and row.sample_index == 0:
            found.setdefault(row.prompt_id, row)
    return found


def _scores(scorer: Scorer, model: str, members: list[read.SetRow], given: Answers) -> list[Score]:
    metric = scorer.metric.name
    return [
        Score(0, 0, m.arrival_key, given[m.prompt_id].output_key, m.prompt_id, model, metric,
              scorer.score(given[m.prompt_id].text, m.reference))
        for m in members
        if m.prompt_id in given and m.reference is not None
    ]  # fmt: skip


def _predict(
    context: Context,
    trained: Closed,
    members: list[read.SetRow],
    run_no: int,
    seq: int,
    answers: dict[str, Answers],
) -> list[Output]:
    """The student's answers to the set, written as the teacher writes; some one by one, timed."""
    from engine.students.classifier import Classifier
    from store.records import key_of

    name = trained.result["model"]
    weights = context.store.ask(read.FILES, project=context.project, name=f"{name}/{WEIGHTS}")[0]
    spelled = context.store.ask(read.FILES, project=context.project, name=f"{name}/{SPELLINGS}")[0]
    student = Classifier.from_bytes(weights.body, sha256=trained.result["weights_sha256"])
    spelling = msgspec.json.decode(spelled.body, type=dict[str, str])
    arrivals = {
        a.arrival_key: a for a in context.store.ask(read.ARRIVALS, project=context.project, split=None)
    }
    texts = [arrivals[m.arrival_key].text for m in members]
    predictions = student.predict(texts)
    latency: dict[int, int] = {}
    for i in range(0, len(texts), max(1, len(texts) // TIMED)):
        start = time.perf_counter_ns()
        student.predict([texts[i]])
        latency[i] = (time.perf_counter_ns() - start) // 1000
    outputs = []
    for i, (member, prediction) in enumerate(zip(members, predictions, strict=True)):
        text = spelling.get(prediction.label, prediction.label)
        top = [
            {"token": spelling.get(label, label), "logprob": round(value, 6)}
            for label, value in prediction.top
        ]
        logprobs = canonical_text({"content": [{**top[0], "top_logprobs": top}]})
        outputs.append(
            Output(0, 0, member.arrival_key, member.prompt_id, output_id_of(member.prompt_id, name, 0, text), name, 0,
                   text, "stop", None, None, None, latency.get(i), logprobs)
        )  # fmt: skip
        arrival = arrivals[member.arrival_key]
        row = read.OutputRow(key_of(run_no, seq + i), member.arrival_key, member.prompt_id, outputs[-1].output_id, 0, text,
                             logprobs, latency.get(i), None, arrival.text, arrival.reference, arrival.split, arrival.metadata)  # fmt: skip
        answers.setdefault(name, {})[member.prompt_id] = row
    return outputs


def _summary(
    contract: Contract, members: list[read.SetRow], given: Answers, teacher: Answers, scores: list[Score]
) -> dict[str, Any]:
    """One model's standard numbers, as text where they are no integers."""
    n, right = len(scores), int(sum(s.value for s in scores))
    low, high = statistics.wilson(right, n) if n else (0.0, 1.0)
    scorer = Scorer(contract)
    both = [(scorer.stated(given[p].text), scorer.stated(teacher[p].text)) for p in given if p in teacher]
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
    timed = sorted(row.latency_us / 1000 for row in given.values() if row.latency_us is not None)
    if timed:
        summary["latency_ms"] = {"n": len(timed), "p50": _four(statistics.percentile(timed, 0.5)),
                                 "p95": _four(statistics.percentile(timed, 0.95))}  # fmt: skip
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
