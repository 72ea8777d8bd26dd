"""What an import is made of: the digest of rows in Arrow, the feed, a mapping written down."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.canonical import RowDigest
from store.client import Client, Run
from store.errors import InputError
from store.feed import Feed
from store.file_rows import MAX_LINE
from store.mapping import OUTPUT_FIELDS, Mapping, OutputPath, path_of
from store.mapping_text import as_toml
from store.row_values import rows_of
from store.wire import MAX_FRAME
from tests.factories import arrival

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# --- the digest ---------------------------------------------------------------------------------------------
texts = st.none() | st.sampled_from(["", "a", '"\\\x00\n\x7f\u2028é𝄞']) | st.text(max_size=6)
ints = st.none() | st.integers(-(2**31), 2**31 - 1)
floats = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1e-9, 5e-324, 1e22])
TABLE = {
    "a": pa.int32(),
    "b": pa.int64(),
    "c": pa.string(),
    "d": pa.string(),
    "e": pa.float64(),
    "f": pa.bool_(),
    "g": pa.binary(),
}
table_rows = st.lists(
    st.tuples(ints, st.integers(-(2**63), 2**63 - 1), texts, st.just("same"), floats, st.none() | st.booleans(), st.binary(max_size=3)),
    min_size=1, max_size=9,
)  # fmt: skip


@MANY
@given(table_rows, st.integers(1, 4), st.sampled_from([1, 2, 1024]))
def test_the_digest_of_a_table_is_that_of_its_rows_one_by_one(
    rows: list[Any], piece: int, at_once: int
) -> None:
    """The reference is the definition: one JSON array a row, newline-ended, with ``to_pylist`` values."""
    table = pa.Table.from_arrays(
        [
            pa.array(column, kind)
            for column, kind in zip(zip(*rows, strict=True), TABLE.values(), strict=True)
        ],
        names=list(TABLE),
    )
    chunks = pa.concat_tables([table.slice(at, piece) for at in range(0, len(rows), piece)])
    plain = RowDigest()
    for row in chunks.to_pylist():
        plain.update([tuple(v.hex() if isinstance(v, bytes) else v for v in row.values())])
    quick = RowDigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.row_values.ROWS_AT_ONCE", at_once)
        for some in rows_of(chunks):
            quick.update(some)
    assert (quick.hexdigest(), quick.rows) == (plain.hexdigest(), plain.rows)
    assert plain.rows == len(rows)


def test_the_digest_of_known_rows_never_changes() -> None:
    digest = RowDigest()
    digest.update([(1, "é\n", None, 0.1, True), (2, "", "x", 1e-9, False)])
    assert digest.hexdigest() == "3914ae03637f60aee872d1cd87abc52fa34a5d3643b95e17af510133472e1ee6"


# --- the feed -----------------------------------------------------------------------------------------------
def feed_all(run: Run, table: pa.Table) -> None:
    """More than is in flight at one time."""
    with Feed(run) as feed:
        for _ in range(9):
            feed.add("arrival", table)


def test_a_feed_sends_pieces_in_order_and_a_failure_reaches_its_maker(
    near_store: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.feed.PIECE_ROWS", 10)
    opened = near_store.run("demo", "import", params={}, inputs={})
    whole = opened._table("arrival", [arrival(f"{n}") for n in range(35)])
    with Feed(opened) as feed:
        for at, count in ((0, 3), (3, 25), (28, 0), (28, 7)):
            assert feed.next_seq("arrival") == at
            assert feed.add("arrival", whole.slice(at, count)) == count
    opened.close()
    assert near_store.rows_of_run(opened.run_no, "arrival", ["text"])["text"].to_pylist() == [
        f"{n}" for n in range(35)
    ]
    plain = RowDigest()
    plain.update([tuple(row.values()) for row in whole.to_pylist()])
    assert opened.digests["arrival"] == plain.hexdigest()
    other = near_store.run("demo", "import", params={}, inputs={})
    with pytest.raises(InputError, match="in order"):
        feed_all(other, whole)
    assert near_store.call("sql", text="select count(*) from arrival")["rows"] == [[35]]


# --- the mapping, written down ------------------------------------------------------------------------------
def _is_path(text: str) -> bool:
    try:
        path_of(text)
    except InputError:
        return False
    return text != "*"


paths = st.text(min_size=1, max_size=6).filter(_is_path)
names = st.text(min_size=1, max_size=5)
output_paths = st.builds(
    OutputPath, names, paths, **{field: st.none() | paths for field in OUTPUT_FIELDS[1:]}
)
mappings = st.builds(
    Mapping, prompt=paths, reference=st.none() | paths, source=st.sampled_from(["synthetic", "src"]), split=st.sampled_from(["test", "p"]),
    at=st.none() | paths, metadata=st.dictionaries(names, paths, max_size=3).map(lambda d: tuple(d.items())),
    outputs=st.lists(output_paths, max_size=3).map(tuple), derived=st.sampled_from([(), ("x = len(text)",)]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mapping_written_as_toml_reads_back_as_itself(data: st.DataObject) -> None:
    try:
        mapping = data.draw(mappings)
    except InputError:  # a derived value of the name of a metadata value
        return
    assert Mapping.from_toml(as_toml(mapping)) == mapping


def test_the_longest_row_is_far_below_what_a_frame_takes() -> None:
    assert MAX_LINE * 8 < MAX_FRAME
