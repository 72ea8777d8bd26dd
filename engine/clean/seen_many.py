"""Many live inputs against one dataset version: how many have nothing like them, and in which buckets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.clean.seen import Looking
from engine.statistics import wilson
from store.errors import InputError

FIELDS = ("prompt", "text", "input", "question", "query")  # where the input of a JSON line may stand


@dataclass(frozen=True, slots=True)
class Live:
    """One input of a log: its line, its text, what else the line says."""

    line: int
    text: str
    metadata: dict[str, Any]


def inputs_of(lines: Iterable[str], where: str, field: str = "") -> Iterator[Live]:
    """Inputs of a log: JSON objects, whose text stands in ``field`` (default: the first of FIELDS), or plain lines.

    Empty lines are skipped. Raises InputError with the line where an object has no such text.
    """
    for number, raw in enumerate(lines, 1):
        text = raw.strip()
        if not text:
            continue
        if not text.startswith("{"):
            yield Live(number, text, {})
            continue
        try:
            row = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise InputError(f"is no JSON: {error}", where=f"{where}:{number}") from error
        name = field or next((f for f in FIELDS if f in row), "")
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise InputError(
                f"has no text in {field or ' or '.join(FIELDS)}",
                where=f"{where}:{number}",
                todo="Name it: --field NAME",
            )
        yield Live(number, row.pop(name), row)


def look(looking: Looking, some: Iterable[Live]) -> Iterator[dict[str, Any]]:
    """One line per input: line, like, best, bucket, the nearest sample in the version or left out of it."""
    for live in some:
        found = looking.seen(live.text, metadata=live.metadata, rows=1)
        nearest = found.nearest[0] if found.nearest else None
        yield {
            "line": live.line,
            "like": found.like,
            "nearest": f"{found.best:.3f}",
            "bucket": " · ".join(found.bucket.values()),
            "input": live.text,
            "sample": nearest.prompt if nearest is not None else None,
        }


def summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many inputs there are, how many have nothing like them, with Wilson's interval, and the buckets of those."""
    unseen = [row for row in rows if not row["like"]]
    low, high = wilson(len(unseen), len(rows)) if rows else (0.0, 1.0)
    best = sorted(float(row["nearest"]) for row in rows)
    buckets = Counter(row["bucket"] for row in unseen)
    return {
        "inputs": len(rows),
        "nothing_like_it": len(unseen),
        "share": f"{len(unseen) / len(rows):.4f}" if rows else None,
        "low": f"{low:.4f}",
        "high": f"{high:.4f}",
        "median_nearest": f"{best[len(best) // 2]:.3f}" if best else None,
        "unseen_buckets": [{"bucket": name, "inputs": n} for name, n in buckets.most_common(20)],
    }
