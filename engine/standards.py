"""The team's standards: one page for every project of a store, that each contract and decision must come up to.

``standards.toml`` is written like a contract and locked like one, by its stewards: the hub refuses anybody else, and
``verify`` judges it again. A locked contract stays as it was when standards change; the next version of it and every
decision are held to the new ones.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from engine.contract_checks import Problem, placed
from engine.contract_lines import Path, line_numbers, line_of, path_of
from engine.contract_records import NATURES, Contract, Slice
from store.canonical import digest_of
from store.errors import InputError
from store.read_standards import STANDARDS

if TYPE_CHECKING:
    from store.client import Client
    from store.read_standards import LockedStandards


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the standards; what is left out asks for nothing."""


class OfContracts(_Record, frozen=True):
    """What a contract must say. ``required``: keys that are answered, as ``people.backup``."""

    edition: int = 1
    required: tuple[str, ...] = ()
    critical_slices: tuple[str, ...] = ()  # names that its gate must have, marked critical


class Protocol(_Record, frozen=True):
    """How students are evaluated: bounds of the contract's own protocol, and what must have been done to ship."""

    level: Decimal | None = None  # at least
    minimum_n: int | None = None  # at least
    attempts: int | None = None  # at most
    audit: bool = False  # ships only after an audit plan that accepted the teacher
    baselines: bool = False  # nothing is generated, and nothing ships, before baselines were scored


class PinnedTeacher(_Record, frozen=True):
    """A teacher that may be copied; what is left out may be anything."""

    model: str
    version: str = ""
    endpoint: str = ""


class MinimumBar(_Record, frozen=True):
    """The loosest bars that a contract may write for tasks of a nature ("": of every nature)."""

    nature: str = ""
    margin: Decimal | None = None  # overall, at most
    floor: Decimal | None = None  # overall, at least
    slice_margin: Decimal | None = None
    slice_floor: Decimal | None = None


class Signatures(_Record, frozen=True):
    """How many different people sign before a student ships; ``signers`` () where anybody counts."""

    ship: int = 0
    signers: tuple[str, ...] = ()


class Review(_Record, frozen=True):
    """What is asked, and answered on record, before a student ships."""

    checklist: tuple[str, ...] = ()


class Standards(_Record, frozen=True):
    """The whole page."""

    stewards: tuple[str, ...] = ()  # accounts that may change it
    contract: OfContracts = OfContracts()
    protocol: Protocol = Protocol()
    teachers: tuple[PinnedTeacher, ...] = ()
    bars: tuple[MinimumBar, ...] = ()
    signatures: Signatures = Signatures()
    review: Review = Review()


Found = Iterator[tuple[Path, str, str]]


def parse(text: str, where: str = "standards.toml") -> Standards:
    """Read standards. Raises InputError with file and line."""
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = f"{where}:{line[1] if line else len(text.splitlines())}"
        raise InputError(f"is no TOML: {error}", where=at) from error
    try:
        return msgspec.convert(raw, Standards)
    except msgspec.ValidationError as error:
        what, _, path_text = str(error).partition(" - at ")
        path = path_of(what, path_text)
        at = f"{where}:{line_of(line_numbers(text), path)}"
        todo = "`spiritsafe standards init` writes a page with every key."
        raise InputError(f"{'.'.join(map(str, path))}: {what}", where=at, todo=todo) from error


def as_payload(standards: Standards) -> dict[str, Any]:
    """As JSON without floats: decimals are strings in their shortest spelling."""
    payload: dict[str, Any] = _plain(msgspec.to_builtins(standards, builtin_types=(Decimal,)))
    return payload


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def from_standards(payload: Mapping[str, object]) -> Standards:
    """The standards of a ledger event. Raises InputError where the payload is none."""
    try:
        return msgspec.convert(dict(payload), Standards)
    except msgspec.ValidationError as error:
        raise InputError(f"are no standards: {error}", where="ledger") from error


def standards_hash(standards: Standards) -> str:
    """SHA-256 of the canonical payload."""
    return digest_of(as_payload(standards))


def newest(store: Client) -> LockedStandards | None:
    """The standards locked last, None where there are none."""
    versions = store.ask(STANDARDS)
    return versions[-1] if versions else None


def in_force(store: Client) -> Standards | None:
    """The same, read. Raises InputError where they are of a later release."""
    locked = newest(store)
    return None if locked is None else from_standards(msgspec.json.decode(locked.standards))


def check(standards: Standards, text: str = "", where: str = "standards.toml") -> list[Problem]:
    """Every reason why these standards may not be locked, by line."""
    return placed([*_faults(standards)], text, where)


def _faults(standards: Standards) -> Found:
    if not any(name.strip() for name in standards.stewards):
        yield ("stewards",), "no steward is named", 'whoami says the name of an account: stewards = ["ada"]'
    known = _keys_of_a_contract()
    for number, key in enumerate(standards.contract.required):
        if key not in known:
            yield ("contract", "required", number), f"a contract has no key {key!r}", "as people.backup"
    for number, bar in enumerate(standards.bars):
        if bar.nature and bar.nature not in NATURES:
            todo = f"use one of {', '.join(NATURES)}"
            yield ("bars", number, "nature"), f"there is no nature {bar.nature!r}", todo
        for name in ("margin", "floor", "slice_margin", "slice_floor"):
            value = getattr(bar, name)
            if value is not None and not 0 < value < 1:
                yield ("bars", number, name), f"no share is {value}", "write a share such as 0.03"
    level = standards.protocol.level
    if level is not None and not Decimal("0.5") < level < 1:
        yield ("protocol", "level"), f"the level {level} is not between 0.5 and 1", "0.95 is usual"
    sign = standards.signatures
    if sign.ship < 0 or (sign.signers and sign.ship > len(set(sign.signers))):
        todo = "name more signers, or ask for fewer"
        yield ("signatures", "ship"), f"{sign.ship} signatures cannot come together", todo


def _keys_of_a_contract() -> set[str]:
    plain = msgspec.to_builtins(Contract(), builtin_types=(Decimal,))
    return {f"{s}.{k}" for s, part in plain.items() if isinstance(part, dict) for k in part}


# ---- held against a contract


def against_contract(
    standards: Standards, contract: Contract, text: str = "", where: str = "contract.toml"
) -> list[Problem]:
    """Where a contract falls short of the standards, by its lines; [] where it does not."""
    found = [*_asked(standards, contract), *_protocol(standards.protocol, contract)]
    found += [*_teacher(standards, contract), *_bars(standards, contract)]
    return placed(found, text, where)


HOUSE = "the team's standards: spiritsafe standards show"


def _asked(standards: Standards, contract: Contract) -> Found:
    asked = standards.contract
    if contract.edition < asked.edition:
        yield (
            ("edition",),
            f"edition {asked.edition} is asked for",
            f"write edition = {asked.edition}; {HOUSE}",
        )
    for key in asked.required:
        section, _, name = key.partition(".")
        value = getattr(getattr(contract, section, None), name, None)
        if value in (None, (), "", False) or (isinstance(value, str) and not value.strip()):
            yield (section, name), f"{key} is open", f"it is required by {HOUSE}"
    critical = {part.name for part in contract.gate.slices if part.critical}
    for name in asked.critical_slices:
        if name not in critical:
            yield ("gate",), f"no critical slice {name!r}", f"it is required by {HOUSE}"


def _protocol(protocol: Protocol, contract: Contract) -> Found:
    gate = contract.gate
    if protocol.level is not None and gate.level < protocol.level:
        yield ("gate", "level"), f"the level {gate.level} is below {protocol.level}", HOUSE
    if protocol.minimum_n is not None and gate.minimum_n < protocol.minimum_n:
        yield ("gate", "minimum_n"), f"minimum_n {gate.minimum_n} is below {protocol.minimum_n}", HOUSE
    if protocol.attempts is not None and gate.attempts > protocol.attempts:
        yield ("gate", "attempts"), f"{gate.attempts} attempts are above {protocol.attempts}", HOUSE


def _teacher(standards: Standards, contract: Contract) -> Found:
    teacher = contract.teacher
    pinned = standards.teachers
    if pinned and not any(
        one.model == teacher.model
        and one.version in ("", teacher.version)
        and one.endpoint in ("", teacher.endpoint)
        for one in pinned
    ):
        known = ", ".join(f"{one.model} {one.version}".strip() for one in pinned)
        what = f"the teacher {teacher.model} {teacher.version} is none of those pinned"
        yield ("teacher", "model"), what, f"pinned are: {known}"


def _bars(standards: Standards, contract: Contract) -> Found:
    gate = contract.gate
    for bar in standards.bars:
        if bar.nature not in ("", contract.task.nature):
            continue
        if bar.margin is not None and (gate.margin is None or gate.margin > bar.margin):
            yield ("gate", "margin"), f"an overall margin of at most {bar.margin} is asked for", HOUSE
        if bar.floor is not None and (gate.floor is None or gate.floor < bar.floor):
            yield ("gate", "floor"), f"an overall floor of at least {bar.floor} is asked for", HOUSE
        for number, part in enumerate(gate.slices):
            yield from _slice(bar, part, ("gate", "slice", number))


def _slice(bar: MinimumBar, part: Slice, at: Path) -> Found:
    if bar.slice_margin is not None and part.margin is not None and part.margin > bar.slice_margin:
        yield (*at, "margin"), f"a slice's margin is at most {bar.slice_margin}", HOUSE
    if bar.slice_floor is not None and part.floor is not None and part.floor < bar.slice_floor:
        yield (*at, "floor"), f"a slice's floor is at least {bar.slice_floor}", HOUSE


# ---- held against a decision


def against_ship(standards: Standards, audits: list[Mapping[str, Any]], stages: set[str]) -> Iterator[str]:
    """What must have been done before anything ships and was not. ``audits``: plans with their ``verdict``."""
    if standards.protocol.audit and not any(plan.get("verdict") == "accept" for plan in audits):
        yield "no audit plan has accepted the teacher"
    if standards.protocol.baselines and "baselines" not in stages:
        yield "no baseline was scored on the frozen set"
