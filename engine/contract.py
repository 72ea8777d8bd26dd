"""The contract: one page of TOML written before any data, frozen and hashed when it is locked.

``parse`` reads it into frozen records and refuses what it cannot mean; ``check`` names every reason why it
may not be locked yet; ``as_payload`` is its JSON for the ledger and ``contract_hash`` the hash of that, so
comments, order and spelling of numbers do not change it. Bars are decimals from the text to the ledger.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from engine.contract_template import TEMPLATE
from engine.evaluate.metrics import METRICS
from store.canonical import digest_of
from store.errors import GrammarError, InputError

LARGEST = 2**53 - 1  # beyond it JSON readers disagree


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the contract: what is left out is empty, and ``check`` says where that will not do."""


class Label(_Record):
    """A label of a classification task, and the one-token code it is scored by ("" where it is its own)."""

    name: str
    code: str = ""


class Task(_Record):
    """The one narrow task. ``instruction`` is what reviewers are shown as guidelines."""

    name: str = ""
    kind: str = ""  # what the student writes: label | text
    instruction: str = ""
    input_example: str = ""
    output_example: str = ""
    metric: str = ""
    metric_options: dict[str, str] = {}
    labels: tuple[Label, ...] = ()


class Parameters(_Record):
    """Sampling parameters of the teacher, part of its fingerprint."""

    temperature: Decimal = Decimal(0)
    max_tokens: int = 512
    logprobs: bool = False
    top_logprobs: int = 0
    n: int = 1


class Teacher(_Record):
    """A pinned endpoint, model, version and parameters: never just a name."""

    name: str = ""
    endpoint: str = ""  # base URL of an OpenAI-compatible API
    model: str = ""
    version: str = ""
    api_key_env: str = ""  # the environment variable that holds the key; "" where none is needed
    why: str = ""
    params: Parameters = Parameters()


class Student(_Record):
    """The budget that makes the student worth having; None: no such bar."""

    parameters: int | None = None
    p95_latency_ms: Decimal | None = None
    cost_per_1000: Decimal | None = None


class Slice(_Record):
    """A named predicate over arrival metadata with its bar: a margin to the teacher or a floor of its own."""

    name: str
    where: str
    margin: Decimal | None = None  # 0.05: at most five points worse than the teacher
    floor: Decimal | None = None
    critical: bool = False


class Gate(_Record):
    """The bars. ``margin`` and ``floor`` here are those over the whole evaluation set."""

    level: Decimal = Decimal("0.95")
    margin: Decimal | None = None
    floor: Decimal | None = None
    minimum_n: int = 1
    attempts: int = 1
    slices: tuple[Slice, ...] = msgspec.field(default=(), name="slice")


class Constraints(_Record):
    """What limits the work: licence of the student, the teacher's terms, what may never be trained on."""

    licence: str = ""
    teacher_terms_acknowledged: bool = False
    exclude: tuple[str, ...] = ()  # predicates


class People(_Record):
    owner: str = ""
    backup: str = ""
    approvers: tuple[str, ...] = ()


class Reason(_Record):
    """Why a sample is bad: the digit that is its key, and what follows from it."""

    digit: int
    name: str
    severity: str = "major"  # minor | major | critical
    train_drop: bool = True  # keep such samples out of the training set
    counts_for_gate: bool = True  # an error of the teacher in the audit


class Check(_Record):
    """An automatic verification of every output; the kind says which options there are."""

    name: str
    kind: str
    options: dict[str, Any] = {}


class Dimension(_Record):
    """One axis of the coverage grid; numbers are cut at ``bins`` (ascending upper edges)."""

    expression: str
    name: str = ""
    bins: tuple[int, ...] = ()


class Coverage(_Record):
    dimensions: tuple[Dimension, ...] = ()
    target: int = 0  # samples wanted in each bucket


REASONS = (
    Reason(digit=1, name="wrong"),
    Reason(digit=2, name="unsupported"),
    Reason(digit=3, name="incomplete"),
    Reason(digit=4, name="instruction ignored"),
    Reason(digit=5, name="format"),
    Reason(digit=6, name="unsafe/PII", severity="critical"),
    Reason(digit=7, name="refusal"),
    Reason(digit=8, name="language/style", severity="minor", counts_for_gate=False),
    Reason(digit=9, name="prompt itself bad", severity="minor", counts_for_gate=False),
)


class Contract(_Record):
    """The whole contract."""

    task: Task = Task()
    teacher: Teacher = Teacher()
    student: Student = Student()
    gate: Gate = Gate()
    constraints: Constraints = Constraints()
    people: People = People()
    reasons: tuple[Reason, ...] = REASONS
    checks: tuple[Check, ...] = ()
    coverage: Coverage = Coverage()


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why the contract may not be locked: ``where`` is file and line."""

    where: str
    what: str
    todo: str


Path = tuple[str | int, ...]


# ---- text to records and back ----------------------------------------------------------------------------


def parse(text: str, where: str = "contract.toml") -> Contract:
    """Read a contract. Raises InputError with file and line at what TOML or the contract has no word for."""
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = f"{where}:{line[1] if line else len(text.splitlines())}"
        raise InputError(f"is no TOML: {error}", where=at) from error
    lines = line_numbers(text)
    for path, value in _leaves(raw):
        if complaint := _not_allowed(path, value):
            raise InputError(complaint, where=f"{where}:{_line(lines, path)}", todo="Write it as text in quotes.")
    try:
        return msgspec.convert(_spelled_out(raw), Contract)
    except msgspec.ValidationError as error:
        what, _, path_text = str(error).partition(" - at ")
        path = _path_of(what, path_text)
        key = ".".join(str(part) for part in path)
        todo = "`spiritsafe init` writes a contract with every key and what it means."
        raise InputError(f"{key}: {what}", where=f"{where}:{_line(lines, path)}", todo=todo) from error


def as_payload(contract: Contract) -> dict[str, Any]:
    """The contract as JSON-safe data without floats: decimals are strings in their shortest spelling."""
    payload: dict[str, Any] = _plain(msgspec.to_builtins(contract, builtin_types=(Decimal,)))
    return payload


def from_payload(payload: Mapping[str, object]) -> Contract:
    """The contract of a ledger event. Raises InputError where the payload is none."""
    try:
        return msgspec.convert(dict(payload), Contract)
    except msgspec.ValidationError as error:
        raise InputError(f"is no contract: {error}", where="ledger") from error


def contract_hash(contract: Contract) -> str:
    """SHA-256 of the canonical payload, 64 hex characters.

    To verify an old lock, hash the payload in its event: a later release may add keys to this one.
    """
    return digest_of(as_payload(contract))


def template(name: str, *, owner: str = "") -> str:
    """A commented contract to fill in; what is left blank is what ``check`` will name."""
    return TEMPLATE.replace("@NAME@", _quoted(name)).replace("@OWNER@", _quoted(owner))


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
        raw = raw | {"task": task | {"labels": [{"name": name, "code": code} for name, code in labels.items()]}}
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
    if isinstance(value, bool | str):
        return ""
    if isinstance(value, int):
        return "" if abs(value) <= LARGEST else f"{key}: is beyond 2^53"
    return f"{key}: dates and times have no place in a contract"


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


# ---- where a key stands ----------------------------------------------------------------------------------

HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\- \"']+?)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"\s*([\w.\-\"']+(?:\s*\.\s*[\w\-\"']+)*)\s*=")


def line_numbers(text: str) -> dict[Path, int]:
    """Path of every table and key -> its 1-based line, by scanning: good for messages, not for parsing.

    >>> line_numbers("[gate]\\nlevel = 0.9\\n[[gate.slice]]\\nname = 'a'")[("gate", "slice", 0, "name")]
    4
    """
    lines: dict[Path, int] = {}
    counts: Counter[Path] = Counter()
    table: Path = ()
    fence = ""  # the quotes of an open multi-line string
    for number, line in enumerate(text.splitlines(), 1):
        if not fence and (header := HEADER.match(line)):
            table = _parts(header[2])
            if header[1] == "[[":
                counts[table] += 1
                table = (*table, counts[table] - 1)
            lines.setdefault(table, number)
        elif not fence and (key := KEY.match(line)):
            lines.setdefault((*table, *_parts(key[1])), number)
        for quotes in ('"""', "'''"):
            if fence in {"", quotes} and line.count(quotes) % 2:
                fence = "" if fence else quotes
    return lines


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _line(lines: Mapping[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest table around it, or 1."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def _path_of(what: str, path_text: str) -> Path:
    r"""The path in msgspec's words: "`$.gate.slice[0].margin`", and the unknown field that it names before."""
    parts = re.findall(r"\.([\w-]+)|\[(\d+)\]", path_text)
    path: Path = tuple(int(index) if index else name for name, index in parts)
    unknown = re.search(r"unknown field `([^`]*)`", what)
    return (*path, unknown[1]) if unknown else path
