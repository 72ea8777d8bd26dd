"""The questions of the page beyond its bare bones: must they be answered, are they, and what is advised.

A contract of edition 2 answers all of them before it is locked. One of edition 1, as all were, is told which are
open. What is wrong in itself (a cadence that is none, an id that is no hash) is refused in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.contract_lines import Path
from engine.contract_records import CADENCES, EDITIONS, NATURES, Contract
from engine.economics import break_even, plan_of, sentence, volume
from store.errors import GrammarError, InputError

Found = Iterator[tuple[Path, str, str]]

REQUIRED: dict[Path, str] = {
    ("task", "nature"): f"one of {', '.join(NATURES)}",
    ("task", "input_example"): "a worked example: one real input",
    ("task", "output_example"): "a worked example: the answer that is wanted for it",
    ("distil", "stable"): "how long do task, labels and inputs stay as they are, and how do you know?",
    ("distil", "defined"): "would two experts give the same answer, and how do you know?",
    ("distil", "requests_per_month"): "the traffic that the student is for",
    ("distil", "teacher_cost_per_1000"): "what a thousand requests cost today",
    ("distil", "one_off_cost"): "people, teacher outputs, training: what it takes once",
    ("distil", "samples"): "how many samples the student will be trained on",
    ("teacher", "why"): "why this teacher",
    ("teacher", "good_enough"): "why its answers are good enough to copy: what was measured, on what",
    ("student", "parameters"): "how large the student may be",
    ("student", "p95_latency_ms"): "how slow it may be",
    ("student", "cost_per_1000"): "what a thousand requests may cost",
    ("constraints", "teacher_terms"): "name the terms that were read, with their date",
    ("constraints", "acknowledged_by"): "the name of who read them and answers for it",
    ("constraints", "privacy"): 'which personal data there is, on what ground; "none" is an answer',
    ("people", "backup"): "who answers when the owner is away",
    ("people", "approvers"): "who must agree before it goes live",
    ("monitoring", "plan"): "what is watched once it works, by whom",
    ("monitoring", "drift_threshold"): "how much worse than at the gate makes it be distilled again: 0.05",
}
HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")  # a prompt's id; SHA-256 of a value


def questions(contract: Contract) -> Found:
    """Every reason not to lock: (key, what, what to do)."""
    if contract.edition not in EDITIONS:
        yield ("edition",), f"there is no edition {contract.edition}", "this release knows 1 and 2"
    yield from _nature(contract)
    yield from _costs(contract)
    yield from _exclusions(contract)
    yield from _monitoring(contract)
    yield from _policy(contract)
    yield from _slices_named(contract)
    for name, value in (("gate", contract.gate.planned_n), *_planned(contract)):
        if value is not None and value < 1:
            yield (("gate",), f"{name}: planned_n is not above 0", "leave it out where it is not known")
    if contract.edition >= 2:
        yield from _open(contract)


def advice(contract: Contract) -> Found:
    """What hinders no lock: questions that an older edition leaves open, and plans that look thin."""
    if contract.edition < 2:
        open_ = [".".join(map(str, path)) for path, _, _ in _open(contract)]
        if open_:
            what = f"of edition 1, which leaves open: {', '.join(open_)}"
            yield ("edition",), what, "answer them and write edition = 2 on top"
    nature = NATURES.get(contract.task.nature)
    samples = contract.distil.samples
    if nature is not None and samples is not None and samples < nature.least:
        what = f"{samples:,} samples for {contract.task.nature}"
        yield ("distil", "samples"), what, f"{volume(contract.task.nature)} are usual; plan more, or say why"
    student = contract.student
    if student.cost_per_1000 is not None and student.machine_per_hour is None:
        todo = "write student.machine_per_hour, or import the student's answers with their costs"
        yield ("student", "cost_per_1000"), "nothing says yet how the student's cost will be known", todo
    plan = plan_of(contract)
    if plan is not None and (found := break_even(plan)).pays is False:
        yield ("distil",), sentence(plan, found), "say in a why note what it is worth otherwise"


def _planned(contract: Contract) -> Iterator[tuple[str, int | None]]:
    for part in contract.gate.slices:
        yield f"slice {part.name!r}", part.planned_n


def _open(contract: Contract) -> Found:
    """Questions without an answer, and an edge-case slice without a floor."""
    for path, todo in REQUIRED.items():
        value: Any = contract
        for name in path:
            value = getattr(value, str(name))
        if value is None or value == () or (isinstance(value, str) and not value.strip()):
            yield path, f"{'.'.join(map(str, path))} is open", todo
    edges = [part for part in contract.gate.slices if part.edge_case]
    if not edges:
        todo = "mark one edge_case = true and give it a floor"
        yield ("gate", "edge_case"), "no slice holds the edge cases", todo
    for number, part in enumerate(contract.gate.slices):
        if part.edge_case and part.floor is None:
            todo = "write a floor: there the teacher itself may be wrong"
            yield (
                ("gate", "slice", number, "edge_case"),
                f"the edge-case slice {part.name!r} has no floor",
                todo,
            )


def _nature(contract: Contract) -> Found:
    task = contract.task
    nature = NATURES.get(task.nature)
    if task.nature and nature is None:
        yield (
            ("task", "nature"),
            f"there is no nature {task.nature!r}",
            f"use one of {', '.join(NATURES)}",
        )
    if nature is not None and nature.poor and not task.waiver.strip():
        what = f"{task.nature} is a poor candidate: {nature.poor}"
        todo = "narrow the task, or write in task.waiver why it is distilled all the same"
        yield ("task", "nature"), what, todo


def _costs(contract: Contract) -> Found:
    distil = contract.distil
    for name in ("requests_per_month", "teacher_cost_per_1000", "samples"):
        value = getattr(distil, name)
        if value is not None and value <= 0:
            yield ("distil", name), f"distil.{name} is not above 0", "write what is planned"
    for name in ("one_off_cost", "upkeep_per_month"):
        value = getattr(distil, name)
        if value is not None and value < 0:
            yield ("distil", name), f"distil.{name} is below 0", "write what it costs"


def _exclusions(contract: Contract) -> Found:
    constraints = contract.constraints
    for number, text in enumerate(constraints.exclude_ids):
        if not HASH.fullmatch(text):
            todo = "a prompt's id (32 digits), or the SHA-256 of a value: printf %s 4711 | sha256sum"
            yield ("constraints", "exclude_ids", number), f"{text[:70]!r} is no hash", todo
    values = [text for text in constraints.exclude_ids if len(text) == 64]
    if values and not constraints.exclude_keys:
        todo = 'write exclude_keys = ["customer_id"]: the metadata whose values are hashed'
        yield ("constraints", "exclude_ids"), "hashes of values, and no key that has them", todo


def _monitoring(contract: Contract) -> Found:
    watched = contract.monitoring
    if watched.cadence not in CADENCES:
        yield (
            ("monitoring", "cadence"),
            f"there is no cadence {watched.cadence!r}",
            f"use one of {', '.join(CADENCES)}",
        )
    if watched.drift_threshold is not None and not 0 < watched.drift_threshold < 1:
        todo = "write a share such as 0.05 (five points)"
        yield ("monitoring", "drift_threshold"), f"no drift is {watched.drift_threshold}", todo
    known = {part.name for part in contract.gate.slices}
    for number, name in enumerate(watched.slices):
        if name not in known:
            yield ("monitoring", "slices", number), f"there is no slice {name!r}", _known(known)


def _policy(contract: Contract) -> Found:
    from engine.clean.policy import check_rule

    for number, one in enumerate(contract.filter):
        try:
            check_rule(one.rule, one.options)
        except InputError as error:
            yield ("filter", number), error.what, error.todo or "see the rules of a filter policy"


def _known(names: set[str]) -> str:
    return f"the gate has: {', '.join(sorted(names)) or 'none'}"


def _slices_named(contract: Contract) -> Found:
    """``slice = NAME`` in a predicate means a slice of this very contract: one of people's may change."""
    from store.grammar import parse
    from store.slices import expanded

    known = {part.name: part.where for part in contract.gate.slices}
    places: list[tuple[Path, str]] = [
        (("gate", "slice", i, "where"), part.where) for i, part in enumerate(contract.gate.slices)
    ]
    places += [(("constraints", "exclude", i), text) for i, text in enumerate(contract.constraints.exclude)]
    for path, text in places:
        try:
            wanted = _names_of_slices(parse(text))
            for name in sorted(wanted - known.keys()):
                yield (
                    path,
                    f"there is no slice {name!r}",
                    f"{_known(set(known))}; meta.slice is a metadata key",
                )
            expanded(text, known)
        except GrammarError as error:
            if "circle" in error.what:
                yield path, error.what, "write one of them out"


def _names_of_slices(expression: Any) -> set[str]:
    from store.grammar_tree import Compare, In, Literal, Name, Word, children

    found: set[str] = set()
    queue = [expression]
    while queue:
        node = queue.pop()
        queue.extend(children(node))
        items: tuple[Any, ...] = ()
        if isinstance(node, Compare) and node.op in ("=", "!=") and node.left == Name("slice"):
            items = (node.right,)
        elif isinstance(node, In) and node.operand == Name("slice"):
            items = node.items
        found |= {item.text for item in items if isinstance(item, Word)}
        found |= {str(item.value) for item in items if isinstance(item, Literal)}
    return found
