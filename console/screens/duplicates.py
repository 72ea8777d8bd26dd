"""``gp``: verified near-duplicate pairs, largest cluster first; keep, choose, or tell apart."""

from __future__ import annotations

from typing import Any, ClassVar

from console.screens.disagreements import beside
from console.screens.queue import Opened, Row, number, two_columns
from console.screens.take import Take
from console.text import line
from console.widgets.detail import Section
from console.widgets.diff import inline, word_diff

MODES = ("diff", "side", "plain")


class Duplicates(Take):
    """The left text is the representative (or the older one); the right one would go."""

    name_: ClassVar[str] = "duplicates"

    def __init__(self) -> None:
        super().__init__()
        self.mode = 0
        self.looked: dict[str, str] = {}

    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (about, left, right) = row
        head = f"{number(position, self.pager.length)} {about} "
        if self.has_class("wide"):
            return head + line(left, width - len(head))
        return head + two_columns(left, right, width - len(head))

    def titles(self, width: int) -> str:
        del width
        return f"{'#':>{len(f'{self.pager.length:,}')}} {'group':>5} {'J':<4} {'edit':<10} texts"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        left, right = ordered(detail)
        found = []
        if MODES[self.mode] == "diff":
            text, ranges = inline(word_diff(left, right))
            found.append(Section("only kept [-…-]   only the other {+…+}", text, ranges=ranges))
        elif MODES[self.mode] == "side":
            found.append(beside("kept │ the other", left, right))
        else:
            found += [Section("kept", left), Section("the other", right)]
        leak = "\nLEAK: one is in the test split, the other is not" if detail["leak"] else ""
        about = (
            f"Jaccard {detail['jaccard']:.3f} · containment {detail['containment']:.3f} · {detail['edit']} · {detail['field']}s\n"
            f"group {detail['cluster']}, {detail['size']} texts in all · splits {splits(detail)}{leak}"
        )
        others = [f"{actor}: {verdict}" for actor, verdict, _, _ in detail["verdicts"] or []]
        return [*found, Section("evidence", "\n".join([about, *others]))]

    def shown_ids(self, detail: dict[str, Any]) -> list[str]:
        ids: list[str] = detail["ids"]
        return ids if kept_first(detail) else ids[::-1]

    def _before_judging(self, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """``choose`` names the other text first: it is the one to keep from now on."""
        if payload["verdict"] == "choose":
            payload["shown"] = self.shown_ids(found)[::-1]

    def action_diff(self) -> None:
        """``d``"""
        self.mode = (self.mode + 1) % len(MODES)
        self._show()

    def heading(self) -> str:
        queue = self.queue
        parts = [
            "duplicates",
            f"{queue['reviewed']:,} of {queue['length']:,} judged{self.pace()}",
        ]
        return " · ".join([*parts, *([self.filter] if self.filter else []), self.home.project])

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        found = super()._open(wanted, old)
        if not found[1]["length"]:
            self.looked = looked_at(self.home.context.latest("dedup", "").result)
        return found

    def empty(self) -> str:
        looked = "\n".join(f"{field}s: {found}" for field, found in self.looked.items())
        return f"The newest run found no near-duplicates.\n\n{looked}\n\nspiritsafe dedup --help: fields and thresholds"


def splits(detail: dict[str, Any]) -> str:
    """In which splits the two texts stand."""
    return " / ".join(", ".join(str(s) for s in side if s) or "-" for side in detail["splits"])


def looked_at(run: dict[str, Any]) -> dict[str, str]:
    """What a near-duplicate run looked at, by field."""
    return {
        field: ", ".join(
            f"{name} {value}" for name, value in found.items() if not isinstance(value, dict | list)
        )
        for field, found in run.items()
        if isinstance(found, dict)
    }


def kept_first(detail: dict[str, Any]) -> bool:
    """Whether the first text of the pair is the one that stays."""
    first, second = detail["representative"]
    return bool(first or not second)


def ordered(detail: dict[str, Any]) -> tuple[str, str]:
    """The text that stays, and the other."""
    left, right = detail["texts"]
    return (left, right) if kept_first(detail) else (right, left)
