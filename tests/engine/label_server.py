"""A real OpenAI-compatible endpoint on the loopback whose model is a scikit-learn classifier.

Every label has a code of one token ("a01"); the answer's content is the code of the most probable label, and
its only token carries the true log-probabilities of the top codes, in OpenAI's shape. For tests, demos and
the sample project: no network, no weights, real logprobs.

    python tests/engine/label_server.py --train banking77_train.csv --half-seed 13 --port 0

prints ``{"port": …}`` on its first line once it listens. ``GET /v1/labels`` tells the codes and
``GET /v1/stats`` what was asked. Faults on request: a delay, a share of 429s, dropped logprobs.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

MOST_TOP = 20  # as OpenAI's


def code_of(index: int) -> str:
    """The one-token code of label ``index``: a00 … a99, b00 …"""
    return f"{chr(ord('a') + index // 100)}{index % 100:02d}"


def halves(size: int, seed: int = 13) -> tuple[list[int], list[int]]:
    """The two halves of 0 … size-1 under a seeded permutation: one for the teacher, one to transfer on."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(size).tolist()
    return order[: size // 2], order[size // 2 :]


def rows_of(path: Path) -> tuple[list[str], list[str]]:
    """Texts and labels of a CSV with the columns text and category."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], [row["category"] for row in rows]


class LabelTeacher:
    """Multinomial logistic regression on TF-IDF of words (1-2-grams) and characters (2-5)."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
        self._model = make_pipeline(make_union(words, chars), LogisticRegression(C=10, max_iter=300))
        self._model.fit(list(texts), list(labels))
        self.labels: list[str] = [str(label) for label in self._model.classes_]
        self.codes = {code_of(index): label for index, label in enumerate(self.labels)}

    def log_probabilities(self, texts: Sequence[str]) -> Any:
        """float64 of shape (texts, labels), in the order of ``labels``."""
        import numpy as np

        return np.maximum(self._model.predict_log_proba(list(texts)), -9999.0)


class Prepared(LabelTeacher):
    """A teacher with its answers to known texts worked out: the same log-probabilities, read instead of computed."""

    def __init__(self, labels: Sequence[str], texts: Sequence[str], logs: Any) -> None:
        self.labels = list(labels)
        self.codes = {code_of(index): label for index, label in enumerate(self.labels)}
        self._rows = dict(zip(texts, logs, strict=True))

    def log_probabilities(self, texts: Sequence[str]) -> Any:
        import numpy as np

        return np.array([self._rows[text] for text in texts])


@dataclass(frozen=True, slots=True)
class Manners:
    """How the endpoint behaves."""

    model: str = "label-teacher"
    reported: str = "label-teacher-2024-01"  # what its answers say they come from
    delay_s: float = 0.0
    share_429: float = 0.0
    retry_after_s: float = 0.05
    drop_logprobs: bool = False
    api_key: str | None = None  # when set, any other key gets a 401
    seed: int = 0


@dataclass(slots=True)
class Stats:
    """What was asked so far."""

    requests: int = 0
    answered: int = 0
    refused_429: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    prompts: Counter[str] = field(default_factory=Counter)  # answered, by text

    def told(self) -> dict[str, int]:
        repeated = sum(self.prompts.values()) - len(self.prompts)
        names = ("requests", "answered", "refused_429", "most_in_flight")
        return {name: getattr(self, name) for name in names} | {"repeated": repeated}


def completion(teacher: LabelTeacher, manners: Manners, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request body, in the shape of POST /v1/chat/completions."""
    import numpy as np

    text = str(body["messages"][-1]["content"])
    scores = teacher.log_probabilities([text])[0]
    order = np.argsort(-scores, kind="stable")
    best = int(order[0])
    if temperature := float(body.get("temperature") or 0.0):
        draw = np.random.default_rng(body.get("seed"))
        weights = np.exp((scores - scores.max()) / temperature)
        best = int(draw.choice(len(scores), p=weights / weights.sum()))
    logprobs = None
    if body.get("logprobs") and not manners.drop_logprobs:
        top = [_token(int(i), scores) for i in order[: min(int(body.get("top_logprobs") or 0), MOST_TOP)]]
        logprobs = {"content": [_token(best, scores) | {"top_logprobs": top}], "refusal": None}
    message = {"role": "assistant", "content": code_of(best), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    words = len(text.split())
    return {
        "id": "chatcmpl-label",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": manners.reported,
        "choices": [choice],
        "usage": {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1},
        "system_fingerprint": "fp_label",
    }


def _token(index: int, scores: Any) -> dict[str, Any]:
    code = code_of(index)
    return {"token": code, "logprob": float(scores[index]), "bytes": list(code.encode())}


class LabelServer:
    """The endpoint in a thread of this process; a context manager. ``base_url`` ends in /v1."""

    def __init__(self, teacher: LabelTeacher, manners: Manners | None = None, port: int = 0) -> None:
        self.teacher, self.manners, self.stats = teacher, manners or Manners(), Stats()
        self.lock, self.random = threading.Lock(), random.Random(self.manners.seed)
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.house = self
        self.port = int(self._http.server_address[1])
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    house: LabelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    wbufsize = -1  # head and body in one packet: two would wait for a delayed ACK

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        house: LabelServer = self.server.house  # type: ignore[attr-defined]
        told = {
            "/v1/models": lambda: {
                "object": "list",
                "data": [
                    {"id": house.manners.model, "object": "model", "created": 0, "owned_by": "spiritsafe"}
                ],
            },
            "/v1/labels": lambda: house.teacher.codes,
            "/v1/stats": house.stats.told,
        }.get(self.path)
        self._send(404, {"error": {"message": "no such page"}}) if told is None else self._send(200, told())

    def do_POST(self) -> None:
        house: LabelServer = self.server.house  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        manners, stats = house.manners, house.stats
        with house.lock:
            stats.requests += 1
            stats.in_flight += 1
            stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
            refused = house.random.random() < manners.share_429
        try:
            if manners.delay_s:
                time.sleep(manners.delay_s)
            self._answer(house, body, refused=refused)
        finally:
            with house.lock:
                stats.in_flight -= 1

    def _answer(self, house: LabelServer, body: Mapping[str, Any], *, refused: bool) -> None:
        manners, stats = house.manners, house.stats
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.path != "/v1/chat/completions":
            self._send(404, {"error": {"message": "no such page"}})
        elif manners.api_key is not None and given != manners.api_key:
            self._send(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        elif body.get("model") != manners.model:
            self._send(404, {"error": {"message": f"no model {body.get('model')}"}})
        elif refused:
            with house.lock:
                stats.refused_429 += 1
            wait = {"Retry-After": str(manners.retry_after_s)}
            self._send(429, {"error": {"message": "slow down", "type": "rate_limit"}}, wait)
        elif not str(body["messages"][-1]["content"]).strip():
            self._send(400, {"error": {"message": "the prompt is empty"}})
        else:
            told = completion(house.teacher, manners, body)
            with house.lock:
                stats.answered += 1
                stats.prompts[str(body["messages"][-1]["content"])] += 1
            self._send(200, told)

    def _send(self, status: int, told: object, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, listen, print the port, serve until killed."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible endpoint around a label classifier")
    parser.add_argument("--train", type=Path, required=True, help="CSV with the columns text, category")
    parser.add_argument("--half-seed", type=int, help="train on the first half under this seed only")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--share-429", type=float, default=0.0)
    parser.add_argument("--retry-after", type=float, default=0.05)
    parser.add_argument("--drop-logprobs", action="store_true")
    given = parser.parse_args(arguments)
    texts, labels = rows_of(given.train)
    if given.half_seed is not None:
        half, _ = halves(len(texts), given.half_seed)
        texts, labels = [texts[i] for i in half], [labels[i] for i in half]
    manners = Manners(
        delay_s=given.delay,
        share_429=given.share_429,
        retry_after_s=given.retry_after,
        drop_logprobs=given.drop_logprobs,
    )
    with LabelServer(LabelTeacher(texts, labels), manners, given.port) as server:
        print(json.dumps({"port": server.port}), flush=True)  # noqa: T201 - its one line of output
        threading.Event().wait()


if __name__ == "__main__":
    main()
