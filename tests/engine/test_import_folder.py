"""Import of whole folders, the preview and the mapping that it suggests."""

from __future__ import annotations

import csv
import gzip
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.mapping import Mapping
from store.suggest import suggest
from tests.engine.shell import Shell

ROWS: list[dict[str, Any]] = [{"question": f"why {i}?", "ground_truth": f"so {i}"} for i in range(6)]
MAP = ("--prompt", "question", "--reference", "ground_truth")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("SPIRITSAFE_IDLE_SECONDS", "5")
    monkeypatch.chdir(tmp_path)
    found = Shell(tmp_path / "r.duckdb")
    try:
        yield found
    finally:
        found.close()


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def texts(shell: Shell) -> list[str]:
    return [row[0] for row in shell("sql", "select text from arrivals order by arrival_key")["rows"]]


def test_a_folder_gives_every_known_file_in_the_order_of_its_path_and_names_the_others(
    shell: Shell, tmp_path: Path
) -> None:
    top = tmp_path / "in"
    jsonl(top / "b.jsonl", ROWS[:1])
    jsonl(top / "a" / "z.ndjson", ROWS[1:2])
    with (top / "a" / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question", "ground_truth"], [ROWS[2]["question"], "x"]])
    (top / "c.jsonl.gz").write_bytes(gzip.compress(json.dumps(ROWS[3]).encode()))
    pq.write_table(pa.Table.from_pylist(ROWS[4:5]), top / "d.parquet")
    jsonl(top / ".hidden.jsonl", ROWS)
    jsonl(top / ".cache" / "x.jsonl", ROWS)
    (top / "README.md").write_text("# rows")
    (top / "dataset_info.json").write_text("{}")
    (top / "link").symlink_to(top)
    told = shell("import", "--retrospective", "r", "in", *MAP)
    assert texts(shell) == [ROWS[i]["question"] for i in (2, 1, 0, 3, 4)]
    assert told["skipped"] == [
        "in/.cache/", "in/.hidden.jsonl", "in/README.md", "in/dataset_info.json", "in/link/"
    ]  # fmt: skip
    assert (told["arrivals"], len(told["files"])) == (5, 5)
    again = shell("import", "in", *MAP)
    assert (again["arrivals"], len(again["already_imported"])) == (0, 5)
    assert len(texts(shell)) == 5


def test_a_folder_of_parquet_shards_brings_its_splits_by_file(shell: Shell) -> None:
    for split, rows in (("train", ROWS[:4]), ("validation", ROWS[4:5]), ("test", ROWS[5:])):
        Path("hub/data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), f"hub/data/{split}-00000-of-00001.parquet")
    plain = shell("import", "--retrospective", "plain", "hub", *MAP)
    assert "--split-by-file" in plain["note"]
    shell("import", "--retrospective", "r", "hub", *MAP, "--split-by-file")
    counted = shell(
        "sql", "select split, count(*) from arrivals where project = 'r' group by all order by all"
    )
    assert counted["rows"] == [["test", 1], ["train", 4], ["validation", 1]]
    jsonl(Path("hub/data/more.jsonl"), ROWS)
    assert "says no split" in shell.refused(
        "import", "hub", "--project", "r", *MAP, "--split-by-file", code=3
    )


def test_a_folder_without_a_known_file_is_refused_by_what_it_holds(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    shell("import", "--retrospective", "r", jsonl(tmp_path / "one.jsonl", ROWS), *MAP)
    assert "it is empty" in shell.refused("import", "none", *MAP, code=3)
    (tmp_path / "none" / "rows.xlsx").write_bytes(b"PK")
    assert "none/rows.xlsx" in shell.refused("import", "none", *MAP, code=3)
    assert "no such file" in shell.refused("import", "nowhere", *MAP, code=3)


def test_two_identical_files_are_one_set_of_arrivals(shell: Shell, tmp_path: Path) -> None:
    for name in ("a", "b"):
        jsonl(tmp_path / "in" / f"{name}.jsonl", ROWS)
    told = shell("import", "--retrospective", "r", "in", *MAP)
    assert told["arrivals"] == len(texts(shell)) == 6
    assert told["same_content"] == ["in/b.jsonl is in/a.jsonl once more"]


def test_files_of_one_name_are_told_apart(shell: Shell, tmp_path: Path) -> None:
    first, second = (
        jsonl(tmp_path / "x" / "rows.jsonl", ROWS[:2]),
        jsonl(tmp_path / "y" / "rows.jsonl", ROWS[2:]),
    )
    second.write_text(second.read_text() + "{}\n")
    answer = shell.try_("--json", "import", "--retrospective", "r", first, second, *MAP)
    assert answer.error["where"] == "rows.jsonl (2):5"


def test_a_mapping_that_fits_no_file_is_refused_by_the_keys_that_are_there(
    shell: Shell, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        jsonl(tmp_path / "in" / f"{name}.jsonl", [{**row, "of": name} for row in ROWS])
    for words in ((), ("--rejects", "bad.txt")):
        answer = shell.try_(
            "--json", "import", "--retrospective", f"r{len(words)}", "in", "--prompt", "q", *words
        )
        assert answer.code == 3
        assert answer.error["what"] == "the first rows have no 'q'"
        assert "Their keys are question, ground_truth, of." in answer.error["todo"]
    assert shell("sql", "select count(*) from run_opened")["rows"] == [[0]]  # nothing was even opened
    assert not Path("bad.txt").exists()


def test_a_row_that_fits_no_mapping_is_told_by_its_file_below_the_folder(
    shell: Shell, tmp_path: Path
) -> None:
    jsonl(tmp_path / "in" / "deep" / "a.jsonl", [*ROWS, {"question": 3}])
    answer = shell.try_("--json", "import", "--retrospective", "r", "in", *MAP)
    assert answer.error["where"] == "in/deep/a.jsonl:7"


# --- preview and suggestion ---------------------------------------------------------------------------------
def test_the_suggested_command_works_as_it_is_pasted(shell: Shell, tmp_path: Path) -> None:
    rows = [{**row, "big model": {"solution": f"so {i}", "ok": True}} for i, row in enumerate(ROWS)]
    jsonl(tmp_path / "my rows.jsonl", rows)
    shown = shell("import", "--preview", "my rows.jsonl", "--retrospective", "r")
    assert shown["keys"] == ["question", "ground_truth", "big model.solution", "big model.ok"]
    assert shown["rows"]["my rows.jsonl"][0]["outputs"] == [["big model", "so 0"]]
    assert not shell.store.exists()
    words = shlex.split(shown["command"])
    assert words[:2] == ["spiritsafe", "import"]
    told = shell(*words[1:])
    assert (told["arrivals"], told["by_model"]) == (6, {"big model": 6})
    refused = shell.try_("--json", "import", "my rows.jsonl")
    assert refused.code == 3
    assert refused.error["todo"].startswith("Perhaps: spiritsafe import 'my rows.jsonl' --prompt question")


def test_the_preview_of_a_folder_is_a_table_of_the_first_files(shell: Shell, tmp_path: Path) -> None:
    long = "\x1b[31mred\nand " + "long " * 100
    for number in range(5):
        jsonl(tmp_path / "in" / f"{number}.jsonl", [{"question": long, "n": number}] * 9)
    answer = shell.try_("import", "--preview", "in", "--prompt", "question", "--meta", "*")
    lines = answer.out.splitlines()
    assert [text for text in lines if text.startswith("in/")] == [f"in/{n}.jsonl" for n in range(3)]
    assert "and 2 more files" in lines
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in answer.out
    whole = shell("import", "--preview", "in", "--prompt", "question")
    assert whole["in/0.jsonl"][4]["text"] == long


def test_many_models_get_a_line_each(shell: Shell, tmp_path: Path) -> None:
    rows = [{"question": "why?", **{f"model-{i}": {"text": f"because {i}"} for i in range(9)}}]
    jsonl(tmp_path / "rows.jsonl", rows)
    lines = shell.try_("import", "--preview", "rows.jsonl").out.splitlines()
    assert "  model-8  because 8" in lines


def test_the_saved_mapping_is_the_mapping(shell: Shell, tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", [{**ROWS[0], "big": {"text": "x"}, "small": {"text": "y"}}])
    shell("import", "--preview", "rows.jsonl", "--save-map", "guess.toml")
    words = (
        *MAP,
        "--output",
        "big=big.text,cost=big.usd",
        "--meta",
        "*",
        "--derive",
        "long = len(prompt) > 4",
    )
    shell("import", "--retrospective", "r", "rows.jsonl", *words, "--save-map", "map.toml")
    assert [o.model for o in Mapping.from_toml(Path("guess.toml").read_text()).outputs] == ["big", "small"]
    assert shell("import", "--preview", "rows.jsonl", "--map", "map.toml") == shell(
        "import", "--preview", "rows.jsonl", *words
    )
    assert "there already" in shell.refused(
        "import", "--preview", "rows.jsonl", "--save-map", "map.toml", code=3
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "q", "answer": "a"}, {"prompt": "question", "reference": "answer"}),
        ({"instruction": "q", "output": "a"}, {"prompt": "instruction", "outputs": [("teacher", "output")]}),
        ({"text": "q", "label": "x", "split": "test"}, {"prompt": "text", "reference": "label", "split": "split"}),
        ({"text": "q", "split": "holdout"}, {"prompt": "text", "split": "train"}),
        ({"prompt": "q", "response": "a", "model": "m-1"}, {"outputs": [("m-1", "response")]}),
        ({"messages": [{"role": "user", "content": "q"}]}, {"messages": "messages", "prompt": None}),
        (
            {"request": {"messages": [{"role": "user", "content": "q"}], "model": "m"},
             "response": {"choices": [{"message": {"content": "a"}, "logprobs": {"content": []}}]}},
            {"messages": "request.messages", "outputs": [("m", "response.choices.0.message.content")]},
        ),
        ({"a.prompt": "q", "id": 1}, None),
        ({"x": {"prompt": "q"}, "id": 1}, {"prompt": "x.prompt", "metadata": (("*", "*"),)}),
        ({"id": 1}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_mapping_is_suggested_by_the_names_that_logs_use(
    row: dict[str, Any], said: dict[str, Any] | None
) -> None:
    found = suggest([row])
    if said is None or found is None:
        assert found is said
        return
    outputs = said.pop("outputs", None)
    assert outputs is None or [(o.model, o.text) for o in found.outputs] == outputs
    assert {name: getattr(found, name) for name in said} == said
