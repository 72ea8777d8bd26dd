"""What running a model takes: the gate's rows on latency and money, and how the money is known.

What an answer costs is stored with it (generate multiplies tokens by the teacher's price; an import may bring costs).
An answer of a model that one runs oneself has no such cost: there it is measured latency times the price of the
contract's machine, one request at a time, so that a machine which answers several at once is cheaper than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from engine.contract_records import Student
from engine.evaluate.gate import MeasureRow
from engine.statistics import percentile
from store.errors import RuleError

NANO = 1e-9  # what is stored, in the contract's currency
HOUR_US = 3_600_000_000
STORED = "as stored with {n:,} of {of:,} answers"
BY_THE_HOUR = "latency of {n:,} of {of:,} answers at {price} an hour of its machine"
UNKNOWN = (
    "no answer has a cost: write student.machine_per_hour into the contract, or import costs"
    " (--output NAME=path,cost=path)"
)
UNTIMED = "no answer has a latency: import it (--output NAME=path,latency_ms=path)"


class Timed(Protocol):
    """An answer, as far as money and time go."""

    @property
    def latency_us(self) -> int | None:
        """Microseconds, None where nobody measured."""

    @property
    def cost_nano(self) -> int | None:
        """1e-9 of the contract's currency, None where nobody said."""


def costs(answers: Iterable[Timed], machine_per_hour: Decimal | None) -> tuple[list[float], str]:
    """(cost of each answer whose cost is known, in the contract's currency; how it is known).

    Stored costs go before those of the machine: with both, the sentence counts both.
    """
    stored: list[float] = []
    derived: list[float] = []
    of = 0
    for answer in answers:
        of += 1
        if answer.cost_nano is not None:
            stored.append(answer.cost_nano * NANO)
        elif machine_per_hour is not None and answer.latency_us is not None:
            derived.append(float(machine_per_hour) * answer.latency_us / HOUR_US)
    known = [STORED.format(n=len(stored), of=of)] if stored else []
    if derived:
        known.append(BY_THE_HOUR.format(n=len(derived), of=of, price=f"{machine_per_hour:f}"))
    return stored + derived, "; ".join(known)


def measured(budget: Student, answers: Iterable[Timed]) -> list[MeasureRow]:
    """The rows on latency and cost that a student's budget asks for, from the answers of one model."""
    answers = list(answers)
    rows = []
    if budget.p95_latency_ms is not None:
        values = tuple(a.latency_us / 1000 for a in answers if a.latency_us is not None)
        rows.append(MeasureRow("p95_latency_ms", budget.p95_latency_ms, values, missing=UNTIMED))
    if budget.cost_per_1000 is not None:
        each, known = costs(answers, budget.machine_per_hour)
        rows.append(MeasureRow("cost_per_1000", budget.cost_per_1000, each, known=known, missing=UNKNOWN))
    return rows


def refuse_large(budget: Student, parameters: int) -> None:
    """Raises RuleError where a trained student is larger than the contract lets one be."""
    if budget.parameters is not None and parameters > budget.parameters:
        raise RuleError(
            f"the student has {parameters:,} parameters, and the contract allows {budget.parameters:,}",
            todo="Train a smaller one (fewer --features), or lock a contract version with another budget.",
        )


def measures(answers: Iterable[Timed], machine_per_hour: Decimal | None) -> dict[str, object]:
    """Latency and cost of one model for its summary, as text; {} where nothing is known."""
    answers = list(answers)
    told: dict[str, object] = {}
    timed = sorted(a.latency_us / 1000 for a in answers if a.latency_us is not None)
    if timed:
        p50, p95 = percentile(timed, 0.5), percentile(timed, 0.95)
        told["latency_ms"] = {"n": len(timed), "p50": f"{p50:.4f}", "p95": f"{p95:.4f}"}
    each, known = costs(answers, machine_per_hour)
    if each:
        mean = 1000 * sum(each) / len(each)
        told["cost_per_1000"] = {"n": len(each), "mean": f"{mean:.6f}", "known": known}
    return told
