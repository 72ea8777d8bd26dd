"""``ga``: the teacher's outputs, one key each."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from console.screens.queue import Row, number, two_columns
from console.screens.review import Review
from console.text import fit, line
from console.widgets.detail import Section


class Audit(Review):
    """Prompt and output; token confidence where logprobs exist; checks and source after the verdict."""

    name_: ClassVar[str] = "audit"

    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (prompt, output) = row
        head = number(position, self.pager.length) + " "
        if self.has_class("wide"):  # the detail beside it shows both
            return head + line(prompt, width - len(head))
        return head + two_columns(prompt, output, width - len(head))

    def titles(self, width: int) -> str:
        size = len(f"{self.pager.length:,}")
        if self.has_class("wide"):
            return f"{'#':>{size}} prompt"
        return f"{'#':>{size}} {fit('prompt', max(8, (width - size - 4) * 45 // 100))} │ output"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        prompt, output = detail["prompt"], detail["outputs"][0]
        found = [Section("prompt", prompt["messages"] or prompt["text"])]
        found.append(Section("output", output["text"], tokens=tokens_of(output["logprobs"])))
        if prompt["reference"] is not None:
            found.append(Section("reference", prompt["reference"]))
        return [*found, self.about(detail)]

    def heading(self) -> str:
        t, queue = self.tally, self.queue
        parts = [f"audit · {queue['reviewed']:,} of {queue['length']:,} judged"]
        parts += [f"filter {self.filter}"] if self.filter else []
        parts += ["random order"] if self.seed else []
        parts.append(f"ok {t.get('ok', 0)} bad {t.get('bad', 0)} unsure {t.get('unsure', 0)}{self.pace()}")
        return " · ".join([*parts, self.home.project, self.spec["model"]])


def tokens_of(logprobs: str | None) -> tuple[tuple[str, float], ...]:
    """(token, logprob) of an output, as OpenAI's chat shape holds them."""
    if not logprobs:
        return ()
    found = msgspec.json.decode(logprobs)
    return tuple((t["token"], float(t["logprob"])) for t in found.get("content") or [])
