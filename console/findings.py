"""What ``spiritsafe doctor`` finds: one line each, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``part``: which part was looked at; ``where``: at what in it; ``what`` was found; ``todo``: what helps."""

    state: State
    part: str
    where: str
    what: str
    todo: str = ""


class Part:
    """Makes the findings of one part."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ok(self, where: str, what: str, todo: str = "") -> Finding:
        """All is well, or it is only said."""
        return Finding("ok", self.name, where, what, todo)

    def warning(self, where: str, what: str, todo: str = "") -> Finding:
        """It works, and something of it will not."""
        return Finding("warning", self.name, where, what, todo)

    def problem(self, where: str, what: str, todo: str = "") -> Finding:
        """It does not work."""
        return Finding("problem", self.name, where, what, todo)
