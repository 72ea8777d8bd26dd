"""Stage ``check``: the contract's automatic checks over outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.clean.checks import Check, Result, run_checks
from engine.context import Context
from engine.evaluate.answers import codes_of, decoded
from engine.stages import as_mapping, option
from store import read
from store.errors import InputError
from store.records import CheckResult

OF_MEANING = frozenset({"number", "exact", "labels"})


@dataclass(frozen=True, slots=True)
class Params:
    """What to check; the contract's checks unless one is named here."""

    model: tuple[str, ...] = option((), "only these models (default: the teacher)")
    all_models: bool = option(False, "every model")
    kind: str = option("", "one check instead of the contract's: number, exact, json_schema, …")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Check. Result: per model and check how many passed, of how many."""
    contract = context.contract()
    checks = [Check(c.kind, dict(c.options), c.name) for c in contract.checks]
    if params.kind:
        checks = [
            Check(
                params.kind, dict(contract.task.metric_options) if params.kind == contract.task.metric else {}
            )
        ]
    if not checks:
        raise InputError(
            "the contract names no checks", where="contract", todo="Add [[checks]], or give --kind."
        )
    models = [context.model("teacher", name) for name in params.model]  # any role: the name decides
    if params.all_models:
        models = [m.model for m in context.models()]
    models = models or [context.model("teacher")]
    opened = context.open("check", dict(as_mapping(params)), {"contract": context.locked().hash})
    passed: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    codes = codes_of(contract)
    for model in models:
        rows = context.store.ask(read.OUTPUTS, project=context.project, model=model, split=None)

        def results(rows: list[read.OutputRow] = rows, model: str = model) -> Iterator[CheckResult]:
            for i, name, result in _results(rows, checks, codes):
                passed[model, name] += result.passed
                total[model, name] += 1
                yield CheckResult(
                    0, 0, rows[i].output_key, rows[i].output_id, name, result.passed, result.detail
                )
                if total[model, name] % 1000 == 0:
                    context.progress(f"check {model}", i, len(rows))

        opened.add("check_result", results())
    counts = [{"model": m, "check": c, "passed": passed[m, c], "total": n} for (m, c), n in total.items()]
    opened.close({"checks": counts})
    return {"checks": counts}


def _results(
    rows: list[read.OutputRow], checks: list[Check], codes: dict[str, str]
) -> Iterator[tuple[int, str, Result]]:
    """Checks of what an answer means see the label that a code stands for; checks of its form see what was written."""
    meaning = [check for check in checks if check.kind in OF_MEANING]
    form = [check for check in checks if check.kind not in OF_MEANING]
    yield from run_checks([(decoded(r.text, codes), r.reference) for r in rows], meaning)
    yield from run_checks([(r.text, r.reference) for r in rows], form)
