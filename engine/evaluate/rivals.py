"""Do-nothing rivals against the contract's bars, before there is a student: would one of them do?

Before any money is spent the teacher has answered nothing. Then it is taken as never wrong: a baseline that meets a
margin to that teacher meets it to any. Where the teacher has answered the set, pairs are counted as in the gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.context import Closed, Context
from engine.contract_bars import bars
from engine.contract_records import Contract
from engine.evaluate.answers import Scorer, answered
from engine.evaluate.bars import slices_of
from engine.evaluate.gate import Gate, GateRow, MeasureRow, Row, judge_gate, paired_counts
from engine.evaluate.measured import measured
from store import grammar, read, script
from store.errors import RuleError
from store.language import script_of_text


def rivals(context: Context, frozen: Closed) -> list[dict[str, Any]]:
    """Every baseline that answered the whole set, judged: model, judgement, what the teacher was taken for, rows.

    Memory: prompts and metadata of the set, and one baseline's answers at a time.
    """
    contract = context.contract()
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    scorable = [m for m in members if m.reference is not None]
    inside = _inside(context, contract, scorable)
    teacher = _teacher(context, contract, scorable)
    taken = "its own answers" if teacher else "taken as never wrong"
    found = []
    for model in context.models("baseline"):
        right = _right(context, contract, scorable, model.model)
        if len(right) < len(scorable):
            continue
        rows = _rows(contract, scorable, inside, right, teacher)
        gate = judge_gate(
            [*rows, *_measured(context, contract, scorable, model.model)], level=float(contract.gate.level)
        )
        found.append(_told(model.model, gate, right, taken))
    return found


def _told(model: str, gate: Gate, right: Mapping[str, float], taken: str) -> dict[str, Any]:
    rows = [
        {
            "slice": f.slice,
            "bar": f"{f.kind} {abs(f.bar).normalize():f}",
            "n": f.n,
            "judgement": f.judgement.value,
            "why": f.why,
        }
        for f in gate.findings
    ]
    return {
        "model": model,
        "judgement": gate.judgement.value,
        "right": int(sum(right.values())),
        "n": len(right),
        "teacher": taken,
        "rows": rows,
    }


def meets(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Models of which every row passes: quality, cost and latency."""
    return [str(one["model"]) for one in found if one["judgement"] == "pass"]


def _inside(context: Context, contract: Contract, members: Sequence[read.SetRow]) -> dict[str, set[str]]:
    """Slice -> prompt ids of the set in it."""
    wanted = {m.arrival_key for m in members}
    arrivals = [
        a
        for a in context.store.ask(read.ARRIVALS, project=context.project, split=None)
        if a.arrival_key in wanted
    ]
    found: dict[str, set[str]] = {}
    for name, where in slices_of(contract):
        rule = grammar.parse(where) if where.strip() else None
        found[name] = {a.prompt_id for a in arrivals if rule is None or grammar.holds(rule, *_row(a))}
    return found


def _row(a: read.ArrivalRow) -> tuple[dict[str, Any], dict[str, Any]]:
    row = {
        "prompt": a.text,
        "text": a.text,
        "reference": a.reference,
        "split": a.split,
        "source": a.source,
        script.NAME: script_of_text(a.text),
    }
    return row, msgspec.json.decode(a.metadata)


def _right(
    context: Context, contract: Contract, members: Sequence[read.SetRow], model: str
) -> dict[str, float]:
    """Prompt id -> whether the model's first answer is right, of those that it answered."""
    given: dict[str, str] = {}
    for one in answered(context, model, None):
        given.setdefault(one.prompt_id, one.text)
    scorer = Scorer(contract)
    return {
        m.prompt_id: scorer.score(given[m.prompt_id], m.reference or "")
        for m in members
        if m.prompt_id in given
    }


def _teacher(context: Context, contract: Contract, members: Sequence[read.SetRow]) -> dict[str, float]:
    """The teacher's own values where it answered the whole set, else none."""
    try:
        name = context.model("teacher")
    except RuleError:
        return {}
    found = _right(context, contract, members, name)
    return found if len(found) == len(members) else {}


def _rows(
    contract: Contract,
    members: Sequence[read.SetRow],
    inside: Mapping[str, set[str]],
    right: Mapping[str, float],
    teacher: Mapping[str, float],
) -> list[Row]:
    rows: list[Row] = []
    for bar in bars(contract.gate):
        ids = [m.prompt_id for m in members if m.prompt_id in inside[bar.slice]]
        n, both, teacher_only, student_only = paired_counts((teacher.get(i, 1.0), right[i]) for i in ids)
        rows.append(
            GateRow(bar.slice, bar.kind, bar.bar, n, both, teacher_only, student_only, bar.critical,
                    contract.gate.minimum_n)
        )  # fmt: skip
    return rows


def _measured(
    context: Context, contract: Contract, members: Sequence[read.SetRow], model: str
) -> list[MeasureRow]:
    """Latency and cost against the student's budget, where the contract has one."""
    budget = contract.student
    if budget.p95_latency_ms is None and budget.cost_per_1000 is None:
        return []
    wanted = {m.prompt_id for m in members}
    return measured(budget, (a for a in answered(context, model, None) if a.prompt_id in wanted))
