"""A near-duplicate pair in words: which text is kept, what kind of edit, what is shared, who is the test's."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from console.text import counted, visible
from console.widgets.detail import Range

Span: TypeAlias = tuple[int, int, int, int]

KINDS = {
    "exact": "exactly the same",
    "surface": "the same but for case, space or Unicode",
    "slot": "another value in the same sentence",
    "truncation": "cut short",
    "words": "changed words",
}
STEP = 0.05  # by which the shown threshold moves
MOST_MARKED = 200  # stretches marked in a text that holds what cannot be shown as it is
_AT_LEAST = re.compile(r"(?:(?P<rest>.+) and )?jaccard >= (?P<least>[01](?:\.\d+)?)")
_JUDGED = "a, r and n count at the next run: spiritsafe dedup"


# ---- the shown threshold
def split_threshold(text: str) -> tuple[str, float | None]:
    """A filter as what else it asks for, and the least Jaccard that it ends with.

    >>> split_threshold("(leak or edit = slot) and jaccard >= 0.8"), split_threshold("leak")
    (('leak or edit = slot', 0.8), ('leak', None))
    """
    found = _AT_LEAST.fullmatch(text.strip())
    if found is None:
        return text.strip(), None
    rest = found["rest"] or ""
    return (rest[1:-1] if _enclosed(rest) else rest), float(found["least"])


def with_threshold(rest: str, least: float | None) -> str:
    """The filter that asks for both.

    >>> with_threshold("leak or size > 9", 0.85), with_threshold("", 0.9), with_threshold("leak", None)
    ('(leak or size > 9) and jaccard >= 0.85', 'jaccard >= 0.9', 'leak')
    """
    if least is None:
        return rest
    if rest and re.search(r"\bor\b", rest):
        rest = f"({rest})"
    return f"{rest} and jaccard >= {least:g}" if rest else f"jaccard >= {least:g}"


def stepped(least: float, step: int, floor: float) -> float:
    """The next threshold up (1) or down (-1): a multiple of ``STEP``, from ``floor`` to 1.

    >>> stepped(0.72, 1, 0.72), stepped(0.75, -1, 0.72), stepped(0.8, 1, 0.7), stepped(1.0, 1, 0.7)
    (0.75, 0.72, 0.85, 1.0)
    """
    places = round(least / STEP, 6)
    whole = int(places) + 1 if step > 0 else int(places) - (places == int(places))
    return min(1.0, max(floor, round(whole * STEP, 2)))


def _enclosed(text: str) -> bool:
    """Whether one pair of brackets is around all of it."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return char == ")" and i == len(text) - 1 and i > 0
    return False


# ---- one pair
def kept_first(detail: dict[str, Any]) -> bool:
    """Whether the first text of the pair is the one that stays."""
    first, second = detail["representative"]
    return bool(first or not second)


def removes(detail: dict[str, Any]) -> bool:
    """Whether a text goes along this pair: one end stands for others and the other does not."""
    first, second = detail["representative"]
    return bool(first) != bool(second)


def turned(detail: dict[str, Any], pair: list[Any]) -> tuple[Any, Any]:
    """What is said of both texts, that of the kept one first."""
    first, second = pair
    return (first, second) if kept_first(detail) else (second, first)


def names(detail: dict[str, Any]) -> tuple[str, str]:
    """What the two texts are called.

    >>> names({"representative": [False, True]}), names({"representative": [False, False]})
    (('kept', 'goes'), ('one', 'the other'))
    """
    return ("kept", "goes") if removes(detail) else ("one", "the other")


def _called(detail: dict[str, Any]) -> tuple[str, str]:
    """The same in a sentence."""
    return ("the kept one", "the other") if removes(detail) else ("the first", "the other")


def spans_of(detail: dict[str, Any]) -> list[Span]:
    """The shared stretches, of the kept text first."""
    found: list[Span] = [(a, b, c, d) for a, b, c, d in msgspec.json.decode(detail["spans"] or "[]")]
    return found if kept_first(detail) else [(c, d, a, b) for a, b, c, d in found]


def shared_ranges(text: str, stretches: list[tuple[int, int]]) -> tuple[Range, ...]:
    """Stretches in code points of a text as ranges of what is shown of it."""
    if len(visible(text, lines=True)) == len(text):
        return tuple((low, high, "shared") for low, high in stretches if low < high)

    def at(offset: int) -> int:
        return len(visible(text[:offset], lines=True))

    return tuple((at(low), at(high), "shared") for low, high in stretches[:MOST_MARKED] if low < high)


def group_words(detail: dict[str, Any], of: int) -> str:
    """Which group of how many, and what becomes of it.

    >>> group_words({"cluster": 3, "size": 7, "goes": 5}, 120)
    'group 3 of 120: 7 texts, 5 go'
    """
    return f"group {detail['cluster']:,} of {of:,}: {detail['size']:,} texts, {detail['goes']:,} go"


def evidence(detail: dict[str, Any], run: dict[str, Any]) -> list[str]:
    """What is known of a pair, a line each. ``run``: what ``ran`` says of the run of its field."""
    kind = detail["edit"]
    about = (
        f"Jaccard {detail['jaccard']:.3f} · containment {detail['containment']:.3f} · {kind}:"
        f" {KINDS.get(kind, kind)} · {detail['field']}s"
    )
    lines = [about, *leak_words(detail), shared_words(detail)]
    if not removes(detail):
        both = "both are kept" if all(detail["representative"]) else "neither is the one kept"
        lines.append(f"{both}: this pair keeps nothing out")
    if run:
        bands = f"{run['bands']} bands of {run['rows']}" if "bands" in run else ""
        told = [
            f"threshold {run['threshold']:g}",
            f"recall {run['recall']:g}",
            f"profile {run.get('profile', '-')}",
            bands,
        ]
        told += [f"kept: {run['keep']}"] if run.get("keep") else []
        lines.append("run: " + " · ".join(piece for piece in told if piece))
    lines.append(_JUDGED)
    lines += [f"{actor}: {verdict}" for actor, verdict, _, _ in detail["verdicts"] or []]
    return lines + [f"{actor} remarked: {text}" for actor, _, text in detail["comments"] or []]


def leak_words(detail: dict[str, Any]) -> list[str]:
    """Who is the test's, and where the other came; nothing of outputs."""
    if detail["field"] != "prompt":
        return []
    tests, splits, called = turned(detail, detail["test"]), turned(detail, detail["splits"]), _called(detail)
    if detail["leak"]:
        test = 0 if tests[0] else 1
        other = f"{called[1 - test]} came in {splits[1 - test]}: a freeze leaves that one out"
        return [f"LEAK: {called[test]} is the test's, {other}"]
    places = ["the test's" if test else f"in {split}" for test, split in zip(tests, splits, strict=True)]
    if places[0] == places[1]:
        return [f"both {places[0]}"]
    return [f"{called[0]} {places[0]}, {called[1]} {places[1]}"]


def shared_words(detail: dict[str, Any]) -> str:
    """How much of each text stands in the other, as the run noted it."""
    spans, (left, right) = spans_of(detail), turned(detail, detail["texts"])
    if not spans:
        return "shared stretches: none noted"
    shares = [
        sum(high - low for low, high in sides) / max(1, len(text))
        for sides, text in (([s[:2] for s in spans], left), ([s[2:] for s in spans], right))
    ]
    first, second = _called(detail)
    return f"shared: {counted(len(spans), 'stretch', 'stretches')}, {shares[0]:.0%} of {first}, {shares[1]:.0%} of {second}"


# ---- the run
def ran(closed: Any) -> dict[str, dict[str, Any]]:
    """Of each field what a run was asked for and found: its parameters, ``texts``, ``told_apart``, ``keep``."""
    found = {}
    for field, result in closed.result.items():
        if isinstance(result, dict):
            params = result.get("params") or {}
            found[field] = {name: params[name] for name in ("profile", "bands", "rows") if name in params}
            found[field] |= {
                name: float(params.get(name, 0)) for name in ("threshold", "recall")
            }  # as text on record
            found[field] |= {name: result[name] for name in ("texts", "told_apart") if name in result}
            found[field]["keep"] = closed.params.get("keep", "")
    return found


def nothing_found(run: dict[str, dict[str, Any]]) -> str:
    """Why there is no pair, and what finds more."""
    lines = ["The newest run found no near-duplicates.", ""]
    for field, one in run.items():
        apart = f"; {one['told_apart']:,} pairs you told apart" if one.get("told_apart") else ""
        lines.append(
            f"{field}s: {one.get('texts', 0):,} texts, none with Jaccard {one['threshold']:g} or more to another{apart}"
        )
    least = min((one["threshold"] for one in run.values()), default=0.7)
    lines += [
        "",
        f"spiritsafe dedup --threshold {max(0.3, least - 0.1):.2g}   looks for pairs that are less alike",
    ]
    lines += [] if "output" in run else ["spiritsafe dedup --field both        compares the outputs, too"]
    return "\n".join(lines)
