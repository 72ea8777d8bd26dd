"""Stage ``gate``: the contract's bars, judged on the newest evaluation. Pure counts in, one judgement a row out.

``judged`` is what the console shows, ``run`` puts it on record, and ``verify`` calls it again a year later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.context import Closed, Context
from engine.contract import OVERALL, bars
from engine.contract_records import Contract
from engine.evaluate.answers import scored
from engine.evaluate.freeze import in_force
from engine.evaluate.gate import Gate, GateRow, MeasureRow, judge_gate, refuse_graded
from engine.evaluate.measured import Timed, measured
from engine.evaluate.metrics import METRICS
from engine.stages import as_mapping, option
from store.errors import RuleError
from store.slices import expanded


@dataclass(frozen=True, slots=True)
class Params:
    """Whose gate."""

    student: str = option("", "the student to judge (default: the newest)")


@dataclass(frozen=True, slots=True)
class Counted:
    """One slice with its paired counts of teacher and student."""

    slice: str
    where: str
    n: int
    teacher_right: int
    student_right: int
    both_right: int
    teacher_only: int
    student_only: int


def slices_of(contract: Contract) -> list[tuple[str, str]]:
    """(name, predicate) of every slice, the whole set first."""
    known = {s.name: s.where for s in contract.gate.slices}
    return [(OVERALL, ""), *((s.name, expanded(s.where, known)) for s in contract.gate.slices)]


def counted(
    context: Context, evaluated: Closed, student: str, slices: Sequence[tuple[str, str]]
) -> list[Counted]:
    """Paired counts per slice, from the scores."""
    rows = context.store.call(
        "slice_counts",
        project=context.project,
        run_id=evaluated.run_id,
        metric=evaluated.result["metric"],
        teacher=evaluated.result["teacher"],
        student=student,
        predicates=[where for _, where in slices],
    )
    return [Counted(name, where, *row) for (name, where), row in zip(slices, rows, strict=True)]


def newest(context: Context, student: str = "") -> tuple[Closed, str]:
    """The evaluation and the student that a gate or a decision is about.

    Raises RuleError where nothing was evaluated, or on another set or harness than the one in force.
    """
    evaluated = context.latest("evaluate", "Score the models first: spiritsafe evaluate")
    frozen = context.evaluation_set()
    if evaluated.inputs["harness"] != frozen.result["harness_sha256"]:
        raise RuleError(
            "the newest scores are of an earlier evaluation set", todo="Score again: spiritsafe evaluate"
        )
    in_force(context.contract(), frozen)
    name = context.model("student", student)
    if name not in evaluated.result["students"]:
        role = " as a student" if name in evaluated.result["models"] else ""
        todo = "Declare it a student and score again: spiritsafe evaluate" if role else "spiritsafe evaluate"
        raise RuleError(f"{name} was not evaluated{role} yet", todo=todo)
    return evaluated, name


def attempts_spent(context: Context, evaluated: Closed) -> int:
    """How many students were scored on this set up to that evaluation: each one's first scores are an attempt.

    Another harness over the same prompts is the same set: new slices buy no new attempts.
    """
    students: set[str] = set()
    for run_ in context.runs("evaluate"):
        if run_.inputs["set"] == evaluated.inputs["set"] and run_.seq <= evaluated.seq:
            students |= set(run_.result["students"])
    return len(students)


def gate_rows(
    contract: Contract, counts: Sequence[Counted], answers: Iterable[Timed]
) -> list[GateRow | MeasureRow]:
    """The contract's bars with the evidence for each: counts by slice, and what the student's ``answers`` took."""
    by_name = {c.slice: c for c in counts}
    rows: list[GateRow | MeasureRow] = [
        GateRow(bar.slice, bar.kind, bar.bar, n=(c := by_name[bar.slice]).n, both_right=c.both_right,
                teacher_only=c.teacher_only, student_only=c.student_only, critical=bar.critical,
                minimum_n=contract.gate.minimum_n)
        for bar in bars(contract.gate)
    ]  # fmt: skip
    return [*rows, *measured(contract.student, answers)]


def judged(context: Context, evaluated: Closed, student: str) -> tuple[Gate, list[Counted], dict[str, Any]]:
    """The gate, the counts under it, and the protocol rows: attempts and unanswered prompts.

    All of it from what that evaluation scored: outputs, runs, latencies and costs that came later are not seen.
    """
    contract = context.contract()
    refuse_graded(METRICS[contract.task.metric])
    counts = counted(context, evaluated, student, slices_of(contract))
    given = scored(context, evaluated, student).values()
    gate = judge_gate(gate_rows(contract, counts, given), level=float(contract.gate.level))
    spent = attempts_spent(context, evaluated)
    unanswered = evaluated.result["scorable"] - counts[0].n
    protocol = {
        "attempts_spent": spent,
        "attempts_allowed": contract.gate.attempts,
        "unanswered": unanswered,
        "holds": spent <= contract.gate.attempts and unanswered == 0,
    }
    return gate, counts, protocol


def run(context: Context, params: Params) -> dict[str, Any]:
    """Judge and put on record. Result: the gate's rows, counts, protocol, and whether all of it passes."""
    evaluated, student = newest(context, params.student)
    gate, counts, protocol = judged(context, evaluated, student)
    result = {
        "student": student,
        "teacher": evaluated.result["teacher"],
        "evaluation": evaluated.run_id,
        "gate": gate.as_payload(),
        "counts": [as_dict(c) for c in counts],
        "protocol": protocol,
        "passes": gate.judgement.value == "pass" and protocol["holds"],
    }
    inputs = {"set": evaluated.inputs["set"], "harness": evaluated.inputs["harness"], "contract": context.locked().hash,
              "scores": evaluated.digests["score"]}  # fmt: skip
    context.open("gate", dict(as_mapping(params)), inputs).close(result)
    return result


def as_dict(c: Counted) -> dict[str, Any]:
    """Counts as a payload."""
    return {name: getattr(c, name) for name in Counted.__slots__}
