"""The gate and the evaluation in words and tables, worst first: for the sheets and the reports. No Textual."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from console.text import counted, fit
from store.errors import SpiritsafeError

if TYPE_CHECKING:
    from engine.context import Context

WIDE = 79
ORDER = {"fail": 0, "insufficient": 1, "pass": 2}
KINDS = {
    "margin": "student minus teacher",
    "floor": "student's accuracy",
    "p95_latency_ms": "p95 latency ms",
    "cost_per_1000": "cost per 1000",
}
MEASURED = (
    "p95_latency_ms",
    "cost_per_1000",
)  # what running costs, on all prompts: named for what it measures
NAME = 20  # cells of a bar's name


def kind_name(row: Mapping[str, Any]) -> str:
    """What a bar measures."""
    return KINDS.get(row["kind"], str(row["kind"]).replace("_", " "))


def bar_name(row: Mapping[str, Any]) -> str:
    """What a gate row is called: its slice, or what it measures."""
    return kind_name(row) if row["kind"] in MEASURED else str(row["slice"])


def bound_of(row: Mapping[str, Any]) -> str | None:
    """The bound that has to clear the bar: what running costs stays below its own, all else above.

    >>> bound_of({"kind": "margin", "lower": "-0.2", "upper": "0.1"}), bound_of({"kind": "cost_per_1000", "upper": "3"})
    ('-0.2', '3')
    """
    bound: str | None = row["upper" if row["kind"] in MEASURED else "lower"]
    return bound


def rounded(number: str | None, digits: int = 4) -> str:
    """A number of a record, rounded for people; a dash where there is none.

    >>> rounded("-0.201319"), rounded("0.99996"), rounded(None)
    ('-0.2013', '1.0000', '-')
    """
    return "-" if number is None else f"{float(number):.{digits}f}"


def worst_first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What fails, then what is insufficient, each in the contract's order."""
    return sorted(rows, key=lambda row: ORDER[row["judgement"]])


def gate_table(found: Mapping[str, Any]) -> list[str]:
    """A gate's result as a table for 80 columns, and below it why each row is judged so."""
    gate, protocol = found["gate"], found["protocol"]
    passes = "passes" if found["passes"] else "does not pass"
    head = f"gate {gate['judgement'].upper()}: {passes} · {found['student']} against {found['teacher']}"
    lines = [
        f"{head} · attempt {protocol['attempts_spent']} of {protocol['attempts_allowed']}",
        "",
        *bars_table(gate["rows"], found["counts"]),
        "",
    ]
    for row in worst_first(gate["rows"]):
        about = bar_name(row) if row["kind"] in MEASURED else f"{row['slice']} ({kind_name(row)})"
        needed = f"; it would take n = {row['n_needed']:,}" if row["n_needed"] else ""
        lines += textwrap.wrap(f"{about}: {row['why']}{needed}", WIDE, subsequent_indent="  ")
    level = f"{100 * float(gate['level']):g}"
    lines += [
        "",
        f"bound: one-sided, {level} %. * critical. {counted(protocol['unanswered'], 'prompt')} unanswered.",
    ]
    return lines


def bars_table(rows: Sequence[Mapping[str, Any]], counts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The bars, worst first: verdict, right answers of student and teacher, estimate, bound, bar."""
    by_name = {one["slice"]: one for one in counts}
    lines = [
        f"{'slice':<{NAME}} {'verdict':<12} {'student':>9} {'teacher':>9} {'estimate':>8} {'bound':>8} {'bar':>7}"
    ]
    for row in worst_first(rows):
        c = None if row["kind"] in MEASURED else by_name.get(row["slice"])
        right = [f"{c[who]}/{c['n']}" if c else "" for who in ("student_right", "teacher_right")]
        if not c:
            right[0] = f"n {row['n']:,}"
        name = fit(bar_name(row), NAME - 2).rstrip() + (" *" if row["critical"] else "")
        lines.append(
            f"{fit(name, NAME)} {row['judgement'].upper():<12} {right[0]:>9} {right[1]:>9}"
            f" {rounded(row['estimate']):>8} {rounded(bound_of(row)):>8} {row['bar']:>7}"
        )
    return lines


def models_table(found: Mapping[str, Any]) -> list[str]:
    """The models of an evaluation, worst first: right answers, share, interval, how often as the teacher."""
    title = f"evaluation by {found['metric']} · set {found['set'][:12]} · teacher {found['teacher']}"
    lines = [title, "", f"{'model':<26} {'right':>11} {'share':>7} {'95 % interval':>18} {'as teacher':>11}"]
    for name, m in sorted(found["models"].items(), key=lambda item: item[1]["right"]):
        role = " (teacher)" if name == found["teacher"] else " (student)" if name in found["students"] else ""
        same, right = (f"{m[of]:,}/{m[n]:,}" for of, n in (("same_as_teacher", "compared"), ("right", "n")))
        lines.append(
            f"{fit(name, 26 - len(role)).rstrip() + role:<26} {right:>11} {m['accuracy']:>7}"
            f" {m['low'] + ' to ' + m['high']:>18} {same:>11}"
        )
    missing = [f"{name} left {counted(m['unanswered'], 'prompt')} unanswered"
               for name, m in found["models"].items() if m.get("unanswered")]  # fmt: skip
    return [*lines, *(["", *missing] if missing else [])]


def evaluation_table(context: Context, found: Mapping[str, Any]) -> list[str]:
    """The newest evaluation: its models, and the bars of the contract as they would be judged now."""
    from engine.evaluate import bars
    from engine.record import newest

    lines = models_table(found)
    try:
        evaluated, student = newest(context)
        gate, counts, _ = bars.judged(context, evaluated, student)
    except SpiritsafeError as error:
        return [*lines, "", f"no bars: {error.what}"]
    rows = [finding.as_payload() for finding in gate.findings]
    told = [{n: getattr(c, n) for n in ("slice", "n", "student_right", "teacher_right")} for c in counts]
    return [*lines, "", f"{student} by slice, worst first", "", *bars_table(rows, told)]
