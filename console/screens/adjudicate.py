"""``gj``: conflicts between reviewers, and what somebody was unsure of: settled by one person, for good, names hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from console import actions
from console.audit_words import Option, option_lines, reason_names
from console.screens.by_plan import ALL, ByPlan
from console.screens.queue import Opened
from console.standings import Plan
from console.text import counted
from console.widgets.bar import Part
from console.widgets.detail import Section
from store import read
from store.errors import RuleError, SpiritsafeError
from store.queue_letters import LETTERS, letter

COUNTED = "conflicts"  # in a queue that was opened: how many there are, settled and not
ESCALATED = LETTERS["escalate"]  # the mark of what was left to somebody else


class Adjudicate(ByPlan):
    """The options first, numbered; then prompt, output, reference."""

    name_: ClassVar[str] = "adjudicate"
    act_kind: ClassVar[str] = "adjudicate"
    words: ClassVar[tuple[str, ...]] = ("plan",)

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[int, str] = {}
        self.conflicts = read.Conflicts(0, 0, 0, 0)
        self._began_in_text = False

    # ---- which conflicts
    def usual(self, plans: list[Plan]) -> Plan | None:
        """The plan that the audit room shows, where it shows one."""
        audit = self.home.rooms.get("audit")
        if isinstance(audit, ByPlan) and audit.queue:
            return audit.plan
        return super().usual(plans)

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        self.reasons = self.reasons or reason_names(self.home.context)
        found = super()._open(wanted, old)
        store, spec = self.home.store, found[0]
        named = {"project": spec["project"], "plan": spec.get("plan", ""), "reviewer": self.home.who}
        found[1][COUNTED] = store.ask(read.CONFLICTS, **named)[0]
        return found

    def _opened(self, found: Opened) -> None:
        self.conflicts = found[1].pop(COUNTED)
        super()._opened(found)
        if self.queue["length"] and not self.detail_shown and not self._began_in_text:
            self.action_open()  # the keys are numbers of options, which stand in the text
        self._began_in_text = True

    def heading(self) -> str | list[Part]:
        """The same count for everybody, and what of the rest is not for this reviewer."""
        c = self.conflicts
        settled = f"{c.settled:,} of {c.all:,} settled, for good"
        of = f"plan {self.plan.number}" if self.plan is not None else ALL
        return [(0, "adjudicate"), (0, settled), (0, owed_more(c)), (1, for_others(c)), (1, of),
                (2, f"filter {self.filter}" if self.filter else ""), (3, self.home.project)]  # fmt: skip

    def empty(self) -> str:
        """Nothing to settle, here or anywhere, or not by this reviewer."""
        c = self.conflicts
        if c.owed or c.party:
            return "\n".join(["Nothing is to be settled by you now.", "", *withheld(c)])
        if self.plan is None:
            return "Nothing is to be settled: nobody contradicts anybody, and nobody was unsure."
        key = actions.key_of("settle.plan", self.home.table)
        return (
            f"Nothing is to be settled among the samples of plan {self.plan.number}.\n\n"
            f"{key} and all: conflicts on other samples, if there are any."
        )

    # ---- what is shown
    def sections(self, detail: dict[str, Any]) -> list[Section]:
        prompt, output = detail["prompt"], detail["outputs"][0]
        escalates = actions.key_of("settle.escalate", self.home.table)
        told = option_lines(options_of(detail), detail["unsure"], self.reasons, escalates=escalates)
        found = [
            Section("take one", "\n".join(told)),
            Section("prompt", prompt["messages"] or prompt["text"]),
            Section("output" + self.meant(output["text"]), output["text"]),
        ]
        if prompt["reference"] is not None:
            found.append(Section("reference", prompt["reference"]))
        return [*found, self.about(detail)]

    # ---- settling
    def action_judge(self, verdict: str, reason: int | None = None) -> None:
        """Only with the text on the screen: the options stand there."""
        if self.detail_shown:
            super().action_judge(verdict, reason)
        else:
            opens = actions.key_of("list.open", self.home.table)
            self.tell(f"{opens} opens the text and its numbered options; only there is it settled")

    def action_judge_bad(self, reason: int) -> None:
        """A digit: the option of that number."""
        at = self._seen()
        found = self.details.get(at) if at is not None else None
        if found is None and self.detail_shown:
            self.dropped += 1
            return
        options = options_of(found) if found is not None else []
        if found is not None and reason > len(options):
            self.tell(f"there are {len(options)} options here")
        elif options:
            self.action_judge(options[reason - 1].verdict, options[reason - 1].reason)
        else:
            self.action_judge("ok")  # says that the text comes first

    def _judged(self, at: int, payload: dict[str, Any], found: dict[str, Any]) -> None:
        """Committed: count it, and go on to the next that nobody settled; until then no key settles anything."""
        option = Option(payload["verdict"], payload.get("reason"), 0)
        left = payload["verdict"] == "escalate"
        if not left and found["mark"] in ("", ESCALATED):
            self.conflicts = replace(self.conflicts, settled=self.conflicts.settled + 1)
        self.details.pop(at, None)
        self.pager.mark(at, letter(option.verdict, option.reason))
        self.header.show(self.heading())
        said = f"row {at + 1:,} is left to somebody else" if left else (
            f"row {at + 1:,} settled: {option.named(self.reasons)}. It stays on record: no undo, only another settling"
        )  # fmt: skip
        self.tell(said)
        queue, store = self.queue["id"], self.home.store

        def next_open() -> int | None:
            for start in (at, -1):
                row: int | None = store.call("unreviewed", queue=queue, position=start, step=1)
                if row is not None:
                    return row
            return None

        self.home.work(next_open, lambda row: self._go_on(at, row), failed=self._unjudged)
        self.home.keep_place()

    def _go_on(self, at: int, row: int | None) -> None:
        """To the next that is open; where there is none, stay and judge nothing by itself."""
        self.busy = False
        if row is None:
            self.judged_last = at
            self._fetch(at)
        elif self.pager.position == at:
            self.pager.jump(row)
            if row in self.details:
                self._show()

    def _unjudged(self, error: SpiritsafeError) -> None:
        """Somebody else settled it meanwhile: it goes."""
        super()._unjudged(error)
        if isinstance(error, RuleError):
            self.enter()

    def action_repeat(self) -> None:
        """``.``"""
        self.tell("each conflict is settled by itself")

    def _take_back(self, kind: str) -> None:
        """``u`` and ``ctrl+r``: not here, where they would take back a verdict of another room."""
        self.tell(f"what was settled is never undone; {kind} takes back your own verdicts in their room (ga)")


def owed_more(c: read.Conflicts) -> str:
    """What waits for the reviewer's own verdict.

    >>> owed_more(read.Conflicts(7, 1, 2, 0)), owed_more(read.Conflicts(7, 1, 0, 0))
    ('2 more after your own verdict', '')
    """
    return f"{c.owed:,} more after your own verdict" if c.owed else ""


def for_others(c: read.Conflicts) -> str:
    """What others settle, since one of the verdicts is the reviewer's."""
    return f"{c.party:,} for others: your verdict is in {'it' if c.party == 1 else 'them'}" if c.party else ""


def withheld(c: read.Conflicts) -> list[str]:
    """The same in sentences."""
    told = []
    if c.owed:
        told.append(f"{counted(c.owed, 'conflict')} on samples of yours: judge them first (ga), blind.")
    if c.party:
        told.append(
            f"{counted(c.party, 'conflict')} in which you gave a verdict: somebody else settles them."
        )
    return told


def options_of(found: dict[str, Any]) -> list[Option]:
    """What can be taken of a sample, as the hub lists it; nine at most, as there are digits."""
    return [Option(verdict, reason, count) for verdict, reason, count in found["options"]][:9]
