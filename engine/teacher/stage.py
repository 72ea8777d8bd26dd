"""Stage ``generate``: ask the teacher for every prompt of a split, journalled, in parts, resumable.

Each part (a thousand answers) is a run of its own, so that people review while it goes on. Answers are in the
journal before they are in the store: after a crash they come from there and cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.context import Context
from engine.contract_records import Contract
from engine.stages import as_mapping, option
from store import read
from store.canonical import messages_of, output_id_of
from store.errors import InputError, RuleError
from store.records import Output

if TYPE_CHECKING:
    from engine.teacher.endpoint import Teacher
    from engine.teacher.report import Answer, PromptRequest, Report


@dataclass(frozen=True, slots=True)
class Params:
    """Which prompts, and how hard to press."""

    split: str = option("", "only this split (default: all)")
    limit: int = option(0, "at most so many prompts; 0: all")
    in_flight: int = option(16, "calls under way at once")
    endpoint: str = option("", "another address of the contract's endpoint (a tunnel, a port)")
    part: int = option(1000, "answers after which a part is closed and can be reviewed")


def run(context: Context, params: Params) -> dict[str, Any]:
    """Generate. Result: answered, called, replayed, failed, tokens. Raises RuleError without a locked contract."""
    from engine.teacher.client import generate
    from engine.teacher.journal import Journal
    from engine.teacher.report import Limits

    contract, locked = context.contract(), context.locked()
    key = _api_key(contract)
    teacher = _pinned(contract, params, key)
    name = contract.teacher.name or contract.teacher.model
    context.declare(name, "teacher", {"fingerprint": teacher.fingerprint(), **_told(teacher)})
    wanted = _wanted(context, contract, params, name)
    parts = _Parts(context, params, {"contract": locked.hash, "teacher": teacher.fingerprint()}, name, wanted)
    with Journal(_journal_path(context, teacher), teacher.fingerprint(), about=teacher.about()) as journal:
        report = generate(
            teacher,
            _requests(wanted.values(), contract),
            journal=journal,
            on_answer=parts.add,
            api_key=key,
            limits=Limits(in_flight=params.in_flight),
            progress=lambda r: context.progress("generate", r.answered, len(wanted)),
        )
        parts.close(report)
    return _result(report, name)


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
        endpoint=params.endpoint or pinned.endpoint,
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


def _wanted(context: Context, contract: Contract, params: Params, name: str) -> dict[int, read.ArrivalRow]:
    """First arrivals of prompts that have no answer of this teacher yet, by arrival key; exclusions left out."""
    from store import grammar

    split = params.split or None
    excluded = [grammar.parse(text) for text in contract.constraints.exclude]
    have = set(
        context.store.fetch(read.OUTPUTS, project=context.project, model=name, split=split)[
            "prompt_id"
        ].to_pylist()
    )
    wanted: dict[int, read.ArrivalRow] = {}
    for arrival in context.store.ask(read.ARRIVALS, project=context.project, split=split):
        if arrival.prompt_id in have:
            continue
        have.add(arrival.prompt_id)
        metadata = msgspec.json.decode(arrival.metadata)
        row = {"prompt": arrival.text, "text": arrival.text, "reference": arrival.reference,
               "split": arrival.split, "source": arrival.source}  # fmt: skip
        if not any(grammar.holds(rule, row, metadata) for rule in excluded):
            wanted[arrival.arrival_key] = arrival
        if params.limit and len(wanted) >= params.limit:
            break
    return wanted


def _requests(arrivals: Any, contract: Contract) -> Iterator[PromptRequest]:
    from engine.teacher.report import PromptRequest

    system = [{"role": "system", "content": contract.task.instruction}] if contract.task.instruction else []
    for arrival in arrivals:
        chat = msgspec.json.decode(arrival.messages) if arrival.messages else messages_of(arrival.text)
        for sample in range(contract.teacher.params.n):
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
        wanted: dict[int, read.ArrivalRow],
    ) -> None:
        self.context, self.params, self.inputs, self.name, self.wanted = context, params, inputs, name, wanted
        self.pending: list[Output] = []

    def add(self, answer: Answer) -> None:
        """One durable answer."""
        arrival = self.wanted[int(answer.key)]
        self.pending.append(
            Output(
                0, 0, arrival.arrival_key, arrival.prompt_id,
                output_id_of(arrival.prompt_id, self.name, answer.sample_index, answer.text),
                self.name, answer.sample_index, answer.text, answer.finish_reason, answer.tokens_in,
                answer.tokens_out, None, answer.latency_us, answer.logprobs,
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
            {"outputs": len(self.pending)} | (_result(report, self.name) if report else {"part": True})
        )
        self.pending = []


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
