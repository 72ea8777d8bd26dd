"""Whatever a file holds: it is imported, or refused by its place; never half, never by another error, never at length."""

from __future__ import annotations

import gzip
import io
import json
import math
import subprocess
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.arrivals import Params, run
from engine.context import Context
from store.canonical import canonical
from store.client import Client
from store.errors import InputError
from store.file_rows import MAX_LINE
from store.ingest import preview, read_batches
from store.mapping import Mapping, path_of
from store.mapping_text import as_flags, as_toml
from store.source_files import SourceFile
from store.suggest import first_rows, keys_of, suggest

ROOT = Path(__file__).parents[2]
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MAPPING = Mapping.from_flags(
    prompt="q", reference="gold", at="t", meta=["*", "n=x.y"], derive=["long = len(text) > 3"],
    output=["m=a.b,logprobs=lp,cost=usd,tokens_in=n", "m=o"],
)  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """All arrivals, bad rows left out; raises InputError with its place, and nothing else."""
    rejected: list[InputError] = []
    refused: list[InputError] = []
    batches = []
    try:
        batches = list(read_batches(path, MAPPING, run_no=1, rows=7, on_reject=rejected.append))
    except InputError as failure:
        refused.append(failure)
    assert all(failure.where.split(":")[0] == path.name for failure in refused)
    for failure in rejected:
        name, number = failure.where.rsplit(":", 1)
        assert (name, number.isdecimal(), bool(failure.what)) == (path.name, True, True)
    for batch in batches:
        for row in (*batch.arrivals["metadata"].to_pylist(), *batch.outputs["logprobs"].to_pylist()):
            assert row is None or msgspec.json.decode(row) is not None
    if not refused:
        suggest(first_rows(SourceFile(path, path.name)))
    if not refused and not rejected:
        preview(path, MAPPING)
    return [row for batch in batches for row in batch.arrivals.to_pylist()]


# --- rows ---------------------------------------------------------------------------------------------------
SPECIAL = (
    math.nan, math.inf, -0.0, 2**63, -(2**64), 2**200, 1e308, "\ud800", "\udc00x", "\x00", "\u2028", "", "12", "1e999", "NaN", True,
    "2026-01-02T03:04:05+14:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", -5, 10**30, [[]], {"": None}, [{"logprob": 1}],
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(SPECIAL),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["b", "y", "content", "", "é", "\x00"]) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from(["q", "gold", "t", "x", "a", "o", "lp", "usd", "n", "a.b"]) | st.text(max_size=3)
json_rows = st.dictionaries(keys, values, max_size=8).flatmap(
    lambda row: st.sampled_from([row, row | {"q": "fine"}])
)


@MANY
@given(st.lists(json_rows, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n \n"]), st.booleans())
def test_whatever_json_a_row_is(tmp_path: Path, rows: list[Any], end: str, bom: bool) -> None:
    body = "".join(json.dumps(row) + end for row in rows).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" * bom + body)
    read(tmp_path / "a.jsonl")


CELLS = ["q", '"', '""', ",", "\n", "\r", "\r\n", "\x00", "é", "\ufeff", "'", "\\", "1", " ", "text"]


@MANY
@given(st.lists(st.sampled_from(CELLS), max_size=40).map("".join), st.booleans())
@example("q\r\ra\n", True)
@example('q\n"a\rb"\n', True)
def test_whatever_quoting_a_csv_file_has(tmp_path: Path, body: str, header: bool) -> None:
    (tmp_path / "a.csv").write_bytes((("q,gold\n" if header else "") + body).encode())
    read(tmp_path / "a.csv")


@MANY
@given(
    st.binary(max_size=200), st.sampled_from(["jsonl", "csv", "jsonl.gz", "csv.gz", "parquet"]), st.booleans()
)
def test_whatever_bytes_a_file_is(tmp_path: Path, body: bytes, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(gzip.compress(body) if zipped and suffix.endswith("gz") else body)
    read(path)


COLUMNS: tuple[Any, ...] = (
    pa.array(["a", None, "c"]), pa.array(["a", "b", "a"]).dictionary_encode(), pa.array([b"\xff", b"", None]),
    pa.array([math.nan, math.inf, -0.0]), pa.array([2**63, 1, None], pa.uint64()), pa.array([1, 2, 3], pa.decimal128(30, 2)),
    pa.array([0, -(2**62), 2**62], pa.timestamp("us")), pa.array([0, 1, 2], pa.timestamp("ns", "Europe/Berlin")),
    pa.array([0, 10**6, -(10**6)], pa.date32()), pa.array([0, 1, 2], pa.time64("us")), pa.array([0, 1, 2], pa.duration("s")),
    pa.array([[1], None, []]), pa.array([{"b": "x"}, {"b": None}, None]), pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int8())),
    pa.array([None, None, None]), pa.array([True, None, False]), pa.array([datetime(2026, 1, 2, tzinfo=UTC), None, None]),
    pa.array([b"\xff\xfe", b"a", b"b"]).cast(pa.binary()).view(pa.string()),
)  # fmt: skip


@MANY
@given(
    st.dictionaries(keys.filter(bool), st.sampled_from(COLUMNS), min_size=1, max_size=5), st.integers(0, 400)
)
def test_whatever_a_parquet_file_holds_and_wherever_it_is_cut(tmp_path: Path, columns: Any, cut: int) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    whole = sink.getvalue()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) - cut] if cut < 300 else whole)
    read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "spoil",
    [lambda b: b[: len(b) // 2], lambda b: b[:-4], lambda b: b + b"junk", lambda b: b[:40] + b"\0" + b[41:]],
)
def test_a_damaged_gzip_is_refused_and_never_read_half(tmp_path: Path, spoil: Any) -> None:
    body = "".join(json.dumps({"q": f"question {i}"}) + "\n" for i in range(5_000)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(spoil(gzip.compress(body)))
    with pytest.raises(InputError, match=r"cut off|damaged|gzipped|CRC|trailing|compress"):
        list(read_batches(tmp_path / "a.jsonl.gz", Mapping(prompt="q"), run_no=1))


def test_a_parquet_row_that_python_cannot_hold_is_one_bad_row(tmp_path: Path) -> None:
    far = pa.array([0, 2**62, 7], pa.timestamp("us"))
    pq.write_table(pa.table({"q": ["a", "b", "c"], "when": far}), tmp_path / "a.parquet")
    rejected: list[InputError] = []
    mapping = Mapping.from_flags(prompt="q", meta=["*"])
    (batch,) = read_batches(tmp_path / "a.parquet", mapping, run_no=1, on_reject=rejected.append)
    assert batch.arrivals["file_row"].to_pylist() == [1, 3]
    assert [failure.where for failure in rejected] == ["a.parquet:2"]


@pytest.mark.parametrize(
    "row", ["[" * 5_000, '{"q":' * 5_000, '{"q": "a", "x": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_deep_nesting_is_a_bad_row_or_kept(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.jsonl").write_text(row + '\n{"q": "fine"}\n')
    assert [found["text"] for found in read(tmp_path / "a.jsonl")][-1] == "fine"


def test_a_line_of_a_megabyte_is_a_row_and_an_endless_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"q": "x" * (1 << 20)}) + "\n" + json.dumps({"q": "y" * MAX_LINE}) + "\n"
    )
    with pytest.raises(InputError, match="longer than") as refused:
        list(read_batches(tmp_path / "a.jsonl", Mapping(prompt="q"), run_no=1))
    assert refused.value.where == "a.jsonl:2"
    (tmp_path / "a.csv").write_text('q\n"' + "never closed\n" * (MAX_LINE // 8))
    with pytest.raises(InputError, match="longer than"):
        list(read_batches(tmp_path / "a.csv", Mapping(prompt="q"), run_no=1))


BOMB = """
import resource, sys
from pathlib import Path
from store.errors import InputError
from store.ingest import read_batches
from store.mapping import Mapping
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    rows = sum(b.arrivals.num_rows for b in read_batches(Path(sys.argv[1]), Mapping(prompt="q"), run_no=1))
except InputError as error:
    rows = error.where
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("name", "head", "piece", "times"),
    [
        ("line.jsonl.gz", b"", b"0", 128),
        ("cell.csv.gz", b'q\n"', b"never closed\n", 128),
        ("header.csv.gz", b"", b"q,", 128),
        ("rows.jsonl.gz", b"", b'{"q": "a"}\n', 1),
    ],
)
def test_a_gzip_bomb_takes_no_more_memory_than_a_line(
    tmp_path: Path, name: str, head: bytes, piece: bytes, times: int
) -> None:
    """512 MiB of one line, of one cell, of one header; and a file of short rows, which are read."""
    packer, size = zlib.compressobj(1, zlib.DEFLATED, 31), (4 << 20) // len(piece)
    with (tmp_path / name).open("wb") as file:
        file.write(packer.compress(head))
        for _ in range(times):
            file.write(packer.compress(piece * size))
        file.write(packer.flush())
    words = [sys.executable, "-c", BOMB, str(tmp_path / name)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    told, grown = done.stdout.split()
    assert told == str(size) if times == 1 else told.startswith(f"{name}:")
    assert int(grown) < 250  # MiB; Arrow itself, once loaded, is a good part of them


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([{"q": "a"}, {"q": "b", "a": {"b": "x"}}, {"q": 1}, "[", '{"q": "\\ud800"}', "\x00"]),
        max_size=6,
    )
)
def test_an_import_is_whole_or_nothing(tmp_path: Path, near_store: Client, some: list[Any]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in some))
    counted = "select (select count(*) from arrivals), (select count(*) from outputs), (select count(*) from closed_run)"
    before = near_store.call("sql", text=counted)["rows"][0]
    good = [row for row in some if isinstance(row, dict) and isinstance(row["q"], str)]
    params = Params(files=(path,), prompt="q", output=("m=a.b",))
    if len(good) < len(some):
        with pytest.raises(InputError):
            run(Context(near_store, "demo"), params)
        assert near_store.call("sql", text=counted)["rows"][0] == before
    else:
        told = run(Context(near_store, "demo"), params)
        assert told["arrivals"] == (0 if told["already_imported"] else len(good))


def test_a_batch_holds_few_long_rows(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.parquet"):
        rows = [{"q": f"{n}" * (1 << 20)} for n in range(1, 10)] * 8
        if name == "a.jsonl":
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / name, use_dictionary=False)
        sizes = [
            batch.arrivals.num_rows for batch in read_batches(tmp_path / name, Mapping(prompt="q"), run_no=1)
        ]
        assert sum(sizes) == 72
        assert max(sizes) <= 17


# --- suggestions ----------------------------------------------------------------------------------------------------
@settings(max_examples=150, deadline=None)
@given(st.lists(json_rows, min_size=1, max_size=3))
def test_what_is_suggested_means_the_same_as_flags_and_as_toml_and_fits_the_row(rows: list[Any]) -> None:
    rows = msgspec.json.decode(
        canonical([{k: v for k, v in row.items() if _plain(v)} for row in rows if _plain(list(row))])
    )
    for path in keys_of(rows):
        assert path_of(path)
    mapping = suggest(rows)
    if mapping is None:
        return
    assert Mapping.from_toml(as_toml(mapping)) == mapping
    words = as_flags(mapping)
    flags: dict[str, Any] = {"meta": [], "output": []}
    for name, value in zip(words[::2], words[1::2], strict=True):
        key = name.removeprefix("--")
        flags[key] = [*flags[key], value] if key in ("meta", "output") else value
    again = Mapping.from_flags(**flags)
    assert (again.prompt, again.messages, again.reference) == (
        mapping.prompt,
        mapping.messages,
        mapping.reference,
    )
    assert set(again.outputs) <= set(mapping.outputs)


def _plain(value: Any) -> bool:
    """Whether JSON can say it as it is."""
    try:
        canonical(value)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (UnicodeEncodeError, OverflowError, ValueError, msgspec.MsgspecError):
        return False
    return True
