"""Do-nothing baselines: what a student must beat before it is worth training.

To add one: a class with ``fit(texts, labels)`` and ``predict(texts)`` here, and a line in ``BASELINES``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.students.classifier import Prediction
from store.errors import InputError

SHARPNESS = 10.0  # turns cosines (0 … 1) into shares by softmax; it orders nothing differently


class Predictor(Protocol):
    """Whatever answers like a classifier student."""

    def predict(self, texts: Sequence[str], *, top: int = 5) -> list[Prediction]:
        """One prediction a text."""
        ...


def majority(labels: Sequence[str]) -> str:
    """The most frequent label; among equals the first in order.

    Raises:
        InputError: there is none.

    >>> majority(["top_up", "refund", "refund", "top_up"])
    'refund'
    """
    if not labels:
        raise InputError("no labels to take the majority of", where="baseline")
    return min(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))[0]


@dataclass(frozen=True, slots=True)
class MajorityClassifier:
    """Always the same answer: the most frequent label, with its share as confidence."""

    ranked: tuple[tuple[str, float], ...]  # (label, log share), most frequent first

    @classmethod
    def fit(cls, texts: Sequence[str], labels: Sequence[str]) -> MajorityClassifier:  # noqa: ARG003
        """Count ``labels``; the texts are not looked at.

        >>> MajorityClassifier.fit([], ["a", "b", "b"]).predict(["x"], top=1)
        [Prediction(label='b', confidence=0.6666666666666666, top=(('b', -0.40546510810816444),))]
        """
        first = majority(labels)
        shares = sorted(Counter(labels).items(), key=lambda pair: (pair[0] != first, -pair[1], pair[0]))
        return cls(tuple((label, math.log(count / len(labels))) for label, count in shares))

    def predict(self, texts: Sequence[str], *, top: int = 5) -> list[Prediction]:
        """The majority label for every text."""
        label, share = self.ranked[0]
        return [Prediction(label, math.exp(share), self.ranked[:top])] * len(texts)


@dataclass(frozen=True, slots=True)
class LabelNameClassifier:
    """Zero-shot: the label whose name shares most words and word pieces with the text.

    Cosine between TF-IDF vectors of character 3-5-grams within words; names are read with ``_`` and ``-`` as
    spaces. The texts only weigh the pieces (idf); no label of a text is looked at.
    """

    labels: tuple[str, ...]
    pieces: Any  # the fitted TfidfVectorizer: made once, so that an answer's latency is that of an answer
    names: Any  # float64, sparse, of shape (pieces, labels)

    @classmethod
    def fit(cls, texts: Sequence[str], labels: Sequence[str]) -> LabelNameClassifier:
        """Keep the names that occur in ``labels``, and the texts' word statistics."""
        if not labels:
            raise InputError("no label names to compare with", where="baseline")
        from sklearn.feature_extraction.text import TfidfVectorizer

        ordered = tuple(sorted(set(labels)))
        names = [label.replace("_", " ").replace("-", " ") for label in ordered]
        pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        pieces.fit([*names, *texts])
        return cls(ordered, pieces, pieces.transform(names).T.tocsr())

    def predict(self, texts: Sequence[str], *, top: int = 5) -> list[Prediction]:
        """The nearest name for every text; a text that shares nothing gets the first label, with an even share."""
        import numpy as np

        if not texts:
            return []
        cosines = (self.pieces.transform(list(texts)) @ self.names).toarray() * SHARPNESS
        logs = cosines - np.log(np.exp(cosines).sum(axis=1, keepdims=True))
        predictions = []
        for row in logs:
            order = np.argsort(-row, kind="stable")[: max(top, 1)]
            pairs = tuple((self.labels[i], float(row[i])) for i in order)
            predictions.append(Prediction(pairs[0][0], math.exp(pairs[0][1]), pairs[:top]))
        return predictions


BASELINES: dict[str, Callable[[Sequence[str], Sequence[str]], Predictor]] = {
    "majority": MajorityClassifier.fit,
    "label_names": LabelNameClassifier.fit,
}
