"""Many samples at once: which rows are marked, which verdict is meant, and the count that must be typed. No Textual.

Marks are positions of one frozen queue. A queue that is opened again may have other samples there, so marks are
kept together with a fingerprint of the subjects they stood for.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.text import counted
from store.acts import MAX_SUBJECTS
from store.canonical import digest_of
from store.errors import InputError

if TYPE_CHECKING:
    from console.actions import Action
    from store.client import Client

Ranges = tuple[tuple[int, int], ...]

MARKED, EVERY = "marked rows", "every row"
# What a whole selection can be told at once. The sides of a disagreement are drawn anew for each sample, and which
# text of a pair is the better one is seen pair by pair: left, right and choose are given one at a time.
BULK: Mapping[str, tuple[str, ...]] = {
    "audit": ("ok", "bad", "unsure"),
    "duplicates": ("keep", "distinct"),
    "semantic": ("both", "distinct"),
    "disagreements": ("both", "neither"),
}
PAIRS = ("duplicates", "semantic")  # where a subject is a pair, else a sample
REASONED = {"audit": "bad", "disagreements": "neither"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions of a queue as ascending ranges (low … high - 1) that neither touch nor overlap.

    >>> chosen = Selection().add(2, 5).toggle(8).toggle(3)
    >>> chosen.ranges, len(chosen), 3 in chosen, 4 in chosen
    (((2, 3), (4, 5), (8, 9)), 3, False, True)
    """

    ranges: Ranges = ()

    def __len__(self) -> int:
        return sum(high - low for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, position: int) -> bool:
        at = bisect.bisect_right(self.ranges, position, key=lambda r: r[0]) - 1
        return at >= 0 and position < self.ranges[at][1]

    def add(self, low: int, high: int) -> Selection:
        """With positions low … high - 1."""
        if low >= high:
            return self
        left = bisect.bisect_left(self.ranges, low, key=lambda r: r[1])
        right = bisect.bisect_right(self.ranges, high, key=lambda r: r[0])
        joined = self.ranges[left:right]
        if joined:
            low, high = min(low, joined[0][0]), max(high, joined[-1][1])
        return Selection((*self.ranges[:left], (low, high), *self.ranges[right:]))

    def remove(self, low: int, high: int) -> Selection:
        """Without positions low … high - 1."""
        left = bisect.bisect_right(self.ranges, low, key=lambda r: r[1])
        right = bisect.bisect_left(self.ranges, high, key=lambda r: r[0])
        if left >= right or low >= high:
            return self
        first, last = self.ranges[left], self.ranges[right - 1]
        rest = [r for r in ((first[0], low), (high, last[1])) if r[0] < r[1]]
        return Selection((*self.ranges[:left], *rest, *self.ranges[right:]))

    def toggle(self, position: int) -> Selection:
        """With a position that it lacks, without one that it has."""
        change = self.remove if position in self else self.add
        return change(position, position + 1)

    def within(self, length: int) -> bool:
        """Whether a queue of this length has all of it."""
        return not self.ranges or (self.ranges[0][0] >= 0 and self.ranges[-1][1] <= length)


def selection_of(ranges: Iterable[Sequence[int]]) -> Selection:
    """A selection of ranges in any order, as a file may hold them.

    >>> selection_of([[4, 6], [0, 4], [9, 9]]).ranges
    ((0, 6),)
    """
    found = Selection()
    for low, high in ranges:
        found = found.add(low, high)
    return found


def rows_named(text: str, length: int) -> Selection:
    """Row numbers (from 1) and ranges of them, as people write them. Raises InputError for what is none.

    >>> rows_named("3-5, 12", 20).ranges
    ((2, 5), (11, 12))
    """
    found = Selection()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= low <= high <= length:
            raise InputError(
                f"no rows {part.strip()!r} among the {length:,} of this queue", todo="Like this: 3-9,12"
            )
        found = found.add(low - 1, high)
    return found


def fingerprint(subjects: Sequence[str]) -> str:
    """What tells whether marks still stand for the same samples."""
    return digest_of(list(subjects))[:32]


# ---- a verdict on all of it
@dataclass(frozen=True, slots=True)
class Choice:
    """A verdict, with its reason where it carries one."""

    verdict: str
    reason: int | None = None

    def __str__(self) -> str:
        return self.verdict if self.reason is None else f"{self.verdict} {self.reason}"


def choices(kind: str, table: Iterable[Action], shown: Mapping[str, str]) -> dict[str, Choice]:
    """What may be typed for a bulk verdict in a queue of this kind: the keys of the room, and the words.

    ``shown``: a key's name → the key as it is typed.
    """
    found: dict[str, Choice] = {}
    allowed = BULK.get(kind, ())
    for action in table:
        given = re.fullmatch(r"judge\('(\w+)'\)", action.call)
        for number, key in enumerate(action.keys.split(","), 1):
            typed = shown.get(key, key)
            if action.takes_key and kind in REASONED:
                choice = Choice(REASONED[kind], number)
                found |= {typed: choice, str(choice): choice}
            elif given and given[1] in allowed:
                found |= {typed: Choice(given[1]), given[1]: Choice(given[1])}
    return found


def allow_bulk(kind: str, choice: Choice) -> None:
    """Raise InputError for a verdict that is given one at a time only."""
    if choice.verdict not in BULK.get(kind, ()):
        known = ", ".join(BULK.get(kind, ())) or "none"
        raise InputError(f"{kind}: {choice.verdict!r} is given one at a time", todo=f"In bulk: {known}.")


def count_typed(text: str, count: int) -> bool:
    """Whether somebody typed the count.

    >>> count_typed("1,204", 1204), count_typed(" 1204", 1204), count_typed("120", 1204), count_typed("", 0)
    (True, True, False, False)
    """
    return re.sub(r"[,_ ]", "", text) == str(count)


def subjects_in(
    store: Client, queue: Mapping[str, Any], chosen: Selection | None, *, unjudged: bool = True
) -> list[str]:
    """Subjects of a selection of an open queue (None: of all of it), by default those not judged by the caller."""
    ranges = chosen.ranges if chosen is not None else ((0, queue["length"]),)
    found: list[str] = store.call(
        "subjects", queue=queue["id"], ranges=[list(r) for r in ranges], unjudged=unjudged
    )
    return found


def payload_of_bulk(kind: str, choice: Choice, subjects: list[str], selection: str) -> dict[str, Any]:
    """The act ``verdicts``. Raises InputError for a verdict that is given one at a time only."""
    allow_bulk(kind, choice)
    payload = {"queue": kind, "subjects": subjects, "verdict": choice.verdict, "selection": selection}
    return payload if choice.reason is None else payload | {"reason": choice.reason}


def named_bulk(payload: Mapping[str, Any]) -> str:
    """A bulk verdict in words.

    >>> named_bulk({"verdict": "bad", "reason": 5, "subjects": ["x"] * 1204})
    'bulk bad 5 on 1,204 samples'
    """
    choice = Choice(payload["verdict"], payload.get("reason"))
    return f"bulk {choice} on {subjects_counted(payload.get('queue', ''), len(payload['subjects']))}"


def subjects_counted(kind: str, count: int) -> str:
    """How many subjects of a kind of queue.

    >>> subjects_counted("audit", 2), subjects_counted("duplicates", 1)
    ('2 samples', '1 pair')
    """
    return counted(count, "pair" if kind in PAIRS else "sample")


def named_undone(kind: str, what: Mapping[str, Any]) -> str:
    """An act that was undone or redone, in words.

    >>> named_undone("undo", {"kind": "verdicts", "verdict": "ok", "subjects": ["x", "y"], "seq": 7})
    'undid bulk ok on 2 samples (event 7)'
    >>> named_undone("redo", {"kind": "verdict", "queue": "audit", "verdict": "ok", "position": 1, "seq": 7})
    'redid verdict ok on audit row 2 (event 7)'
    """
    did = "undid" if kind == "undo" else "redid"
    if what["kind"] == "verdicts":
        return f"{did} {named_bulk(what)} (event {what['seq']})"
    about = str(what.get("verdict") or what.get("text", ""))[:40]
    where = f" on {what['queue']} row {what['position'] + 1:,}" if what.get("position", -1) >= 0 else ""
    return f"{did} {what['kind']} {about}{where} (event {what['seq']})"


def too_many(count: int) -> str:
    """Why so many cannot be marked; empty where they can.

    >>> too_many(100_000), bool(too_many(100_001))
    ('', True)
    """
    if count <= MAX_SUBJECTS:
        return ""
    return f"{count:,} marked would be more than {MAX_SUBJECTS:,}: filter (f) instead, and take them in parts"
