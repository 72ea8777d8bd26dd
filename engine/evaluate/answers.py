"""What an output says, in the contract's terms: codes become labels, labels become the teacher's way to write them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from engine.contract_records import Contract
from engine.evaluate.metrics import MARKER, METRICS, label_of, number_of
from store import read
from store.canonical import canonical_text
from store.errors import InputError

if TYPE_CHECKING:
    from engine.context import Closed, Context


def answered(context: Context, model: str, split: str | None) -> list[read.Given]:
    """A model's first samples, oldest first; a prompt may come more than once."""
    return context.store.ask(read.GIVEN, project=context.project, model=model, split=split)


def scored(context: Context, evaluated: Closed, model: str) -> dict[str, read.Given]:
    """The answers of a model that an evaluation scored, by prompt id: those and no others, whatever came later."""
    rows = context.store.ask(read.SCORED, project=context.project, run_id=evaluated.run_id, model=model)
    return {row.prompt_id: row for row in rows}


def codes_of(contract: Contract) -> dict[str, str]:
    """One-token code → label, for labels that have one."""
    return {label.code: label.name for label in contract.task.labels if label.code}


def decoded(text: str, codes: dict[str, str]) -> str:
    """A text that is a code, as its label; any other text as it is.

    >>> decoded(" a01 ", {"a01": "refund"}), decoded("I cannot", {"a01": "refund"})
    ('refund', 'I cannot')
    """
    return codes.get(text.strip(), text)


def label_in(text: str, contract: Contract) -> str | None:
    """The label that an output gives, None where it gives none that the contract knows."""
    codes = codes_of(contract)
    found = codes.get(text.strip()) or label_of(text, dict(contract.task.metric_options))
    names = {label_of(label.name, {}): label.name for label in contract.task.labels}
    if not names:
        return found
    return names.get(label_of(found, {}) if found is not None else None)


def spellings(texts: Iterable[str], contract: Contract) -> dict[str, str]:
    """Label → the text by which the teacher most often gives it: how a student of classes writes its answers."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        if (label := label_in(text, contract)) is not None:
            seen[label][text] += 1
    return {
        label: min(counts.items(), key=lambda pair: (-pair[1], pair[0]))[0] for label, counts in seen.items()
    }


def stated(text: str, metric: str, options: Mapping[str, str]) -> str:
    """The part of an answer that a metric compares; the whole text where it finds none.

    >>> stated("so 9 * 2\\nA: 18.0", "number", {}), stated('{"route": "Billing"}', "label", {"field": "route"})
    ('18', 'billing')
    """
    if metric == "number":
        value = number_of(text.rpartition(options.get("marker", MARKER))[2])
        return str(value) if value is not None else text.strip()
    if metric == "label":
        return label_of(text, options) or label_of(text, {}) or text.strip()
    return text.strip()


def written(label: str, contract: Contract) -> str:
    """A label as the teacher is asked to write it: its code, or the JSON object that the metric reads."""
    code = next((item.code for item in contract.task.labels if item.name == label and item.code), "")
    field = contract.task.metric_options.get("field")
    return canonical_text({field: label}) if field else code or label


class Scorer:
    """The contract's metric with its options and codes."""

    def __init__(self, contract: Contract) -> None:
        if contract.task.metric not in METRICS:
            raise InputError(f"no metric {contract.task.metric!r}", todo="Known: " + ", ".join(METRICS))
        self.metric = METRICS[contract.task.metric]
        self.options = dict(contract.task.metric_options)
        self.codes = codes_of(contract)

    def stated(self, text: str) -> str:
        """What an answer says, so that two answers can be compared: the number, the label, or the text itself."""
        return stated(decoded(text, self.codes), self.metric.name, self.options)

    def score(self, output: str, reference: str) -> float:
        """The metric's value for one output."""
        return self.metric.score(decoded(output, self.codes), reference, self.options)
