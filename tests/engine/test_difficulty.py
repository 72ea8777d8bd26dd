"""Dimensions that no metadata names: how unsure the teacher was, how much its answers differ, the script of a text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.language import script_of_text
from tests.engine.routing import CONTRACT, add
from tests.engine.shell import Shell


def logprobs(*probabilities: float) -> dict[str, Any]:
    return {"content": [{"token": "x", "logprob": math.log(p), "top_logprobs": []} for p in probabilities]}


# prompt, answers, probabilities of the tokens of each answer
SAMPLES: list[tuple[str, list[str], tuple[float, ...]]] = [
    ("where is my card", ["card"], (0.98,)),
    ("what about cash", ["cash"], (0.55,)),
    ("a long one", ["one two"], (0.9, 0.5)),
    ("no numbers at all", ["other"], ()),
    ("two and two", ["so 2 + 2\nA: 4", "it is 2 more than 2\nA: 4.", "I add them up\nA: 5", "A: 4"], ()),
    ("says the same", ["Card!", " card", "CARD"], ()),
    ("all differ", ["a", "b"], ()),
]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Seven prompts with one to four answers of the teacher each, some with log probabilities."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    found = Shell(tmp_path / "d.duckdb")
    lines = []
    for prompt, answers, p in SAMPLES:
        for answer in answers:
            told = {"logprobs": logprobs(*p)} if p else {}
            lines.append({"q": prompt, "answer": answer} | told)
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        words = ("--prompt", "q", "--output", "big=answer,logprobs=logprobs", "--teacher", "big")
        found("import", "--retrospective", "d", path, *words)
        yield found
    finally:
        found.close()


def counts(shell: Shell, dimension: str) -> dict[str, int]:
    """Arrivals per value of a dimension."""
    shell("coverage", "--by", dimension)
    (name,) = {key for key in shell("report", "coverage")["buckets"][0] if key in dimension}
    return {b[name]: b["have"] for b in shell("report", "coverage")["buckets"]}


def prompts(shell: Shell, where: str) -> set[str]:
    found = shell("queue", "audit", "--rows", "100", "--filter", where)["rows"]
    return {prompt for prompt, _, _ in SAMPLES if any(prompt in str(row) for row in found)}


def test_uncertainty_is_what_the_tokens_of_an_answer_lack_of_being_sure(shell: Shell) -> None:
    assert counts(shell, "uncertainty: 0.1, 0.28, 0.32, 0.5") == {
        "< 0.1": 1,
        "0.28 to 0.32": 1,  # 1 - (0.9 + 0.5) / 2
        "0.32 to 0.5": 1,
        "(none)": 10,  # without log probabilities nobody can tell
    }


def test_disagreement_is_the_share_of_answers_that_are_not_the_most_common_one(shell: Shell) -> None:
    assert counts(shell, "disagreement: 0.1, 0.25, 0.26, 0.5") == {
        "< 0.1": 3,  # case, blanks and marks do not count
        "0.25 to 0.26": 4,  # one of four ends otherwise, however it got there
        "≥ 0.5": 2,
        "(none)": 4,  # one answer cannot differ
    }


def test_a_filter_names_difficulty_as_a_bucket_does(shell: Shell) -> None:
    assert prompts(shell, "uncertainty > 0.4") == {"what about cash"}
    assert prompts(shell, "disagreement >= 0.25 and disagreement < 0.5") == {"two and two"}
    assert prompts(shell, "uncertainty is null and disagreement is null") == {"no numbers at all"}


def test_the_answer_itself_may_be_a_dimension(shell: Shell) -> None:
    found = counts(shell, "output")
    assert (found["card"], found["cash"], found["a"]) == (
        1,
        1,
        2,
    )  # of several answers to one prompt the first


TEXTS = [
    "where is my card", "5 + 5", "где моя карта", "ist das für Ähnliches?", "これは何ですか", "这是什么", "카드 어디",
    "cardはどこ", "ok привет мир", "ÄÖ", "بطاقة", "ฉันหิว", "café", "naïve и", "ᚠᚢ",
]  # fmt: skip


def test_the_script_of_a_text_is_a_dimension_and_typed_text_is_told_alike(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "scripts.jsonl"
    path.write_text("".join(json.dumps({"q": text}) + "\n" for text in TEXTS))
    shell("import", "--retrospective", "d", path, "--prompt", "q", "--split", "validation")
    told = {text: script_of_text(text) for text in TEXTS}
    assert told["ᚠᚢ"] == "other"
    shell("coverage", "--by", "script", "--split", "validation")
    buckets = {b["script"]: b["have"] for b in shell("report", "coverage")["buckets"]}
    assert {name: n for name, n in buckets.items() if n} == Counter(told[text] or "(none)" for text in TEXTS)
    assert len(prompts(shell, "script = Latin")) == len(SAMPLES)


def test_a_language_is_kept_as_metadata_where_it_is_told_at_import(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "languages.jsonl"
    texts = [
        "これは何ですか",
        "カードはどこ",
        "카드 어디에 있어요",
        "บัตรของฉันอยู่ที่ไหน",
    ]  # told by script alone: no model is needed
    path.write_text("".join(json.dumps({"q": text}) + "\n" for text in texts))
    words = ("--prompt", "q", "--split", "validation", "--derive", "lang = language(prompt)")
    shell("import", "--retrospective", "d", path, *words)
    shell("coverage", "--by", "lang", "--split", "validation")
    told = {b["lang"]: b["have"] for b in shell("report", "coverage")["buckets"] if b["have"]}
    assert told == {"ja": 2, "ko": 1, "th": 1}
    refused = shell.try_("--json", "coverage", "--by", "language(prompt)")
    assert refused.code == 3
    assert "--derive" in refused.error["todo"]


def test_the_script_is_told_alike_by_the_hub_by_an_import_and_by_the_judge_of_baselines(
    routing: Shell, tmp_path: Path
) -> None:
    foreign = "где моя новая карта, я жду её с начала месяца"
    by_script = CONTRACT.replace("prompt ~ 'secret'", "script = 'Cyrillic'")
    by_script += '[[gate.slice]]\nname = "latin"\nwhere = "script = \'Latin\'"\nfloor = 0.9\n'
    (tmp_path / "next.toml").write_text(by_script)
    routing("contract", "lock", tmp_path / "next.toml")
    assert add(routing, tmp_path, "foreign.jsonl", foreign, "train")["excluded"] == {"script = 'Cyrillic'": 1}
    routing("evaluation", "freeze")
    found = routing("baselines")["rivals"][0]["rows"]
    assert {row["slice"]: row["n"] for row in found} == {"all": 3, "latin": 3}
