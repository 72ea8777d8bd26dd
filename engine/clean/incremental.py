"""A new batch of texts meets the index of those that were compared before: the edges that it brings.

Batch after batch gives the edges that one pass over all of them gives, for the same parameters, as long as no bucket
is flooded; a flooded one is sampled as ``bands`` says. Memory is that of a batch: the texts of old ones are fetched
for those pairs alone whose sketches resemble each other, and each edge is verified exactly, with its evidence.

Everything goes in and out as Arrow. What is met is not yet in the index: ``Met.keep`` adds it, whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clean.bands import Gate, choose_bands, uncrowded
from engine.clean.incremental_pairs import candidates, resembling, sketches
from engine.clean.incremental_texts import Signs, Texts, texts_of
from engine.clean.neardup import Params, bands_of
from engine.clean.neardup_parts import KIND_NAMES, Kinds
from engine.clean.shingles import Profile
from engine.clean.spans import with_spans
from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from store.near_index import NearIndex

    I64 = npt.NDArray[np.int64]
    U64 = npt.NDArray[np.uint64]
    F64 = npt.NDArray[np.float64]

Progress = Callable[[str, int, int], None]
Fetch = Callable[["pa.Array"], "pa.Table"]  # keys, ascending, each once -> key, id, text in that order


@dataclass(frozen=True, slots=True)
class Met:
    """What a batch brings. Edges: EDGE_COLUMNS of ``store.near_index``, by the keys of left and right."""

    edges: pa.Table
    texts: pa.Table  # key, row: for the index, as …
    signed: pa.Table  # … this: row, key, digest, shingles, b0 …, s0 …
    counts: dict[str, int]  # as ``neardup.Stats`` has them, of this batch

    def keep(self, index: NearIndex, *, head: tuple[int, str] = (0, "")) -> None:
        """Add it to the index that it met; ``head``: seq and hash of the ledger that the texts were read at."""
        index.add(self.texts, self.signed, self.edges, self.counts, head)


def params_for(threshold: float, recall: float, seed: int, profile: Profile, texts: int) -> Params:
    """The parameters of an index of about so many texts. Raises InputError where no bands meet them."""
    bands = choose_bands(threshold, recall, texts=texts)
    return Params(threshold, recall, bands.bands, bands.rows, bands.num_perm, seed, profile.name)


def profile_named(name: str) -> Profile:
    """The profile of a name such as ``char-4/2``.

    >>> profile_named(Profile("word", 3).name)
    Profile(unit='word', n=3, dense=2)
    """
    found = re.fullmatch(r"(char|word)-(\d+)/(\d+)", name)
    if found is None:
        raise InputError(f"no such shingle profile: {name!r}")
    return Profile(found[1], int(found[2]), int(found[3]))  # type: ignore[arg-type]  # char or word


def meet(index: NearIndex, batch: pa.Table, fetch: Fetch, *, fast: bool, report: Progress) -> Met:
    """The edges between new texts (columns key, id, text; keys ascending, above the index's) and all before them.

    Texts equal after normalisation form a star around the oldest, and only the oldest goes on to be compared.
    ``fetch`` gets the keys of old texts and returns their rows. Raises InputError for a missing text, or where the
    index is of other parameters than these engines have.
    """
    params = Params(**index.about.params)
    said = Params(params.threshold, params.recall, params.bands, params.rows, params.num_perm, params.seed,
                  params.profile)  # fmt: skip
    if params != said:
        raise InputError("the index is of another scheme, hashing or Unicode", todo="Make it anew.")
    return _Meeting(index, batch, _How(params, fetch, fast, report)).met()


@dataclass(frozen=True, slots=True)
class _How:
    """How a batch is met."""

    params: Params
    fetch: Fetch
    fast: bool
    report: Progress


class _Meeting:
    """One batch on its way, in which texts are known by their keys or by their places in the batch."""

    def __init__(self, index: NearIndex, batch: pa.Table, how: _How) -> None:
        import numpy as np

        self.index, self.batch, self.how, self.report = index, batch, how, how.report
        self.key: I64 = batch.column("key").to_numpy()
        if (np.diff(self.key) <= 0).any():
            raise InputError("keys of a batch ascend")
        self.profile, self.bands = profile_named(how.params.profile), bands_of(how.params)
        self.gate = Gate(how.params.threshold, how.params.num_perm)

    def met(self) -> Met:
        import numpy as np
        import pyarrow as pa

        n, base = len(self.key), self.index.about.distinct
        self.report("normalise", 0, n)
        texts = self._folded(_text(self.batch))
        first, digest = texts.surfaces()
        old_row, stars = self._twins(first, digest)
        rows = np.flatnonzero((first == np.arange(n)) & (old_row < 0))
        self.report("sign", 0, len(rows))
        signs = texts.sign(rows, self.profile, self.bands, self.how.params.seed)
        del texts
        sketch = sketches(signs.low, signs.counts)
        self.report("group", 0, self.bands.bands)
        found = candidates(self.index, signs.keys)
        self.report("compare", 0, len(found.pairs))
        worth = resembling(self.index, found, sketch, self.gate)
        lefts = np.where(worth.keys >= 0, worth.keys, self.key[rows[np.maximum(worth.left - base, 0)]])
        verified, compared, crowded = self._verified(lefts, self.key[rows[worth.right - base]])
        edges, spanless = self._evident(_table(stars + verified))
        row_of = np.full(n, -1, np.int64)
        row_of[rows] = base + np.arange(len(rows))
        row_of = np.where(old_row[first] >= 0, old_row[first], row_of[first])
        return Met(
            edges,
            pa.table({"key": self.key, "row": row_of.astype(np.int32)}),
            self._signed(rows, digest[rows], signs, sketch.words),
            {
                "texts": n,
                "distinct": len(rows),
                "shingles": int(signs.counts.sum()),
                "candidates": found.met,
                "compared": compared,
                "verified": edges.num_rows,
                "flooded_buckets": found.flooded,
                "untried_pairs": found.untried + crowded,
                "without_spans": spanless,
            },
        )

    def _folded(self, texts: pa.Array) -> Texts:
        return texts_of(texts, fast=self.how.fast)

    def _twins(self, first: I64, digest: U64) -> tuple[I64, list[_Edges]]:
        """Of each text the row of the old one that it equals, -1 for none; and the edges of such stars."""
        import numpy as np
        import pyarrow as pa

        n = len(first)
        old_row, old_key = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        heads = np.flatnonzero(first == np.arange(n))
        table = self.index.same_content(pa.table({"digest": np.unique(digest[heads])}))
        if table.num_rows:
            order = np.argsort(table.column("digest").to_numpy())
            of, row, key = (table.column(name).to_numpy()[order] for name in ("digest", "row", "key"))
            place = np.minimum(np.searchsorted(of, digest[heads]), len(of) - 1)
            hit = np.flatnonzero(of[place] == digest[heads])
            sure = self._same(key[place[hit]], heads[hit])
            at = hit[sure]
            old_row[heads[at]], old_key[heads[at]] = row[place[at]], key[place[at]]
        members = np.flatnonzero((first != np.arange(n)) | (old_row >= 0))
        left = np.where(old_key[first[members]] >= 0, old_key[first[members]], self.key[first[members]])
        ones = np.ones(len(members))
        kind = np.full(len(members), Kinds.SURFACE, np.uint8)
        return old_row, [(left, self.key[members], ones, ones, kind)]

    def _same(self, old: I64, new: I64) -> npt.NDArray[np.bool_]:
        """Whether old texts, by key, have the content of new ones, by place: 64 bits of digest are no proof."""
        import numpy as np
        import pyarrow as pa

        keys, place = np.unique(old, return_inverse=True)
        fetched = _text(self._fetched(keys))
        both = self._folded(pa.concat_arrays([fetched, _text(self.batch).take(pa.array(new))]))
        same, _ = both.same(place, len(keys) + np.arange(len(new)))
        return same

    def _fetched(self, keys: I64) -> pa.Table:
        import pyarrow as pa

        table = self.how.fetch(pa.array(keys, pa.int64()))
        if table.column("key").to_pylist() != keys.tolist():
            raise InputError("texts of the index are gone", todo="Make it anew: --index rebuild.")
        return table

    def _rows(self, keys: I64) -> pa.Table:
        """The rows of texts by key, old and new: key, id, text; in order of keys."""
        import numpy as np
        import pyarrow as pa

        low = self.key[0] if len(self.key) else 0
        old, new = keys[keys < low], keys[keys >= low]
        mine = self.batch.take(pa.array(np.searchsorted(self.key, new)))
        mine = mine.select(["key", "id", "text"]).cast(_schema())
        return (
            pa.concat_tables([self._fetched(old).select(["key", "id", "text"]).cast(_schema()), mine])
            if len(old)
            else mine
        )

    def _verified(self, left: I64, right: I64) -> tuple[list[_Edges], int, int]:
        """Of pairs of keys those that hold and are kept; how many were compared shingle by shingle, and not kept."""
        import numpy as np

        if not len(left):
            return [], 0, 0
        keys = np.unique(np.concatenate((left, right)))
        texts = self._folded(_text(self._rows(keys)))
        a, b = np.searchsorted(keys, left), np.searchsorted(keys, right)
        order = np.lexsort((b, a))
        held = texts.holding(a[order], b[order], self.profile, self.gate, self.how.params.seed)
        at = order[held.at]
        kept = uncrowded(left[at], right[at])
        at = at[kept]
        edges = (left[at], right[at], held.jaccard[kept], held.containment[kept], held.kind[kept])
        return [edges], held.compared, int((~kept).sum())

    def _evident(self, edges: pa.Table) -> tuple[pa.Table, int]:
        """Edges with ids, spans and what kind they are when looked at closely; and how many lack spans."""
        import numpy as np
        import pyarrow as pa

        left, right = edges.column("left").to_numpy(), edges.column("right").to_numpy()
        keys = np.unique(np.concatenate((left, right)))
        rows = self._rows(keys)
        a, b = np.searchsorted(keys, left), np.searchsorted(keys, right)
        placed = edges.set_column(0, "left", pa.array(a)).set_column(1, "right", pa.array(b))
        told, without = with_spans(_text(rows), placed, fast=self.how.fast, report=self.report)
        ids = rows.column("id").combine_chunks()
        columns = {
            "left_key": left,
            "right_key": right,
            "left_id": ids.take(pa.array(a)),
            "right_id": ids.take(pa.array(b)),
            "jaccard": told.column("jaccard"),
            "containment": told.column("containment"),
            "kind": told.column("kind").cast(pa.string()),
            "spans": told.column("spans").cast(pa.string()),
        }
        return pa.table(columns), without

    def _signed(self, rows: I64, digest: U64, signs: Signs, sketch: U64) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        base, about = self.index.about.distinct, self.index.about
        columns: dict[str, Any] = {
            "row": np.arange(base, base + len(rows), dtype=np.int32),
            "key": self.key[rows],
            "digest": digest,
            "shingles": signs.counts.astype(np.uint32),
        }
        columns |= dict(zip(self.index.band_columns(about), signs.keys, strict=True))
        words = self.index.sketch_columns(about)
        columns |= {name: np.ascontiguousarray(sketch[:, at]) for at, name in enumerate(words)}
        return pa.table(columns)


_Edges = tuple["I64", "I64", "F64", "F64", "npt.NDArray[np.uint8]"]  # left, right, Jaccard, containment, kind


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("key", pa.int64()), ("id", pa.string()), ("text", pa.large_string())])


def _text(table: pa.Table) -> pa.Array:
    import pyarrow as pa

    column = table.column("text")
    texts = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return texts if pa.types.is_large_string(texts.type) else texts.cast(pa.large_string())


def _table(parts: list[_Edges]) -> pa.Table:
    """Edges of keys in order of (left, right), as ``neardup.FoundEdges`` has them."""
    import numpy as np
    import pyarrow as pa

    left, right, jaccard, containment, kind = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((right, left))
    names = pa.DictionaryArray.from_arrays(pa.array(kind[order], pa.int8()), pa.array(KIND_NAMES))
    columns = {"left": left[order], "right": right[order], "jaccard": jaccard[order]}
    return pa.table(columns | {"containment": containment[order], "kind": names})
