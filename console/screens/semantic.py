"""``gm``: pairs that a model finds alike in meaning: suggested, not verified. A person says what they are."""

from __future__ import annotations

from typing import Any, ClassVar

from console import meaning
from console.screens.disagreements import beside
from console.screens.queue import Opened, Row, number, two_columns
from console.screens.take import Take
from console.text import line
from console.widgets.detail import Section
from console.widgets.diff import inline, word_diff

MODES = ("diff", "side", "plain")
FIRST, SECOND = "stays", "second"


class Semantic(Take):
    """The first text stays; whoever gives a reason says that the second means the same, and flags its answers."""

    name_: ClassVar[str] = "semantic"

    def __init__(self) -> None:
        super().__init__()
        self.mode = 0
        self.result: dict[str, Any] = {}
        self.swapped: set[str] = set()  # subjects of which the other text stays
        self._undone = 0  # pairs whose flag and verdict one key took back

    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (about, left, right) = row
        head = f"{number(position, self.pager.length)} {about} "
        if self.has_class("wide"):
            return head + line(left, width - len(head))
        return head + two_columns(left, right, width - len(head))

    def titles(self, width: int) -> str:
        del width
        return f"{'#':>{len(f'{self.pager.length:,}')}} {'cos':<5} {'':<10} texts"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        first, second = (detail["texts"][at] for at in self._order(detail))
        if MODES[self.mode] == "diff":
            text, ranges = inline(word_diff(first, second))
            found = [Section(f"{FIRST} [-…-]   {SECOND} {{+…+}}", text, ranges=ranges)]
        elif MODES[self.mode] == "side":
            found = [beside(f"{FIRST} │ {SECOND}", first, second)]
        else:
            found = [Section(FIRST, first), Section(SECOND, second)]
        return [*found, Section(meaning.UNVERIFIED, "\n".join(self._about(detail)))]

    def _about(self, detail: dict[str, Any]) -> list[str]:
        order = self._order(detail)
        splits = " / ".join(", ".join(detail["splits"][at]) or "-" for at in order)
        known = "known: a verified near-duplicate too (gp)" if detail["near"] else "new: no near-duplicate"
        model = self.result.get("model", {}).get("name", "")
        told = [f"cosine {detail['cosine']:.3f} by {model} · {detail['field']}s · splits {splits}", known]
        if detail["leak"]:
            told.append("LEAK by meaning: one is the test's, the other is not. It is shown, never refused.")
        told += [
            f"{actor}: {verdict} {reason or ''}".rstrip()
            for actor, verdict, reason, _ in detail["verdicts"] or []
        ]
        return [*told, *(f"{actor} remarked: {text}" for actor, _, text in detail["comments"])]

    def _order(self, detail: dict[str, Any]) -> list[int]:
        return meaning.kept_first(detail, swapped=detail["subject"] in self.swapped)

    def shown_ids(self, detail: dict[str, Any]) -> list[str]:
        return [detail["ids"][at] for at in self._order(detail)]

    def commit(self, payload: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        """In a thread: the verdict, and the flags that it means."""
        return meaning.judge(self.home.context, payload, found["field"])

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        """One key gave a verdict and flagged: one key takes both back, and does both again."""
        if kind == "undo" and meaning.undoes_both(what):
            self._undone += 1
            self.returning -= 1
            self._take_back(kind)
            return
        super().taken_back(kind, what)
        if (
            kind == "redo"
            and self._undone
            and (what.get("queue"), what.get("verdict")) == (self.name_, "bad")
        ):
            self._undone -= 1
            self._take_back(kind)

    def action_swap(self) -> None:
        """``o``"""
        at = self.pager.position
        found = self.details.get(at) if at is not None else None
        if found is None:
            self.tell("the pair is still under way")
            return
        self.swapped ^= {found["subject"]}
        self._show()

    def action_diff(self) -> None:
        """``d``"""
        self.mode = (self.mode + 1) % len(MODES)
        self._show()

    def heading(self) -> str:
        queue, r = self.queue, self.result
        parts = [
            f"alike in meaning · {meaning.UNVERIFIED}",
            f"{queue['reviewed']:,} of {queue['length']:,} judged{self.pace()}",
        ]
        counts = f"{r['new']:,} new" + (f", {r['leaks']:,} LEAK" if r["leaks"] else "") if r else ""
        return " · ".join(part for part in [*parts, self.filter or counts, self.home.project] if part)

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        found = super()._open(wanted, old)
        self.result = self.home.context.latest("semantic", "").result
        return found

    def empty(self) -> str:
        r = self.result
        looked = f"{r['distinct']:,} {r['field']}s, none two with a cosine of {r['threshold']}" if r else ""
        return f"The newest pass suggests nothing.\n\n{looked}\n\nspiritsafe semantic --help: fields and thresholds"
