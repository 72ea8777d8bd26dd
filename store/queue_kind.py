"""What every kind of queue is made of: its specification, its members, its columns, its rows and details.

Members are (key, other) pairs of packed keys in order; windows and details fetch their rows by key, from where
they lie (``places.py``). A blind queue names no column that tells the source of an output, and its details
hold none until the caller has judged the subject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from store import script
from store.canonical import canonical_text
from store.grammar import Column
from store.places import Rows, fetched

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HEAD = 240  # characters of a text that a list row can show

Member = tuple[int, int | None]
Seen = Callable[[str], bool]  # whether everything of a subject may be seen


class QueueSpec(msgspec.Struct, frozen=True):
    """What a queue is of. ``filter`` and ``sort`` are in the grammar; ``seed`` > 0 draws a random order."""

    kind: str
    project: str
    filter: str = ""
    sort: str = ""
    seed: int = 0
    blind: bool = True
    model: str = ""  # audit: whose outputs; disagreements: the student
    teacher: str = ""  # disagreements
    metric: str = ""  # disagreements
    run_id: str = ""  # duplicates, semantic, disagreements: which run
    plan: str = ""  # audit, adjudicate: the run id of an audit plan, whose draw is shown in its order
    everyone: bool = False  # audit by plan: also what is assigned to others
    similar: str = ""  # audit: a text; what is most like it, nearest first


@dataclass(frozen=True, slots=True)
class View:
    """A queue as one reviewer looks at it; ``salt`` is the store's, so that nobody chooses his own sides.

    ``models``: names of the project's models, where the queue is blind: metadata that names one is held back.
    ``near``: output keys, nearest first, where the queue is of what is like a text.
    """

    spec: QueueSpec
    reviewer: str
    salt: str
    models: tuple[str, ...] = ()
    near: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A list row before the marks: its subject and its cells."""

    subject: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """Where ``/`` looks: ``{best}`` (min or max) position of ``{source}`` (pos, key, other) where text is ``{found}``."""

    sql: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of queue; every SQL text takes ``?`` parameters only."""

    keys: str  # SQL of a member's key and other
    source: str  # from … where …, with {mine} where verdicts may be joined; a filter is and-ed behind it
    values: Callable[[View], list[Any]]  # of the source's parameters
    order: str  # default order; named, because it is also what makes import order cheap
    subject: str  # SQL of the id that verdicts name, over the tables of ``source``
    columns: Mapping[str, Column]
    search: Search
    subjects: Callable[[DuckDBPyConnection, Sequence[Member]], list[str]]
    rows: Callable[[DuckDBPyConnection, View, Sequence[Member]], list[Shown]]
    details: Callable[[DuckDBPyConnection, View, Sequence[Member], Seen], list[dict[str, Any]]]
    open_columns: Mapping[str, Column] = field(default_factory=dict)  # only where the queue is not blind
    metadata: str | None = None  # SQL of the metadata that further names are looked up in
    drawn: bool = True  # whether a seed gives it a random order
    secret: bool = True  # whether a blind one has anything to hide
    # Joins in which every member has exactly one row, and the name that needs each: left out where nothing uses it.
    spare: tuple[tuple[str, str], ...] = ()
    ties: tuple[tuple[str, str], ...] = ()  # column and SQL of what ``order`` has before the key


# What a filter may say of the caller's own verdicts: ``m`` is joined where such a name is used.
REVIEWED = {"reviewed": Column("m.subject is not null", "bool")}
REASON = {"reason": Column("m.reason", "number")}
MINE = (
    REVIEWED
    | REASON
    | {
        "flagged": Column("coalesce(m.verdict = 'bad', false)", "bool"),
        "unsure": Column("coalesce(m.verdict = 'unsure', false)", "bool"),
        "verdict": Column("m.verdict", "text"),
    }
)
# … and of the arrival ``a``.
PROMPT = {
    "prompt": Column("a.text", "text"),
    "text": Column("a.text", "text"),
    "reference": Column("a.reference", "text"),
    "split": Column("a.split", "text"),
    script.NAME: script.column("a.text"),
}


def by_key(
    cursor: DuckDBPyConnection, table: str, key: str, columns: Iterable[str], keys: Iterable[int]
) -> Rows:
    """Rows of ``table`` by packed key, those that are there."""
    return fetched(cursor, table, key, columns, sorted(set(keys)))


_OF_FIELD = {"prompt": ("arrival", "arrival_key"), "output": ("output", "output_key")}


def both_ends(
    cursor: DuckDBPyConnection, pairs: Collection[Sequence[Any]], columns: Callable[[str], list[str]]
) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Columns of the texts at both ends of ``pairs`` (field, left key, right key, …), by field and key.

    ``columns``: what is read of each, by field.
    """
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for field_, (table, key) in _OF_FIELD.items():
        wanted = [end for pair in pairs if pair[0] == field_ for end in pair[1:3]]
        rows = by_key(cursor, table, key, columns(field_), wanted)
        found |= {(field_, k): row for k, row in rows.items()}
    return found


_ARRIVAL = ("text", "messages", "reference", "source", "split", "metadata", "prompt_id", "file_row")


def prompt_heads(cursor: DuckDBPyConnection, keys: Iterable[int]) -> dict[int, str]:
    """The first characters of prompts by arrival key."""
    found = by_key(cursor, "arrival", "arrival_key", [f"left(text, {HEAD})"], keys)
    return {key: row[0] for key, row in found.items()}


def prompt_details(
    cursor: DuckDBPyConnection, keys: Mapping[int, bool], *, view: View
) -> dict[int, dict[str, Any]]:
    """Everything of arrivals by key; of each whose value is not True, no source and no metadata that names a model."""
    found = {}
    for key, row in by_key(cursor, "arrival", "arrival_key", _ARRIVAL, keys).items():
        found[key] = dict(zip(_ARRIVAL, row, strict=True))
        if not keys[key]:
            metadata = msgspec.json.decode(found[key]["metadata"])
            told = {name: value for name, value in metadata.items() if not tells(name, view.models)}
            found[key] |= {"source": None, "metadata": canonical_text(told)}
    return found


def tells(name: str, models: Iterable[str]) -> bool:
    """Whether a metadata key names a model: it speaks of one output.

    >>> tells("correct_175b_verification", ["175b_verification"]), tells("tier", ["t"])
    (True, False)
    """
    return any(re.search(rf"(?<![^\W_]){re.escape(model)}(?![^\W_])", name) for model in models)
