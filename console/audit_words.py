"""Words of settling a conflict: its options and the names of reasons. Shared by screen and command. No Textual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.text import counted
from store.errors import RuleError

if TYPE_CHECKING:
    from engine.context import Context


@dataclass(frozen=True, slots=True)
class Option:
    """A verdict that can be taken, and how many reviewers gave it."""

    verdict: str
    reason: int | None
    count: int

    def named(self, reasons: Mapping[int, str]) -> str:
        """In words.

        >>> Option("bad", 1, 2).named({1: "wrong"}), Option("ok", None, 1).named({})
        ('bad: wrong', 'ok')
        """
        if self.reason is None:
            return self.verdict
        return f"{self.verdict}: {reasons.get(self.reason, f'reason {self.reason}')}"


def option_lines(
    options: Sequence[Option], unsure: int, reasons: Mapping[int, str], *, escalates: str = "z"
) -> list[str]:
    """The options with their digits.

    >>> for told in option_lines([Option("ok", None, 2), Option("bad", 1, 1)], 1, {1: "wrong"}):
    ...     print(told)
    1  ok (2 said so)
    2  bad: wrong (1 said so)
    z  leave it to somebody else; 1 reviewer was unsure
    """
    told = [
        f"{digit}  {option.named(reasons)} ({f'{option.count} said so' if option.count else 'nobody said so'})"
        for digit, option in enumerate(options, 1)
    ]
    more = f"; {counted(unsure, 'reviewer')} {'was' if unsure == 1 else 'were'} unsure" if unsure else ""
    return [*told, f"{escalates}  leave it to somebody else{more}"]


def reason_names(context: Context) -> dict[int, str]:
    """Digit → name, as the contract has them, else the usual ones."""
    from engine.contract_records import REASONS

    try:
        reasons = context.contract().reasons
    except RuleError:
        reasons = REASONS
    return {reason.digit: reason.name for reason in reasons}
