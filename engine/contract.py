"""The contract: one page of TOML written before any data, frozen and hashed when it is locked.

``parse`` reads it into frozen records and refuses what it cannot mean; ``check`` names every reason why it
may not be locked yet; ``as_payload`` is its JSON for the ledger and ``contract_hash`` the hash of that, so
comments, order and spelling of numbers do not change it. Bars are decimals from the text to the ledger.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from textwrap import fill
from typing import Any

import msgspec

from engine.contract_lines import Path, line_numbers, line_of, path_of
from engine.contract_records import REASONS, SEVERITIES, TASK_KINDS, Contract, Gate, Slice
from engine.contract_template import TEMPLATE
from engine.evaluate.metrics import METRICS
from store.canonical import digest_of
from store.errors import GrammarError, InputError

OVERALL = "all"  # the slice that is the whole evaluation set
LARGEST = 2**53 - 1  # beyond it JSON readers disagree


@dataclass(frozen=True, slots=True)
class Bar:
    """One quality bar as the gate judges it: ``bar`` of a margin is negative (student minus teacher)."""

    slice: str
    where: str  # predicate; "" for the whole evaluation set
    kind: str  # margin | floor
    bar: Decimal
    critical: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why the contract may not be locked: ``where`` is file and line."""

    where: str
    what: str
    todo: str


def parse(text: str, where: str = "contract.toml") -> Contract:
    """Read a contract. Raises InputError with file and line at what TOML or the contract has no word for."""
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = f"{where}:{line[1] if line else len(text.splitlines())}"
        raise InputError(f"is no TOML: {error}", where=at) from error
    lines = line_numbers(text)
    _refuse_unspeakable(raw, lines, where)
    try:
        contract = msgspec.convert(_spelled_out(raw), Contract)
    except msgspec.ValidationError as error:
        what, _, path_text = str(error).partition(" - at ")
        path = path_of(what, path_text)
        key = ".".join(str(part) for part in path)
        todo = "`spiritsafe init` writes a contract with every key and what it means."
        raise InputError(f"{key}: {what}", where=f"{where}:{line_of(lines, path)}", todo=todo) from error
    _refuse_unspeakable(_builtins(contract), lines, where)  # again: a decimal may have come as text
    return contract


def _refuse_unspeakable(raw: object, lines: Mapping[Path, int], where: str) -> None:
    for path, value in _leaves(raw):
        if complaint := _not_allowed(path, value):
            at = f"{where}:{line_of(lines, path)}"
            raise InputError(complaint, where=at, todo="Shorten it, or write it as text in quotes.")


def _builtins(contract: Contract) -> Any:
    return msgspec.to_builtins(contract, builtin_types=(Decimal,))


def as_payload(contract: Contract) -> dict[str, Any]:
    """The contract as JSON-safe data without floats: decimals are strings in their shortest spelling."""
    payload: dict[str, Any] = _plain(_builtins(contract))
    return payload


def from_payload(payload: Mapping[str, object]) -> Contract:
    """The contract of a ledger event. Raises InputError where the payload is none."""
    try:
        contract = msgspec.convert(dict(payload), Contract)
    except msgspec.ValidationError as error:
        raise InputError(f"is no contract: {error}", where="ledger") from error
    _refuse_unspeakable(_builtins(contract), {}, "ledger")
    return contract


def contract_hash(contract: Contract) -> str:
    """SHA-256 of the canonical payload, 64 hex characters.

    To verify an old lock, hash the payload in its event: a later release may add keys to this one.
    """
    return digest_of(as_payload(contract))


def bars(gate: Gate) -> list[Bar]:
    """Every quality bar of a gate, the overall ones first and critical: those are never overridden.

    >>> bars(Gate(margin=Decimal("0.03")))[0].bar
    Decimal('-0.03')
    """
    parts = [(OVERALL, "", gate.margin, gate.floor, True)]
    parts += [(part.name, part.where, part.margin, part.floor, part.critical) for part in gate.slices]
    found: list[Bar] = []
    for name, where, margin, floor, critical in parts:
        if margin is not None:
            found.append(Bar(name, where, "margin", -margin, critical))
        if floor is not None:
            found.append(Bar(name, where, "floor", floor, critical))
    return found


def template(name: str, *, owner: str = "") -> str:
    """A commented contract to fill in; what is left blank is what ``check`` will name."""
    reasons = " · ".join(f"{reason.digit} {reason.name}" for reason in REASONS)
    comment = fill(reasons, 100, initial_indent="#   ", subsequent_indent="#   ")
    text = TEMPLATE.replace("@REASONS@", comment)
    return text.replace("@OWNER@", _quoted(owner), 1).replace("@NAME@", _quoted(name), 1)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")  # JSON strings are TOML strings


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _spelled_out(raw: dict[str, Any]) -> dict[str, Any]:
    """Short forms in their long form: a list or table of labels, a dimension that is only an expression."""
    task, coverage = raw.get("task"), raw.get("coverage")
    if isinstance(task, dict) and isinstance(labels := task.get("labels"), dict):
        raw = raw | {
            "task": task | {"labels": [{"name": name, "code": code} for name, code in labels.items()]}
        }
    elif isinstance(task, dict) and isinstance(labels, list):
        long = [{"name": label} if isinstance(label, str) else label for label in labels]
        raw = raw | {"task": task | {"labels": long}}
    if isinstance(coverage, dict) and isinstance(dimensions := coverage.get("dimensions"), list):
        long = [{"expression": item} if isinstance(item, str) else item for item in dimensions]
        raw = raw | {"coverage": coverage | {"dimensions": long}}
    return raw


def _not_allowed(path: Path, value: object) -> str:
    """Why a value cannot stand in a contract ("" where it can): its payload must be the same everywhere."""
    key = ".".join(str(part) for part in path)
    if path[:2] != ("task", "labels") and not key.isascii():
        return f"{key}: a key has only ASCII characters"
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > 18 or len(value.as_tuple().digits) > 18:
            return f"{key}: no number with so many digits is meant"
        return f"{key}: an option holds no fraction" if "options" in path else ""
    if isinstance(value, float):
        return f"{key}: an option holds no fraction"
    if isinstance(value, int):
        return "" if abs(value) <= LARGEST else f"{key}: is beyond 2^53"
    return "" if value is None or isinstance(value, str) else f"{key}: holds no dates and times"


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


# ---- may it be locked? -----------------------------------------------------------------------------------


def check(contract: Contract, text: str = "", where: str = "contract.toml") -> list[Problem]:
    """Every reason why this contract may not be locked, in the order of its lines; [] where it may."""
    lines = line_numbers(text)
    found = [*_blanks(contract), *_task(contract), *_teacher(contract), *_gate(contract.gate)]
    found += [*_student(contract), *_lists(contract), *_predicates(contract)]
    placed = sorted(((line_of(lines, path), what, todo) for path, what, todo in found), key=itemgetter(0))
    return [Problem(f"{where}:{line}", what, todo) for line, what, todo in placed]


Found = Iterator[tuple[Path, str, str]]

REQUIRED: dict[Path, str] = {
    ("task", "name"): "name the one narrow task",
    ("task", "kind"): "say what the student writes: label or text",
    ("task", "instruction"): "write what reviewers judge by",
    ("task", "metric"): f"choose one of {', '.join(METRICS)}",
    ("teacher", "name"): "name the teacher",
    ("teacher", "model"): "name the teacher's model",
    ("teacher", "version"): "pin the version that the endpoint reports",
    ("people", "owner"): "name the person who answers for this student",
    ("constraints", "licence"): "name the licence that the student comes under",
    ("constraints", "teacher_terms_acknowledged"): "read the teacher's terms on training with its outputs",
}


def _blanks(contract: Contract) -> Found:
    for path, todo in REQUIRED.items():
        value = contract
        for part in path:
            value = getattr(value, str(part))
        if not value or (isinstance(value, str) and not value.strip()):
            yield path, f"{'.'.join(map(str, path))} is blank", todo


def _task(contract: Contract) -> Found:
    task = contract.task
    if task.kind not in {"", *TASK_KINDS}:
        yield ("task", "kind"), f"there is no kind {task.kind!r}", f"use one of {', '.join(TASK_KINDS)}"
    metric = METRICS.get(task.metric)
    if task.metric and metric is None:
        yield ("task", "metric"), f"there is no metric {task.metric!r}", f"use one of {', '.join(METRICS)}"
    if metric is not None and not metric.binary:
        yield ("task", "metric"), f"{metric.name} is graded", "a gate needs a binary metric"
    for option in task.metric_options:
        if metric is not None and option not in metric.options:
            known = ", ".join(metric.options) or "none"
            yield ("task", "metric_options"), f"{metric.name} has no option {option!r}", f"it has: {known}"
    if task.kind == "label" and len(task.labels) < 2:
        yield ("task", "labels"), "a label task has two labels or more", "list them, or map each to its code"
    codes = [label.code for label in task.labels if label.code]
    if codes and len(codes) < len(task.labels):
        yield ("task", "labels"), "some labels have a code and some have none", "give each one a code"
    for _, twice in _repeated([label.name for label in task.labels]) + _repeated(codes):
        yield ("task", "labels"), f"{twice!r} stands twice", "labels and their codes are unique"


def _teacher(contract: Contract) -> Found:
    teacher, params = contract.teacher, contract.teacher.params
    if teacher.endpoint and not re.match(r"https?://[^\s/]", teacher.endpoint):
        yield ("teacher", "endpoint"), f"{teacher.endpoint!r} is no URL", "https://host/v1"
    if teacher.api_key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", teacher.api_key_env):
        todo = "write the name of the environment variable; a key itself never stands in a contract"
        yield ("teacher", "api_key_env"), "is no name of a variable", todo
    at: Path = ("teacher", "params")
    if params.n < 1 or params.max_tokens < 1 or params.temperature < 0:
        yield at, "n and max_tokens are at least 1, temperature at least 0", "correct the parameters"
    if not 0 <= params.top_logprobs <= 20 or (params.top_logprobs and not params.logprobs):
        yield (
            (*at, "top_logprobs"),
            "top_logprobs is 0 to 20 and needs logprobs = true",
            "correct one of the two",
        )


def _student(contract: Contract) -> Found:
    for name in ("parameters", "p95_latency_ms", "cost_per_1000"):
        value = getattr(contract.student, name)
        if value is not None and value <= 0:
            yield (
                ("student", name),
                f"student.{name} is not above 0",
                "leave it out where there is no such bar",
            )


def _gate(gate: Gate) -> Found:
    if gate.margin is None and gate.floor is None and not gate.slices:
        yield ("gate",), "the gate is empty: nothing could fail", "write margin = 0.03, or a slice with a bar"
    if not Decimal("0.5") < gate.level < 1:
        yield ("gate", "level"), f"the level {gate.level} is not between 0.5 and 1", "0.95 is usual"
    for name in ("minimum_n", "attempts"):
        if getattr(gate, name) < 1:
            yield ("gate", name), f"gate.{name} is not above 0", "1 is the least"
    yield from _bars(gate, ("gate",))
    for number, part in enumerate(gate.slices):
        at: Path = ("gate", "slice", number)
        if (part.margin is None) == (part.floor is None):
            yield at, f"the slice {part.name!r} needs one bar", "write either a margin or a floor"
        yield from _bars(part, at)
    for number, twice in _repeated([OVERALL, *(part.name for part in gate.slices)]):
        yield (
            ("gate", "slice", number - 1, "name"),
            f"the slice {twice!r} stands twice",
            "give each its own name",
        )


def _bars(part: Gate | Slice, at: Path) -> Found:
    for name in ("margin", "floor"):
        bar = getattr(part, name)
        if bar is not None and not 0 < bar < 1:
            todo = (
                "write a share such as 0.03 (three points)"
                if name == "margin"
                else "write a share such as 0.9"
            )
            yield (*at, name), f"no sample size can decide the {name} {bar}: it lies between 0 and 1", todo


def _lists(contract: Contract) -> Found:
    for number, reason in enumerate(contract.reasons):
        at: Path = ("reasons", number)
        if not 1 <= reason.digit <= 9:
            yield (*at, "digit"), f"{reason.digit} is no key", "reasons are the digits 1 to 9"
        if reason.severity not in SEVERITIES:
            todo = f"use one of {', '.join(SEVERITIES)}"
            yield (*at, "severity"), f"there is no severity {reason.severity!r}", todo
    for number, twice in _repeated([str(reason.digit) for reason in contract.reasons]):
        yield ("reasons", number, "digit"), f"the digit {twice} stands for two reasons", "give each its own"
    for number, twice in _repeated([entry.name for entry in contract.checks]):
        yield ("checks", number, "name"), f"the check {twice!r} stands twice", "give each its own name"
    for number, dimension in enumerate(contract.coverage.dimensions):
        if list(dimension.bins) != sorted(set(dimension.bins)):
            at = ("coverage", "dimensions", number)
            yield at, f"the bins of {dimension.expression!r} do not ascend", "write each edge once, ascending"


def _predicates(contract: Contract) -> Found:
    """Every expression must parse. Which columns there are is known only when the data are."""
    from store.grammar import parse as parse_expression  # the parser is needed here alone

    places: list[tuple[Path, str]] = [
        (("gate", "slice", i, "where"), part.where) for i, part in enumerate(contract.gate.slices)
    ]
    places += [(("constraints", "exclude", i), text) for i, text in enumerate(contract.constraints.exclude)]
    dimensions = contract.coverage.dimensions
    places += [(("coverage", "dimensions", i, "expression"), d.expression) for i, d in enumerate(dimensions)]
    for path, expression in places:
        try:
            parse_expression(expression)
        except GrammarError as error:
            yield path, f"{expression!r} does not parse: {error.what}", error.todo


def _repeated(names: Sequence[str]) -> list[tuple[int, str]]:
    """(position, name) of every name that stood before."""
    return [(i, name) for i, name in enumerate(names) if name in names[:i]]
