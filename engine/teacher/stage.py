"""Stage ``generate``: ask the teacher for every prompt of a split, journalled, in parts, resumable.

Each part (a thousand answers) is a run of its own, so that people review while it goes on. Answers are in the
journal before they are in the store: after a crash they come from there and cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.context import AGAIN, Context
from engine.contract_exclusions import Exclusions
from engine.contract_records import Contract
from engine.do_nothing import go_on
from engine.stages import as_mapping, option
from engine.teacher.price import Price, price_of
from store import read
from store.canonical import messages_of, output_id_of
from store.errors import Cancelled, EndpointError, InputError, RuleError
from store.records import Output

if TYPE_CHECKING:
    from engine.teacher.endpoint import Teacher
    from engine.teacher.report import Answer, PromptRequest, Report


@dataclass(frozen=True, slots=True)
class Params:
    """Which prompts, and how hard to press."""

    split: str = option("", "only this split (default: all)")
    limit: int = option(0, "at most so many further prompts; 0: all")
    in_flight: int = option(16, "calls under way at once")
    endpoint: str = option("", "another address of the contract's endpoint (a tunnel, a port)")
    requests: bool = option(False, "only what requests for samples ask for, production's prompts first")
    part: int = option(1000, "answers after which a part is closed and can be reviewed")
    reason: str = option("", "why the teacher is asked although a baseline would do (recorded)")
    price: str = option(
        "", "of a million tokens in/out, as 2.50/10, where the contract has none; stored with answers"
    )


def run(context: Context, params: Params) -> dict[str, Any]:
    """Generate. Result: answered, called, replayed, failed, tokens, cost. Raises RuleError without a locked contract."""
    from engine.teacher.client import generate
    from engine.teacher.journal import Journal
    from engine.teacher.report import Limits

    contract, locked = context.contract(), context.locked()
    price = price_of(contract.teacher, params.price)
    go_on(context, params.reason)
    key = _api_key(contract)
    teacher = _pinned(contract, params, key)
    name = contract.teacher.name or contract.teacher.model
    _same_teacher(context, name, teacher)
    context.declare(name, "teacher", {"fingerprint": teacher.fingerprint(), **_told(teacher)})
    wanted = _wanted(context, contract, params, name)
    total = sum(len(samples) for _, samples in wanted.values())
    inputs = {"contract": locked.hash, "teacher": teacher.fingerprint()}
    parts = _Parts(context, params, inputs, name, wanted, price=price)
    with Journal(_journal_path(context, teacher), teacher.fingerprint(), about=teacher.about()) as journal:
        try:
            report = generate(
                teacher,
                _requests(wanted.values(), contract),
                journal=journal,
                on_answer=parts.add,
                api_key=key,
                limits=Limits(in_flight=params.in_flight),
                progress=lambda r: context.tell("generate", r.answered, total),
                cancel=context.stopped,
            )
        except EndpointError:
            parts.close(None)  # what was answered until then
            raise
        parts.close(report)
    if report.cancelled:
        raise Cancelled(f"stopped after {report.answered:,} of {total:,} answers", todo=AGAIN)
    return _result(report, name) | parts.cost()


def _same_teacher(context: Context, name: str, teacher: Teacher) -> None:
    """A name stands for one teacher: answers of another one, or imported ones, are never mixed with its own."""
    known = context.declared(name)
    if known is None or known[1].get("fingerprint") == teacher.fingerprint():
        return
    if context.store.fetch(read.OUTPUTS, project=context.project, model=name, split=None).num_rows:
        raise RuleError(
            f"the answers of {name} here are of another endpoint, version or parameters, or were imported",
            todo="Give the new teacher a teacher.name of its own in a new contract version.",
        )


def _api_key(contract: Contract) -> str | None:
    name = contract.teacher.api_key_env
    if not name:
        return None
    if name not in os.environ:
        raise InputError(f"the environment has no {name}", todo=f"export {name}=… (the key is never stored)")
    return os.environ[name]


def _pinned(contract: Contract, params: Params, key: str | None) -> Teacher:
    """The contract's teacher; where it names no version, the one that the endpoint reports now."""
    from dataclasses import replace

    from engine.teacher.client import reported_version
    from engine.teacher.endpoint import Teacher

    pinned, p = contract.teacher, contract.teacher.params
    if not (pinned.endpoint or params.endpoint):
        raise RuleError(
            "the contract names no endpoint", todo="Set teacher.endpoint, or import the outputs instead."
        )
    teacher = Teacher(
        endpoint=pinned.endpoint or params.endpoint,
        address=params.endpoint,
        model=pinned.model,
        version=pinned.version,
        max_tokens=p.max_tokens,
        temperature=float(p.temperature),
        logprobs=p.logprobs,
        top_logprobs=p.top_logprobs if p.logprobs else None,
    )
    return teacher if teacher.version else replace(teacher, version=reported_version(teacher, api_key=key))


def _told(teacher: Teacher) -> dict[str, Any]:
    from store.acts import exact

    told: dict[str, Any] = exact(teacher.about())
    return told


Wanted = dict[int, tuple[read.ArrivalRow, list[int]]]  # arrival key -> the arrival, samples still to ask for


def _wanted(context: Context, contract: Contract, params: Params, name: str) -> Wanted:
    """First arrivals of prompts that this teacher has not answered as often as the contract asks; exclusions left out."""
    split = params.split or None
    rules = Exclusions.of(contract)
    table = context.store.fetch(read.OUTPUTS, project=context.project, model=name, split=None)
    have = set(zip(table["prompt_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True))
    met: set[str] = set()
    wanted: Wanted = {}
    asked = _asked_for(context, params, name)
    arrivals = context.store.ask(read.ARRIVALS, project=context.project, split=split)
    if not arrivals:
        raise RuleError(
            f"there is no prompt in split {split!r}", todo="spiritsafe import FILE --prompt COLUMN"
        )
    for arrival in arrivals:
        if asked is not None and arrival.arrival_key not in asked:
            continue
        samples = [i for i in range(contract.teacher.params.n) if (arrival.prompt_id, i) not in have]
        if arrival.prompt_id in met or not samples:
            continue
        if rules and rules.why_arrival(arrival):
            continue
        met.add(arrival.prompt_id)
        wanted[arrival.arrival_key] = (arrival, samples)
        if params.limit and len(wanted) >= params.limit:
            break
    return wanted


def _asked_for(context: Context, params: Params, name: str) -> set[int] | None:
    """Arrivals that requests for samples take next; None where all prompts are wanted. Raises RuleError without a request."""
    from engine.clean.requests import standings

    if not params.requests:
        return None
    found = standings(context, name, params.split)
    if not found:
        raise RuleError("nobody asked for samples", todo="gc, + on a bucket; or: spiritsafe request FILTER N")
    return {key for one in found for key in one.take}


def _requests(
    wanted: Iterable[tuple[read.ArrivalRow, list[int]]], contract: Contract
) -> Iterator[PromptRequest]:
    from engine.teacher.report import PromptRequest

    system = [{"role": "system", "content": contract.task.instruction}] if contract.task.instruction else []
    for arrival, samples in wanted:
        chat = msgspec.json.decode(arrival.messages) if arrival.messages else messages_of(arrival.text)
        for sample in samples:
            yield PromptRequest(arrival.arrival_key, [*system, *chat], sample)


def _journal_path(context: Context, teacher: Teacher) -> Path:
    folder = context.store.path.with_name(context.store.path.name + ".journals")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{context.project}-{teacher.fingerprint()[:16]}.jsonl"


class _Parts:
    """Answers as they come, closed in parts."""

    def __init__(
        self,
        context: Context,
        params: Params,
        inputs: dict[str, Any],
        name: str,
        wanted: Wanted,
        *,
        price: Price | None,
    ) -> None:
        self.context, self.params, self.inputs, self.name, self.wanted = context, params, inputs, name, wanted
        self.price, self.spent_nano, self.uncounted = price, 0, 0
        self.pending: list[Output] = []

    def add(self, answer: Answer) -> None:
        """One durable answer."""
        arrival, _ = self.wanted[int(answer.key)]
        cost = self.price.nano(answer.tokens_in, answer.tokens_out) if self.price is not None else None
        self.spent_nano += cost or 0
        self.uncounted += cost is None
        self.pending.append(
            Output(
                0, 0, arrival.arrival_key, arrival.prompt_id,
                output_id_of(arrival.prompt_id, self.name, answer.sample_index, answer.text),
                self.name, answer.sample_index, answer.text, answer.finish_reason, answer.tokens_in,
                answer.tokens_out, cost, answer.latency_us, answer.logprobs,
            )
        )  # fmt: skip
        if len(self.pending) >= self.params.part:
            self.close(None)

    def close(self, report: Report | None) -> None:
        """Close a part; the last one carries the report."""
        if not self.pending and report is None:
            return
        self.pending.sort(key=lambda o: (o.arrival_key, o.sample_index))
        opened = self.context.open("generate", dict(as_mapping(self.params)), self.inputs)
        opened.add("output", self.pending)
        opened.close(
            {"outputs": len(self.pending)}
            | (_result(report, self.name) | self.cost() if report else {"part": True})
        )
        self.pending = []

    def cost(self) -> dict[str, Any]:
        """What the answers cost, replayed ones too, and how many without a count of tokens; {} where no price is known."""
        if self.price is None:
            return {}
        told: dict[str, Any] = {"cost": f"{Decimal(self.spent_nano).scaleb(-9):f}"}
        return told | ({"without_cost": self.uncounted} if self.uncounted else {})


def _result(report: Report, name: str) -> dict[str, Any]:
    return {
        "model": name,
        "answered": report.answered,
        "called": report.called,
        "replayed": report.replayed,
        "failed": len(report.failures),
        "failures": [f"{f.key}: {f.reason}" for f in report.failures[:20]],
        "tokens_in": report.tokens_in,
        "tokens_out": report.tokens_out,
        "warnings": list(report.warnings),
    }
