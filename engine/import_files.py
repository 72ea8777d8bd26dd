"""What ``import`` does with its files: which of them are new, and their way into the run, with progress and rejects."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.context import Context
from store import read
from store.errors import InputError
from store.mapping import Mapping
from store.records import key_of
from store.source_files import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.contract_exclusions import Exclusions
    from engine.predictions import Known
    from store.client import Run
    from store.feed import Feed
    from store.ingest import Parsed
    from store.rejects import Rejects

BLANK = (  # what leaves nothing to read: white space, and what takes no room
    "".join(chr(c) for c in range(0x3001) if chr(c).isspace()) + "\u200b\u200c\u200d\u2060\ufeff"
)
NOT_KEPT = "excluded rows are not kept: when a contract version lets them in, import the same file again, which adds them alone"


@dataclass(slots=True)
class Reading:
    """Files on their way into a run: counts, progress in bytes, the rejects."""

    context: Context
    opened: Run
    feed: Feed
    known: Known | None
    rejects: Rejects | None
    total: int  # bytes of all files
    done: int = 0  # bytes of the files that were read
    rows: int = 0
    taken: int = 0  # rows that became something
    rules: Exclusions | None = None  # of the locked contract
    again: frozenset[str] = frozenset()  # files whose excluded rows may come in now
    there: frozenset[int] = frozenset()  # rows of the open one of them that are here already
    excluded: dict[str, int] = field(default_factory=dict)  # rows that it keeps out, by rule
    by_model: dict[str, int] = field(default_factory=dict)
    empty: Counter[str] = field(default_factory=Counter)  # texts of nothing but white space, by what they are
    began: float = field(default_factory=time.monotonic)

    def read(self, file: SourceFile, mapping: Mapping, identity: str) -> None:
        """Every row of one file. Raises InputError where the file changed meanwhile: its id would be wrong."""
        before = _stamp(file)
        self.there = self._rows_there(identity) if identity in self.again else frozenset()
        for batch in self._batches(file, mapping, identity):
            outputs = batch.outputs
            if self.known is None:
                self.empty["prompts"] += _blank(batch.arrivals).num_rows
                self.taken += self.feed.add("arrival", batch.arrivals)
            else:
                outputs = self._matched(batch, self.known, file.name, again=identity in self.again)
                self.taken += outputs.num_rows
            self.feed.add("output", outputs)
            self._count(outputs)
        self.done += before[0]
        if _stamp(file) != before:
            raise InputError("changed while it was read", where=file.name, todo="Import it when it is whole.")

    def _batches(self, file: SourceFile, mapping: Mapping, identity: str) -> Iterator[Parsed]:
        from store.ingest import read_batches

        batches = read_batches(
            file.path,
            mapping,
            run_no=self.opened.run_no,
            first_arrival_seq=self.feed.next_seq("arrival"),
            first_output_seq=self.feed.next_seq("output"),
            on_reject=self.reject,
            skip=self._skip(),
            name=file.name,
            identity=identity,
        )
        earlier = self.rows
        for batch in batches:
            yield batch
            self.rows = earlier + batch.rows
            self._tell(file.name, self.done + batch.bytes_read)

    def _skip(self) -> Callable[[int, tuple[Any, ...]], bool] | None:
        """What leaves out the rows that the contract excludes; None where it excludes nothing."""
        from engine.contract_exclusions import skipping

        return skipping(self.rules, self.excluded, self.there) if self.rules is not None else None

    def _rows_there(self, identity: str) -> frozenset[int]:
        """Rows of a file that are arrivals already; predictions have no rows of their own."""
        if self.known is not None:
            return frozenset()
        rows = self.context.store.fetch(read.ROWS_OF_FILE, project=self.context.project, file_id=identity)
        return frozenset(rows["file_row"].to_pylist())

    def _tell(self, name: str, done: int) -> None:
        """Bytes, because their total is known; rows, because people count in them. Raises Cancelled."""
        rate = self.rows / max(time.monotonic() - self.began, 1e-3)
        what = f"import · {name}, {self.rows:,} rows, {rate:,.0f} rows/s"
        self.context.progress(what, done, self.total)

    @property
    def reject(self) -> Callable[[InputError], None] | None:
        """Where a bad row goes, None where it stops the import."""
        return None if self.rejects is None else self.rejects.add

    def _matched(self, batch: Parsed, known: Known, name: str, *, again: bool) -> pa.Table:
        from engine.predictions import matched

        first = key_of(self.opened.run_no, self.feed.next_seq("output"))
        reject = _ignored if again else self.reject  # what was answered then is no second answer now
        return matched(batch.arrivals, batch.outputs, known, first_key=first, name=name, reject=reject)

    def _count(self, outputs: pa.Table) -> None:
        for pair in outputs["model"].value_counts().to_pylist():
            self.by_model[pair["values"]] = self.by_model.get(pair["values"], 0) + pair["counts"]
        for model in _blank(outputs)["model"].to_pylist():
            self.empty[f"outputs of {model}"] += 1

    def counts(self, mapping: Mapping) -> dict[str, Any]:
        """What the run holds. A mapped model without a single output is told, with its path."""
        by_model = {output.model: self.by_model.get(output.model, 0) for output in mapping.outputs}
        told: dict[str, Any] = {
            "arrivals": self.feed.next_seq("arrival"),
            "outputs": self.feed.next_seq("output"),
            "rejected": self.rejects.count if self.rejects else 0,
        }
        told |= {"by_model": by_model} if by_model else {}
        notes = []
        if texts := self.empty.total():
            told["empty_texts"] = texts
            notes.append(
                f"{texts:,} empty texts: " + ", ".join(f"{n:,} {what}" for what, n in self.empty.items() if n)
            )
        if self.excluded and self.rules is not None:
            told |= {"excluded": self.excluded, "exclusions": self.rules.fingerprint()}
            notes.append(NOT_KEPT)
        if silent := [o for o in mapping.outputs if not by_model[o.model]]:
            notes += [f"no row has an output of {o.model} at {o.text!r}" for o in silent]
        return told | ({"note": "; ".join(notes)} if notes else {})


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files to read with their ids, the names of those that add nothing, and of those there twice.

    ``again``: ids of those imported before of which the contract then left out rows that it may let in now.
    """

    fresh: dict[SourceFile, str]
    known: tuple[str, ...]
    twice: dict[str, str]
    again: frozenset[str] = frozenset()

    @classmethod
    def of(cls, files: Sequence[SourceFile], imported: set[str], again: set[str]) -> Chosen:
        from store.ingest import file_id

        fresh: dict[SourceFile, str] = {}
        known, twice = [], {}
        names: dict[str, str] = {}
        for file in files:
            identity = file_id(file.path)
            if identity in imported:
                known.append(file.name)
            elif identity in names:
                twice[file.name] = names[identity]
            else:
                fresh[file], names[identity] = identity, file.name
        return cls(fresh, tuple(known), twice, frozenset(again & set(fresh.values())))

    def told(self) -> dict[str, Any]:
        """As a part of the result."""
        found: dict[str, Any] = {"already_imported": list(self.known)}
        if self.twice:
            found["same_content"] = [f"{name} is {first} once more" for name, first in self.twice.items()]
        if self.again:
            found["read_again"] = [
                file.name for file, identity in self.fresh.items() if identity in self.again
            ]
        return found


def _blank(rows: pa.Table) -> pa.Table:
    """Those of arrivals or outputs whose text says nothing."""
    import pyarrow.compute as pc

    return rows.filter(pc.equal(pc.utf8_trim(rows["text"], characters=BLANK), ""))


def _ignored(fault: InputError) -> None:
    """A row of a file that is read again: what is wrong with it was said the first time."""
    del fault


def _stamp(file: SourceFile) -> tuple[int, int]:
    """Size in bytes and time of the last change."""
    stat = file.path.stat()
    return stat.st_size, stat.st_mtime_ns
