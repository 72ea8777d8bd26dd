"""The contract: one page of TOML written before any data, frozen and hashed when it is locked.

``parse`` reads it into frozen records and refuses what it cannot mean; ``check`` names every reason why it
may not be locked yet; ``as_payload`` is its JSON for the ledger and ``contract_hash`` the hash of that, so
comments, order and spelling of numbers do not change it. Bars are decimals from the text to the ledger.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from textwrap import fill
from typing import Any

import msgspec

from engine.contract_bars import OVERALL, Bar, bars
from engine.contract_checks import Problem, advise, check, placed, unknown_names
from engine.contract_lines import Path, line_numbers, line_of, path_of
from engine.contract_records import REASONS, Contract
from engine.contract_template import TEMPLATE
from store.canonical import digest_of
from store.errors import InputError

# One import for those who read, check and hash a contract.
__all__ = [
    "OVERALL",
    "Bar",
    "Problem",
    "advise",
    "as_payload",
    "bars",
    "check",
    "contract_hash",
    "from_payload",
    "line_numbers",
    "parse",
    "placed",
    "template",
    "unknown_names",
]

# Keys that came with edition 2, by section ("": the page itself); those of a slice stand in ``as_payload``.
ADDED: dict[str, tuple[str, ...]] = {
    "": ("edition", "distil", "monitoring", "filter"),
    "task": ("nature", "waiver"),
    "teacher": ("good_enough", "price_in", "price_out"),
    "student": ("machine_per_hour",),
    "gate": ("planned_n",),
    "coverage": ("targets",),
    "constraints": (
        "teacher_terms", "acknowledged_by", "privacy", "exclude_ids", "exclude_keys", "pii",
    ),
}  # fmt: skip
LARGEST = 2**53 - 1  # beyond it JSON readers disagree


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
    """The contract as JSON-safe data without floats: decimals are strings in their shortest spelling.

    Keys that came with edition 2 are left out where they say nothing, so that the hash of a page that does not use
    them is what it always was.
    """
    payload: dict[str, Any] = _plain(_builtins(contract))
    without = _plain(_builtins(Contract()))
    for section, names in ADDED.items():
        inner, blank = (payload[section], without[section]) if section else (payload, without)
        for name in names:
            if inner[name] == blank[name]:
                del inner[name]
    for part, said in zip(contract.gate.slices, payload["gate"]["slice"], strict=True):
        if not part.edge_case:
            del said["edge_case"]
        if part.planned_n is None:
            del said["planned_n"]
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
