"""``ga``: the teacher's outputs, one key each; by a locked plan its draw, with what the audit says so far."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from console.screens.by_plan import ByPlan
from console.screens.queue import Opened
from console.standings import Progress, header_parts
from console.text import counted
from console.widgets.bar import Part
from console.widgets.detail import Section
from store.errors import SpiritsafeError

LAST_ROW = "that was the last row; [ goes to the previous one that you have not judged"


class Audit(ByPlan):
    """Prompt and output; token confidence where logprobs exist; checks and source after the verdict."""

    name_: ClassVar[str] = "audit"

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Part] = []  # of the header of a plan, as it was counted last
        self._verdicts: dict[str, str] = {}  # plan → its verdict as it was said or seen
        self._grown_from: int | None = None  # the queue is opened again because it grew: rows before

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        prompt, output = detail["prompt"], detail["outputs"][0]
        found = [Section("prompt", prompt["messages"] or prompt["text"])]
        found.append(
            Section(
                "output" + self.meant(output["text"]), output["text"], tokens=tokens_of(output["logprobs"])
            )
        )
        if prompt["reference"] is not None:
            found.append(Section("reference", prompt["reference"]))
        return [*found, self.about(detail)]

    # ---- the header
    def heading(self) -> str | list[Part]:
        """Of a plan what the audit says, as counted last: it changes once a verdict. Else counts, and no rate."""
        t, queue = self.tally, self.queue
        if self.plan is not None and self._parts:
            return self._parts
        parts = [f"audit · {queue['reviewed']:,} of {queue['length']:,} judged"]
        parts += [f"filter {self.filter}"] if self.filter else []
        parts += ["random order"] if self.seed else []
        parts.append(f"ok {t.get('ok', 0)} bad {t.get('bad', 0)} unsure {t.get('unsure', 0)}{self.pace()}")
        return " · ".join([*parts, self.home.project, self.spec["model"]])

    def stood(self, progress: Progress | None, *, said: bool = True) -> None:
        """Say once that the plan has its verdict; judging may go on."""
        self._lay_out_parts(progress)
        if progress is None:
            return
        found, plan = progress.standing, progress.plan
        before = self._verdicts.get(plan.id, "insufficient" if said else found.verdict)
        self._verdicts[plan.id] = found.verdict
        if found.verdict not in (before, "insufficient") and not self.has_class("asking"):
            self.tell(f"plan {plan.number} {VERDICTS[found.verdict]}: {found.why}")

    def _lay_out_parts(self, progress: Progress | None) -> None:
        """The header's parts; without a standing (the hub keeps it from who judges blind) one's own counts."""
        if self.plan is None:
            self._parts = []
            return
        length, reviewed = self.queue.get("length", 0), self.queue.get("reviewed", 0)
        shared = bool(self.plan.locked.reviewers) and not self.everyone
        notes = [f"filter {self.filter}"] if self.filter else []
        if progress is None:
            own = f"{reviewed:,} of {length:,} judged"
            self._parts = [(0, f"audit by plan {self.plan.number}"), (0, own), *((1, note) for note in notes)]
            return
        mine = f"yours {reviewed:,}/{length:,}" if shared else ""
        width = (self.size.width or self.app.size.width) - sum(len(note) + 3 for note in notes)
        pace = self.pace().removeprefix(" · ")
        self._parts = header_parts(progress, width, mine=mine, pace=pace)
        self._parts[1:1] = [(1, note) for note in notes]

    def lay_out(self, width: int) -> None:
        """Other words where they fit."""
        super().lay_out(width)
        if self.queue and self.plan is not None:
            self._lay_out_parts(self.progress)
            self.renote()

    # ---- judging
    def _judged(self, at: int, payload: dict[str, Any], found: dict[str, Any]) -> None:
        super()._judged(at, payload, found)
        if self.plan is None:
            return
        self.count_soon()
        bad_prompt = payload["verdict"] == "bad" and payload.get("reason") in self.plan.replaced
        if at + 1 >= self.pager.length:
            self._look_for_more(at)
        elif bad_prompt:
            self.tell("the prompt itself is bad: another sample is drawn, at the end of the queue")

    def _look_for_more(self, at: int) -> None:
        """Behind the last row: samples that replace others have joined the draw meanwhile."""
        if self.filter or self.sort:
            return
        spec, queue, store, length = self.spec, self.queue.get("id"), self.home.store, self.pager.length

        def ask() -> int:
            again = store.call("open_queue", spec=spec)
            store.call("close_queue", queue=again["id"])
            return int(again["length"])

        def told(now: int) -> None:
            if queue == self.queue.get("id") and now > length and self.pager.position == at:
                self._grown_from = self.wanted_position = length
                self._reopen()

        self.home.work(ask, told, failed=self._no_more)

    def _no_more(self, _: SpiritsafeError) -> None:
        """What the hub says of it comes again with the next key."""

    def _opened(self, found: Opened) -> None:
        before, self._grown_from = self._grown_from, None
        super()._opened(found)
        self._lay_out_parts(self.progress)
        self.renote()
        if before is not None and self.queue["length"] > before:
            joined = counted(self.queue["length"] - before, "sample")
            self.tell(f"{joined} joined the draw, in place of bad prompts")


VERDICTS = {"pass": "passes", "fail": "fails"}


def tokens_of(logprobs: str | None) -> tuple[tuple[str, float], ...]:
    """(token, logprob) of an output, as OpenAI's chat shape holds them."""
    if not logprobs:
        return ()
    found = msgspec.json.decode(logprobs)
    return tuple((t["token"], float(t["logprob"])) for t in found.get("content") or [])
