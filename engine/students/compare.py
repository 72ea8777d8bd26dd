"""Stage ``baselines``: what doing nothing scores on the frozen set, before any money is spent.

The majority answer of the training references (of the evaluation references where there are none, which
flatters it: the result says so), or the label whose name looks most like the prompt, as a model like any other. Then
every baseline with answers to the whole set, imported ones too, is held against the contract's bars.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.context import Closed, Context
from engine.contract_records import Contract
from engine.evaluate.answers import Scorer, answered, label_in, written
from engine.evaluate.rivals import meets, rivals
from engine.stages import as_mapping, option
from store import read
from store.canonical import output_id_of
from store.errors import RuleError
from store.records import Output

MAJORITY, LABEL_NAMES = "majority", "label_names"
TIMED = 100  # prompts that a baseline with something to compute answers one by one, for latency


@dataclass(frozen=True, slots=True)
class Params:
    """Which baseline is added; all that there are get judged."""

    kind: str = option(
        MAJORITY,
        "majority: the commonest answer; label_names: the label most like the prompt",
        choices=(MAJORITY, LABEL_NAMES),
    )
    name: str = option("", "name of the baseline (default: its kind)")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Add a baseline's outputs and judge all baselines. Result: answer, its share, rivals, which of them meet every bar.

    Outputs that are there already are not added again. Raises RuleError where another model has the name.
    """
    contract, frozen = context.contract(), context.evaluation_set()
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    make = _majority if params.kind == MAJORITY else _label_names
    told, counts, answers = make(context, contract, members)
    name = _name(context, params, told)
    given = {given.prompt_id for given in answered(context, name, None)}
    missing = [m for m in members if m.prompt_id not in given]
    result: dict[str, Any] = {"model": name, **counts, "outputs": len(missing)}
    if missing:
        _add(context, params, frozen, (name, told), list(zip(missing, answers(missing), strict=True)))
    found = rivals(context, frozen)
    result |= {"rivals": found, "meets": meets(found)}
    opened = context.open("baselines", dict(as_mapping(params)), {"set": frozen.result["set_sha256"]})
    opened.close(result)
    if result["meets"]:
        result["next"] = f'Don\'t distil: spiritsafe take {result["meets"][0]} --why "…"'
    return result


Answers = Callable[[list[read.SetRow]], list[tuple[str, int | None]]]  # text, microseconds of each
Made = tuple[dict[str, Any], dict[str, Any], Answers]  # fingerprint, what the result tells, how it answers


def _add(
    context: Context,
    params: Params,
    frozen: Closed,
    named: tuple[str, dict[str, Any]],
    answered_: list[tuple[read.SetRow, tuple[str, int | None]]],
) -> None:
    """A run with the baseline's outputs: what it computes here costs what the contract's machine does meanwhile."""
    name, told = named
    context.declare(name, "baseline", told)
    opened = context.open("baselines", dict(as_mapping(params)), {"set": frozen.result["set_sha256"]})
    opened.add(
        "output",
        (
            Output(0, 0, m.arrival_key, m.prompt_id, output_id_of(m.prompt_id, name, 0, text), name, 0,
                   text, "stop", None, None, None, latency, None)
            for m, (text, latency) in answered_
        ),
    )  # fmt: skip
    opened.close({"model": name, "outputs": len(answered_)})


def _references(context: Context, members: list[read.SetRow]) -> tuple[list[str], str]:
    train = context.store.ask(read.ARRIVALS, project=context.project, split="train")
    found = [a.reference for a in train if a.reference is not None]
    if found:
        return found, "training references"
    found = [m.reference for m in members if m.reference is not None]
    if not found:
        raise RuleError("no references to take a majority of", todo="Import some with --reference.")
    return found, "evaluation references"


def _majority(context: Context, contract: Contract, members: list[read.SetRow]) -> Made:
    references, counted = _references(context, members)
    scorer = Scorer(contract)
    answer, count = Counter(scorer.stated(text) for text in references).most_common(1)[0]
    text = next(r for r in references if scorer.stated(r) == answer)
    if scorer.metric.name == "label":
        text = written(label_in(text, contract) or text.strip(), contract)
    told = {"kind": MAJORITY, "over": counted, "answer": text[:200]}
    counts = {"answer": text[:200], "count": count, "of": len(references), "counted_over": counted}
    return told, counts, lambda some: [(text, 1)] * len(some)  # a constant takes no longer


def _label_names(context: Context, contract: Contract, members: list[read.SetRow]) -> Made:
    del members
    labels = [label.name for label in contract.task.labels]
    if not labels:
        raise RuleError("the contract has no labels to compare with", todo="spiritsafe baselines")
    told = {"kind": LABEL_NAMES, "labels": sorted(labels)}
    return told, {"labels": len(labels)}, lambda some: _nearest(context, contract, labels, some)


def _nearest(
    context: Context, contract: Contract, labels: list[str], members: list[read.SetRow]
) -> list[tuple[str, int | None]]:
    """Each prompt's nearest label name; about ``TIMED`` prompts are answered one by one, timed."""
    from engine.students.baselines import LabelNameClassifier

    arrivals = context.store.fetch(read.ARRIVALS, project=context.project, split=None)
    by_key = dict(zip(arrivals["arrival_key"].to_pylist(), arrivals["text"].to_pylist(), strict=True))
    texts = [by_key[m.arrival_key] for m in members]
    model = LabelNameClassifier.fit(texts, labels)
    found = [written(p.label, contract) for p in model.predict(texts, top=1)]
    timed: dict[int, int] = {}
    for i in range(0, len(texts), max(1, len(texts) // TIMED)):
        start = time.perf_counter_ns()
        model.predict([texts[i]], top=1)
        timed[i] = (time.perf_counter_ns() - start) // 1000
    return [(text, timed.get(i)) for i, text in enumerate(found)]


def _name(context: Context, params: Params, told: dict[str, Any]) -> str:
    """The baseline's name: another model that has it keeps it, and the default gets a number behind it.

    Raises RuleError where a name was chosen and another model has it.
    """
    default = params.kind
    names = [params.name] if params.name else [default, *(f"{default}-{i}" for i in range(2, 100))]
    for name in names:
        if context.declared(name) in (None, ("baseline", told)):
            return name
    raise RuleError(f"there is another model {names[0]} already", todo="Give this one another --name.")
