"""Stage ``evaluation``: freeze the evaluation set and the harness (metric, options, slices) under one hash.

The set holds each prompt once (its first arrival). Its hash is over (prompt id, reference) in order of the
prompt id, so that the same inputs give the same hash on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.context import Closed, Context
from engine.contract_exclusions import Exclusions
from engine.contract_records import Contract
from engine.evaluate.answers import codes_of, stated
from engine.evaluate.metrics import label_of
from engine.stages import as_mapping, option
from store import read
from store.canonical import digest_of
from store.errors import RuleError
from store.records import SetMember


@dataclass(frozen=True, slots=True)
class Params:
    """Which arrivals are the evaluation set."""

    split: str = option("test", "the split that is the evaluation set")
    drop_leaks: bool = option(
        False, "leave out prompts that also arrive in another split, instead of refusing"
    )


def harness_of(contract: Contract) -> dict[str, Any]:
    """What is measured and how: metric, options, slices. The set's hash joins it."""
    return {
        "metric": contract.task.metric,
        "options": dict(contract.task.metric_options),
        "slices": [{"name": s.name, "where": s.where} for s in contract.gate.slices],
    }


def in_force(contract: Contract, frozen: Closed) -> None:
    """Raise RuleError where the locked contract measures something else than what was frozen."""
    if harness_of(contract) != frozen.result["harness"]:
        raise RuleError(
            "the contract's metric or slices changed since the evaluation set was frozen",
            todo="Freeze it again (spiritsafe evaluation freeze), then: spiritsafe evaluate",
        )


def set_hash(members: list[tuple[str, str | None]]) -> str:
    """SHA-256 over (prompt id, reference), in order of the prompt id."""
    return digest_of(sorted(members, key=lambda m: m[0]))


def run(context: Context, params: Params) -> dict[str, Any]:
    """Freeze. Result: prompts, leaked, set_sha256, harness_sha256. Raises RuleError where it would leak or is empty."""
    contract, locked = context.contract(), context.locked()
    arrivals = context.store.ask(read.ARRIVALS, project=context.project, split=None)
    first: dict[str, read.ArrivalRow] = {}
    elsewhere: set[str] = set()
    rules, excluded = Exclusions.of(contract), 0
    for arrival in arrivals:
        if arrival.split == params.split and rules and rules.why_arrival(arrival):
            excluded += 1
        elif arrival.split == params.split:
            first.setdefault(arrival.prompt_id, arrival)
        else:
            elsewhere.add(arrival.prompt_id)
    leaked = first.keys() & elsewhere
    if leaked and not params.drop_leaks:
        named = next(iter(sorted(leaked)))
        raise RuleError(
            f"{len(leaked):,} prompts of split {params.split!r} also arrive in another split, e.g. {first[named].text[:60]!r}",
            todo="--drop-leaks leaves them out of the evaluation set.",
        )
    members = [a for a in first.values() if a.prompt_id not in leaked]
    if not members:
        raise RuleError(f"no prompts in split {params.split!r}", todo="Import some, or name another --split.")
    without = sum(a.reference is None for a in members)
    if without == len(members):
        raise RuleError(
            f"no prompt of split {params.split!r} has a reference, so nothing could be scored",
            todo="Import them with --reference.",
        )
    _refuse_foreign(contract, [a.reference for a in members if a.reference is not None], params.split)
    harness = harness_of(contract)
    result: dict[str, Any] = {
        "prompts": len(members),
        "leaked": len(leaked),
        "without_reference": without,
        "set_sha256": set_hash([(a.prompt_id, a.reference) for a in members]),
        "harness": harness,
    }
    result |= {"excluded": excluded} if excluded else {}
    result["harness_sha256"] = digest_of({"set": result["set_sha256"], **harness})
    _refuse_change(context, result["harness_sha256"], locked.hash)
    opened = context.open("evaluation", dict(as_mapping(params)), {"contract": locked.hash})
    opened.add(
        "set_member", (SetMember(0, 0, a.arrival_key, a.prompt_id, None, None, a.reference) for a in members)
    )
    opened.close(result)
    return result


def _refuse_foreign(contract: Contract, references: list[str], split: str) -> None:
    """Raise RuleError where no reference is a label of the contract: every model would score nothing."""
    if contract.task.metric != "label" or not contract.task.labels:
        return
    names, options = (
        {label_of(label.name, {}) for label in contract.task.labels},
        contract.task.metric_options,
    )
    if any(stated(reference, "label", options) in names for reference in references):
        return
    label = codes_of(contract).get(references[0].strip())
    why = f" is the code of {label}" if label else " is none"
    raise RuleError(
        f"no reference of split {split!r} is one of the contract's labels: {references[0][:60]!r}{why}",
        todo="References are labels by their names; import the column that holds them with --reference.",
    )


def _refuse_change(context: Context, harness: str, contract_hash: str) -> None:
    """A set that a student was scored on stays: another one would let the best of several attempts be picked.

    Only a new contract version, on record like the old one, opens it again.
    """
    frozen = context.runs("evaluation")
    if not frozen:
        return
    standing = frozen[-1]
    if standing.result["harness_sha256"] == harness:
        raise RuleError("this very evaluation set is frozen already", todo="Go on: spiritsafe evaluate")
    scored = any(r.inputs["set"] == standing.result["set_sha256"] for r in context.runs("evaluate"))
    if scored and standing.inputs["contract"] == contract_hash:
        raise RuleError(
            "students were scored on the frozen set already, so it stays",
            todo="A new set is a new contract version: spiritsafe contract lock, then freeze again.",
        )
