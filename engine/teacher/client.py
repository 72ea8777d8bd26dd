"""The teacher client: asks every prompt once, bounded, retried, journalled, resumable.

The SDK's own retries are off, because they are invisible to a budget. A worker keeps its place among
``in_flight`` until its answer is fsync'd, so that a killed run repeats at most ``in_flight`` calls. An
answer is handed on (``on_answer``) only when it is durable. Every answer is compared with what was asked:
logprobs that are missing or a model that changed behind its name stop the run.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from engine.teacher.endpoint import Fault, Teacher, ask, open_client
from engine.teacher.journal import Journal, JournalEntry, journal_key
from engine.teacher.report import Answer, Failure, Limits, PromptRequest, Report
from store.canonical import messages_of
from store.errors import EndpointError, RuleError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = [
    "Answer", "Failure", "Limits", "PromptRequest", "Report", "Teacher", "generate", "generate_async",
    "reported_version",
]  # fmt: skip

SYNC_S = 0.05  # answers that arrive within this time share one fsync
PROGRESS_S = 0.5  # progress at most twice a second
REPLAYS_PER_TURN = 256  # replayed answers before the event loop gets its turn
FIRST_ATTEMPTS = 2  # attempts before an endpoint that never answered anything is given up
FIRST_WAIT_S = 0.5  # of the exponential backoff


def generate(teacher: Teacher, prompts: Iterable[PromptRequest], **options: Any) -> Report:
    """:func:`generate_async` for callers without an event loop; same options, same errors."""
    return asyncio.run(generate_async(teacher, prompts, **options))


async def generate_async(
    teacher: Teacher,
    prompts: Iterable[PromptRequest],
    *,
    journal: Journal,
    on_answer: Callable[[Answer], None],
    api_key: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[Report], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    allow_missing_logprobs: bool = False,
) -> Report:
    """Ask ``teacher`` every prompt once; answers held by ``journal`` are handed on without a call.

    ``on_answer`` is called in the event loop's thread, in order of completion, once a durable answer.
    ``cancel`` is polled: when it says so, no further call starts, those under way are finished (they are
    paid for) and the report says ``cancelled``.

    Raises:
        EndpointError: no answer at all, a refused key, ``limits.breaker`` failures in a row, an answer
            without the logprobs that were asked for, or from another version than ``teacher.version``.
        RuleError: ``journal`` belongs to another teacher.
    """
    if journal.fingerprint != teacher.fingerprint():
        raise RuleError("the journal belongs to another teacher", where=str(journal.path))
    limits = limits or Limits()
    async with open_client(teacher, api_key, limits.timeout_s) as client:
        run = _Run(teacher, journal, client, limits, api_key, lenient=allow_missing_logprobs)
        run.on_answer = on_answer
        run.progress, run.cancel = progress or run.progress, cancel or run.cancel
        return await run.through(prompts)


def reported_version(teacher: Teacher, *, api_key: str | None = None, timeout_s: float = 60.0) -> str:
    """The model name that the endpoint reports in an answer (one short call): pin ``teacher.version`` to it.

    Raises:
        EndpointError: it does not answer, or names no model.
    """
    entry = asyncio.run(_probe(teacher, api_key, timeout_s))
    if isinstance(entry, Fault):
        raise _endpoint_error(entry.reason, teacher)
    if not entry.reported_model:
        raise _endpoint_error("the answer names no model", teacher)
    return entry.reported_model


async def _probe(teacher: Teacher, api_key: str | None, timeout_s: float) -> JournalEntry | Fault:
    plain = replace(teacher, logprobs=False, top_logprobs=None)
    async with open_client(teacher, api_key, timeout_s) as client:
        return await ask(client, plain, messages_of("Hello"), timeout_s=timeout_s, secret=api_key)


class _Run:
    """One run: workers that share an iterator of prompts, a pause, a breaker and a journal."""

    def __init__(
        self,
        teacher: Teacher,
        journal: Journal,
        client: AsyncOpenAI,
        limits: Limits,
        api_key: str | None,
        *,
        lenient: bool,
    ) -> None:
        self.teacher, self.journal, self.client, self.limits = teacher, journal, client, limits
        self.api_key, self.lenient = api_key, lenient
        self.on_answer: Callable[[Answer], None] = lambda _answer: None
        self.progress: Callable[[Report], None] = lambda _report: None
        self.cancel: Callable[[], bool] = lambda: False
        self.fingerprint, self.params = teacher.fingerprint(), teacher.params()
        self.report = Report()
        self.failures: list[Failure] = []
        self.warnings: dict[str, None] = {}
        self.backends: dict[str, None] = {}
        self.under_way: dict[str, asyncio.Future[str | None]] = {}  # journal key -> why it failed
        self.in_a_row = 0  # failed attempts since the last answer
        self.not_before = 0.0  # monotonic: a 429 pauses everybody
        self.waiting: list[asyncio.Future[None]] = []  # answers that wait for their fsync
        self.asking = 0
        self.sync_now = asyncio.Event()
        self.jitter = random.Random(0)  # noqa: S311 - spreads retries, keeps no secret
        self.started = time.monotonic()
        self.cancelled = False

    async def through(self, prompts: Iterable[PromptRequest]) -> Report:
        """Every prompt; the first error of any worker ends them all, what was answered is kept."""
        queue = iter(prompts)
        workers = [asyncio.create_task(self._work(queue)) for _ in range(self.limits.in_flight)]
        keeper, teller = asyncio.create_task(self._keep_synced()), asyncio.create_task(self._tell())
        tasks = [*workers, keeper, teller]
        try:
            ends = {keeper, teller}  # neither ends by itself but by an error
            left = set(workers)
            while left:
                done, _ = await asyncio.wait(left | ends, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                left -= done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.journal.sync()  # answered but not yet told: the next run replays them
        self.progress(self._told())
        return self._told()

    def _told(self) -> Report:
        return replace(
            self.report,
            failures=tuple(self.failures),
            warnings=tuple(self.warnings),
            system_fingerprints=tuple(self.backends),
            cancelled=self.cancelled,
            elapsed_s=time.monotonic() - self.started,
        )

    def _count(self, **more: int) -> None:
        self.report = replace(self.report, **{n: getattr(self.report, n) + by for n, by in more.items()})

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self.progress(self._told())

    async def _keep_synced(self) -> None:
        """Group fsyncs: wait for company, but not when everybody already waits."""
        while True:
            await self.sync_now.wait()
            if self.asking > 0:
                await asyncio.sleep(SYNC_S)
            self.sync_now.clear()
            waiting, self.waiting = self.waiting, []
            await asyncio.to_thread(self.journal.sync)
            for one in waiting:
                if not one.done():
                    one.set_result(None)

    async def _work(self, queue: Iterator[PromptRequest]) -> None:
        replayed = 0
        for request in queue:
            if self._stop():
                return
            key = journal_key(self.fingerprint, request.messages, self.params, request.sample_index)
            twin = self.under_way.get(key)
            reason = await twin if twin is not None else None  # the same question, asked just now
            if (entry := self.journal.lookup(key)) is not None:
                self._hand_on(request, entry, replayed=True)
                replayed += 1
                if replayed % REPLAYS_PER_TURN == 0:
                    await asyncio.sleep(0)
            elif reason is not None and not self.cancelled:
                self._fail(request, reason)
            else:
                await self._ask_once(request, key)

    def _stop(self) -> bool:
        self.cancelled = self.cancelled or self.cancel()
        return self.cancelled

    async def _ask_once(self, request: PromptRequest, key: str) -> None:
        """Ask, keep, hand on; whoever has the same question waits for the outcome."""
        mine: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.under_way[key] = mine
        try:
            got = await self._attempts(request)
            if isinstance(got, Fault):
                mine.set_result(got.reason)
                self._fail(request, got.reason)
            elif got is not None:
                self.journal.append(key, got)
                await self._durable()
                mine.set_result(None)
                self._count(called=1, tokens_in=got.tokens_in or 0, tokens_out=got.tokens_out or 0)
                self._hand_on(request, got, replayed=False)
        finally:
            del self.under_way[key]
            if not mine.done():
                mine.set_result("the run was stopped")

    async def _durable(self) -> None:
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(synced)
        self.sync_now.set()
        await synced

    async def _attempts(self, request: PromptRequest) -> JournalEntry | Fault | None:
        """Up to 1 + retries attempts; None when the run was cancelled before there was an outcome."""
        fault = Fault("passing", "never asked")
        for attempt in range(self.limits.retries + 1):
            await self._pause(fault, attempt)
            if self._stop():
                return None
            got = await self._attempt(request)
            if not isinstance(got, Fault):
                self.in_a_row = 0
                return got
            fault = got
            self._judge(fault, attempt)
            if fault.kind == "prompt":
                return fault
            if (fault.wait_s or 0.0) > self.limits.longest_wait_s:
                break
        if fault.kind == "busy":  # one that never ends counts against the endpoint after all
            self._judge(replace(fault, kind="passing"), 0)
        return replace(fault, reason=f"{fault.reason} (after {attempt + 1} attempts)")

    async def _attempt(self, request: PromptRequest) -> JournalEntry | Fault:
        self._count(attempts=1)
        self.asking += 1
        try:
            got = await ask(
                self.client,
                self.teacher,
                request.messages,
                sample_index=request.sample_index,
                timeout_s=self.limits.timeout_s,
                secret=self.api_key,
            )
        finally:
            self.asking -= 1
        return got if isinstance(got, Fault) else self._compare(got)

    async def _pause(self, fault: Fault, attempt: int) -> None:
        """Sleep as the server asked, else exponentially with jitter; a 429 makes every worker wait."""
        if attempt > 0:
            backoff = min(FIRST_WAIT_S * 2 ** (attempt - 1), self.limits.longest_wait_s)
            wait = fault.wait_s if fault.wait_s is not None else backoff * self.jitter.uniform(0.5, 1.0)
            if fault.kind == "busy" and fault.wait_s is not None:
                self.not_before = max(self.not_before, time.monotonic() + wait)
            await self._sleep(wait)
        while (wait := self.not_before - time.monotonic()) > 0 and not self.cancelled:
            await self._sleep(wait + self.jitter.uniform(0, 0.2 * wait))  # not all at one instant

    async def _sleep(self, wait_s: float) -> None:
        """Sleep, but notice a cancel within half a second."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0 and not self._stop():
            await asyncio.sleep(min(left, 0.5))

    def _judge(self, fault: Fault, attempt: int) -> None:
        """Stop the run where going on is pointless: the circuit breaker."""
        if fault.kind == "busy":  # a limit is an answer: it counts against the prompt, not the endpoint
            return
        self.in_a_row += 1
        never = self.report.called == 0
        if fault.kind == "fatal":
            raise _endpoint_error(fault.reason, self.teacher)
        if never and not fault.reached and attempt + 1 >= FIRST_ATTEMPTS:
            raise _endpoint_error(fault.reason, self.teacher)
        if self.in_a_row >= self.limits.breaks_at:
            raise _endpoint_error(
                f"{self.in_a_row} failures in a row, the last: {fault.reason}", self.teacher
            )

    def _compare(self, entry: JournalEntry) -> JournalEntry | Fault:
        """Is the answer what was asked for? HTTP 200 proves nothing."""
        teacher = self.teacher
        if entry.reported_model and entry.reported_model != teacher.version:
            raise _endpoint_error(
                f"answers as {entry.reported_model}, the teacher is pinned to {teacher.version}",
                teacher,
                "Pin the new version as a teacher of its own: its answers belong into another journal.",
            )
        if entry.system_fingerprint:
            self.backends[entry.system_fingerprint] = None
        if teacher.logprobs and entry.logprobs is None:
            if not self.lenient and self.report.called == 0:
                raise _endpoint_error(
                    "answers HTTP 200 without the logprobs that were asked for",
                    teacher,
                    "Serve the model with logprobs, or allow answers without (no soft labels, no shading).",
                )
            if not self.lenient:
                return Fault("prompt", "the answer came without logprobs")
            self.warnings["answers came without the logprobs that were asked for"] = None
        if teacher.top_logprobs and entry.logprobs is not None and not self.report.called:
            self._compare_top(entry.logprobs, teacher.top_logprobs)
        return entry

    def _compare_top(self, logprobs: str, asked: int) -> None:
        content = msgspec.json.decode(logprobs)["content"]
        most = max((len(token["top_logprobs"]) for token in content), default=asked)
        if most < asked:
            self.warnings[f"asked for {asked} top logprobs, the first answer has {most}"] = None

    def _hand_on(self, request: PromptRequest, entry: JournalEntry, *, replayed: bool) -> None:
        self._count(answered=1, replayed=int(replayed))
        self.on_answer(
            Answer(
                request.key,
                request.sample_index,
                entry.text,
                entry.finish_reason,
                entry.tokens_in,
                entry.tokens_out,
                entry.latency_us,
                entry.logprobs,
                entry.reported_model,
                replayed,
            )
        )

    def _fail(self, request: PromptRequest, reason: str) -> None:
        self.failures.append(Failure(request.key, request.sample_index, reason))


def _endpoint_error(reason: str, teacher: Teacher, todo: str = "") -> EndpointError:
    todo = todo or "Check endpoint, model and key. Answers so far are in the journal: the next run goes on."
    return EndpointError(reason, where=f"{teacher.model} at {teacher.endpoint}", todo=todo)
