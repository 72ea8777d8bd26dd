"""A contract for people: its page as text, and what changed between two of them, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from textwrap import wrap
from typing import Any

import msgspec

from engine.contract_bars import sizes
from engine.contract_records import NATURES, REASONS, Contract, Teacher
from engine.economics import plan_of, told, volume

NAMED = (
    "slice",
    "labels",
    "checks",
    "dimensions",
    "reasons",
    "filter",
    "teachers",
    "bars",
)  # lists whose items have a name
WIDE = 79  # cells of the page
LONG = 60  # characters of a value that a line shows
# What a larger number means, by the last word of its key; of the others the direction says nothing.
LARGER: dict[str, str] = {
    "margin": "looser", "floor": "stricter", "level": "stricter", "minimum_n": "stricter", "attempts": "looser",
    "p95_latency_ms": "looser", "cost_per_1000": "looser", "parameters": "looser", "critical": "stricter",
    "drift_threshold": "looser", "edge_case": "stricter", "machine_per_hour": "stricter",
}  # fmt: skip
OPPOSITE = {"looser": "stricter", "stricter": "looser"}


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs; ``effect``: looser, stricter or "" where neither can be said."""

    key: str
    before: str
    after: str
    effect: str = ""

    def __str__(self) -> str:
        effect = f" ({self.effect})" if self.effect else ""
        if not self.before:
            return f"{self.key}: {self.after} was added{effect}"
        if not self.after:
            return f"{self.key}: {self.before} was taken out{effect}"
        return f"{self.key}: {self.before} became {self.after}{effect}"


def changes(before: Contract, after: Contract) -> list[Change]:
    """Every difference of two contracts, in the order of the page; lists are compared by the names in them.

    >>> from engine.contract_records import Gate
    >>> one, two = Contract(), Contract(gate=Gate(margin=Decimal("0.05"), attempts=2))
    >>> [str(change) for change in changes(one, two)]
    ['gate.margin: 0.05 was added (stricter)', 'gate.attempts: 1 became 2 (looser)']
    """
    old, new = dict(leaves_of(before)), dict(leaves_of(after))
    keys = [*new, *(key for key in old if key not in new)]
    whole = {key: _slice_of(key) for key in keys}
    known = ({part.name for part in one.gate.slices} for one in (before, after))
    came, went = _moved(*known)
    found = [Change(f"gate.slice {name}", "", "a slice with its bar", "stricter") for name in came]
    found += [Change(f"gate.slice {name}", "a slice with its bar", "", "looser") for name in went]
    for key in keys:
        one, two = old.get(key, ""), new.get(key, "")
        if one != two and whole[key] not in went:
            found.append(Change(key, _short(one), _short(two), _effect(key, one, two)))
    return found


def leaves_of(record: msgspec.Struct) -> list[tuple[str, str]]:
    """Every key of a record that says something, as (dotted key, text)."""
    return list(_leaves(_builtins(record)))


def differences(before: msgspec.Struct, after: msgspec.Struct) -> list[Change]:
    """Every key in which two records of a kind differ; what that means is not said."""
    old, new = dict(leaves_of(before)), dict(leaves_of(after))
    keys = [*new, *(key for key in old if key not in new)]
    return [
        Change(key, _short(old.get(key, "")), _short(new.get(key, "")))
        for key in keys
        if old.get(key) != new.get(key)
    ]


def _moved(before: set[str], after: set[str]) -> tuple[list[str], list[str]]:
    return sorted(after - before), sorted(before - after)


def _slice_of(key: str) -> str:
    """The slice's name in a key such as ``gate.slice[urgent].margin``, "" where it has none."""
    head, _, rest = key.partition("gate.slice[")
    return rest.partition("]")[0] if not head and rest else ""


def _effect(key: str, one: str, two: str) -> str:
    word = key.rpartition(".")[2]
    larger = LARGER.get(word, "")
    if not larger:
        return "looser" if two == "" and key.startswith("constraints.exclude") else ""
    if word == "machine_per_hour" and not (one and two):
        return ""  # without it the cost is not judged at all
    if one == "" or two == "":  # a bar where there was none, or the other way round
        return "stricter" if one == "" else "looser"
    return larger if _number(two) > _number(one) else OPPOSITE[larger]


def _number(text: str) -> Decimal:
    return Decimal({"yes": "1", "no": "0"}.get(text, text))


def _builtins(record: msgspec.Struct) -> Any:
    return msgspec.to_builtins(record, builtin_types=(Decimal,))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, Mapping) and key.rpartition(".")[2] in NAMED:
                name = item.get("name") or item.get("expression") or item.get("rule")
                name = name or item.get("model") or item.get("nature") or ""
                yield from _leaves({k: v for k, v in item.items() if v != name}, f"{key}[{name}]")
            else:
                yield f"{key}[{_text(item)}]", _text(item)
    elif value is not None and value != "":
        yield key, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return str(value)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONG else f"{flat[: LONG - 1]}…"


# ---- the page


def page(contract: Contract) -> str:
    """The contract as one page of text: sections in order, a line for what is said, bars with the n they take."""
    lines: list[str] = []
    for title, rows in _sections(contract):
        told_rows = [(name, value) for name, value in rows if value not in ("", None)]
        if told_rows:
            lines += [title, *(_line(name, value) for name, value in told_rows), ""]
    return "\n".join(lines)


def _line(name: str, value: str) -> str:
    lines = [part for line in value.strip().splitlines() or [""] for part in wrap(line, WIDE - 21) or [""]]
    return "\n".join(f"  {'' if at else name:<18} {line}".rstrip() for at, line in enumerate(lines))


Rows = list[tuple[str, str]]


def _sections(contract: Contract) -> Iterator[tuple[str, Rows]]:
    task, teacher, rules = contract.task, contract.teacher, contract.constraints
    nature = f"{task.nature}: {volume(task.nature)}" if task.nature in NATURES else ""
    options = " ".join(f"{k}={v}" for k, v in task.metric_options.items())
    yield (
        f"Task: {task.name}",
        [
            ("student writes", task.kind),
            ("nature", nature),
            ("waiver", task.waiver),
            ("metric", f"{task.metric} {options}".strip()),
            ("labels", ", ".join(label.name for label in task.labels)),
            ("for example", f"{task.input_example}\n→ {task.output_example}" if task.input_example else ""),
            ("instruction", task.instruction),
        ],
    )
    yield "When to distil", _distil(contract)
    where = f" at {teacher.endpoint}" if teacher.endpoint else ""
    yield (
        f"Teacher: {teacher.name}",
        [
            ("pinned", f"{teacher.model} {teacher.version}{where}"),
            ("why", teacher.why),
            ("good enough", teacher.good_enough),
            ("price", _price(teacher)),
        ],
    )
    student = contract.student
    yield (
        "Student, at most",
        [
            ("parameters", f"{student.parameters:,}" if student.parameters else ""),
            ("p95 latency", f"{_text(student.p95_latency_ms)} ms" if student.p95_latency_ms else ""),
            ("cost per 1,000", _text(student.cost_per_1000) if student.cost_per_1000 else ""),
            ("its machine", f"{_text(student.machine_per_hour)} an hour" if student.machine_per_hour else ""),
        ],
    )
    yield "Gate", _gate(contract)
    excluded = [*rules.exclude, *([f"{len(rules.exclude_ids)} ids by hash"] if rules.exclude_ids else [])]
    by = f", acknowledged by {rules.acknowledged_by}" if rules.acknowledged_by else ""
    acknowledged = "acknowledged" if rules.teacher_terms_acknowledged else "NOT acknowledged"
    yield (
        "Constraints",
        [
            ("licence", rules.licence),
            ("teacher's terms", f"{rules.teacher_terms}{by}" if rules.teacher_terms else acknowledged),
            ("privacy", rules.privacy),
            ("excluded", "\n".join(excluded)),
        ],
    )
    people = contract.people
    yield (
        "People",
        [("owner", people.owner), ("backup", people.backup), ("approvers", ", ".join(people.approvers))],
    )
    yield "Monitoring", _monitoring(contract)
    yield "Data", _data(contract)


def _price(teacher: Teacher) -> str:
    both = (("in", teacher.price_in), ("out", teacher.price_out))
    said = [f"{_text(price)} {way}" for way, price in both if price is not None]
    return f"{', '.join(said)}, of a million tokens" if said else ""


def _distil(contract: Contract) -> Rows:
    distil = contract.distil
    rows: Rows = [("stable", distil.stable), ("defined", distil.defined)]
    if distil.samples:
        rows.append(("samples planned", f"{distil.samples:,}"))
    plan = plan_of(contract)
    if plan is not None:
        rows.append(("break-even", str(told(plan)["in_words"])))
    return rows


def _gate(contract: Contract) -> Rows:
    gate = contract.gate
    rows: Rows = [
        (
            "level",
            f"{_text(gate.level)}, {gate.attempts} attempts, no row on fewer than {gate.minimum_n:,} prompts",
        )
    ]
    for size in sizes(gate) if Decimal("0.5") < gate.level < 1 else []:
        likely = f", about {size['likely']:,} for a good student" if size["likely"] else ""
        takes = f"takes {size['at_least']:,} prompts at the least{likely}"
        critical = " · critical" if size["critical"] else ""
        rows.append((str(size["slice"]), f"{size['bar']}: {takes}{critical}"))
    rows += [(f"= {part.name}", part.where) for part in gate.slices]
    return rows


def _monitoring(contract: Contract) -> Rows:
    watched = contract.monitoring
    drift = watched.drift_threshold
    triggers = [f"{_text(drift)} worse than at the gate"] if drift is not None else []
    triggers += ["another version of the teacher"] if watched.teacher_change else []
    triggers += [watched.cadence]
    return [
        ("plan", watched.plan),
        ("slices", ", ".join(watched.slices)),
        ("distil again", "; ".join(triggers)),
    ]


def _data(contract: Contract) -> Rows:
    reasons = (
        "" if contract.reasons == REASONS else ", ".join(f"{r.digit} {r.name}" for r in contract.reasons)
    )
    dimensions = [d.name or d.expression for d in contract.coverage.dimensions]
    target = f", {contract.coverage.target} in each bucket" if contract.coverage.target else ""
    target += "".join(f", {t.samples} where {t.where}" for t in contract.coverage.targets)
    return [
        ("checks", ", ".join(check.name for check in contract.checks)),
        ("filter", ", ".join(one.rule for one in contract.filter)),
        ("coverage", ", ".join(dimensions) + target if dimensions else ""),
        ("reasons", reasons),
    ]
