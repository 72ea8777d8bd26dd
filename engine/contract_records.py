"""The records of a contract: one per table of its TOML, and the docstring says what the table means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

TASK_KINDS = ("label", "text")
EDITIONS = (1, 2)  # 2: every question of the page must be answered before it is locked
CADENCES = {"monthly": 1, "quarterly": 3, "half-yearly": 6, "yearly": 12}  # months between two looks
SEVERITIES = ("minor", "major", "critical")


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the contract: what is left out is empty, and ``check`` says where that will not do."""


class Label(_Record, frozen=True):
    """A label of a classification task, and the one-token code it is scored by ("" where it is its own)."""

    name: str
    code: str = ""


class Nature(_Record, frozen=True):
    """What sort of task it is: how many samples such a student usually takes, and why it may be a poor candidate.

    ``most`` None: no upper end. The volumes are rules of thumb to plan by; coverage and the gate decide.
    """

    least: int
    most: int | None = None
    poor: str = ""  # why copying a teacher rarely works here; "" where it does


NATURES: dict[str, Nature] = {
    "classification": Nature(least=1_000, most=5_000),
    "extraction": Nature(least=1_000, most=5_000),
    "structured": Nature(least=5_000, most=20_000),  # a document of a fixed shape
    "rewriting": Nature(least=5_000, most=20_000),  # summaries, translations, changes of tone
    "reasoning": Nature(least=50_000),  # several steps to one answer that can be checked
    "open_ended": Nature(
        least=50_000, poor="many answers are right, so that no gate can tell a worse student"
    ),
    "broad_knowledge": Nature(least=50_000, poor="a small student has no room for what the teacher knows"),
}


class Task(_Record, frozen=True):
    """The one narrow task. ``instruction`` is what reviewers are shown as guidelines."""

    name: str = ""
    kind: str = ""  # what the student writes: label | text
    nature: str = ""  # one of NATURES
    waiver: str = ""  # of a poor candidate: why it is distilled all the same
    instruction: str = ""
    input_example: str = ""
    output_example: str = ""
    metric: str = ""
    metric_options: dict[str, str] = {}
    labels: tuple[Label, ...] = ()


class Distil(_Record, frozen=True):
    """When to distil: is the task stable and defined, and when does the work pay (see ``economics``)?"""

    stable: str = ""  # how long task, labels and inputs stay as they are, and how you know
    defined: str = ""  # whether two experts give the same answer, and how you know
    requests_per_month: int | None = None
    teacher_cost_per_1000: Decimal | None = None  # what a thousand requests cost today
    one_off_cost: Decimal | None = None  # people, teacher outputs, training
    upkeep_per_month: Decimal | None = None  # monitoring, serving, re-distilling
    samples: int | None = None  # that the student is planned to be trained on


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
    good_enough: str = ""  # why its answers are good enough to copy: what was measured, on what
    price_in: Decimal | None = None  # of a million tokens that it reads, in the contract's currency
    price_out: Decimal | None = None  # of a million tokens that it writes
    params: Parameters = Parameters()


class Student(_Record, frozen=True):
    """The budget that makes the student worth having; None: no such bar."""

    parameters: int | None = None
    p95_latency_ms: Decimal | None = None
    cost_per_1000: Decimal | None = None
    machine_per_hour: Decimal | None = None  # price of what will serve it: latency times this is its cost


class Slice(_Record, frozen=True):
    """A named predicate over arrival metadata with its bar: a margin to the teacher or a floor of its own."""

    name: str
    where: str
    margin: Decimal | None = None  # 0.05: at most five points worse than the teacher
    floor: Decimal | None = None
    critical: bool = False
    edge_case: bool = False  # the slice of rare and hard inputs: it has a floor of its own
    planned_n: int | None = None  # test prompts that it will have


class Gate(_Record, frozen=True):
    """The bars. ``margin`` and ``floor`` here are those over the whole evaluation set."""

    level: Decimal = Decimal("0.95")
    margin: Decimal | None = None
    floor: Decimal | None = None
    minimum_n: int = 1
    planned_n: int | None = None  # prompts that the evaluation set will have
    attempts: int = 1
    slices: tuple[Slice, ...] = msgspec.field(default=(), name="slice")


class Constraints(_Record, frozen=True):
    """What limits the work: licence of the student, the teacher's terms, what may never be trained on."""

    licence: str = ""
    teacher_terms: str = ""  # which terms, of which day
    teacher_terms_acknowledged: bool = False
    acknowledged_by: str = ""  # who read them and answers for it
    privacy: str = ""  # which personal data there is, on what ground, who may see it
    exclude: tuple[str, ...] = ()  # predicates
    exclude_ids: tuple[str, ...] = ()  # prompt ids, or SHA-256 of a value under one of exclude_keys
    exclude_keys: tuple[str, ...] = ()  # metadata keys whose values are named by their hash
    pii: tuple[str, ...] = ()  # kinds of personal data that are never trained on


class People(_Record, frozen=True):
    owner: str = ""
    backup: str = ""
    approvers: tuple[str, ...] = ()


class Monitoring(_Record, frozen=True):
    """What is watched once the student works, and what makes it be distilled again."""

    plan: str = ""
    slices: tuple[str, ...] = ()  # of the gate, watched one by one
    drift_threshold: Decimal | None = None  # 0.05: five points worse than at the gate
    teacher_change: bool = True  # another version of the teacher is a trigger too
    cadence: str = "quarterly"  # one of CADENCES


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


class Filter(_Record, frozen=True):
    """One rule of the filter policy: which samples do not go into training (``engine/clean/policy.py`` has them)."""

    rule: str
    options: dict[str, Any] = {}


class Dimension(_Record, frozen=True):
    """One axis of the coverage grid; numbers are cut at ``bins`` (ascending upper edges)."""

    expression: str
    name: str = ""
    bins: tuple[int | Decimal, ...] = ()


class Target(_Record, frozen=True):
    """Samples wanted in the buckets that a filter over their values finds."""

    where: str
    samples: int


class Coverage(_Record, frozen=True):
    dimensions: tuple[Dimension, ...] = ()
    target: int = 0  # samples wanted in each bucket
    targets: tuple[Target, ...] = ()  # and in some of them


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
    """The whole contract. One of edition 1 (as all were) may leave questions of edition 2 open."""

    edition: int = 1
    task: Task = Task()
    distil: Distil = Distil()
    teacher: Teacher = Teacher()
    student: Student = Student()
    gate: Gate = Gate()
    constraints: Constraints = Constraints()
    people: People = People()
    monitoring: Monitoring = Monitoring()
    reasons: tuple[Reason, ...] = REASONS
    checks: tuple[Check, ...] = ()
    filter: tuple[Filter, ...] = ()
    coverage: Coverage = Coverage()
