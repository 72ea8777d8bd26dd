"""``gj``: conflicts between reviewers, and what somebody was unsure of: settled by one person, for good, names hidden."""

from __future__ import annotations

from typing import Any, ClassVar

from console import actions
from console.audit_words import Option, option_lines, reason_names
from console.screens.by_plan import ALL, ByPlan
from console.screens.queue import Opened
from console.standings import Plan
from console.widgets.bar import Part
from console.widgets.detail import Section


class Adjudicate(ByPlan):
    """The options first, numbered; then prompt, output, reference."""

    name_: ClassVar[str] = "adjudicate"
    act_kind: ClassVar[str] = "adjudicate"
    words: ClassVar[tuple[str, ...]] = ("plan",)

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[int, str] = {}
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
        return super()._open(wanted, old)

    def _opened(self, found: Opened) -> None:
        super()._opened(found)
        if self.queue["length"] and not self.detail_shown and not self._began_in_text:
            self.action_open()  # the keys are numbers of options, which stand in the text
        self._began_in_text = True

    def heading(self) -> str | list[Part]:
        queue = self.queue
        settled = f"{queue['reviewed']:,} of {queue['length']:,} settled, for good"
        of = f"plan {self.plan.number}" if self.plan is not None else ALL
        return [(0, "adjudicate"), (0, settled), (1, of), (2, f"filter {self.filter}" if self.filter else ""),
                (3, self.home.project)]  # fmt: skip

    def empty(self) -> str:
        """Nothing to settle, here or anywhere."""
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
            Section("output", output["text"]),
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
        super()._judged(at, payload, found)
        if payload["verdict"] == "escalate":
            self.tell(f"row {at + 1:,} is left to somebody else")
        else:
            option = Option(payload["verdict"], payload.get("reason"), 0)
            said = option.named(self.reasons)
            self.tell(f"row {at + 1:,} settled: {said}. It stays on record: no undo, only another settling")

    def action_repeat(self) -> None:
        """``.``"""
        self.tell("each conflict is settled by itself")

    def _take_back(self, kind: str) -> None:
        """``u`` and ``ctrl+r``: not here, where they would take back a verdict of another room."""
        self.tell(f"what was settled is never undone; {kind} takes back your own verdicts in their room (ga)")


def options_of(found: dict[str, Any]) -> list[Option]:
    """What can be taken of a sample, as the hub lists it; nine at most, as there are digits."""
    return [Option(verdict, reason, count) for verdict, reason, count in found["options"]][:9]
