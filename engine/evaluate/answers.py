"""What an output says, in the contract's terms: codes become labels, labels become the teacher's way to write them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from engine.contract_records import Contract
from engine.evaluate.metrics import METRICS, label_of
from store.errors import InputError


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


class Scorer:
    """The contract's metric with its options and codes."""

    def __init__(self, contract: Contract) -> None:
        if contract.task.metric not in METRICS:
            raise InputError(f"no metric {contract.task.metric!r}", todo="Known: " + ", ".join(METRICS))
        self.metric = METRICS[contract.task.metric]
        self.options = dict(contract.task.metric_options)
        self.codes = codes_of(contract)

    def score(self, output: str, reference: str) -> float:
        """The metric's value for one output."""
        return self.metric.score(decoded(output, self.codes), reference, self.options)
