"""Stage ``baselines``: what doing nothing scores on the frozen set, before any money is spent.

The majority answer of the training references (of the evaluation references where there are none, which
flatters it: the result says so), as a model like any other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from engine.context import Context
from engine.evaluate.answers import Scorer, answered, label_in, written
from engine.stages import as_mapping, option
from store import read
from store.canonical import output_id_of
from store.errors import RuleError
from store.records import Output

MAJORITY = "majority"


@dataclass(frozen=True, slots=True)
class Params:
    """Nothing to choose yet: the majority answer."""

    name: str = option(MAJORITY, "name of the baseline")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Add the majority baseline's outputs. Result: answer, its share, what it was counted over.

    Outputs that are there already are not added again. Raises RuleError where another model has the name.
    """
    contract, frozen = context.contract(), context.evaluation_set()
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    train = context.store.ask(read.ARRIVALS, project=context.project, split="train")
    references = [a.reference for a in train if a.reference is not None]
    counted = "training references"
    if not references:
        references, counted = (
            [m.reference for m in members if m.reference is not None],
            "evaluation references",
        )
    if not references:
        raise RuleError("no references to take a majority of", todo="Import some with --reference.")
    scorer = Scorer(contract)
    answer, count = Counter(scorer.stated(text) for text in references).most_common(1)[0]
    text = next(r for r in references if scorer.stated(r) == answer)
    if scorer.metric.name == "label":
        text = written(label_in(text, contract) or text.strip(), contract)
    told = {"kind": "majority", "over": counted, "answer": text[:200]}
    name = _name(context, params.name, told)
    result = {
        "model": name,
        "answer": text[:200],
        "count": count,
        "of": len(references),
        "counted_over": counted,
    }
    given = {given.prompt_id for given in answered(context, name, None)}
    missing = [m for m in members if m.prompt_id not in given]
    if not missing:
        return result | {"outputs": 0}
    context.declare(name, "baseline", told)
    opened = context.open("baselines", dict(as_mapping(params)), {"set": frozen.result["set_sha256"]})
    opened.add(
        "output",
        (
            Output(0, 0, m.arrival_key, m.prompt_id, output_id_of(m.prompt_id, name, 0, text), name, 0,
                   text, "stop", None, None, None, None, None)
            for m in missing
        ),
    )  # fmt: skip
    result["outputs"] = len(missing)
    opened.close(result)
    return result


def _name(context: Context, wanted: str, told: dict[str, Any]) -> str:
    """The baseline's name: another model that has it keeps it, and the default gets a number behind it.

    Raises RuleError where a name was chosen and another model has it.
    """
    names = [wanted, *(f"{wanted}-{i}" for i in range(2, 100))] if wanted == MAJORITY else [wanted]
    for name in names:
        if context.declared(name) in (None, ("baseline", told)):
            return name
    raise RuleError(f"there is another model {wanted} already", todo="Give this one another --name.")
