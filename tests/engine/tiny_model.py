"""A model small enough to reckon by hand, for tests of the semantic pass without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from engine.clean import semantic
from engine.clean.semantic_model import Embedder, Identity
from engine.context import Context
from store.client import Client

CONCEPTS = {
    "please": "", "kindly": "", "shut": "close", "profile": "account", "ahead": "before", "weekend": "week", "end": "", "the": "",
    "cash-point": "machine", "ate": "swallowed", "night": "evening", "of": "",
}  # fmt: skip


class Tiny:
    """A model of a few synonyms: texts of the same concepts have cosine 1. It counts what it embeds."""

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> Any:
        self.embedded += len(texts)
        vectors = np.zeros((len(texts), 512), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            words = text.lower().replace("cash point", "cash-point").replace(".", "").split()
            for concept in {CONCEPTS.get(word, word) for word in words} - {""}:
                row[crc32(concept.encode()) % 512] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def load(self, named: str) -> Embedder:
        return Embedder(Identity(named or "tiny", "0" * 64, "1" * 64, 512, "none"), self.embed)


def suggest(store: Path, tiny: Tiny, project: str = "r", **params: Any) -> dict[str, Any]:
    """A pass with the tiny model."""
    with Client(store) as client:
        return semantic.run(Context(client, project), semantic.Params(**params), tiny.load)
