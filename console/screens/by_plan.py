"""A queue that may be of an audit plan's draw: which plan, whose share of it, how the audit stands.

The standing is asked in a thread after every verdict, once the next sample stands on the screen; while one question
is under way the next waits, so keys that come fast ask once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from console import actions
from console.screens.queue import Opened, Row, number, two_columns
from console.screens.take import Take
from console.standings import Plan, Progress, newest_of_teacher, plan_text, plans_of, progress_of
from console.text import fit, line
from console.widgets.bar import Part
from store.errors import SpiritsafeError

if TYPE_CHECKING:
    from console.state import Place

SETTLE = 0.08  # seconds after a verdict until its audit is counted again: the next sample comes first
ALL = "all outputs"
EXTRA = "by_plan"  # in a queue that was opened: what this module learnt in the thread


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was learnt when the queue was opened. ``afresh``: another plan than the place that was kept."""

    plans: list[Plan]
    plan: Plan | None
    progress: Progress | None
    newest: str
    afresh: bool


class ByPlan(Take):
    """A queue of samples, all of a model's or those that a plan drew."""

    words: ClassVar[tuple[str, ...]] = (*Take.words, "plan", "everyone")

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Plan] = []
        self.plan: Plan | None = None
        self.progress: Progress | None = None
        self.choice: str | None = None  # the plan that was asked for; "": all outputs; None: nobody asked
        self.everyone = False
        self._kept: tuple[str, str, int] | None = None  # of the last session: plan, newest plan, position
        self._newest = ""
        self._places: dict[tuple[str, bool], int] = {}
        self._counting = self._count_again = False

    # ---- the list
    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (prompt, output) = row
        head = number(position, self.pager.length) + " "
        if self.has_class("wide"):  # the detail beside it shows both
            return head + line(prompt, width - len(head))
        return head + two_columns(prompt, output + self.meant(output), width - len(head))

    def titles(self, width: int) -> str:
        size = len(f"{self.pager.length:,}")
        if self.has_class("wide"):
            return f"{'#':>{size}} prompt"
        return f"{'#':>{size}} {fit('prompt', max(8, (width - size - 4) * 45 // 100))} │ output"

    # ---- which plan
    def enter(self, *, plan: str | None = None, **wanted: Any) -> None:
        """With ``plan``: that plan's draw, or all outputs ("")."""
        place = self.home.state.place(self.home.project, self.name_)
        if not self.queue and place.length:
            self._kept = (place.plan, place.newest_plan, place.position)
        if plan is not None:
            self._choose_plan(plan)
            wanted["position"] = self._places.get((plan, self.everyone), 0)
        super().enter(**wanted)

    def _choose_plan(self, plan: str) -> None:
        """Another plan starts where one was in it, without a filter."""
        now = self.plan.id if self.plan is not None else ""
        self._places[now, self.everyone] = self.pager.position or 0
        self.choice, self.filter, self.sort, self.seed = plan, "", "", 0

    def usual(self, plans: list[Plan]) -> Plan | None:
        """The plan that is shown where nobody asked for one; called in a thread."""
        return newest_of_teacher(self.home.context, plans)

    def _wanted_plan(self, plans: list[Plan]) -> tuple[Plan | None, str, bool]:
        """The plan to show, the newest one's id, and whether it is another than where the reviewer was."""
        by_id = {plan.id: plan for plan in plans}
        newest = self.usual(plans)
        newest_id = newest.id if newest is not None else ""
        if self.choice is not None:
            return by_id.get(self.choice), newest_id, False
        if self._kept is None:
            return newest, newest_id, False
        kept, then, _ = self._kept
        chosen = by_id.get(kept) if then == newest_id else newest
        return chosen, newest_id, (chosen.id if chosen is not None else "") != kept

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        plans = plans_of(self.home.context)
        plan, newest, afresh = self._wanted_plan(plans)
        shown = None if self.similar else plan
        if afresh:
            wanted = wanted | {"filter": "", "sort": "", "seed": 0}
        if shown is not None:
            wanted = wanted | {"plan": shown.id, "everyone": self.everyone, "seed": 0}
            wanted |= {"model": shown.locked.model} if self.name_ == "audit" else {}
        found = super()._open(wanted, old)
        progress = progress_of(self.home.context, shown) if shown is not None else None
        found[1][EXTRA] = Chosen(plans, shown, progress, newest, afresh)
        return found

    def _opened(self, found: Opened) -> None:
        chosen: Chosen = found[1].pop(EXTRA)
        if chosen.afresh:
            self.filter, self.sort, self.seed, self.resumed = "", "", 0, False
            if self._kept is not None and self.wanted_position == self._kept[2]:
                self.wanted_position = 0
        self._kept = None
        self.plans, self.plan, self._newest = chosen.plans, chosen.plan, chosen.newest
        self.progress = chosen.progress
        self.stood(chosen.progress, said=False)
        super()._opened(found)

    def note_place(self, place: Place) -> None:
        """With the plan."""
        super().note_place(place)
        if self.queue and not self.similar:
            place.plan = self.plan.id if self.plan is not None else ""
            place.newest_plan = self._newest

    def _notes(self) -> tuple[Part, ...]:
        others = self.plan is not None and self.everyone and self.plan.locked.reviewers
        return (*super()._notes(), (1, "everyone's" if others else ""))

    # ---- how it stands
    def stood(self, progress: Progress | None, *, said: bool = True) -> None:
        """The audit was counted; ``said``: what is new may be said."""

    def count_soon(self) -> None:
        """Count the audit again, behind what the reviewer waits for."""
        if self.plan is None:
            return
        if self._counting:
            self._count_again = True
            return
        self._counting = True
        self.set_timer(SETTLE, self._count)

    def _count(self) -> None:
        plan, context = self.plan, self.home.context
        if plan is None:
            self._counting = False
            return

        def counted_(progress: Progress | None) -> None:
            self._counted()
            if plan is self.plan:
                self.progress = progress
                self.stood(progress)
                self.renote()

        def failed(_: SpiritsafeError) -> None:
            self._counted()  # the act itself says what is wrong with the hub

        self.home.work(lambda: progress_of(context, plan), counted_, failed=failed)

    def _counted(self) -> None:
        self._counting, again, self._count_again = False, self._count_again, False
        if again:
            self.count_soon()

    def taken_back(self, kind: str, what: dict[str, Any]) -> None:
        super().taken_back(kind, what)
        self.count_soon()

    # ---- keys
    def action_plan(self) -> None:
        """``P``"""
        plans = self.plans
        if not plans:
            self.tell("no audit plan is locked: home, stage audit, r locks one")
            return
        names = [ALL, *(str(plan.number) for plan in plans)]
        self.ask(
            f"plan {'1' if len(plans) == 1 else f'1–{len(plans)}'} or all (Enter alone lists them):",
            self._plan_typed,
            complete=lambda text, column: [n for n in names if n.startswith(text[:column])],
        )

    def _plan_typed(self, text: str) -> None:
        word = text.strip().lower()
        by_number = {str(plan.number): plan for plan in self.plans}
        if not word:
            context, plans = self.home.context, self.plans
            self.home.work(
                lambda: plans_page(plans, [progress_of(context, p) for p in plans]), self.show_page
            )
        elif word in ("all", ALL):
            self._show_plan("")
        elif word in by_number:
            self._show_plan(by_number[word].id)
        else:
            self._no_plan(text.strip())

    def _no_plan(self, named: str) -> None:
        """In the line that asked for it, or in the footer where ``:plan 7`` was typed."""
        key = actions.key_of(f"{'settle' if self.name_ == 'adjudicate' else 'audit'}.plan", self.home.table)
        self.refuse(f"no plan {named!r}; {key} and Enter lists them")

    def _show_plan(self, plan: str) -> None:
        self.similar = self.like = ""
        self._left.clear()
        self.enter(plan=plan)

    def _typed_to_app(self, word: str, rest: str) -> bool:
        if word == "plan":
            self._plan_typed(rest) if rest else self.action_plan()
        elif word == "everyone":
            self._toggle_everyone()
        else:
            return super()._typed_to_app(word, rest)
        return True

    def _toggle_everyone(self) -> None:
        if self.plan is None or not self.plan.locked.reviewers:
            self.tell("no samples are assigned here: everybody sees all of them")
            return
        self._places[self.plan.id, self.everyone] = self.pager.position or 0
        self.everyone = not self.everyone
        self.enter(position=self._places.get((self.plan.id, self.everyone), 0))

    def action_order(self) -> None:
        """``o``: a draw has its own random order."""
        if self.plan is not None:
            self.tell("a plan's samples stand in the random order of their draw")
        else:
            super().action_order()


def plans_page(plans: list[Plan], standings: list[Progress | None]) -> str:
    """All plans with their standing, as a page."""
    told = [
        plan_text(found) if found is not None else f"plan {plan.number}: {plan.about}\n(its standing: the owner sees it)"
        for plan, found in zip(plans, standings, strict=True)
    ]  # fmt: skip
    more = "P and a number shows a plan's samples, P and all shows all outputs."
    return "\n\n".join(["audit plans, oldest first\n", *told, more])
