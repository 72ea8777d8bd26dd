"""The Arrow schema of every artifact table, from its record: the one shape in which rows cross the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.records import ARTIFACTS, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

# Columns that ``schema/`` declares INTEGER; any other ``int`` of a record is a BIGINT. A test ties both.
INT32 = frozenset({"run_no", "sample_index", "tokens_in", "tokens_out", "cluster"})


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of an artifact table: integer is int32, bigint int64, varchar string, blob binary."""
    import pyarrow as pa

    types = {
        "int": pa.int64(),
        "str": pa.string(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "bytes": pa.binary(),
    }
    annotations = ARTIFACTS[table].__annotations__
    return pa.schema(
        [
            (name, pa.int32() if name in INT32 else types[annotations[name].split(" ")[0]])
            for name in columns_of(table)
        ]
    )
