"""Requests for samples: counted, filled from the pool in order, never from what is kept for the test; waivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.clean.coverage import NONE, Dimension, grid, where_of
from store import grammar
from tests.engine.label_server import LabelServer, LabelTeacher, Manners
from tests.engine.routing import CONTRACT
from tests.engine.shell import Shell

POOL = [
    ("old synthetic question about cash", "synthetic", "train", "vip"),
    ("real question about a card", "production", "train", "vip"),
    ("real question about a card", "production", "train", "vip"),  # it arrived twice
    ("real question about cash", "production", "train", "vip"),
    ("a question kept for the test", "production", "test", "vip"),
    ("an edge case about a card", "edge_case", "train", "vip"),
    ("a basic question", "production", "train", "basic"),
]


NAMED = 'model = "label-teacher"\nversion = "label-teacher-2024-01"\nendpoint = "http://127.0.0.1:9/v1"'


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A project with prompts that nobody answered yet."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    found = Shell(tmp_path / "r.duckdb")
    try:
        for number, (text, source, split, tier) in enumerate(POOL):
            path = tmp_path / f"{number}.jsonl"
            path.write_text(json.dumps({"q": text, "tier": tier}) + "\n")
            words = ("--prompt", "q", "--meta", "tier", "--source", source, "--split", split)
            found("import", *(("--retrospective", "r") if number == 0 else ()), path, *words)
        named = CONTRACT.replace('model = "big"\nversion = "1"', NAMED)
        (tmp_path / "c.toml").write_text(named)
        found("contract", "lock", tmp_path / "c.toml")
        yield found
    finally:
        found.close()


@pytest.fixture
def server() -> Iterator[LabelServer]:
    """A teacher on the loopback."""
    teacher = LabelTeacher(
        ["my card is lost", "cash machine fee", "hello you"] * 3, ["card", "cash", "other"] * 3
    )
    with LabelServer(teacher, Manners()) as found:
        yield found


def test_a_request_is_filled_from_production_first_and_from_synthetic_prompts_last(
    shell: Shell, server: LabelServer
) -> None:
    shell("request", "tier = vip", "3", "--about", "thin")
    asked = shell("request")["requests"]
    assert [(r["asked"], r["have"], r["next"], r["pool"], r["short"]) for r in asked] == [(3, 0, 3, 4, 0)]
    told = shell("generate", "--requests", "--endpoint", f"http://127.0.0.1:{server.port}/v1")
    assert told["answered"] == 3
    rows = shell(
        "sql", "select a.text from outputs o join arrivals a using (arrival_key) order by a.arrival_key"
    )["rows"]
    assert [text for (text,) in rows] == [
        "real question about a card",
        "real question about cash",
        "an edge case about a card",
    ]
    assert [(r["have"], r["next"]) for r in shell("request")["requests"]] == [(3, 0)]
    shell("generate", "--split", "test", "--endpoint", f"http://127.0.0.1:{server.port}/v1")
    assert [(r["have"], r["next"]) for r in shell("request")["requests"]] == [(3, 0)]  # no sample to train on
    shell("request", "tier = vip", "9")
    again = shell("request")["requests"]
    assert [(r["asked"], r["have"], r["next"], r["synthetic"], r["short"]) for r in again] == [
        (9, 3, 1, 1, 5)
    ]
    shell("generate", "--requests", "--endpoint", f"http://127.0.0.1:{server.port}/v1")
    told = "select a.text, a.source from outputs o join arrivals a using (arrival_key) order by o.output_key"
    assert shell("sql", told)["rows"] == [
        ["real question about a card", "production"],
        ["real question about cash", "production"],
        ["an edge case about a card", "edge_case"],
        ["a question kept for the test", "production"],  # asked by name, and no request's
        ["old synthetic question about cash", "synthetic"],  # at last, and it stays marked
    ]
    assert [(r["have"], r["next"], r["short"]) for r in shell("request")["requests"]] == [(4, 0, 5)]


def test_an_answer_called_bad_is_no_sample_and_another_is_asked_for(
    shell: Shell, server: LabelServer
) -> None:
    shell("request", "tier = vip", "2")
    shell("generate", "--requests", "--endpoint", f"http://127.0.0.1:{server.port}/v1")
    assert [(r["have"], r["next"]) for r in shell("request")["requests"]] == [(2, 0)]
    shell("verdict", "audit", "1", "bad", "--reason", "1")
    assert [(r["have"], r["next"]) for r in shell("request")["requests"]] == [(1, 1)]
    shell("undo")
    assert [(r["have"], r["next"]) for r in shell("request")["requests"]] == [(2, 0)]


def test_a_prompt_is_asked_for_the_first_request_that_wants_it(shell: Shell) -> None:
    shell("request", "prompt ~ card", "2")
    shell("request", "tier = vip", "2")
    first, second = shell("request")["requests"]
    assert (first["next"], second["next"]) == (2, 2)
    shell("request", "prompt ~ card", "0")  # taken back
    assert [r["where"] for r in shell("request")["requests"]] == ["tier = vip"]


def test_any_number_of_requests_stand_in_their_order(shell: Shell) -> None:
    for least in range(20):
        shell("request", f"len(prompt) > {least}", str(least + 1))
    assert [r["asked"] for r in shell("request")["requests"]] == list(range(1, 21))


def test_without_a_request_nothing_is_generated_for_one(shell: Shell) -> None:
    assert "nobody asked" in shell.refused(
        "generate", "--requests", "--endpoint", "http://127.0.0.1:9/v1", code=4
    )


def test_a_waiver_is_on_record_until_it_is_taken_back(shell: Shell) -> None:
    shell("waive", "tier = 'basic'", "--reason", "no such customers any more")
    (waiver,) = shell("waive")["waivers"]
    assert (waiver["reason"], waiver["by"]) == ("no such customers any more", "root")
    shell("waive", "tier = 'basic'", "--reason", "")
    assert shell("waive")["waivers"] == []
    assert shell("verify")["sound"]
    shell.refused("waive", "tier = = 1", "--reason", "x", code=3)


def test_the_filter_of_a_bucket_finds_what_fell_into_it() -> None:
    dimensions = (Dimension("tier"), Dimension("score", (0.0, 0.5, 1.0)))
    rows = [
        {"tier": tier, "score": score, "have": 1}
        for tier in ("it's", "vip", None)
        for score in (-1.0, 0.0, 0.4, 0.5, 1.0, 7.5, None)
    ]
    cells = grid(rows, dimensions)
    assert sum(c.have for c in cells) == len(rows)
    for cell in cells:
        where = grammar.parse(where_of(dict(cell.cell), dimensions))
        found = [r for r in rows if grammar.holds(where, {}, {k: v for k, v in r.items() if v is not None})]
        assert len(found) == cell.have, (cell.cell, where_of(dict(cell.cell), dimensions))
    assert any(value == NONE for cell in cells for _, value in cell.cell)
