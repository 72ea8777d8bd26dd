"""The records: what the store knows, one frozen class per table, and the docstring is the glossary.

Artifact records (``ARTIFACTS``) are appended in bulk by a run as (run, seq) batches. Their key packs both:
``key = run_no << 40 | seq``, so that a key is unique, ordered as stored, and DuckDB's zone maps find a window
by a range of integers. The hub fills ``run_no``; everything else comes from the client. A test ties the
fields to the columns of ``schema/``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

# Rows of a DuckDB row group in our files, and so the least of a transaction that bypasses the log. DuckDB's own
# 122,880 would do, but a checkpoint rewrites a started group whole, and stalls acts six times as long for it.
ROW_GROUP = 20_480
SEQ_BITS = 40


def key_of(run_no: int, seq: int) -> int:
    """The key of row ``seq`` (from 0) of run ``run_no``.

    >>> key_of(3, 5) >> SEQ_BITS, key_of(3, 5) & (1 << SEQ_BITS) - 1
    (3, 5)
    """
    return run_no << SEQ_BITS | seq


@dataclass(frozen=True, slots=True)
class Arrival:
    """One arrival of a prompt: the file row (or request) by which it came, with everything known of it.

    ``prompt_id`` is the hash of the chat messages; the same prompt may arrive often, and in two splits.
    ``text`` is what a reviewer reads; ``messages`` is canonical JSON where the prompt is more than one user
    message, else null. ``metadata`` is one canonical JSON object, derived columns included.
    """

    run_no: int
    arrival_key: int
    prompt_id: str
    text: str
    messages: str | None
    reference: str | None
    source: str  # production | synthetic | edge_case
    split: str  # train | validation | test
    at_us: int | None  # UTC microseconds
    metadata: str
    file_id: str  # SHA-256 of the file, first 32 hex
    file_row: int  # 1-based


@dataclass(frozen=True, slots=True)
class Output:
    """What a teacher or student answered to a prompt."""

    run_no: int
    output_key: int
    arrival_key: int  # the arrival it answers; the first one, when the prompt arrived often
    prompt_id: str
    output_id: str
    model: str
    sample_index: int
    text: str
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost_nano: int | None  # 1e-9 of the contract's currency
    latency_us: int | None
    logprobs: str | None  # canonical JSON, OpenAI chat shape: {"content":[{token,logprob,top_logprobs}]}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """An automatic verification of one output."""

    run_no: int
    check_key: int
    output_key: int
    output_id: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Score:
    """One number: (model, prompt, metric, value), on an evaluation set."""

    run_no: int
    score_key: int
    arrival_key: int
    output_key: int
    prompt_id: str
    model: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A verified near-duplicate pair with its evidence; keys are those of arrivals or outputs by ``field``."""

    run_no: int
    edge_key: int
    field: str  # prompt | output
    left_key: int
    right_key: int
    left_id: str
    right_id: str
    jaccard: float
    containment: float
    kind: str  # exact | surface | slot | truncation | words
    spans: str  # JSON [[left_start, left_end, right_start, right_end], …] of matched code points


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pair that a model finds alike in meaning: verified by nobody, so nothing is left out because of it."""

    run_no: int
    suggestion_key: int
    field: str  # prompt | output
    left_key: int  # the older one
    right_key: int
    left_id: str
    right_id: str
    cosine: float
    near: bool  # known already: the same text, or a verified near-duplicate
    leak: bool  # one stands in the test split, the other does not


@dataclass(frozen=True, slots=True)
class ClusterMember:
    """One member of a connected component of edges: for navigation only."""

    run_no: int
    member_key: int
    field: str
    cluster: int
    subject_key: int
    subject_id: str
    representative: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """One cell of a coverage grid."""

    run_no: int
    bucket_key: int
    cell: str  # canonical JSON object: dimension -> value
    have: int
    clean: int  # passes every check that ran
    production: int  # arrivals from production in this cell
    evaluation: int  # prompts of the frozen evaluation set in this cell
    target: int


@dataclass(frozen=True, slots=True)
class SetMember:
    """One member of a frozen set: a dataset version or an evaluation set (the run says which)."""

    run_no: int
    member_key: int
    arrival_key: int
    prompt_id: str
    output_key: int | None
    output_id: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a sample is not in a dataset: one row per sample and rule that spoke against it."""

    run_no: int
    dropped_key: int
    arrival_key: int
    output_key: int
    output_id: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of an audit plan's draw; rows are in the order in which they are to be judged."""

    run_no: int
    draw_key: int
    output_key: int
    output_id: str
    stratum: str
    inclusion: float  # probability that the draw has this sample
    reserve: bool  # judged only in the place of one whose prompt itself is bad
    assigned: str  # canonical JSON list of reviewers, by stable hash; [] is everybody


@dataclass(frozen=True, slots=True)
class File:
    """A named blob that a run leaves behind: weights, vocabulary, report."""

    run_no: int
    file_key: int
    name: str
    media_type: str
    sha256: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One immutable act by one person; ``hash`` covers everything above it and the hash before it."""

    seq: int
    id: str  # UUIDv7, made by the client
    project: str
    kind: str
    actor: str  # from the kernel: user name, or uid:NNN
    claimed: str | None  # a name claimed on a shared account
    at_us: int
    payload: str  # canonical JSON, no floats
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer said of a sample, a pair or a disagreement: one keystroke, one event."""

    seq: int
    project: str
    actor: str
    at_us: int
    queue: str  # audit | adjudicate | duplicates | semantic | disagreements
    subject: str  # output_id, edge subject or disagreement subject
    verdict: str
    reason: int | None
    first: bool  # this person's first verdict on the subject: blind
    bulk: bool  # given to a whole selection, its texts unread
    revealed: bool  # source or others' verdicts had been seen before
    live: bool  # not undone


ARTIFACTS: dict[str, type] = {
    "arrival": Arrival,
    "output": Output,
    "check_result": CheckResult,
    "score": Score,
    "edge": Edge,
    "cluster_member": ClusterMember,
    "suggestion": Suggestion,
    "bucket": Bucket,
    "set_member": SetMember,
    "draw": Draw,
    "dropped": Dropped,
    "file": File,
}


def columns_of(table: str) -> tuple[str, ...]:
    """Column names of an artifact table, in stored order."""
    return tuple(f.name for f in fields(ARTIFACTS[table]))


def key_column(table: str) -> str:
    """Name of the packed key of an artifact table: always its second column."""
    return columns_of(table)[1]
