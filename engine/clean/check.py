"""Stage ``check``: the contract's automatic checks over outputs.

Outputs come from the hub in pieces and results go back in pieces, so that memory does not grow with their number (a
judge's outputs are gathered first: its calls take hours). What is done is closed in parts; a run that was stopped
or killed goes on behind its last part when the same checks are asked for again.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.clean.check_apart import Apart, cores
from engine.clean.check_stream import (
    Rows,
    among,
    batch_of,
    column_names,
    drawn,
    in_batches,
    slices_of,
    stream,
)
from engine.clean.check_tally import Tally
from engine.clean.checks import refuse_twins
from engine.clean.outcome import Check, Said
from engine.clean.runners import Batch, Plain, Runner, runner_of
from engine.context import Context
from engine.evaluate.answers import codes_of
from engine.stages import as_mapping, option
from store.acts import exact
from store.canonical import digest_of
from store.errors import Cancelled, EndpointError, InputError
from store.records import ROW_GROUP

if TYPE_CHECKING:
    import pyarrow as pa

    from store.client import Run

BATCH, SLOW_BATCH = 4_000, 250  # outputs between two looks at the clock and at a wish to stop
PART_ROWS = 250_000  # outputs of a part,
PART_SECONDS = 60.0  # or the time after which it is closed
APART_FROM = 20_000  # outputs of a model from which plain checks go to processes of their own, one a core
WAIT_SECONDS = 0.5  # between two looks at a wish to stop while they work


@dataclass(frozen=True, slots=True)
class Params:
    """What to check; the contract's checks unless one is named here."""

    model: tuple[str, ...] = option((), "only these models (default: the teacher)")
    all_models: bool = option(False, "every model")
    kind: str = option("", "one check instead of the contract's: number, exact, refusal, pii, …")
    name: tuple[str, ...] = option((), "only the contract's checks of these names")
    sample: int = option(0, "only so many outputs of each model, drawn by their ids; 0: all")
    seed: int = option(0, "of the draw")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Check. Result: per model and check how many passed of how many (with an interval for a sample), per slice, judges."""
    checks = _wanted(context, params)
    models = [context.model("teacher", name) for name in params.model]  # any role: the name decides
    if params.all_models:
        models = [m.model for m in context.models()]
    models = models or [context.model("teacher")]
    with contextlib.ExitStack() as stack:
        runners = [runner_of(context, check, stack) for check in checks]
        refuse_twins(checks)
        slices = {s.name: s.where for s in context.contract().gate.slices if s.where.strip()}
        work = _Work(context, params, checks, runners, slices, stack)
        work.go_on()
        try:
            for model in models:
                work.check(model)
        except (Cancelled, EndpointError):
            work.close_part()
            raise
        return work.close()


def _wanted(context: Context, params: Params) -> list[Check]:
    contract = context.contract()
    checks = [Check(c.kind, dict(c.options), c.name) for c in contract.checks]
    if params.kind:
        options = dict(contract.task.metric_options) if params.kind == contract.task.metric else {}
        return [Check(params.kind, options)]
    known = [check.label for check in checks]
    if unknown := [name for name in params.name if name not in known]:
        raise InputError(
            f"the contract has no check {unknown[0]!r}", todo="It has: " + (", ".join(known) or "none")
        )
    checks = [check for check in checks if not params.name or check.label in params.name]
    if not checks:
        raise InputError(
            "the contract names no checks", where="contract", todo="Add [[checks]], or give --kind."
        )
    return checks


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch on its way: what its plain checks say comes from another process, None where they run here."""

    table: pa.Table
    batch: Batch
    plain: Future[list[Said]] | None


@dataclass(slots=True)
class _Work:
    """A check run under way: the part that is open, what was counted, how far it came."""

    context: Context
    params: Params
    checks: list[Check]
    runners: list[Runner]
    slices: dict[str, str]  # of the gate: name, predicate
    stack: contextlib.ExitStack  # ends what was started
    apart: Apart | None = None
    asked: deque[_Asked] = field(default_factory=deque)
    tally: Tally = field(default_factory=Tally)
    opened: Run | None = None
    waiting: Rows = field(default_factory=Rows)
    finished: list[str] = field(default_factory=list)  # models
    model: str = ""
    through: int = 0  # the last output of it that was checked
    rows: int = 0  # outputs of the open part
    began: float = 0.0
    done: int = 0  # outputs of the model, those of earlier parts included
    before: dict[str, int] = field(default_factory=dict)  # outputs by model that earlier parts had

    # ---- parts
    def inputs(self) -> dict[str, Any]:
        """What the results rest on: the contract, the checks as they were asked for, the hooks' files."""
        hooks = [told for told in (runner.rests_on() for runner in self.runners) if told]
        checks = digest_of([[c.kind, c.label, exact(dict(c.options))] for c in self.checks])
        return {"contract": self.context.locked().hash, "checks": checks, "hooks": hooks}

    def go_on(self) -> None:
        """Take up where the newest run stopped, if it stopped at the same work."""
        last = next(reversed(self.context.runs("check")), None)
        part = None if last is None else last.result.get("part")
        if last is None or part is None or last.inputs != self.inputs():
            return
        if last.params == dict(as_mapping(self.params)):
            self.tally = Tally.of(last.result)
            self.before = self.tally.outputs()
            self.finished, self.model, self.through = part["finished"], part["model"], int(part["through"])
            for told in last.result["judges"]:
                next(r for r in self.runners if r.label == told["check"]).carry_on(told)

    def _result(self) -> dict[str, Any]:
        told = [one for one in (runner.told() for runner in self.runners) if one]
        return self.tally.told(sample=bool(self.params.sample)) | {
            "sample": self.params.sample,
            "resumed": bool(self.before),
            "before": self.before,
            "judges": [one for one in told if "judge" in one],
            "hooks": [one for one in told if "hook" in one],
        }

    def close_part(self) -> None:
        """Close what was checked so far, so that it counts and the next run goes on behind it."""
        if self.opened is not None and self.rows:
            part = {"finished": list(self.finished), "model": self.model, "through": self.through}
            self.waiting.hand_over(self.opened)
            self.opened.close(self._result() | {"part": part})
        self.opened, self.rows = None, 0

    def close(self) -> dict[str, Any]:
        """Close the last part; the result of all."""
        result = self._result()
        self.waiting.hand_over(self._part())
        self._part().close(result)
        return result

    def _part(self) -> Run:
        if self.opened is None:
            self.opened = self.context.open("check", dict(as_mapping(self.params)), self.inputs())
            self.began = time.monotonic()
        return self.opened

    # ---- one model
    def check(self, model: str) -> None:
        """All outputs of a model, those behind ``through`` where a part says so."""
        if model in self.finished:
            return
        if model != self.model:
            self.model, self.through = model, 0
        self.done = self.tally.outputs().get(model, 0)
        chosen = drawn(self.context, model, self.params) if self.params.sample else None
        total = (
            next(m.outputs for m in self.context.models() if m.model == model)
            if chosen is None
            else len(chosen)
        )
        gathered: list[pa.Table] = []
        slow = any(runner.slow for runner in self.runners)
        self._begin_apart(total)

        def take(table: pa.Table) -> None:
            found = among(table, chosen, self.through)  # a part had the rest, or the stream began anew
            if slow:
                gathered.append(found)
            else:
                self._take(found, total, BATCH)

        def again() -> None:
            gathered.clear()
            self.asked.clear()  # they come once more

        names = [*column_names(prompts=self._prompts()), *self.slices.values()]
        stream(self.context, model, names, take, again)
        for table in gathered:
            self._take(table, total, SLOW_BATCH)
        while self.asked:
            self._settle(total)
        self.finished.append(model)

    def _begin_apart(self, total: int) -> None:
        """Processes for the plain checks, where there are outputs and cores enough."""
        plain = [runner.check for runner in self.runners if isinstance(runner, Plain)]
        if self.apart is None and plain and total >= APART_FROM and cores() > 1:
            codes = codes_of(self.context.contract())
            self.apart = self.stack.enter_context(Apart(plain, codes, cores()))

    def _take(self, table: pa.Table, total: int, size: int) -> None:
        """Ask for every batch of a table; those that were asked for before it are settled meanwhile."""
        ahead = 0 if self.apart is None else 2 * self.apart.processes
        for some in in_batches(table, size):
            batch = batch_of(self.model, some, prompts=self._prompts())
            plain = None if self.apart is None else self.apart.ask(batch)
            self.asked.append(_Asked(some, batch, plain))
            while len(self.asked) > ahead:
                self._settle(total)

    def _settle(self, total: int) -> None:
        """The oldest batch that was asked for, into the open part: it is checked wholly or not at all."""
        one = self.asked.popleft()
        opened = self._part()
        self._keep(one.table, self._said(one, total))
        self.waiting.hand_over(opened, ROW_GROUP)
        self.through = one.table["key"][-1].as_py()
        self.rows += one.table.num_rows
        if self.rows >= PART_ROWS or time.monotonic() - self.began > PART_SECONDS:
            self.close_part()
        self.done += one.table.num_rows
        self.context.progress(f"check {self.model}", self.done, total)

    def _said(self, one: _Asked, total: int) -> list[Said]:
        """What every check says of a batch, in their order."""
        apart = [] if one.plain is None else self._awaited(one.plain, total)
        waiting = iter(apart)
        return [
            next(waiting) if apart and isinstance(runner, Plain) else Said.of(runner.results(one.batch))
            for runner in self.runners
        ]

    def _awaited(self, plain: Future[list[Said]], total: int) -> list[Said]:
        while True:
            try:
                return plain.result(WAIT_SECONDS)
            except TimeoutError:
                self.context.progress(f"check {self.model}", self.done, total)

    def _keep(self, table: pa.Table, said: list[Said]) -> None:
        """The results of every check over one batch: into the rows that wait, and into the counts."""
        inside = slices_of(table, self.slices, len(column_names(prompts=self._prompts())))
        for runner, one in zip(self.runners, said, strict=True):
            self.waiting.add(runner.label, table, one)
            self.tally.add(self.model, runner.label, one, inside)

    def _prompts(self) -> bool:
        return any(runner.needs_prompts for runner in self.runners)
