"""The stage's side of the index: which texts are new, whether what there is still holds, and batch after batch.

The index is never believed without a look: it must be of this store and of these parameters, the ledger must still
have the event at which it was last added to, and its texts must be the oldest of those that there are now. Else it is
made anew, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from engine.clean.bands import permutations_digest
from engine.clean.incremental import meet, params_for
from engine.clean.neardup import Params, Stats, check_same, use_fast
from engine.clean.shingles import LONG_TEXT, OUTPUTS, PROMPTS, Profile
from engine.context import Context
from store import read, read_near
from store.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from engine.clean.neardup import Engine
    from store.near_index import About, NearIndex
    from store.question import Question

    I64 = npt.NDArray[np.int64]

MODES = ("auto", "on", "off", "rebuild")
LEAST = 50_000  # texts: fewer are compared anew in about the time that an index takes
_TEXTS, _LETTERS = 1 << 18, 1 << 26  # of a batch, at most
_RULES = (
    "threshold",
    "recall",
    "bands",
    "rows",
)  # that decide about edges, besides what signatures depend on


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which texts are compared, and how."""

    field: str  # prompt | output
    model: str  # whose outputs; "" for prompts
    threshold: float
    recall: float
    seed: int
    engine: Engine
    mode: str


@dataclass(frozen=True, slots=True)
class Found:
    """Edges as ``neardup.near_duplicate_columns`` gives them; ``left`` and ``right`` are places in ``texts``.

    ``texts``: key, id and place (``at``) among all of those that have an edge, at least, by key; ``total``: how many
    were compared; ``told``: how.
    """

    table: pa.Table
    texts: pa.Table
    total: int
    params: Params
    stats: Stats
    told: str


def found_through_index(context: Context, wanted: Wanted) -> Found | None:
    """All edges there are, new texts alone being compared; None where these texts are better compared at once.

    Raises IndexBusy where another run is comparing them.
    """
    from store.near_index import IndexUnusable

    if wanted.mode == "off":
        return None
    work = _Work(context, wanted)
    if work.total == 0 or (wanted.mode == "auto" and work.total < LEAST):
        return None
    try:
        return work.done()
    except IndexUnusable as error:
        try:
            return work.done(why=error.what)
        except IndexUnusable as again:
            if wanted.mode == "auto":
                context.tell(f"no index can be kept ({again.what}); all at once instead", 0)
                return None
            raise


class _Work:
    """One pass over the texts of a project."""

    def __init__(self, context: Context, wanted: Wanted) -> None:
        self.context, self.wanted = context, wanted
        self.of = {"project": context.project, "model": wanted.model}
        listed = context.store.fetch(self._question("sizes"), **self.of)
        head = context.store.ask(read.HEAD, seq=None)[0]  # after the list: no text of it is younger
        self.head = (head.seq, head.hash)
        self.keys: I64 = listed.column("key").to_numpy()
        self.lengths: I64 = listed.column("length").to_numpy()
        self.total = len(self.keys)
        self.fast = use_fast(wanted.engine, self.total)

    def _question(self, what: str) -> Question[Any]:
        named = {question.name: question for question in read_near.QUESTIONS}
        whose = "prompt" if self.wanted.field == "prompt" else "answer"
        return named[f"{whose}_{what}" if what == "sizes" else f"{whose}s_{what}"]

    def done(self, why: str = "") -> Found:
        """Compare what is new; ``why``: the index is made anew, for that reason."""
        from store.near_index import IndexUnusable, NearIndex, index_path

        params = self._params()
        path = index_path(self.context.store.path, *self.of.values(), self.wanted.field)
        why = why or ("as asked" if self.wanted.mode == "rebuild" else "")
        if not why:
            try:
                with NearIndex(path, self.context.store.path) as index:
                    why = self._outdated(index, params)
                    if not why:
                        return self._through(index, params, "")
            except IndexUnusable as error:
                why = error.what if path.exists() else "first"
        with NearIndex(path, self.context.store.path, fresh=self._about(params)) as index:
            return self._through(index, params, why)

    def _params(self) -> Params:
        w = self.wanted
        return params_for(w.threshold, w.recall, w.seed, self._profile(), self.total)

    def _profile(self) -> Profile:
        """As ``shingles.profile_for``."""
        import numpy as np

        middle = np.partition(self.lengths, self.total // 2)[self.total // 2]
        return OUTPUTS if middle >= LONG_TEXT else PROMPTS

    def _about(self, params: Params) -> About:
        from store.near_index import FORMAT, About

        signing = permutations_digest(params.num_perm, params.seed)
        store_id = self.context.store.welcome.store_id
        return About(FORMAT, store_id, params.record(), params.bands, params.num_perm, signing)

    def _outdated(self, index: NearIndex, params: Params) -> str:
        """Why the index is of no use, "" where it is."""
        if differs := _differs(index.about.params, params):
            return differs
        about, store = index.about, self.context.store
        if (about.bands, about.permutations) != (params.bands, params.num_perm):
            return "it does not hold what it says"
        if about.signing != permutations_digest(params.num_perm, params.seed):
            return "its texts were signed by other permutations"
        then = store.ask(read.HEAD, seq=about.seq) if about.texts else []
        known = about.store_id == store.welcome.store_id
        if not known or (about.texts and [(e.seq, e.hash) for e in then] != [(about.seq, about.hash)]):
            return "the store is another, or was restored from a backup"
        held = index.keys().to_numpy()
        if len(held) > self.total or (held != self.keys[: len(held)]).any():
            return "texts came before those that it holds, or are gone"
        return ""

    def _through(self, index: NearIndex, params: Params, why: str) -> Found:
        import numpy as np
        import pyarrow as pa

        before = index.about.texts
        for first, last in self._batches(before):
            batch = self._between(first, last)

            def report(what: str, done: int, total: int, first: int = first) -> None:
                del done, total
                self.context.progress(f"{self.wanted.field}: {what}", first, self.total)

            report("read", 0, 0)
            meet(index, batch, self._at, fast=self.fast, report=report).keep(index, head=self.head)
        edges = index.edges()
        table, texts = _placed(edges)
        texts = texts.append_column(
            "at", pa.array(np.searchsorted(self.keys, texts.column("key").to_numpy()))
        )
        counted = index.about.counts
        stats = Stats(**{field.name: counted.get(field.name, 0) for field in fields(Stats)})
        return Found(table, texts, self.total, params, stats, _told(before, self.total, why))

    def _batches(self, first: int) -> Iterator[tuple[int, int]]:
        """Places of the first and behind the last text of each batch, bounded in texts and letters."""
        import numpy as np

        sums = np.cumsum(self.lengths)
        while first < self.total:
            begun = int(sums[first - 1]) if first else 0
            last = min(first + _TEXTS, int(np.searchsorted(sums, begun + _LETTERS, "right")))
            last = max(last, first + 1)
            yield first, last
            first = last

    def _between(self, first: int, last: int) -> pa.Table:
        """Texts number ``first`` to ``last``, fetched from the hub piece by piece."""
        import numpy as np
        import pyarrow as pa

        keys = self.keys[first:last]

        def take(parts: list[pa.Table], piece: pa.Table) -> None:
            mine = piece.column("key").to_numpy()
            at = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
            parts.append(piece.filter(pa.array(keys[at] == mine)))

        asked = {**self.of, "low": int(keys[0]), "high": int(keys[-1])}
        question = self._question("between").name
        parts: list[pa.Table] = self.context.store.fold("fetch", list, take, question=question, params=asked)
        return pa.concat_tables(parts)

    def _at(self, keys: pa.Array) -> pa.Table:
        """Texts by key."""
        asked = keys.to_pylist()
        return self.context.store.fetch(
            self._question("at"), **self.of, low=asked[0], high=asked[-1], keys=asked
        )


def _differs(recorded: dict[str, Any], params: Params) -> str:
    """In what the parameters of an index differ from those wanted, "" where in nothing."""
    try:
        stored = Params(**recorded)
        check_same(stored, params)
    except TypeError:
        return "it was made by another version"
    except InputError as error:
        return error.what
    for name in _RULES:
        if getattr(stored, name) != getattr(params, name):
            return f"{name} was {getattr(stored, name)} and is {getattr(params, name)}"
    return ""


def _placed(edges: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Edges with places for keys, and the texts (key, id) that the places are of."""
    import numpy as np
    import pyarrow as pa

    sides = [edges.column(name).to_numpy() for name in ("left_key", "right_key")]
    parts = [part for name in ("left_id", "right_id") for part in edges.column(name).chunks]
    ids = pa.concat_arrays(parts) if parts else pa.array([], pa.string())
    keys, seen = np.unique(np.concatenate(sides), return_index=True)
    texts = pa.table({"key": keys, "id": ids.take(pa.array(seen))})
    table = edges.drop_columns(["left_key", "right_key", "left_id", "right_id"])
    for at, (name, side) in enumerate(zip(("left", "right"), sides, strict=True)):
        table = table.add_column(at, name, pa.array(np.searchsorted(keys, side)))
    return table, texts


def _told(before: int, total: int, why: str) -> str:
    """How it was compared, in a line.

    >>> _told(3_000_000, 3_010_000, "")
    'compared with the index: 10,000 new of 3,010,000'
    """
    if not why:
        return f"compared with the index: {total - before:,} new of {total:,}"
    return f"compared all {total:,}, and made an index of them" + ("" if why == "first" else f" anew: {why}")
