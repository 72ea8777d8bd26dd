"""Suspicion: a number from 0 upwards for every output, by which a weighted draw looks first where errors may be.

To add one: a function here, and a line in ``SUSPICIONS``. Any other name is an expression over the output, its
prompt and its metadata. What it says decides only where we look, never what we count: the estimate weighs it out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.evaluate.answers import Scorer
from store import read
from store.errors import InputError, RuleError

if TYPE_CHECKING:
    from engine.context import Context

Scores = dict[str, float]  # output id: suspicion


def disagreement(context: Context, model: str) -> Scores:
    """The share of other models whose answer to the same prompt says something else (by the contract's metric)."""
    scorer = Scorer(context.contract())
    others: defaultdict[str, list[str]] = defaultdict(list)
    for other in context.models():
        if other.model != model:
            for row in _outputs(context, other.model):
                others[row.prompt_id].append(scorer.stated(row.text))
    if not others:
        raise RuleError("no other model answered", todo="Import or generate one, or name another suspicion.")
    found = {}
    for row in _outputs(context, model):
        answers, own = others[row.prompt_id], scorer.stated(row.text)
        found[row.output_id] = sum(a != own for a in answers) / len(answers) if answers else 0.0
    return found


def uncertainty(context: Context, model: str) -> Scores:
    """One minus the mean probability of the output's tokens; 0 where no logprobs exist."""
    found = {row.output_id: _uncertainty(row.logprobs) for row in _outputs(context, model)}
    if not any(found.values()):
        raise RuleError(f"{model} has no logprobs", todo="Name another suspicion.")
    return found


def _uncertainty(logprobs: str | None) -> float:
    tokens = msgspec.json.decode(logprobs).get("content") or [] if logprobs else []
    if not tokens:
        return 0.0
    return 1.0 - math.fsum(math.exp(min(0.0, float(t["logprob"]))) for t in tokens) / len(tokens)


def held_out(context: Context, model: str) -> Scores:
    """How much more students that never saw the sample believe in another answer than in the model's; 0 where they agree.

    From the newest ``crossfit`` run: its likeliest label's probability less that of what the model says.
    """
    scorer = Scorer(context.contract())
    runs = [r for r in context.runs("crossfit") if r.result["model"] == f"{model}-held-out"]
    if not runs:
        raise RuleError(f"no held-out student answered what {model} answered", todo="spiritsafe crossfit")
    said = {}
    for row in _outputs(context, runs[-1].result["model"]):  # newest last
        said[row.prompt_id] = _probabilities(row.logprobs, scorer)
    found = {}
    for row in _outputs(context, model):
        chances = said.get(row.prompt_id, {})
        found[row.output_id] = max(chances.values(), default=0.0) - chances.get(scorer.stated(row.text), 0.0)
    return found


def _probabilities(logprobs: str | None, scorer: Scorer) -> dict[str, float]:
    """What a classifier's output says of each of its top answers."""
    content = msgspec.json.decode(logprobs)["content"] if logprobs else []
    top = content[0]["top_logprobs"] if content else []
    return {scorer.stated(t["token"]): math.exp(t["logprob"]) for t in top}


def failed_checks(context: Context, model: str) -> Scores:
    """How many automatic checks the output failed."""
    failed: defaultdict[str, int] = defaultdict(int)
    for row in context.store.ask(read.CHECKS, project=context.project):
        failed[row.output_id] += not row.passed
    if not failed:
        raise RuleError("nothing was checked", todo="spiritsafe check")
    return {row.output_id: float(failed[row.output_id]) for row in _outputs(context, model)}


def _outputs(context: Context, model: str) -> list[read.OutputRow]:
    return context.store.ask(read.OUTPUTS, project=context.project, model=model, split=None)


SUSPICIONS: Mapping[str, Callable[[Context, str], Scores]] = {
    "disagreement": disagreement,
    "uncertainty": uncertainty,
    "failed_checks": failed_checks,
    "held_out": held_out,
}


def numbers(values: Sequence[str | None], name: str) -> list[float]:
    """Suspicions from the values of an expression: numbers, true and false; what is missing is 0.

    Raises InputError for any other text, and for a negative number.

    >>> numbers(["0.5", "true", None], "x")
    [0.5, 1.0, 0.0]
    """
    found = []
    for value in values:
        try:
            number = {"true": 1.0, "false": 0.0}.get(value or "0")
            number = float(value or 0) if number is None else number
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            raise InputError(
                f"suspicion {name!r} is {value!r} on a sample", todo="It must be a number from 0 up."
            )
        found.append(number)
    return found
