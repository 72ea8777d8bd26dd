"""``ga``: the teacher's outputs, one key each."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from console.screens.review import Review, Row, two_columns
from console.text import fit
from console.widgets.detail import Section


class Audit(Review):
    """Prompt and output; token confidence where logprobs exist; checks and source after the verdict."""

    name_: ClassVar[str] = "audit"

    def row_line(self, row: Row, width: int) -> str:
        position, _, _, (prompt, output) = row
        return f"{position + 1:>9,} " + two_columns(prompt, output, width - 10)

    def titles(self, width: int) -> str:
        first = max(8, (width - 13) * 45 // 100)
        return fit("#", 9).rjust(9) + " " + fit("prompt", first) + " │ output"

    def sections(self, detail: dict[str, Any]) -> list[Section]:
        prompt, output = detail["prompt"], detail["outputs"][0]
        found = [Section("prompt", prompt["messages"] or prompt["text"])]
        found.append(Section("output", output["text"], tokens=tokens_of(output["logprobs"])))
        if prompt["reference"] is not None:
            found.append(Section("reference", prompt["reference"]))
        return [*found, Section("about", self.about(detail))]

    def heading(self) -> str:
        t, queue = self.tally, self.queue
        order = "random order" if self.seed else "order of arrival"
        parts = [f"{self.home.project} · audit of {self.spec['model']}", f"{queue['reviewed']:,} of {queue['length']:,} judged"]
        parts.append(f"ok {t.get('ok', 0)}  bad {t.get('bad', 0)}  unsure {t.get('unsure', 0)}{self.per_hour()}")
        parts.append(self.filter or order)
        return " · ".join(parts)


def tokens_of(logprobs: str | None) -> tuple[tuple[str, float], ...]:
    """(token, logprob) of an output, as OpenAI's chat shape holds them."""
    if not logprobs:
        return ()
    found = msgspec.json.decode(logprobs)
    return tuple((t["token"], float(t["logprob"])) for t in found.get("content") or [])
