"""Rows taken away in a file: exactly those of the queue, as data whatever they hold, and never half a file."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.exporting import COLUMNS, WRITERS, export, suffix_of, target_of
from store.canonical import messages_of, output_id_of, prompt_id_of
from store.client import Client
from store.errors import Cancelled, InputError
from tests.engine.shell import Shell

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    'quotes " and, commas\nand lines\r\nand \x1b[2J escapes',
    "bidi \u202e and lines \u2028 \x85 of other kinds",
    "漢字 🙂 é",
    "",
    '{"messages": []}',
]
SPEC = {"kind": "audit", "project": "demo", "model": "teacher"}


@pytest.fixture
def hostile(filled: Callable[..., Client]) -> Client:
    """Prompts and answers that want to be something else than text."""
    texts = {f"{text} {i}": {"teacher": text} for i, text in enumerate(HOSTILE)}
    store = filled(texts, metadata={f"{HOSTILE[0]} 0": {"tier": "=vip", "teacher": "tells"}})
    store.act("model.declare", "demo", {"model": "teacher", "role": "teacher"})
    return store


@pytest.fixture
def queue(hostile: Client) -> Iterator[dict[str, Any]]:
    opened = hostile.call("open_queue", spec=SPEC)
    yield opened
    hostile.call("close_queue", queue=opened["id"])


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every line a JSON object, however lines are counted."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == text.count("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_jsonl_holds_every_row_whole_and_in_order(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    written = export(hostile, queue, "audit", tmp_path / "rows.jsonl")
    rows = read_jsonl(written.path)
    assert written.rows == len(rows) == len(HOSTILE)
    assert written.bytes == written.path.stat().st_size
    assert [row["position"] for row in rows] == list(range(1, len(HOSTILE) + 1))
    assert [row["output"] for row in rows] == HOSTILE
    assert all(row.keys() == COLUMNS["audit"].keys() for row in rows)
    for row, text in zip(rows, HOSTILE, strict=True):
        assert row["prompt_id"] == prompt_id_of(row["messages"]) == prompt_id_of(messages_of(row["prompt"]))
        assert row["subject"] == output_id_of(row["prompt_id"], "teacher", 0, text)


def test_the_file_is_private_and_nothing_else_is_left(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    for suffix in WRITERS:
        export(hostile, queue, "audit", tmp_path / f"rows{suffix}")
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith((".rows", "rows"))} == {
        f"rows{suffix}" for suffix in WRITERS
    }
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.glob("rows*"))


def test_parquet_holds_the_same_texts(hostile: Client, queue: dict[str, Any], tmp_path: Path) -> None:
    from pyarrow import parquet

    export(hostile, queue, "audit", tmp_path / "rows.parquet")
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.column_names == list(COLUMNS["audit"])
    assert table["output"].to_pylist() == HOSTILE
    assert json.loads(table["messages"].to_pylist()[6]) == messages_of(f"{HOSTILE[6]} 6")
    assert table["model"].null_count == len(HOSTILE)


def test_no_cell_of_a_csv_is_a_formula_and_its_texts_can_be_had_back(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    export(hostile, queue, "audit", tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["output"].removeprefix("'") for row in rows] == HOSTILE
    assert [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell] == []


def test_openai_lines_are_chats_that_end_in_the_output(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    export(hostile, queue, "audit", tmp_path / "rows.openai.jsonl")
    rows = read_jsonl(tmp_path / "rows.openai.jsonl")
    assert all(row.keys() == {"messages"} for row in rows)
    assert [row["messages"][-1] for row in rows] == [{"role": "assistant", "content": t} for t in HOSTILE]
    assert [prompt_id_of(row["messages"][:-1]) for row in rows] == [
        prompt_id_of(messages_of(f"{text} {i}")) for i, text in enumerate(HOSTILE)
    ]


def test_a_blind_export_tells_no_model_and_one_s_own_verdict_tells_it(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    subject = hostile.call("window", queue=queue["id"], low=0, high=1)[0][1]
    other = Client(hostile.path, claimed="ann")
    other.act("verdict", "demo", {"queue": "audit", "subject": subject, "verdict": "ok"})
    other.close()
    export(hostile, queue, "audit", tmp_path / "before.jsonl")
    before = read_jsonl(tmp_path / "before.jsonl")
    assert "teacher" not in (tmp_path / "before.jsonl").read_text()
    assert before[0]["metadata"] == {"tier": "=vip"}
    assert {row["verdict"] for row in before} == {None}
    hostile.act("verdict", "demo", {"queue": "audit", "subject": subject, "verdict": "bad", "reason": 3})
    export(hostile, queue, "audit", tmp_path / "after.jsonl")
    first, *rest = read_jsonl(tmp_path / "after.jsonl")
    assert (first["model"], first["verdict"], first["reason"]) == ("teacher", "bad", 3)
    assert first["metadata"] == {"tier": "=vip", "teacher": "tells"}
    assert rest == before[1:]


def test_marked_rows_only(hostile: Client, queue: dict[str, Any], tmp_path: Path) -> None:
    written = export(hostile, queue, "audit", tmp_path / "rows.jsonl", ranges=((1, 3), (7, 8)))
    assert written.rows == 3
    assert [row["position"] for row in read_jsonl(written.path)] == [2, 3, 8]


def test_what_is_exported_again_has_the_same_prompt_ids(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    export(hostile, queue, "audit", tmp_path / "rows.jsonl")
    shell = Shell(tmp_path / "again.duckdb")
    try:
        shell("import", "--retrospective", "p", tmp_path / "rows.jsonl", "--messages", "messages", "--output",
              "teacher=output", "--teacher", "teacher", "--meta", "tier=metadata.tier")  # fmt: skip
        shell("queue", "audit", "--to", tmp_path / "again.jsonl")
    finally:
        shell.close()
    ids = [
        [(row["prompt_id"], row["subject"]) for row in read_jsonl(tmp_path / name)]
        for name in ("rows.jsonl", "again.jsonl")
    ]
    assert ids[0] == ids[1]


def test_a_stopped_export_leaves_nothing(hostile: Client, queue: dict[str, Any], tmp_path: Path) -> None:
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) > 1

    with pytest.raises(Cancelled):
        export(hostile, queue, "audit", tmp_path / "rows.csv", ranges=((0, 2), (3, 5)), stopped=stopped)
    assert list(tmp_path.glob("*rows*")) == []


def test_nothing_is_written_over_unless_it_is_meant(
    hostile: Client, queue: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("precious")
    with pytest.raises(InputError, match="is there already"):
        export(hostile, queue, "audit", path)
    assert path.read_text() == "precious"
    assert list(tmp_path.glob(".rows*")) == []
    export(hostile, queue, "audit", path, replace=True)
    assert len(read_jsonl(path)) == len(HOSTILE)


def test_a_file_that_cannot_be_is_refused_with_words(tmp_path: Path) -> None:
    for name, told in (
        ("nowhere/x.jsonl", "no such folder"),
        ("x.txt", "unknown ending"),
        ("d.csv", "is a folder"),
    ):
        (tmp_path / "d.csv").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=told):
            target_of(str(tmp_path / name))
    assert suffix_of("a.b/openai.jsonl") == ".openai.jsonl"


def test_a_folder_that_takes_no_files_is_said(hostile: Client, queue: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        export(hostile, queue, "audit", Path("/proc/rows.jsonl"))
