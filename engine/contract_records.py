"""The records of a contract: one per table of its TOML, and the docstring says what the table means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

TASK_KINDS = ("label", "text")
SEVERITIES = ("minor", "major", "critical")


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the contract: what is left out is empty, and ``check`` says where that will not do."""


class Label(_Record, frozen=True):
    """A label of a classification task, and the one-token code it is scored by ("" where it is its own)."""

    name: str
    code: str = ""


class Task(_Record, frozen=True):
    """The one narrow task. ``instruction`` is what reviewers are shown as guidelines."""

    name: str = ""
    kind: str = ""  # what the student writes: label | text
    instruction: str = ""
    input_example: str = ""
    output_example: str = ""
    metric: str = ""
    metric_options: dict[str, str] = {}
    labels: tuple[Label, ...] = ()


class Parameters(_Record, frozen=True):
    """Sampling parameters of the teacher, part of its fingerprint."""

    temperature: Decimal = Decimal(0)
    max_tokens: int = 512
    logprobs: bool = False
    top_logprobs: int = 0
    n: int = 1


class Teacher(_Record, frozen=True):
    """A pinned endpoint, model, version and parameters: never just a name."""

    name: str = ""
    endpoint: str = ""  # base URL of an OpenAI-compatible API
    model: str = ""
    version: str = ""
    api_key_env: str = ""  # the environment variable that holds the key; "" where none is needed
    why: str = ""
    params: Parameters = Parameters()


class Student(_Record, frozen=True):
    """The budget that makes the student worth having; None: no such bar."""

    parameters: int | None = None
    p95_latency_ms: Decimal | None = None
    cost_per_1000: Decimal | None = None


class Slice(_Record, frozen=True):
    """A named predicate over arrival metadata with its bar: a margin to the teacher or a floor of its own."""

    name: str
    where: str
    margin: Decimal | None = None  # 0.05: at most five points worse than the teacher
    floor: Decimal | None = None
    critical: bool = False


class Gate(_Record, frozen=True):
    """The bars. ``margin`` and ``floor`` here are those over the whole evaluation set."""

    level: Decimal = Decimal("0.95")
    margin: Decimal | None = None
    floor: Decimal | None = None
    minimum_n: int = 1
    attempts: int = 1
    slices: tuple[Slice, ...] = msgspec.field(default=(), name="slice")


class Constraints(_Record, frozen=True):
    """What limits the work: licence of the student, the teacher's terms, what may never be trained on."""

    licence: str = ""
    teacher_terms_acknowledged: bool = False
    exclude: tuple[str, ...] = ()  # predicates


class People(_Record, frozen=True):
    owner: str = ""
    backup: str = ""
    approvers: tuple[str, ...] = ()


class Reason(_Record, frozen=True):
    """Why a sample is bad: the digit that is its key, and what follows from it."""

    digit: int
    name: str
    severity: str = "major"  # minor | major | critical
    train_drop: bool = True  # keep such samples out of the training set
    counts_for_gate: bool = True  # an error of the teacher in the audit


class Check(_Record, frozen=True):
    """An automatic verification of every output; the kind says which options there are."""

    name: str
    kind: str
    options: dict[str, Any] = {}


class Dimension(_Record, frozen=True):
    """One axis of the coverage grid; numbers are cut at ``bins`` (ascending upper edges)."""

    expression: str
    name: str = ""
    bins: tuple[int, ...] = ()


class Coverage(_Record, frozen=True):
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


class Contract(_Record, frozen=True):
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
