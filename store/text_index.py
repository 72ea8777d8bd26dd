"""The text index: a tantivy folder beside the store, one document an output, and how far it goes.

It is no evidence: rebuilt from the store whenever it is missing, damaged, of another store or of another format.
Each commit carries a document of its own that says how far it goes (``Mark``), so that rows and watermark cannot
part company in a crash. No text is kept in it, only words.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from store.errors import StoreError
from store.text_words import LONGEST, spaced

if TYPE_CHECKING:
    from collections.abc import Callable

    import tantivy

FORMAT = 1  # of documents and marks: another one means that the index is made anew
HEAP = 32_000_000  # bytes that the writer gathers before it writes a segment
T = TypeVar("T")


class IndexDamaged(StoreError):  # noqa: N818 - what it is, for those who make it anew
    """The folder cannot be used: it is made anew."""


class Mark(msgspec.Struct, frozen=True):
    """How far a commit goes: all runs closed before event ``seq``, and the run of that event up to ``key``."""

    format: int
    store_id: str
    seq: int  # the closing event of the run that was indexed last
    hash: str  # … and its hash, by which a store restored from an older backup is seen
    run_no: int
    key: int
    whole: bool  # the run is in to its end
    rows: int
    commits: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit of the index, to be searched from any thread."""

    searcher: tantivy.Searcher
    schema: tantivy.Schema
    mark: Mark
    folder: Path


Row = tuple[int, str, str, str, str]  # output key, project, model, folded prompt, folded output


def scope_of(project: str, model: str) -> str:
    """The term that the outputs of a model of a project have."""
    return f"{project}\x1f{model}"


def guarded(call: Callable[[], T], folder: Path) -> T:
    """What ``call`` answers; raises IndexDamaged where the folder does not hold what it should."""
    try:
        return call()
    except (ValueError, OSError) as error:
        raise IndexDamaged(str(error), where=str(folder)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust: a BaseException that no module exports
            raise
        raise IndexDamaged(f"a panic: {error}", where=str(folder)) from error


class TextIndex:
    """The folder, open. One thread writes; ``snapshot`` may be taken by any."""

    def __init__(self, folder: Path, store_id: str, *, fresh: bool = False) -> None:
        """Open, or make where there is none or ``fresh``. Raises IndexDamaged, and OSError where nothing can be made."""
        self.folder, self.store_id = folder, store_id
        if fresh:
            throw_away(folder)
        made = not folder.exists()
        if made:
            folder.mkdir(mode=0o770)
        self._index = guarded(lambda: _open(folder, made), folder)
        self._writer: tantivy.IndexWriter | None = None
        self._mark = Mark(FORMAT, store_id, 0, "", 0, 0, whole=True, rows=0, commits=0)
        self.snapshot: Snapshot | None = None
        self._load(made=made)

    @property
    def mark(self) -> Mark:
        """How far the last commit goes."""
        return self._mark

    def _load(self, *, made: bool) -> None:
        searcher = guarded(self._index.searcher, self.folder)
        if made:
            return
        stored = guarded(lambda: _stored_mark(self._index, searcher), self.folder)
        try:
            mark = msgspec.json.decode(stored, type=Mark)
        except msgspec.DecodeError as error:
            raise IndexDamaged(f"its mark is none: {error}", where=str(self.folder)) from error
        if (mark.format, mark.store_id) != (FORMAT, self.store_id):
            raise IndexDamaged("it is of another format or store", where=str(self.folder))
        if searcher.num_docs != mark.rows + mark.commits:
            raise IndexDamaged("it does not hold what its mark says", where=str(self.folder))
        self._mark = mark
        self.snapshot = Snapshot(searcher, self._index.schema, mark, self.folder)

    def writer(self) -> tantivy.IndexWriter:
        """The one writer, made where there is none; its threads have the priority of the thread that asks."""
        if self._writer is None:
            self._writer = guarded(lambda: self._index.writer(HEAP, 1), self.folder)
        return self._writer

    def add(self, rows: Iterable[Row]) -> int:
        """Add outputs; how many. They are seen from the next commit on. Raises IndexDamaged as ``commit``."""
        return guarded(lambda: self._add(rows), self.folder)

    def _add(self, rows: Iterable[Row]) -> int:
        import tantivy

        writer, added = self.writer(), 0
        for key, project, model, prompt, output in rows:
            scope = [project, scope_of(project, model)]
            texts = [spaced(prompt), spaced(output)]  # two values: no phrase runs from one into the other
            writer.add_document(tantivy.Document(key=key, scope=scope, text=texts))
            added += 1
        return added

    def commit(self, mark: Mark) -> None:
        """Write what was added, and how far it goes, at once. Raises IndexDamaged where it cannot be written."""
        import tantivy

        def write() -> None:
            writer = self.writer()
            writer.add_document(tantivy.Document(commits=mark.commits, mark=msgspec.json.encode(mark)))
            writer.commit()
            self._index.reload()

        guarded(write, self.folder)
        self._mark = mark
        self.snapshot = Snapshot(self._index.searcher(), self._index.schema, mark, self.folder)

    def rest(self) -> None:
        """Let merges end and give the writer's memory back."""
        writer, self._writer = self._writer, None
        if writer is not None:
            guarded(writer.wait_merging_threads, self.folder)

    def close(self) -> None:
        """Leave at once: what was not committed is added again another time."""
        self.snapshot = self._writer = None


def throw_away(folder: Path) -> None:
    """Remove an index, whatever is in its place. Raises OSError where it may not be removed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder, onerror=_unless_gone)


def _unless_gone(call: object, path: str, problem: tuple[Any, BaseException, Any]) -> None:
    """An index that was just closed may still remove files of its own."""
    del call, path
    if not isinstance(problem[1], FileNotFoundError):
        raise problem[1]


def _open(folder: Path, made: bool) -> tantivy.Index:
    import tantivy

    index = tantivy.Index(_schema(), str(folder)) if made else tantivy.Index.open(str(folder))
    words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    index.register_tokenizer("words", words.filter(tantivy.Filter.remove_long(LONGEST)).build())
    index.config_reader("manual")  # we know when we commit; no thread need watch the folder
    return index


def _schema() -> tantivy.Schema:
    import tantivy

    made = tantivy.SchemaBuilder()
    made.add_integer_field("key", indexed=True, fast=True)
    made.add_text_field("scope", tokenizer_name="raw", index_option="basic")
    made.add_text_field("text", tokenizer_name="words")
    made.add_integer_field("commits", indexed=True, fast=True)  # of marks only, as the next one
    made.add_bytes_field("mark", stored=True)
    return made.build()


def _stored_mark(index: tantivy.Index, searcher: tantivy.Searcher) -> bytes:
    import tantivy

    marks = tantivy.Query.range_query(
        index.schema, "commits", tantivy.FieldType.Integer, lower_bound=1, upper_bound=1 << 62
    )
    hits = searcher.search(marks, limit=1, order_by_field="commits").hits
    if not hits:
        raise ValueError("it has no mark")
    stored: Any = searcher.doc(hits[0][1])["mark"][0]
    return bytes(stored)
