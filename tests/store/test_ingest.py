"""Files become arrivals and outputs: every format, every fault, the same bytes every time."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.canonical import messages_of, output_id_of, prompt_id_of
from store.errors import GrammarError, InputError
from store.ingest import arrow_schema, file_id, preview, read_batches
from store.mapping import Mapping, OutputPath
from store.records import columns_of, key_of

DATA = Path(os.environ.get("SPIRITSAFE_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
PLAIN = Mapping(prompt="q")


def write(path, *rows, end="\n"):
    path.write_bytes(
        b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + end.encode() for row in rows)
    )
    return path


def read(path, mapping=PLAIN, **options):
    batches = list(read_batches(path, mapping, run_no=3, **options))
    arrivals = [row for batch in batches for row in batch.arrivals.to_pylist()]
    return arrivals, [row for batch in batches for row in batch.outputs.to_pylist()]


def refusal(path, mapping=PLAIN):
    with pytest.raises(InputError) as refused:
        read(path, mapping)
    return str(refused.value)


# --- what becomes of a row ----------------------------------------------------------------------------------
def test_a_row_becomes_an_arrival_and_its_outputs(tmp_path):
    path = write(
        tmp_path / "log.jsonl",
        {"q": "Hi?", "gold": "yes", "src": "synthetic", "part": "test", "t": "2026-01-02T03:04:05Z",
         "user": {"tier": "vip", "age": 3}, "big": {"text": "Yes.", "usd": 0.25, "ms": 12.5, "n": [7, 2],
         "why": "stop", "lp": [{"token": "Yes", "logprob": -0.1}]}, "small": "No."},
    )  # fmt: skip
    mapping = Mapping(
        prompt="q", reference="gold", source="src", split="part", at="t", metadata=(("tier", "user.tier"),),
        outputs=(OutputPath("big", "big.text", "big.lp", "big.why", "big.n.0", "big.n.1", "big.ms", "big.usd"),
                 OutputPath("small", "small")), derived=("long = len(text) > 2",),
    )  # fmt: skip
    (arrival,), (big, small) = read(path, mapping, first_arrival_seq=10, first_output_seq=20)
    prompt_id = prompt_id_of(messages_of("Hi?"))
    assert arrival == {
        "run_no": 3, "arrival_key": key_of(3, 10), "prompt_id": prompt_id, "text": "Hi?", "messages": None,
        "reference": "yes", "source": "synthetic", "split": "test", "at_us": 1767323045000000,
        "metadata": '{"long":true,"tier":"vip"}', "file_id": file_id(path), "file_row": 1,
    }  # fmt: skip
    assert big == {
        "run_no": 3, "output_key": key_of(3, 20), "arrival_key": key_of(3, 10), "prompt_id": prompt_id,
        "output_id": output_id_of(prompt_id, "big", 0, "Yes."), "model": "big", "sample_index": 0, "text": "Yes.",
        "finish_reason": "stop", "tokens_in": 7, "tokens_out": 2, "cost_nano": 250_000_000, "latency_us": 12_500,
        "logprobs": '{"content":[{"logprob":-0.1,"token":"Yes"}]}',
    }  # fmt: skip
    assert (small["output_key"], small["model"], small["tokens_in"]) == (key_of(3, 21), "small", None)


def test_batches_have_the_columns_of_the_records_and_of_the_schema(tmp_path):
    path = write(tmp_path / "a.jsonl", {"q": "a"})
    (batch,) = read_batches(path, PLAIN, run_no=1)
    connection = duckdb.connect()
    connection.execute((Path(__file__).parents[2] / "store" / "schema" / "0001.sql").read_text())
    for name, table in (("arrival", batch.arrivals), ("output", batch.outputs)):
        assert tuple(table.column_names) == columns_of(name)
        assert table.schema == arrow_schema(name)
        described = connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? order by column_index",
            [name],
        ).fetchall()
        types = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32()}
        assert [(field.name, field.type) for field in table.schema] == [(c, types[t]) for c, t in described]
    connection.close()


def test_outputs_of_a_batch_lie_model_by_model(tmp_path):
    path = write(tmp_path / "a.jsonl", *({"q": str(i), "a": f"a{i}", "b": f"b{i}"} for i in range(5)))
    mapping = Mapping(prompt="q", outputs=(OutputPath("A", "a"), OutputPath("B", "b"), OutputPath("A", "b")))
    batches = list(read_batches(path, mapping, run_no=1, rows=2))
    first = batches[0].outputs.to_pylist()
    assert [(o["model"], o["sample_index"], o["text"]) for o in first] == [
        ("A", 0, "a0"), ("A", 0, "a1"), ("B", 0, "b0"), ("B", 0, "b1"), ("A", 1, "b0"), ("A", 1, "b1"),
    ]  # fmt: skip
    keys = [key for batch in batches for key in batch.outputs["output_key"].to_pylist()]
    assert keys == [key_of(1, seq) for seq in range(15)]
    assert [batch.rows for batch in batches] == [2, 4, 5]
    assert batches[-1].bytes_read == path.stat().st_size


def test_a_chat_of_one_user_message_is_the_bare_text(tmp_path):
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    path = write(
        tmp_path / "a.jsonl",
        {"m": [{"role": "user", "content": "Hi"}]},
        {"m": chat},
        {"m": [{"content": "no role"}]},
    )
    rejected = []
    (bare, full), _ = read(path, Mapping(messages="m"), on_reject=rejected.append)
    assert (bare["prompt_id"], bare["text"], bare["messages"]) == (
        prompt_id_of(messages_of("Hi")),
        "Hi",
        None,
    )
    assert full["text"] == "system: Be brief.\n\nuser: Hi"
    assert full["prompt_id"] == prompt_id_of(json.loads(full["messages"]))
    assert [failure.where for failure in rejected] == ["a.jsonl:3"]


def test_a_star_takes_all_that_is_not_mapped(tmp_path):
    row = {
        "q": "a",
        "id": 7,
        "n": {"out": "x", "right": True},
        "only": {"out": "y"},
        "deep": {"a": [1, {"b": None}]},
        "é": None,
    }
    mapping = Mapping.from_flags(prompt="q", meta=["*", "number=id"], output=["m=n.out", "k=only.out"])
    (arrival,), _ = read(write(tmp_path / "a.jsonl", row), mapping)
    assert json.loads(arrival["metadata"]) == {
        "number": 7, "n": {"right": True}, "deep": {"a": [1, {"b": None}]}, "é": None,
    }  # fmt: skip


def test_a_missing_output_is_no_output_and_an_empty_one_is(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        {"q": "a"},
        {"q": "b", "o": None},
        {"q": "c", "o": ""},
        {"q": "d", "o": {"x": 1}},
    )
    arrivals, outputs = read(path, Mapping.from_flags(prompt="q", output=["m=o"]))
    assert [o["text"] for o in outputs] == ["", '{"x":1}']
    assert [o["arrival_key"] for o in outputs] == [a["arrival_key"] for a in arrivals[2:]]


@pytest.mark.parametrize(
    ("value", "at_us"),
    [("1970-01-01T00:00:01+01:00", -3599000000), ("1970-01-01 00:00:01", 1000000), (1767323045, 1767323045000000),
     (1767323045000, 1767323045000000), (1767323045000001, 1767323045000001), ("1767323045.5", 1767323045500000),
     (None, None), ("", None)],
)  # fmt: skip
def test_times_are_read_as_utc_microseconds(tmp_path, value, at_us):
    (arrival,), _ = read(write(tmp_path / "a.jsonl", {"q": "a", "t": value}), Mapping(prompt="q", at="t"))
    assert arrival["at_us"] == at_us


# --- formats ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.csv", "a.csv.gz", "a.parquet"])
def test_every_format_gives_the_same_arrivals(tmp_path, name):
    path, rows = tmp_path / name, [{"q": f"Frage {i}\nzweite Zeile, é", "gold": f"{i}"} for i in range(20)]
    if ".json" in name:
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    elif ".csv" in name:
        lines = [["q", "gold"], *([row["q"], row["gold"]] for row in rows)]
        with (tmp_path / "plain").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
        body = (tmp_path / "plain").read_bytes()
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    arrivals, _ = read(path, Mapping(prompt="q", reference="gold"), rows=7)
    assert [(a["text"], a["reference"]) for a in arrivals] == [(r["q"], r["gold"]) for r in rows]
    assert arrivals[1]["file_row"] == (4 if ".csv" in name else 2)  # the line on which the row begins
    assert arrivals == read(path, Mapping(prompt="q", reference="gold"), rows=100)[0]


def test_nested_parquet_with_times_reads_like_json(tmp_path):
    from datetime import UTC, datetime

    moment = datetime(2026, 1, 2, tzinfo=UTC)
    pq.write_table(
        pa.Table.from_pylist([{"q": "a", "n": {"o": "x", "t": moment}, "b": b"\xff"}]), tmp_path / "a.parquet"
    )
    mapping = Mapping.from_flags(prompt="q", at="n.t", output=["m=n.o"], meta=["*"])
    (arrival,), (output,) = read(tmp_path / "a.parquet", mapping)
    assert (arrival["at_us"], output["text"]) == (1767312000000000, "x")
    assert json.loads(arrival["metadata"]) == {"b": "/w=="}


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz"])
def test_a_file_without_rows_gives_no_batch(tmp_path, name):
    for body in (b"", b"\n\r\n \n" if "json" in name else b"q,gold\n\n"):
        (tmp_path / name).write_bytes(gzip.compress(body) if name.endswith("gz") else body)
        assert read(tmp_path / name) == ([], [])
        assert preview(tmp_path / name, PLAIN) == []


def test_bom_crlf_and_empty_lines_are_no_content(tmp_path):
    path = write(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"q": "a"}', b"", b"  ", {"q": "b"}, end="\r\n")
    assert [(a["text"], a["file_row"]) for a in read(path)[0]] == [("a", 1), ("b", 4)]
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfq,z", b"a,1", b"", b"b,2", end="\r\n")
    assert [(a["text"], a["file_row"]) for a in read(path)[0]] == [("a", 2), ("b", 4)]


def test_a_nul_in_a_text_is_kept_and_a_raw_one_in_json_refused(tmp_path):
    assert read(write(tmp_path / "a.jsonl", {"q": "a\0b"}))[0][0]["text"] == "a\0b"
    assert read(write(tmp_path / "a.csv", b"q", b"a\0b"))[0][0]["text"] == "a\0b"
    assert "a.jsonl:1" in refusal(write(tmp_path / "a.jsonl", b'{"q": "a\0b"}'))


# --- faults -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"q": "a"', "is not JSON"),
        (b'{"q": "\\ud800"}', "half a surrogate pair"),
        (b'{"q": "a", "x": {"\\udc00y": 1}}', "half a surrogate pair"),
        (b'{"q": "\xff"}', "not UTF-8"),
        (b'{"p": "a"}', "has no 'q'"),
        (b'{"q": 7}', "is no text but int"),
        (b'{"q": ["a"]}', "is no text but list"),
        (b'[{"q": "a"}]', "jq -c"),
        (b"[", "jq -c"),
        (b'"a"', "not a JSON object"),
        (b"[" * 100_000, "too deeply"),
        (b'{"q": "a", "s": "web"}', "source is 'web'"),
        (b'{"q": "a"}', "source is None"),
        (b'{"q": "a", "s": "production", "t": "soon"}', "time is 'soon'"),
        (b'{"q": "a", "s": "production", "o": "x", "n": -1}', "tokens_in is '-1'"),
        (b'{"q": "a", "s": "production", "o": "x", "n": 3000000000}', "tokens_in"),
        (b'{"q": "a", "s": "production", "o": "x", "l": [1]}', "logprobs are not"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path, line, says):
    mapping = PLAIN
    if says.startswith(("source", "time", "tokens", "logprobs")):
        mapping = Mapping(
            prompt="q", source="s", at="t", outputs=(OutputPath("m", "o", logprobs="l", tokens_in="n"),)
        )
    good = {"q": "fine", "s": "production"}
    path = write(tmp_path / "bad.jsonl", good, line, good)
    text = refusal(path, mapping)
    assert text.startswith("bad.jsonl:2: ")
    assert says in text
    rejected = []
    arrivals, _ = read(path, mapping, on_reject=rejected.append)
    assert [a["file_row"] for a in arrivals] == [1, 3]
    assert [a["arrival_key"] for a in arrivals] == [key_of(3, 0), key_of(3, 1)]
    assert len(rejected) == 1


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("a.csv", b"q,z\na\n", "a.csv:2: has 1 cells, and the header 2"),
        ("a.csv", b'q\n"a\n', "is not CSV"),
        ("a.csv", b"q\n\xff\n", "a.csv:2: is not UTF-8"),
        ("a.csv", b"q,q\na,b\n", "two columns are called 'q'"),
        ("a.csv", b"text;label\na;b\n", "its keys are 'text;label'"),
        ("a.csv", "q\na\n".encode("utf-16"), "is UTF-16"),
        ("a.jsonl.gz", b"plain", "a.jsonl.gz: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"q": "a"}\n' * 99, mtime=0)[:-12], "is cut off"),
        ("a.parquet", b"PAR1", "is not Parquet"),
        ("a.xlsx", b"", "is of no known format"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, name, body, says):
    (tmp_path / name).write_bytes(body)
    assert says in refusal(tmp_path / name)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.jsonl")
    (tmp_path / "folder.csv").mkdir()
    assert "directory" in refusal(tmp_path / "folder.csv")


def test_a_derived_column_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(GrammarError):
        Mapping(prompt="q", derived=("steps = count(reference",))
    mapping = Mapping(prompt="q", derived=("a = len(text)", "b = lower(text) + true"))
    assert "a.jsonl:1: derived 'b': a truth value is no number" in refusal(
        write(tmp_path / "a.jsonl", {"q": "x"}), mapping
    )


SHARDS = [b'{"q":', b'"a"', b"}", b"\n", b",", b'"', b"\\ud800", b"\xff", b"\0", b"[", b"q\n", b"\r"]
row_bytes = st.binary(max_size=60) | st.lists(st.sampled_from(SHARDS)).map(b"".join)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=5),
    lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=2), x, max_size=2),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["a.jsonl", "a.csv", "a.jsonl.gz", "a.csv.gz", "a.parquet"]), row_bytes, st.booleans())
def test_whatever_the_bytes_the_only_error_is_an_input_error(tmp_path, name, body, zipped):
    (tmp_path / name).write_bytes(gzip.compress(body) if zipped and name.endswith(".gz") else body)
    mapping = Mapping.from_flags(prompt="q", meta=["*"], output=["m=a.b"], at="t")
    try:
        arrivals, _ = read(tmp_path / name, mapping, on_reject=lambda _: None)
    except InputError as failure:
        arrivals, place = [], failure.where
        assert place.startswith("a.")
    for arrival in arrivals:
        msgspec.json.decode(arrival["metadata"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=3), json_values, max_size=3), max_size=4))
def test_metadata_keeps_every_json_value(tmp_path, rows):
    path = write(tmp_path / "a.jsonl", *({**row, "q": "a"} for row in rows))
    arrivals, _ = read(path, Mapping.from_flags(prompt="q", meta=["*"]))
    kept = [{key: value for key, value in row.items() if key != "q"} for row in rows]
    assert [json.loads(arrival["metadata"]) for arrival in arrivals] == kept


# --- mappings -----------------------------------------------------------------------------------------------
def test_flags_and_toml_say_the_same():
    flags = Mapping.from_flags(
        prompt="question", reference="ground_truth", output=["175b_verification=175b_verification.solution"],
        meta=["correct_teacher=175b_verification.is_correct"], derive=["steps = count(reference, '<<')"],
    )  # fmt: skip
    toml = Mapping.from_toml("""
        prompt = "question"
        reference = "ground_truth"
        derived = ["steps = count(reference, '<<')"]
        [metadata]
        correct_teacher = "175b_verification.is_correct"
        [outputs.175b_verification]
        text = "175b_verification.solution"
    """)
    assert flags == toml


@pytest.mark.parametrize(
    "text",
    ["", "prompt = 7", "prompt = 'a'\nmessages = 'b'", "prompt = 'a'\nwhat = 'b'",
     "prompt = 'a..b'", "prompt = 'a.'", "prompt = '\"a'", "prompt = ",
     "prompt = 'a'\noutputs = 3", "prompt = 'a'\n[outputs.m]\ncost = 'c'", "prompt = 'a'\nderived = 'n = 1'",
     "prompt = 'a'\nmetadata = ['x.n', 'y.n']", "prompt = 'a'\nderived = ['n = ']", "prompt = 'a'\nmetadata = 1"],
)  # fmt: skip
def test_a_mapping_that_cannot_be_meant_is_refused(text):
    with pytest.raises(InputError):
        Mapping.from_toml(text)


def test_a_csv_column_may_have_a_dot_in_its_name(tmp_path):
    path = write(tmp_path / "a.csv", b"a.q,a.n", b"x,5")
    (arrival,), _ = read(path, Mapping.from_flags(prompt="a.q", meta=["*"], derive=["big = a.n > 4"]))
    assert (arrival["text"], json.loads(arrival["metadata"])) == ("x", {"a.n": "5", "big": True})


# --- real data ----------------------------------------------------------------------------------------------
MODELS = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not on this machine")
def test_the_grade_school_problems_and_four_models_come_in():
    path = DATA / "gsm8k" / "example_model_solutions.jsonl"
    mapping = Mapping.from_flags(
        prompt="question", reference="ground_truth", split="test",
        output=[f"{model}={model}.solution" for model in MODELS],
        meta=[f"right_{model}={model}.is_correct" for model in MODELS], derive=["steps = count(reference, '<<')"],
    )  # fmt: skip
    arrivals, outputs = read(path, mapping, rows=500)
    assert len(arrivals) == 1319
    assert Counter(o["model"] for o in outputs) == dict.fromkeys(MODELS, 1319)
    metadata = [json.loads(a["metadata"]) for a in arrivals]
    assert sum(m["right_175b_verification"] != m["right_6b_finetuning"] for m in metadata) == 542
    assert metadata[0]["steps"] == 2
    assert preview(path, mapping, 2)[0]["metadata"] == metadata[0]


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not on this machine")
@pytest.mark.parametrize(("name", "count"), [("banking77_train.csv", 10_003), ("banking77_test.csv", 3_080)])
def test_the_bank_queries_come_in(name, count):
    arrivals, outputs = read(DATA / "banking77" / name, Mapping(prompt="text", reference="category"))
    assert (len(arrivals), outputs) == (count, [])
    assert len({a["reference"] for a in arrivals}) == 77
