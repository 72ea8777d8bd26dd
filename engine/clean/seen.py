"""What did the student see: the training samples nearest to an input, the bucket that it falls into, or nothing like it.

Candidates come from the store's word index; each is then compared exactly, by the Jaccard similarity and containment
of shingles that near-duplicates are found by. Likeness is of characters and words, not of meaning: a paraphrase in other
words counts as unseen, and the report says by which measure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine.clean.cover import cells_of_run, dimensions_of_run
from engine.clean.coverage import Dimension, label_of, where_of
from engine.clean.shingles import Shingles, normalise, profile_for, shingle_hashes
from engine.clean.versions import Version
from store import grammar, read_dataset
from store.language import script_of_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.context import Context

LIKE = (
    0.25  # least Jaccard similarity of two prompts that are like each other; unrelated ones seldom reach 0.1
)
CANDIDATES = 200  # as many as the store's index gives
ROWS = 5
LONGEST = 10_000  # characters of an input that candidates are sought by


IN, OUT = "in", "left out"


@dataclass(frozen=True, slots=True)
class Near:
    """A sample and how near its prompt is; ``bucket``: of the coverage grid that the version was frozen with; ``standing``:
    that the version has it, else why not."""

    subject: str
    jaccard: float
    containment: float  # share of the input's shingles that the sample's prompt has
    standing: str
    bucket: dict[str, str]
    prompt: str
    output: str
    metadata: dict[str, Any]
    known: dict[str, Any]  # other columns that dimensions may name


@dataclass(frozen=True, slots=True)
class Seen:
    """What a version holds of an input. ``best``: likeness of the nearest sample in it; ``samples_in_bucket``: of the
    input's own bucket, as far as its metadata tells; ``nearest``: samples, in it or not, nearest first."""

    version: int
    best: float
    bucket: dict[str, str]
    samples_in_bucket: int
    where: str
    nearest: tuple[Near, ...]

    @property
    def like(self) -> bool:
        return self.best >= LIKE

    def told(self) -> str:
        """In a line."""
        if self.like:
            return f"nearest {self.best:.2f}"
        told = f"nothing like it (nearest {self.best:.2f}, like from {LIKE:g})"
        out = next((n for n in self.nearest if n.standing != IN and n.jaccard >= LIKE), None)
        return (
            told
            if out is None
            else f"{told}; one like it ({out.jaccard:.2f}) is not in the dataset: {out.standing}"
        )

    def as_payload(self) -> dict[str, Any]:
        """Numbers as text."""
        return {
            "version": self.version, "like": self.like, "told": self.told(), "bucket": self.bucket,
            "samples_in_bucket": self.samples_in_bucket, "filter": self.where,
            "nearest": [
                {"jaccard": f"{n.jaccard:.3f}", "containment": f"{n.containment:.3f}", "standing": n.standing,
                 "bucket": n.bucket, "subject": n.subject, "prompt": n.prompt, "output": n.output}
                for n in self.nearest
            ],
        }  # fmt: skip


class Looking:
    """One version to look into, for one input after the other: its grid is read once.

    Why a sample was left out may be what a reviewer said of it: that is told to the store's owner, and not where
    he (or anybody under a name of his own) judges ``blind``.
    """

    def __init__(self, context: Context, version: Version, *, blind: bool = False) -> None:
        self.context, self.version = context, version
        me = context.store.welcome
        self._reasons = not blind and me.role == "owner" and context.store.who == me.actor
        self.dimensions = dimensions_of_run(context, version.run)
        self._buckets = {c.cell: c.have for c in cells_of_run(context, version.run)}

    def seen(
        self,
        text: str,
        *,
        metadata: dict[str, Any] | None = None,
        known: dict[str, Any] | None = None,
        rows: int = ROWS,
    ) -> Seen:
        """The nearest samples to an input; ``known``: columns of it, as ``reference``. Those left out are named, but only
        what is in the version makes it like."""
        found = self._nearest(text)
        bucket = bucket_of(self.dimensions, text, metadata or {}, known)
        return Seen(
            self.version.number,
            max((n.jaccard for n in found if n.standing == IN), default=0.0),
            bucket,
            self._buckets.get(tuple(bucket.items()), 0),
            where_of(bucket, self.dimensions),
            tuple(
                replace(n, bucket=bucket_of(self.dimensions, n.prompt, n.metadata, n.known))
                for n in found[:rows]
            ),
        )

    def _nearest(self, text: str) -> list[Near]:
        """The candidates of the word index that are in the version or were left out of it, by Jaccard similarity."""
        details = self._candidates(text)
        standings = self._standings([d["subject"] for d in details]) if details else {}
        details = [
            d for d in details if standings[d["subject"]]
        ]  # not what was never to be trained on, as the test
        if not details:
            return []
        shares = likeness(text, [d["prompt"]["text"] for d in details])
        found = [
            Near(d["subject"], jaccard, containment, standings[d["subject"]], {}, d["prompt"]["text"],
                 d["outputs"][0]["text"], _metadata(d),
                 {"output": d["outputs"][0]["text"], "reference": d["prompt"]["reference"]})
            for d, (jaccard, containment) in zip(details, shares, strict=True)
        ]  # fmt: skip
        return sorted(found, key=lambda n: (-n.jaccard, n.standing != IN, -n.containment, n.subject))

    def _candidates(self, text: str) -> list[dict[str, Any]]:
        store = self.context.store
        spec = {
            "kind": "audit", "project": self.context.project, "model": self.version.run.result["teacher"],
            "similar": text[:LONGEST], "blind": True,
        }  # fmt: skip
        queue = store.call("open_queue", spec=spec)
        try:
            high = min(CANDIDATES, queue["length"])
            return list(store.call("texts", queue=queue["id"], low=0, high=high)) if high else []
        finally:
            store.call("close_queue", queue=queue["id"])

    def _standings(self, subjects: list[str]) -> dict[str, str]:
        """Of each subject: ``IN``, ``OUT`` or why it is out, "" where it was no candidate."""
        ask = self.context.store.ask
        named: dict[str, Any] = {"project": self.context.project, "run_id": self.version.run.run_id}
        why: dict[str, str] = {}
        if self._reasons:
            why = {a.output_id: a.rules for a in ask(read_dataset.AGAINST, **named, subjects=subjects)}
        found = ask(read_dataset.STANDINGS, **named, subjects=subjects)
        return {
            s.output_id: IN if s.included else why.get(s.output_id, OUT) if s.candidate else "" for s in found
        }


def _metadata(detail: dict[str, Any]) -> dict[str, Any]:
    stored = detail["prompt"]["metadata"]
    return dict(msgspec.json.decode(stored)) if isinstance(stored, str) else dict(stored)


def likeness(text: str, others: list[str]) -> list[tuple[float, float]]:
    """(Jaccard, containment of ``text``) of one text with each other one, over shingles of the profile that fits ``text``.

    >>> likeness("where is my card?", ["Where is  MY card?", "quarterly interest"])[0]
    (1.0, 1.0)
    """
    hashes = shingle_hashes([normalise(t) for t in (text, *others)], profile_for([text]))
    own = _row(hashes, 0)
    found = []
    for i in range(len(others)):
        both = len(set(own.tolist()) & set((other := _row(hashes, i + 1)).tolist()))
        found.append((both / max(1, len(own) + len(other) - both), both / max(1, len(own))))
    return found


def _row(found: Shingles, i: int) -> npt.NDArray[np.uint64]:
    row: npt.NDArray[np.uint64] = found.hashes[found.offsets[i] : found.offsets[i + 1]]
    return row


def bucket_of(
    dimensions: tuple[Dimension, ...],
    text: str,
    metadata: dict[str, Any],
    known: dict[str, Any] | None = None,
) -> dict[str, str]:
    """The bucket that an input falls into, by the labels of the grid; ``known``: other columns, as its reference."""
    row = {"prompt": text, "text": text, "script": script_of_text(text)} | (known or {})
    found = {}
    for d in dimensions:
        expression = grammar.parse(f"number({d.expression})" if d.edges else d.expression)
        value = grammar.evaluate(expression, row, metadata)
        if d.edges and value is not None:
            value = sum(float(value) >= edge for edge in d.edges)
        found[d.expression] = label_of(d, value)
    return found
