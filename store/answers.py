"""What the questions of ``read.py`` answer: one frozen record a question, in the order of its columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Project:
    """One distillation."""

    name: str
    title: str
    retrospective: bool
    owner: str
    created_us: int


@dataclass(frozen=True, slots=True)
class Run:
    """One closed execution of a stage; ``opened`` and ``summary`` are JSON payloads of its two events."""

    run_no: int
    run_id: str
    stage: str
    actor: str
    opened_us: int
    closed_us: int
    opened: str
    summary: str
    closed_seq: int


@dataclass(frozen=True, slots=True)
class Model:
    """A declared model."""

    model: str
    role: str
    fingerprint: str
    outputs: int


@dataclass(frozen=True, slots=True)
class LockedContract:
    """One locked version of the contract."""

    seq: int
    version: int
    hash: str
    contract: str
    actor: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of everything a project has."""

    arrivals: int
    prompts: int
    outputs: int
    checks: int
    edges: int
    verdicts: int
    comments: int


@dataclass(frozen=True, slots=True)
class ArrivalRow:
    """What stages read of an arrival."""

    arrival_key: int
    prompt_id: str
    text: str
    messages: str | None
    reference: str | None
    source: str
    split: str
    metadata: str


@dataclass(frozen=True, slots=True)
class OutputRow:
    """What stages read of an output, with the arrival it answers."""

    output_key: int
    arrival_key: int
    prompt_id: str
    output_id: str
    sample_index: int
    text: str
    logprobs: str | None
    latency_us: int | None
    cost_nano: int | None
    prompt: str
    reference: str | None
    split: str
    metadata: str


@dataclass(frozen=True, slots=True)
class Given:
    """What a model answered to one prompt (its first sample), without what only training reads."""

    prompt_id: str
    output_key: int
    text: str
    latency_us: int | None
    cost_nano: int | None = None


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check result."""

    output_key: int
    output_id: str
    name: str
    passed: bool


@dataclass(frozen=True, slots=True)
class CheckCount:
    """How one check of one model came out."""

    name: str
    model: str
    passed: int
    total: int


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """A verified pair."""

    edge_key: int
    field: str
    left_key: int
    right_key: int
    left_id: str
    right_id: str
    jaccard: float
    containment: float
    kind: str


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a near-duplicate component."""

    field: str
    cluster: int
    subject_key: int
    subject_id: str
    representative: bool


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A cell of the latest coverage grid."""

    cell: str
    have: int
    clean: int
    production: int
    evaluation: int
    target: int


@dataclass(frozen=True, slots=True)
class SetRow:
    """A member of a frozen set."""

    member_key: int
    arrival_key: int
    prompt_id: str
    output_key: int | None
    output_id: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of one model in a run."""

    arrival_key: int
    output_key: int
    prompt_id: str
    model: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that a run left."""

    run_id: str
    name: str
    media_type: str
    sha256: str
    body: bytes


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A current verdict."""

    seq: int
    queue: str
    subject: str
    actor: str
    verdict: str
    reason: int | None
    at_us: int


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """A current verdict on a near-duplicate pair; ``shown`` is a JSON array of the ids, the chosen one first."""

    subject: str
    verdict: str
    shown: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Current verdicts of one queue kind by outcome."""

    queue: str
    verdict: str
    reason: int | None
    actor: str
    count: int


@dataclass(frozen=True, slots=True)
class TriageRow:
    """Disagreement verdicts by who was better (a model), or both, or neither with its reason."""

    outcome: str
    reason: int | None
    count: int
    revealed: int


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision on record."""

    seq: int
    at_us: int
    actor: str
    outcome: str
    rationale: str
    record_sha256: str
    record: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event with, where its kind has one, its typed copy and the same made from the payload."""

    seq: int
    kind: str
    payload: str
    copy: str | None
    original: str | None


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A key of arrival metadata (among the first arrivals: for completion, not for counting)."""

    key: str


@dataclass(frozen=True, slots=True)
class RowOfFile:
    """A row of a file that became an arrival, counted from 1."""

    file_row: int


@dataclass(frozen=True, slots=True)
class StoredRows:
    """How many rows of a run an artifact table holds; no project: nobody opened it, no summary: nobody closed it."""

    table: str
    run_no: int
    rows: int
    project: str | None
    summary: str | None


@dataclass(frozen=True, slots=True)
class Orphan:
    """A typed copy of an event that is not there."""

    table: str
    seq: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head of the ledger."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class ActRow:
    """An event as it was put on the ledger, of every project: for judging it again."""

    seq: int
    project: str
    kind: str
    actor: str
    claimed: str | None
    payload: str
    hash: str = ""


@dataclass(frozen=True, slots=True)
class BulkCopy:
    """A bulk verdict beside its typed copies: subjects in order, as JSON, and what else they say."""

    seq: int
    copies: str
    original: str
