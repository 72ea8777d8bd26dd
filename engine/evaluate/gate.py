"""The gate: a contract's bars judged on counts. Numbers in, judgement out; missing evidence fails closed.

A row passes when its one-sided bound reaches the bar, fails when the bound from the other side misses it,
and is insufficient in between, where it names the n it would take. The gate passes when **every** row
passes. That is an intersection-union test (Berger 1982): each row is judged at the full level, with no
Bonferroni, and a student with one slice at its bar ships about 5 % of the time. The score bound is not exact:
computed over all counts, the worst case is a student that never wins a prompt, 6.8 % at n = 88 and 5.9 % at
n = 200 for a three-point margin; 5.8 % is the most from discordance twice the margin on. Set ``minimum_n``.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from engine.evaluate.metrics import Metric
from engine.statistics import (
    clopper_pearson_lower,
    clopper_pearson_upper,
    mean_bounds,
    n_needed_floor,
    n_needed_margin,
    percentile,
    percentile_bounds,
    tango_lower,
    tango_upper,
)
from store.errors import InputError, RuleError

MEAN_MINIMUM_N = 30  # below it the central limit theorem is no evidence about a skewed cost
LATENCY_SHARE = 0.95
MEASURED = ("p95_latency_ms", "cost_per_1000")


class Judgement(enum.Enum):
    """What the evidence says of a bar."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INSUFFICIENT = "insufficient"

    def __repr__(self) -> str:
        return f"Judgement.{self.name}"


@dataclass(frozen=True, slots=True)
class GateRow:
    """One quality bar on one slice, with the paired counts of student and teacher on it.

    ``bar`` of a ``margin`` is student minus teacher accuracy, so -0.03 says "at most three points worse";
    of a ``floor`` it is the student's own accuracy. Prompts that both get wrong are what remains of ``n``.
    """

    slice: str
    kind: str  # margin | floor
    bar: Decimal
    n: int
    both_right: int
    teacher_only: int
    student_only: int
    critical: bool = False
    minimum_n: int = 1  # a pass on fewer is insufficient, whatever the bound

    def __post_init__(self) -> None:
        cells = (self.both_right, self.teacher_only, self.student_only)
        if min(cells) < 0 or sum(cells) > self.n:
            raise InputError(f"counts {cells} do not fit n={self.n}", where=f"gate row {self.slice}")
        low = -1 if self.kind == "margin" else 0
        if self.kind not in {"margin", "floor"} or not low <= self.bar <= 1:
            raise InputError(f"no such bar: {self.kind} {self.bar}", where=f"gate row {self.slice}")

    @property
    def teacher_right(self) -> int:
        return self.both_right + self.teacher_only

    @property
    def student_right(self) -> int:
        return self.both_right + self.student_only


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """A budget on what the student costs to run: values as measured, one a request, in any order.

    ``p95_latency_ms``: milliseconds; ``cost_per_1000``: the contract's currency for one request each.
    """

    kind: str  # p95_latency_ms | cost_per_1000
    budget: Decimal
    values: Sequence[float]
    slice: str = "all"
    critical: bool = False
    known: str = ""  # how the values are known, where that is not plain
    missing: str = ""  # what to give where there are none

    def __post_init__(self) -> None:
        if self.kind not in MEASURED:
            raise InputError(f"no such budget: {self.kind}", where=f"gate row {self.slice}")
        if not all(value >= 0 and math.isfinite(value) for value in self.values):
            raise InputError("a measured value is negative or no number", where=f"gate row {self.slice}")


Row = GateRow | MeasureRow


@dataclass(frozen=True, slots=True)
class Finding:
    """A judged row: estimate and its two one-sided bounds (None: no bound at this n) against the bar."""

    slice: str
    kind: str
    bar: Decimal
    critical: bool
    n: int
    estimate: float | None
    lower: float | None
    upper: float | None
    judgement: Judgement
    n_needed: int | None  # of an insufficient row: 80 % power if the truth is what was seen
    why: str

    def as_payload(self) -> dict[str, object]:
        """JSON-safe without floats: numbers with six decimals as strings."""
        return {
            "slice": self.slice,
            "kind": self.kind,
            "bar": f"{self.bar.normalize():f}",
            "critical": self.critical,
            "n": self.n,
            "estimate": _text(self.estimate),
            "lower": _text(self.lower),
            "upper": _text(self.upper),
            "judgement": self.judgement.value,
            "n_needed": self.n_needed,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """Every row judged, and what they say together."""

    level: float
    judgement: Judgement
    findings: tuple[Finding, ...]

    def as_payload(self) -> dict[str, object]:
        """JSON-safe without floats."""
        rows = [finding.as_payload() for finding in self.findings]
        return {"level": f"{self.level:.6f}", "judgement": self.judgement.value, "rows": rows}


def judge(row: Row, *, level: float) -> Judgement:
    """Judge one gate row by its bounds, never by its point estimate.

    >>> judge(
    ...     GateRow("all", "margin", Decimal("-0.05"), n=40, both_right=36, teacher_only=1, student_only=0),
    ...     level=0.95,
    ... )
    Judgement.INSUFFICIENT
    """
    return find(row, level=level).judgement


def find(row: Row, *, level: float) -> Finding:
    """Judge one row and say by what: bounds, the n it would take, a sentence."""
    if not 0.5 < level < 1:
        raise InputError(f"a gate level lies between 0.5 and 1, not {level}")
    if isinstance(row, MeasureRow):
        return _find_measure(row, level)
    if row.n == 0:
        why = "no prompt in this slice was scored"
        return Finding(row.slice, row.kind, row.bar, row.critical, 0, None, None, None, *_unproven(None, why))
    estimate, lower, upper = _bounds(row, level)
    bar = float(row.bar)
    verdict: tuple[Judgement, int | None, str]
    if upper < bar:
        verdict = (Judgement.FAIL, None, f"at best {upper:.4f}, below the bar {bar:.4f}")
    elif lower < bar:
        verdict = _unproven(*_needed(row, level))
    elif row.n < row.minimum_n:
        verdict = _unproven(
            row.minimum_n, f"the contract asks for {row.minimum_n:,} prompts, here are {row.n:,}"
        )
    else:
        verdict = (Judgement.PASS, None, f"at least {lower:.4f}, reaches the bar {bar:.4f}")
    return Finding(row.slice, row.kind, row.bar, row.critical, row.n, estimate, lower, upper, *verdict)


def judge_gate(rows: Iterable[Row], *, level: float) -> Gate:
    """Judge all rows: pass only if every row passes, fail if one fails, else insufficient (no rows too).

    >>> judge_gate([], level=0.95).judgement
    Judgement.INSUFFICIENT
    """
    findings = tuple(find(row, level=level) for row in rows)
    seen = {finding.judgement for finding in findings}
    if Judgement.FAIL in seen:
        return Gate(level, Judgement.FAIL, findings)
    return Gate(level, Judgement.PASS if seen == {Judgement.PASS} else Judgement.INSUFFICIENT, findings)


def paired_counts(pairs: Iterable[tuple[float, float]]) -> tuple[int, int, int, int]:
    """(n, both_right, teacher_only, student_only) of (teacher value, student value) per prompt.

    Raises RuleError at a value other than 0 and 1: no bound here is valid for a graded metric.

    >>> paired_counts([(1, 1), (1, 0), (0, 0), (0, 1), (1, 1)])
    (5, 2, 1, 1)
    """
    cells = {(1.0, 1.0): 0, (1.0, 0.0): 0, (0.0, 1.0): 0, (0.0, 0.0): 0}
    for pair in pairs:
        if pair not in cells:
            raise RuleError(f"a gate judges right and wrong, not the values {pair}", todo=GRADED)
        cells[pair] += 1
    return sum(cells.values()), cells[1.0, 1.0], cells[1.0, 0.0], cells[0.0, 1.0]


def refuse_graded(metric: Metric) -> None:
    """Raise RuleError where a metric is not binary."""
    if not metric.binary:
        raise RuleError(f"the metric {metric.name!r} is graded, and gates judge right and wrong", todo=GRADED)


GRADED = (
    "Use a binary metric (say from which value an answer counts as right); the graded one can be reported."
)


def _bounds(row: GateRow, level: float) -> tuple[float, float, float]:
    """(estimate, lower, upper) of a quality row with n > 0."""
    if row.kind == "floor":
        k, n = row.student_right, row.n
        return k / n, clopper_pearson_lower(k, n, level), clopper_pearson_upper(k, n, level)
    counts = (row.n, row.teacher_only, row.student_only)
    return (
        (row.student_only - row.teacher_only) / row.n,
        tango_lower(*counts, level),
        tango_upper(*counts, level),
    )


def _needed(row: GateRow, level: float) -> tuple[int | None, str]:
    """The n at 80 % power if what was seen is true, and the sentence that says so.

    A student seen above the teacher is planned for as its equal, and half an observation is added to what
    was never seen: a lucky small sample must not promise a small n.
    """
    bar = float(row.bar)
    if row.kind == "floor":
        needed = n_needed_floor(bar, level, (row.student_right + 0.5) / (row.n + 1)) if bar < 1 else None
    elif bar < 0:
        discordance = (row.teacher_only + row.student_only + 0.5) / (row.n + 1)
        difference = min(0.0, (row.student_only - row.teacher_only) / row.n)
        needed = n_needed_margin(-bar, level, discordance, difference=difference)
    else:
        needed = None
    if needed is None:
        return None, f"the student is seen at or under the bar {bar:.4f}: more prompts would rather fail it"
    needed = max(needed, row.n + 1)
    return needed, f"{row.n:,} prompts cannot tell; about {needed:,} would (80 % power at the rates seen)"


def _find_measure(row: MeasureRow, level: float) -> Finding:
    estimate, lower, upper, least = (
        _latency(row, level) if row.kind == "p95_latency_ms" else _cost(row, level)
    )
    budget, n = float(row.budget), len(row.values)
    known = f" ({row.known})" if row.known else ""
    verdict: tuple[Judgement, int | None, str]
    if lower is not None and lower > budget:
        verdict = (Judgement.FAIL, None, f"at least {lower:.4g}, over the budget {budget:.4g}{known}")
    elif upper is not None and upper <= budget:
        verdict = (Judgement.PASS, None, f"at most {upper:.4g}, within the budget {budget:.4g}{known}")
    elif not n:
        verdict = _unproven(least, row.missing or "nothing was measured")
    else:
        verdict = _unproven(least, f"{n:,} requests cannot tell{known}")
    return Finding(row.slice, row.kind, row.budget, row.critical, n, estimate, lower, upper, *verdict)


Bounds = tuple[float | None, float | None, float | None, int | None]


def _latency(row: MeasureRow, level: float) -> Bounds:
    """(p95, lower, upper, n needed): "p95 within budget" is "at least 95 % within budget", a floor."""
    ordered = sorted(row.values)
    within = sum(value <= float(row.budget) for value in ordered)
    share = (within + 0.5) / (len(ordered) + 1) if ordered else 1.0
    lower, upper = percentile_bounds(ordered, LATENCY_SHARE, level)
    estimate = percentile(ordered, LATENCY_SHARE) if ordered else None
    needed = n_needed_floor(LATENCY_SHARE, level, share)
    return estimate, lower, upper, needed and max(needed, len(ordered) + 1)


def _cost(row: MeasureRow, level: float) -> Bounds:
    """(mean, lower, upper, n needed) of the cost of a thousand requests."""
    if len(row.values) < MEAN_MINIMUM_N:
        return None, None, None, MEAN_MINIMUM_N
    lower, mean, upper = mean_bounds([1000 * value for value in row.values], level)
    return mean, lower, upper, None


def _unproven(needed: int | None, why: str) -> tuple[Judgement, int | None, str]:
    return Judgement.INSUFFICIENT, needed, why


def _text(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
