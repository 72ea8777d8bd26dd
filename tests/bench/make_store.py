"""Build a generated store through the real run API, for measuring:

    python -m tests.bench.make_store PATH --rows 1000000 [--student] [--seed 1]

Project ``bench``: arrivals of about 600 bytes with metadata (tier, score, topic), the outputs of a teacher
``teacher-xl`` and, with ``--student``, those of ``student-s`` with 0/1 scores of both, so that disagreements
exist. Everything comes from the seed; ids are hashes as everywhere.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from store.arrow import arrow_schema
from store.canonical import canonical_text, content_id, output_id_of, prompt_id_of
from store.client import Client, Run
from store.records import ROW_GROUP, columns_of, key_of

if TYPE_CHECKING:
    from numpy.random import Generator

PROJECT, TEACHER, STUDENT, METRIC = "bench", "teacher-xl", "student-s", "exact"
BATCH = ROW_GROUP
WORDS = re.findall(
    r"\w+",
    "refund invoice parcel account password delivery tariff cancel customer order agent please morning the a of "
    "and with my your not yet again number letter card charge twice since monday app phone support answer cannot",
)
TIERS = ("basic", "basic", "basic", "basic", "plus", "plus", "gold", "vip")
FILE_ID = content_id("bench")


def main() -> None:
    """Make the store named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--student", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    client = Client(options.path.absolute(), create=True)
    make(client, options.rows, student=options.student, seed=options.seed)
    client.close()
    print(f"{options.rows:,} rows in {time.monotonic() - began:.1f} s")


def make(client: Client, rows: int, *, student: bool = False, seed: int = 1) -> str:
    """Fill an empty store; returns the run's id."""
    client.act("project.create", PROJECT, {"title": "generated", "retrospective": True})
    models = [TEACHER, STUDENT] if student else [TEACHER]
    for model, role in zip(models, ("teacher", "student"), strict=False):
        client.act("model.declare", PROJECT, {"model": model, "role": role})
    run = client.run(PROJECT, "import", params={"rows": rows}, inputs={"seed": seed})
    sentences = _sentences(np.random.default_rng(seed))
    for number, first in enumerate(range(0, rows, BATCH)):
        count = min(BATCH, rows - first)
        _batch(run, np.random.default_rng([seed, number]), sentences, count, models)
    run.close()
    return run.run_id


def _sentences(rng: Generator) -> list[str]:
    return [" ".join(rng.choice(WORDS, size=rng.integers(6, 16))) + "." for _ in range(4096)]


def _batch(run: Run, rng: Generator, sentences: list[str], count: int, models: list[str]) -> None:
    first = run.next_seq("arrival")
    keys = range(key_of(run.run_no, first), key_of(run.run_no, first + count))
    prompts = [f"Ticket {first + i}: {text}" for i, text in enumerate(_texts(rng, sentences, count, 2, 6))]
    ids = [prompt_id_of([{"content": text, "role": "user"}]) for text in prompts]
    run.add_table("arrival", _arrivals(run, rng, keys, prompts, ids))
    output_keys = {}
    for model in models:
        start = run.next_seq("output")
        output_keys[model] = range(key_of(run.run_no, start), key_of(run.run_no, start + count))
        answers = list(_texts(rng, sentences, count, 1, 9))
        run.add_table(
            "output", _outputs(run, rng, output_keys[model], keys, ids, model=model, answers=answers)
        )
    if len(models) > 1:
        right = rng.random((2, count)) < np.array([[0.9], [0.86]])
        for row, model in enumerate(models):
            start = run.next_seq("score")
            score_keys = range(key_of(run.run_no, start), key_of(run.run_no, start + count))
            values = {
                "score_key": score_keys, "arrival_key": keys, "output_key": output_keys[model], "prompt_id": ids,
                "model": [model] * count, "metric": [METRIC] * count, "value": right[row].astype(float),
            }  # fmt: skip
            run.add_table("score", _table("score", run, count, values))


def _texts(rng: Generator, sentences: list[str], count: int, low: int, high: int) -> Iterator[str]:
    for size in rng.integers(low, high, size=count):
        yield " ".join(sentences[i] for i in rng.integers(0, len(sentences), size=size))


def _arrivals(run: Run, rng: Generator, keys: range, prompts: list[str], ids: list[str]) -> pa.Table:
    count = len(prompts)
    tiers, scores = rng.integers(0, len(TIERS), size=count), rng.random(count)
    metadata = [
        canonical_text({"tier": TIERS[t], "score": round(float(s), 3), "topic": WORDS[int(s * 1e6) % 12]})
        for t, s in zip(tiers, scores, strict=True)
    ]
    first = keys.start
    values = {
        "arrival_key": keys, "prompt_id": ids, "text": prompts, "messages": [None] * count,
        "reference": [None] * count, "source": ["production"] * count, "split": ["test"] * count,
        "at_us": [1_700_000_000_000_000 + k - first for k in keys], "metadata": metadata,
        "file_id": [FILE_ID] * count, "file_row": [(k & (1 << 40) - 1) + 1 for k in keys],
    }  # fmt: skip
    return _table("arrival", run, count, values)


def _outputs(
    run: Run, rng: Generator, keys: range, arrivals: range, ids: list[str], *, model: str, answers: list[str]
) -> pa.Table:
    count = len(answers)
    values = {
        "output_key": keys, "arrival_key": arrivals, "prompt_id": ids,
        "output_id": [output_id_of(i, model, 0, text) for i, text in zip(ids, answers, strict=True)],
        "model": [model] * count, "sample_index": [0] * count, "text": answers,
        "finish_reason": ["stop"] * count, "tokens_in": [120] * count,
        "tokens_out": [len(text) // 5 for text in answers], "cost_nano": [None] * count,
        "latency_us": rng.integers(100_000, 3_000_000, size=count), "logprobs": [None] * count,
    }  # fmt: skip
    return _table("output", run, count, values)


def _table(table: str, run: Run, count: int, values: dict[str, Any]) -> pa.Table:
    values = {"run_no": [run.run_no] * count} | values
    schema = arrow_schema(table)
    return pa.Table.from_arrays(
        [pa.array(values[name], schema.field(name).type) for name in columns_of(table)], schema=schema
    )


if __name__ == "__main__":
    main()
