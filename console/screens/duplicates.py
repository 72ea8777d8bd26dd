"""``gp``: verified near-duplicate pairs, largest group first; keep, choose, or tell apart."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.timer import Timer

from console.headless import compared
from console.screens.disagreements import beside
from console.screens.duplicates_words import (
    evidence,
    group_words,
    kept_first,
    names,
    nothing_found,
    ran,
    shared_ranges,
    spans_of,
    split_threshold,
    stepped,
    turned,
    with_threshold,
)
from console.screens.queue import Opened, Row, number, two_columns
from console.screens.take import Take
from console.text import counted, line
from console.widgets.bar import Part
from console.widgets.detail import Section
from console.widgets.diff import inline, word_diff
from store.errors import SpiritsafeError

MODES = ("diff", "side", "plain")
STEPPING = 0.12  # seconds without + or - until the list is read again
TOP = 400  # characters of the kept text above a diff, which has all of it


class Duplicates(Take):
    """The left text is the one that is kept; the other is shown against it."""

    name_: ClassVar[str] = "duplicates"

    def __init__(self) -> None:
        super().__init__()
        self.mode = 0
        self.run: dict[str, dict[str, Any]] = {}  # what the newest run was asked for and found, by field
        self._least: float | None = None  # the threshold that + and - are at, until the list is read
        self._stepping: Timer | None = None
        self._stay: tuple[int, int] | None = None  # key and group to come back to
        self._steps, self._stepping_on = 0, False  # groups still to go, and whether the hub was asked
        self._here = ""  # the group under the cursor, in words

    # ---- the list
    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (about, kept, other) = row
        head = f"{number(position, self.pager.length)} {about:<{self._about()}} "
        if self.has_class("wide"):  # the kept one stands beside it
            return head + line(other, width - len(head))
        return head + two_columns(kept, other, width - len(head))

    def _about(self) -> int:
        return 26 if self._counts.get("leaks") else 21

    def titles(self, width: int) -> str:
        leak = "leak " if self._counts.get("leaks") else ""
        head = f"{'#':>{len(f'{self.pager.length:,}')}} {'group':>5} {'J':<4} {'edit':<10} {leak}"
        return head + (
            "the other" if self.has_class("wide") else two_columns("kept", "the other", width - len(head))
        )

    @property
    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.queue.get("pairs", {})
        return counts

    def heading(self) -> list[Part]:
        queue, counts = self.queue, self._counts
        rest, least = split_threshold(self.filter)
        found = self.details.get(self.pager.position or 0)
        of, goes, leaks = (counts.get(name, 0) for name in ("of", "goes", "leaks"))
        self._here = group_words(found, of) if found else self._here  # until the next one is here
        shown = f"J ≥ {least:g}: {goes:,} go" if least is not None else f"{goes:,} go in all"
        return [
            (0, "duplicates"),
            (0, f"{queue['reviewed']:,} of {queue['length']:,} judged{self.pace()}"),
            (2, self._here),
            (1, counted(leaks, "leak").upper() if leaks else ""),
            (1 if least is not None else 4, shown),
            (1, rest),
            (5, self.home.project),
        ]

    # ---- the detail
    def sections(self, detail: dict[str, Any]) -> list[Section]:
        left, right = turned(detail, detail["texts"])
        kept, other = names(detail)
        badge = "LEAK · " if detail["leak"] else ""
        top = f"{badge}{kept} · {group_words(detail, self._counts.get('of', 0))}"
        if MODES[self.mode] == "diff":
            text, ranges = inline(word_diff(left, right))
            first = Section(top, left if len(left) <= TOP else f"{left[:TOP]}…")
            against = f"{other}, against it   only {kept} [-…-]   only {other} {{+…+}}"
            found = [first, Section(against, text, ranges=ranges)]
        elif MODES[self.mode] == "side":
            found = [beside(f"{top} │ {other}", left, right)]
        else:
            spans = spans_of(detail)
            marked = [
                shared_ranges(left, [s[:2] for s in spans]),
                shared_ranges(right, [s[2:] for s in spans]),
            ]
            found = [Section(f"{top} · underlined: shared", left, ranges=marked[0])]
            found.append(Section(f"{other} · underlined: shared", right, ranges=marked[1]))
        return [*found, Section("evidence", "\n".join(evidence(detail, self.run.get(detail["field"], {}))))]

    def _paint(self, at: int) -> None:
        super()._paint(at)
        self.header.show(self.heading())

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

    # ---- group by group, and the shown threshold
    def action_group(self, step: int) -> None:
        """``}`` and ``{``; what comes while one is under way goes on from there."""
        self._steps += step
        if not self._stepping_on:
            self._go_on()

    def _go_on(self) -> None:
        queue, step, self._steps = self.queue.get("id"), self._steps, 0
        if queue is None or not step:
            return
        self._stepping_on, position = True, self.pager.position or 0

        def found(at: int | None) -> None:
            self._stepping_on = False
            if queue == self.queue.get("id"):
                self.tell("no other group that way") if at is None else self.pager.jump(at)
                self._go_on()

        def failed(error: SpiritsafeError) -> None:
            self._stepping_on = False
            self._lost(error)

        call = self.home.store.call
        self.home.work(
            lambda: call("next_group", queue=queue, position=position, step=step), found, failed=failed
        )

    def action_threshold(self, step: int) -> None:
        """``+`` and ``-``: show only pairs at least that alike; once the keys rest the list is read."""
        floor = min((run["threshold"] for run in self.run.values()), default=0.0)
        rest, least = split_threshold(self.filter)
        now = self._least or least or floor
        if step < 0 and now <= floor:
            lower = f"spiritsafe dedup --threshold {max(0.05, floor - 0.05):.2g}"
            self.tell(f"nothing below {floor:g} was looked for; {lower} looks")
            return
        self._least = new = stepped(now, step, floor)
        self.tell(f"J ≥ {new:g}…")
        if self._stepping is not None:
            self._stepping.stop()
        self._stepping = self.set_timer(STEPPING, lambda: self._show_from(rest, new, floor))

    def _show_from(self, rest: str, least: float, floor: float) -> None:
        self._stepping = self._least = None
        found = self.details.get(self.pager.position or 0)
        self._stay = (found["key"], found["cluster"]) if found else None
        self.enter(filter=with_threshold(rest, least if least > floor else None))

    # ---- the queue
    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        found, call = super()._open(wanted, old), self.home.store.call
        queue, stay, self._stay = found[1], self._stay, None
        queue["pairs"] = call("pair_counts", queue=queue["id"])
        if stay is not None:
            queue["at"] = call("pair_place", queue=queue["id"], key=stay[0], group=stay[1])
        self.run = {}
        for run in compared(self.home.context):
            self.run |= ran(run)  # of a field the newest
        return found

    def _opened(self, found: Opened) -> None:
        stayed = "at" in found[1]
        self.wanted_position = found[1].pop("at", self.wanted_position)
        super()._opened(found)
        if stayed and self.queue["length"]:
            self.tell(
                f"{self.queue['length']:,} pairs, {self._counts['goes']:,} texts go; only a view: dedup --threshold decides"
            )

    def empty(self) -> str:
        return nothing_found(self.run)
