"""May a contract be locked? Every reason why not, with the line it stands in; and what is advised besides."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from operator import itemgetter

from engine.contract_bars import OVERALL, undecidable
from engine.contract_lines import Path, line_numbers, line_of
from engine.contract_questions import advice, questions
from engine.contract_records import SEVERITIES, TASK_KINDS, Contract, Gate
from engine.evaluate.metrics import METRICS
from store.errors import GrammarError, InputError


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why the contract may not be locked (or an advice): ``where`` is file and line."""

    where: str
    what: str
    todo: str


def check(contract: Contract, text: str = "", where: str = "contract.toml") -> list[Problem]:
    """Every reason why this contract may not be locked, in the order of its lines; [] where it may."""
    found = [*_blanks(contract), *_task(contract), *_teacher(contract), *_gate(contract.gate)]
    found += [*_student(contract), *_lists(contract), *_predicates(contract), *questions(contract)]
    return placed(found, text, where)


def advise(contract: Contract, text: str = "", where: str = "contract.toml") -> list[Problem]:
    """What is worth a thought before it is locked and hinders nothing."""
    return placed([*advice(contract)], text, where)


def unknown_names(
    contract: Contract,
    keys: Collection[str],
    text: str = "",
    where: str = "contract.toml",
    *,
    looked: str = "no arrival so far",
) -> list[Problem]:
    """Slices and exclusions that read a name which is neither a column of arrivals nor one of the metadata ``keys``.

    ``looked``: of how many arrivals these are the keys, as the sentence begins.
    """
    from store.grammar import parse, read_names

    found: list[tuple[Path, str, str]] = []
    for path, expression in predicates_of(contract):
        names = {name.removeprefix("meta.") for name in read_names(parse(expression))}
        for name in sorted(
            names - set(keys) - {"prompt", "text", "reference", "split", "source", "slice", "script"}
        ):
            near = ", ".join(get_close_matches(name, keys, 2)) or "see: spiritsafe coverage --by NAME"
            found.append((path, f"{looked} has {name!r}, so that nothing fits {expression!r}", near))
    return placed(found, text, where)


def predicates_of(contract: Contract) -> list[tuple[Path, str]]:
    """Every predicate over arrivals, with its place."""
    places: list[tuple[Path, str]] = [
        (("gate", "slice", i, "where"), part.where) for i, part in enumerate(contract.gate.slices)
    ]
    return places + [
        (("constraints", "exclude", i), text) for i, text in enumerate(contract.constraints.exclude)
    ]


def placed(found: Sequence[tuple[Path, str, str]], text: str, where: str) -> list[Problem]:
    """(key, what, what to do) with their lines, in the order of these."""
    lines = line_numbers(text)
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
    for name in ("price_in", "price_out"):
        value = getattr(teacher, name)
        if value is not None and value < 0:
            yield (
                ("teacher", name),
                f"teacher.{name} is below 0",
                "the price of a million tokens; 0 is one too",
            )
    if (teacher.price_in is None) != (teacher.price_out is None):
        at_price: Path = ("teacher", "price_in" if teacher.price_in is not None else "price_out")
        yield at_price, "only one of price_in and price_out is there", "write both; 0 where it costs nothing"
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
    for name in ("parameters", "p95_latency_ms", "cost_per_1000", "machine_per_hour"):
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
    yield from undecidable(gate)
    for number, part in enumerate(gate.slices):
        at: Path = ("gate", "slice", number)
        if (part.margin is None) == (part.floor is None):
            yield at, f"the slice {part.name!r} needs one bar", "write either a margin or a floor"
    for number, twice in _repeated([OVERALL, *(part.name for part in gate.slices)]):
        yield (
            ("gate", "slice", number - 1, "name"),
            f"the slice {twice!r} stands twice",
            "give each its own name",
        )


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
    yield from _processing(contract)
    for number, dimension in enumerate(contract.coverage.dimensions):
        if list(dimension.bins) != sorted(set(dimension.bins)):
            at = ("coverage", "dimensions", number)
            yield at, f"the bins of {dimension.expression!r} do not ascend", "write each edge once, ascending"


def _processing(contract: Contract) -> Found:
    """Checks, filter rules and kinds of personal data that the stages would refuse."""
    from engine.clean.checks import Check  # needed here alone, as are the next two
    from engine.clean.pii import find
    from engine.clean.policy import check_rule
    from engine.clean.runners import complaint

    for number, entry in enumerate(contract.checks):
        if wrong := complaint(Check(entry.kind, dict(entry.options), entry.name)):
            yield ("checks", number, "kind"), wrong, "see: spiritsafe check --help"
    for number, rule in enumerate(contract.filter):
        try:
            check_rule(rule.rule, rule.options)
        except InputError as error:
            yield ("filter", number, "rule"), error.what, error.todo
    try:
        find("", contract.constraints.pii)
    except InputError as error:
        yield ("constraints", "pii"), error.what, error.todo


def _predicates(contract: Contract) -> Found:
    """Every expression must parse. Which columns there are is known only when the data are."""
    from store.grammar import compile_value  # the parser is needed here alone
    from store.grammar import parse as parse_expression

    places = predicates_of(contract)
    dimensions = contract.coverage.dimensions
    places += [(("coverage", "dimensions", i, "expression"), d.expression) for i, d in enumerate(dimensions)]
    for path, expression in places:
        try:
            parsed = parse_expression(expression)
        except GrammarError as error:
            yield path, f"{expression!r} does not parse: {error.what}", error.todo
            continue
        try:
            if "language" in expression:
                compile_value(parsed, lambda _name: None)
        except GrammarError as error:  # an import can tell it, and the hub cannot when the data are frozen
            if "cannot be told here" in error.what:
                yield path, f"{expression!r}: {error.what}", error.todo
    yield from _empty(contract)


def _empty(contract: Contract) -> Found:
    """Slices and exclusions that nothing can ever meet."""
    from engine.contract_empty import contradiction

    slices = {part.name: part.where for part in contract.gate.slices}
    for path, expression in predicates_of(contract):
        try:
            clash = contradiction(expression, slices)
        except GrammarError:
            continue  # it does not parse, or goes in a circle: named as such
        if clash:
            what = f"nothing can meet {expression!r}"
            yield (
                path,
                f"{what}: no value has {clash}" if clash != expression else what,
                "correct the condition",
            )


def _repeated(names: Sequence[str]) -> list[tuple[int, str]]:
    """(position, name) of every name that stood before."""
    return [(i, name) for i, name in enumerate(names) if name in names[:i]]
