"""``gx``: where student and teacher differ by the metric; two unnamed answers, and which is better."""

from __future__ import annotations

from typing import Any, ClassVar

from console.screens.queue import Opened, Row, number
from console.screens.take import Take
from console.text import fit, line
from console.widgets.detail import Range, Section
from console.widgets.diff import inline, side_by_side, word_diff

MODES = ("below", "side", "diff")


class Disagreements(Take):
    """Left and right are teacher and student in random order; which is which shows after the verdict."""

    name_: ClassVar[str] = "disagreements"

    def __init__(self) -> None:
        super().__init__()
        self.mode = 0
        self.cells = ""

    def _open(self, wanted: dict[str, Any], old: str) -> Opened:
        found = super()._open(wanted, old)
        spec = found[0]
        rows = self.home.store.call(
            "slice_counts", project=self.home.project, run_id=spec["run_id"], metric=spec["metric"],
            teacher=spec["teacher"], student=spec["model"], predicates=[""],
        )  # fmt: skip
        n, _, _, both, teacher, student = rows[0]
        neither = n - both - teacher - student
        self.cells = f"right: teacher {teacher:,} · student {student:,} · both {both:,} · neither {neither:,}"
        return found

    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (prompt, left, right) = row
        head = number(position, self.pager.length) + " "
        if self.has_class("wide"):  # the detail beside it shows both answers
            return head + line(prompt, width - len(head))
        third = max(6, (width - len(head) - 6) // 3)
        ends = [line(last_words(text) + self.meant(text), third) for text in (left, right)]
        return f"{head}{fit(line(prompt, third), third)} │ {fit(ends[0], third)} │ {ends[1]}"

    def titles(self, width: int) -> str:
        size = len(f"{self.pager.length:,}")
        if self.has_class("wide"):
            return f"{'#':>{size}} prompt"
        third = max(6, (width - size - 7) // 3)
        return f"{'#':>{size}} {fit('prompt', third)} │ {fit('left ends', third)} │ right ends"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        prompt, (left, right) = detail["prompt"], detail["outputs"]
        names = [f"left: {left['model']} ({left['role']})", f"right: {right['model']} ({right['role']})"]
        names = names if detail["revealed"] else ["left", "right"]
        names = [name + self.meant(one["text"]) for name, one in zip(names, (left, right), strict=True)]
        found = [Section("prompt", prompt["messages"] or prompt["text"])]
        if MODES[self.mode] == "below":
            found += [Section(names[0], left["text"]), Section(names[1], right["text"])]
        elif MODES[self.mode] == "side":
            found.append(beside(" │ ".join(names), left["text"], right["text"]))
        else:
            text, ranges = inline(word_diff(left["text"], right["text"]))
            found.append(Section(f"{names[0]} [-…-]   {names[1]} {{+…+}}", text, ranges=ranges))
        if prompt["reference"] is not None:
            found.append(Section("reference", prompt["reference"]))
        return [*found, self.about(detail)]

    def action_diff(self) -> None:
        """``d``"""
        self.mode = (self.mode + 1) % len(MODES)
        self._show()

    def action_judge_bad(self, reason: int) -> None:
        """A digit: both are bad, for that reason."""
        self.action_judge("neither", reason)

    def heading(self) -> str:
        queue = self.queue
        parts = [f"disagreements · {queue['reviewed']:,} of {queue['length']:,} judged{self.pace()}"]
        parts.append(f"filter {self.filter}" if self.filter else self.cells)
        return " · ".join([*parts, self.home.project])

    def empty(self) -> str:
        return f"On no prompt do {self.spec['teacher']} and {self.spec['model']} differ by {self.spec['metric']}."


def beside(title: str, left: str, right: str) -> Section:
    """Two texts side by side with their differing words marked, at whatever width there is."""

    def layout(width: int) -> tuple[str, tuple[Range, ...]]:
        return "\n".join(side_by_side(word_diff(left, right), width)), ()

    return Section(title, f"{left}\n\n{right}", layout=layout)


def last_words(text: str) -> str:
    """The end of an answer, where the answer usually is: its last line."""
    lines = [piece for piece in text.strip().splitlines() if piece.strip()]
    return lines[-1] if lines else ""
