"""How a check is run over a batch of outputs: in this process, by a hook's, or by asking a judge.

To add a kind that needs more than (output, reference, options): a runner here and a line in ``RUNNERS``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.clean.checks import checked, length
from engine.clean.outcome import Check, Result, refuse_unknown
from engine.evaluate.answers import codes_of, decoded
from store import read
from store.errors import InputError

if TYPE_CHECKING:
    from engine.clean.hooks import Hook
    from engine.clean.judge import Judge
    from engine.context import Context
    from engine.teacher.endpoint import Teacher

OF_MEANING = frozenset({"number", "exact", "labels"})  # they see the label that a code stands for


@dataclass(frozen=True, slots=True)
class Batch:
    """Some outputs of one model, as columns; ``prompts`` is empty where no runner asked for them."""

    model: str
    keys: list[int]
    texts: list[str]
    references: list[str | None]
    tokens: list[int | None]
    prompts: list[str]


class Runner(Protocol):
    """One check over batches; ``slow``: outputs are gathered before it starts, instead of streamed."""

    label: str
    slow: bool
    needs_prompts: bool

    def results(self, batch: Batch) -> Sequence[Result | None]:
        """A result for each output, None where it could not be had: that output stays unchecked."""

    def rests_on(self) -> dict[str, Any] | None:
        """What its results rest on beside contract and options."""

    def told(self) -> dict[str, Any] | None:
        """What the run records of it beside the counts."""

    def carry_on(self, told: dict[str, Any]) -> None:
        """Go on from what an earlier part of the run recorded."""


class _Counted:
    """A runner of which the counts say everything."""

    def rests_on(self) -> dict[str, Any] | None:
        """Nothing."""
        return None

    def told(self) -> dict[str, Any] | None:
        """Nothing."""
        return None

    def carry_on(self, told: dict[str, Any]) -> None:
        """Nothing was told."""


class Plain(_Counted):
    """A check of the table ``CHECKS``, which needs nothing but the batch: it may run in another process as well."""

    slow = needs_prompts = False

    def __init__(self, check: Check, codes: Mapping[str, str]) -> None:
        """``codes``: code → label. Raises InputError for an unknown kind or a wrong option."""
        self.label, self.check, self._asked = check.label, check, checked(check)
        self._codes = dict(codes) if check.kind in OF_MEANING else {}
        self._counts = check.kind == "length" and check.options.get("unit") == "tokens"

    def results(self, batch: Batch) -> Sequence[Result]:
        """In this process."""
        if self._counts:
            return [length("", None, self.check.options, tokens) for tokens in batch.tokens]
        texts = [decoded(text, self._codes) for text in batch.texts] if self._codes else batch.texts
        check = self._asked
        return [check(text, reference) for text, reference in zip(texts, batch.references, strict=True)]


class Hooked(_Counted):
    """The owner's own file."""

    slow, needs_prompts = False, True

    def __init__(self, context: Context, check: Check, stack: contextlib.ExitStack) -> None:
        from engine.clean.hooks import Hook

        self.label = check.label
        self._hook: Hook = stack.enter_context(Hook(check, (Path.cwd(), context.store.path.parent)))

    def results(self, batch: Batch) -> Sequence[Result]:
        """In the hook's process."""
        return self._hook.results(list(zip(batch.texts, batch.references, batch.prompts, strict=True)))

    def rests_on(self) -> dict[str, Any]:
        """The file, by its hash."""
        return {"check": self.label, "hook": self._hook.path.name, "sha256": self._hook.sha256}

    def told(self) -> dict[str, Any]:
        """Which file it was, and how often its process had to be started again."""
        return self.rests_on() | {"deaths": self._hook.deaths}


class Judged(_Counted):
    """Another model."""

    slow = needs_prompts = True

    def __init__(self, context: Context, check: Check, stack: contextlib.ExitStack) -> None:
        from engine.clean.judge import REFERENCE, Judge

        del stack
        self.label, self._context = check.label, context
        self._judge: Judge = Judge(check, context.contract().teacher)
        if self._judge.against != REFERENCE:
            context.model("teacher", self._judge.against)  # any role: the name decides
        self._others: dict[str, dict[int, str]] = {}

    def results(self, batch: Batch) -> Sequence[Result | None]:
        """By asking; what was answered before comes from the journal."""
        from engine.clean.judge import Case

        others = self._others_of(batch)
        cases = [
            Case(key, prompt, text, reference, other)
            for key, prompt, text, reference, other in zip(
                batch.keys, batch.prompts, batch.texts, batch.references, others, strict=True
            )
        ]
        found = self._judge.results(cases, self._journal, cancel=self._context.stopped)
        return [found.get(key) for key in batch.keys]

    def _others_of(self, batch: Batch) -> list[str | None]:
        from engine.clean.judge import REFERENCE

        if self._judge.mode != "pairwise" or self._judge.against == REFERENCE:
            return batch.references
        if batch.model not in self._others:
            self._others[batch.model] = self._matched(batch.model, self._judge.against)
        return [self._others[batch.model].get(key) for key in batch.keys]

    def _matched(self, model: str, against: str) -> dict[int, str]:
        """Output key of ``model`` → the first answer of ``against`` to the same prompt."""
        asked = [
            self._context.store.ask(read.GIVEN, project=self._context.project, model=name, split=None)
            for name in (against, model)
        ]
        theirs = {row.prompt_id: row.text for row in reversed(asked[0])}
        return {row.output_key: theirs[row.prompt_id] for row in asked[1] if row.prompt_id in theirs}

    def _journal(self, teacher: Teacher) -> Path:
        folder = self._context.store.path.with_name(self._context.store.path.name + ".journals")
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{self._context.project}-judge-{teacher.fingerprint()[:16]}.jsonl"

    def told(self) -> dict[str, Any]:
        """Who judged, and how often the orders disagreed."""
        return self._judge.told()

    def carry_on(self, told: dict[str, Any]) -> None:
        """The counts go on."""
        self._judge.carry_on(told)


RUNNERS: dict[str, Callable[[Context, Check, contextlib.ExitStack], Runner]] = {
    "hook": Hooked,
    "judge": Judged,
}


NEEDED = {"hook": "file", "judge": "criterion"}  # an option that such a check cannot do without


def complaint(check: Check) -> str:
    """What is wrong with a check's kind or options, "" where nothing is: for who locks a contract.

    Needs neither outputs nor the hook's file nor an endpoint.

    >>> complaint(Check("regex", {"pattern": "("})), complaint(Check("judge", {"criterion": "It is polite."}))
    ("not a regular expression: '(': missing ), unterminated subpattern at position 0", '')
    """
    from engine.clean import hooks, judge

    try:
        if check.kind not in RUNNERS:
            checked(check)
            return ""
        refuse_unknown(check.kind, check.options, {"hook": hooks.OPTIONS, "judge": judge.OPTIONS}[check.kind])
    except InputError as error:
        return error.what
    needed = NEEDED[check.kind]
    return "" if check.options.get(needed) else f"the check {check.kind} has no {needed}"


def runner_of(context: Context, check: Check, stack: contextlib.ExitStack) -> Runner:
    """A check, ready to run; ``stack`` ends what it started. Raises InputError for an unknown kind or a wrong option."""
    if check.kind not in RUNNERS:
        return Plain(check, codes_of(context.contract()))
    return RUNNERS[check.kind](context, check, stack)
