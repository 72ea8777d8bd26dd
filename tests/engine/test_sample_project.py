"""The sample project is what it says it is: rebuilt texts, readable contract, honest figures."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

from engine.clean.checks import CHECKS
from engine.contract import check, parse
from engine.evaluate.metrics import METRICS
from samples import support_desk
from samples.desk_messages import LABELS, compose, read_jsonl
from samples.desk_provenance import MODELS, critical
from store.grammar import holds
from store.grammar import parse as parse_filter
from store.ingest import read_batches
from store.mapping import Mapping

FOLDER = support_desk()
Row = dict[str, Any]


@cache
def rows() -> list[Row]:
    return read_jsonl(FOLDER / "support_desk.jsonl")


def first_of(split: str) -> list[Row]:
    """Each distinct prompt of a split once: the rows that carry outputs."""
    return [row for row in rows() if row["split"] == split and "outputs" in row]


def accuracy(some: list[Row], model: str) -> float:
    score, options = METRICS["label"].score, {"field": "route"}
    return sum(score(row["outputs"][model]["text"], row["reference"], options) for row in some) / len(some)


def test_the_contract_could_be_locked_as_it_stands() -> None:
    text = (FOLDER / "contract.toml").read_text(encoding="utf-8")
    contract = parse(text)
    assert check(contract, text) == []
    assert tuple(label.name for label in contract.task.labels) == LABELS


def test_the_mapping_reads_every_row_and_every_answer() -> None:
    mapping = Mapping.from_toml((FOLDER / "mapping.toml").read_text(encoding="utf-8"))
    batches = list(read_batches(FOLDER / "support_desk.jsonl", mapping, run_no=1))
    outputs = [output for batch in batches for output in batch.outputs.to_pylist()]
    assert sum(batch.arrivals.num_rows for batch in batches) == len(rows())
    assert Counter(output["model"] for output in outputs) == Counter(
        model for row in rows() for model in row.get("outputs", {}) if model != "majority"
    )
    assert all(output["logprobs"] for output in outputs)
    assert all(output["latency_us"] is not None and output["finish_reason"] for output in outputs)


def test_the_inbox_is_composed_again_to_the_letter() -> None:
    again = [message.row(number) for number, message in enumerate(compose(FOLDER).messages, 1)]
    assert again == [{key: value for key, value in row.items() if key != "outputs"} for row in rows()]


def test_the_teacher_never_saw_a_message_of_the_inbox() -> None:
    seeds = {row["text"].casefold() for row in read_jsonl(FOLDER / "seed.jsonl")}
    assert not seeds & {row["prompt"].strip().casefold() for row in rows()}


def test_the_sizes_give_a_gate_something_to_judge() -> None:
    assert 600 <= len(rows()) <= 820
    assert len({row["prompt"] for row in first_of("test")}) == len(first_of("test")) >= 250
    assert 15 <= sum(map(critical, first_of("test"))) <= 25
    assert {row["route"] for row in first_of("test")} == set(LABELS)
    assert (FOLDER / "support_desk.jsonl").stat().st_size < 3_000_000


def test_the_critical_slice_of_the_contract_is_the_one_reported() -> None:
    gate = parse((FOLDER / "contract.toml").read_text(encoding="utf-8")).gate
    where = parse_filter(next(part.where for part in gate.slices if part.critical))
    assert all(holds(where, {}, row) == critical(row) for row in rows())


def test_the_teacher_is_good_but_fallible_and_the_student_smaller_and_worse() -> None:
    found = {model: accuracy(first_of("test"), model) for model in MODELS}
    assert 0.80 <= found["desk-teacher"] <= 0.93
    assert found["majority"] < found["desk-student"] < found["desk-teacher"]


def test_the_page_states_the_accuracies_that_the_engine_computes() -> None:
    page = (FOLDER / "PROVENANCE.md").read_text(encoding="utf-8")
    for name, some in (("all", first_of("test")), ("critical", list(filter(critical, first_of("test"))))):
        figures = " | ".join(f"{accuracy(some, model):.3f}" for model in MODELS)
        assert f"| {name} | {len(some)} | {figures} |" in page


def test_real_mistakes_are_left_in_for_the_checks_to_find() -> None:
    contract = parse((FOLDER / "contract.toml").read_text(encoding="utf-8"))
    options = next(entry.options for entry in contract.checks if entry.kind == "json_schema")
    failed: Counter[str] = Counter()
    for row in first_of("test"):
        for model, output in row["outputs"].items():
            failed[model] += not CHECKS["json_schema"](output["text"], None, options).passed
    assert failed["desk-teacher"] == failed["desk-student"] == failed["majority"] == 0
    assert failed["smollm2-135m-zeroshot"] > 0


def test_the_tokens_of_an_answer_spell_its_text_and_never_gain_probability() -> None:
    for row in rows():
        for output in row.get("outputs", {}).values():
            content = output.get("logprobs", {"content": []})["content"]
            spelled = "".join(entry["token"] for entry in content)
            assert not content or "\ufffd" in spelled or spelled == output["text"]
            for entry in content:
                best = [one["logprob"] for one in entry["top_logprobs"]]
                assert best == sorted(best, reverse=True)
                assert entry["logprob"] == best[0] <= 0


def test_planted_near_duplicates_are_in_the_inbox_and_some_leak() -> None:
    split_of = {row["id"]: row["split"] for row in rows()}
    groups = json.loads((FOLDER / "planted.json").read_text(encoding="utf-8"))
    assert {group["how"] for group in groups} == {"template", "typo", "surface", "truncation"}
    assert all(len(group["ids"]) > 1 and set(group["ids"]) <= set(split_of) for group in groups)
    assert sum({"train", "test"} <= {split_of[one] for one in group["ids"]} for group in groups) >= 10


def test_some_messages_would_upset_a_terminal_that_is_not_protected() -> None:
    text = "".join(row["prompt"] for row in rows())
    assert all(mark in text for mark in ("\x1b[2J", "\u202e", "\u200b", "<|im_end|>"))


def test_popular_production_messages_arrive_many_times() -> None:
    arrivals = Counter(row["prompt"] for row in rows() if row["source"] == "production")
    assert arrivals.most_common(1)[0][1] >= 10
