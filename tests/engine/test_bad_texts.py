"""Texts that nobody means well by go through the real commands: a clear answer, and nothing that grows without bound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.clean.neardup import has_fast_engine
from tests.bench.bad_texts import CONTRACT, FLAGS, Row, empty, flood, ordinary, same, surrogates
from tests.engine.shell import Shell

TRAIN = 12  # ordinary rows for training
ENGINES = ("fast", "reference") if has_fast_engine() else ("reference",)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Row]], Shell]]:
    """A project with a few ordinary rows, a test set, and the rows that are given."""
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    shell = Shell(tmp_path / "d.duckdb")

    def made(rows: list[Row]) -> Shell:
        for split, of in (("train", [*ordinary(0, TRAIN), *rows]), ("test", [*ordinary(1000, 20)])):
            path = written(tmp_path / f"{split}.jsonl", of)
            shell("import", "--retrospective", "desk", path, "--split", split, *FLAGS)
        (tmp_path / "contract.toml").write_text(CONTRACT)
        shell("contract", "lock", tmp_path / "contract.toml")
        shell("evaluation", "freeze")
        return shell

    try:
        yield made
    finally:
        shell.close()


def written(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def through(shell: Shell) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """Deduplicated by every engine alike, checked, frozen: results of dedup, checks passed, freeze."""
    told = [shell("dedup", "--field", "both", "--engine", engine) for engine in ENGINES]
    assert all(one == told[0] for one in told)
    passed = {one["check"]: one["passed"] for one in shell("check")["checks"]}
    return told[0], passed, shell("dataset", "freeze", "--keep-failing")


def test_empty_texts_are_one_text_and_fail_what_asks_for_one(
    desk: Callable[[list[Row]], Shell], tmp_path: Path
) -> None:
    rows = list(empty(40))
    shell = desk(rows)
    dedup, passed, frozen = through(shell)
    assert dedup["prompt"]["kinds"]["surface"] == 3  # four spellings of nothing make a star
    assert dedup["output"]["stats"]["distinct"] == TRAIN + 20 + 1
    assert passed["length"] == TRAIN + 20 + 20  # of the empty answers, those of two spaces have a character
    assert passed["private"] == passed["refusal"] == len(rows) + TRAIN + 20
    assert frozen["dataset_sha256"]
    more = written(tmp_path / "more.jsonl", [*empty(6), *ordinary(60, 1)])
    told = shell("import", more, "--split", "train", *FLAGS)
    assert told["empty_texts"] == 9
    assert told["note"] == "9 empty texts: 3 prompts, 6 outputs of big"


def test_one_answer_to_everything_is_a_star_and_is_compared_once(desk: Callable[[list[Row]], Shell]) -> None:
    many = 2_000
    rows = [row | {"q": f"{'abcdefgh'[i % 8] * 3} {i * 7919}"} for i, row in enumerate(same(many))]
    dedup, passed, _ = through(desk(rows))
    assert dedup["output"]["kinds"]["exact"] == many - 1
    assert dedup["output"]["stats"]["distinct"] == TRAIN + 20 + 1
    assert dedup["output"]["removable"] >= many - 1
    assert passed["form"] == many + TRAIN + 20


def test_a_flood_of_one_template_says_that_pairs_went_untried(desk: Callable[[list[Row]], Shell]) -> None:
    many = 250
    dedup, _, _ = through(desk(list(flood(many))))
    for field in ("prompt", "output"):
        stats = dedup[field]["stats"]
        assert stats["untried_pairs"] > 0
        assert stats["without_spans"] == 0
        assert dedup[field]["pairs"] < 100 * many
        assert dedup[field]["kinds"]["slot"] > 0
        assert dedup[field]["removable"] > 0.9 * many


def test_half_a_surrogate_pair_is_refused_by_its_line(
    desk: Callable[[list[Row]], Shell], tmp_path: Path
) -> None:
    shell = desk([])
    bad = written(tmp_path / "bad.jsonl", [*ordinary(50, 3), *islice(surrogates(2), 2)])
    answer = shell.try_("--json", "import", bad, "--split", "train", *FLAGS)
    assert answer.code == 3
    assert "half a surrogate pair" in answer.error["what"]
    assert answer.error["where"] == "bad.jsonl:4"
    assert answer.error["todo"]


def test_a_text_of_fifty_megabytes_is_refused_by_its_line_before_it_is_read_whole(
    desk: Callable[[list[Row]], Shell], tmp_path: Path
) -> None:
    shell = desk([])
    bad = tmp_path / "huge.jsonl"
    with bad.open("w") as file:
        file.write(json.dumps(next(iter(ordinary(50, 1)))) + "\n" + '{"q": "' + "word " * 10_000_000 + '"}\n')
    answer = shell.try_("--json", "import", bad, "--split", "train", *FLAGS)
    assert answer.code == 3
    assert (answer.error["what"], answer.error["where"]) == ("is longer than 16 MiB", "huge.jsonl:2")
    assert "cut it" in answer.error["todo"]


def test_a_long_text_goes_through_every_stage(desk: Callable[[list[Row]], Shell]) -> None:
    long = " ".join(f"w{i * 7919 % 100_003}" for i in range(40_000))
    rows = [
        {"q": long, "a": "answer", "gold": "answer"},
        {"q": f"{long} and a tail", "a": f"{long[:100_000]} order", "gold": "answer"},
    ]
    dedup, passed, _ = through(desk(rows))
    assert dedup["prompt"]["stats"]["without_spans"] == 0
    assert dedup["prompt"]["largest"] >= 2
    assert passed["length"] == TRAIN + 20 + 1
