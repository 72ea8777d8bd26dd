"""Reads: one question, one record type, one SQL text over the views. The hub knows no other reads.

To add one: a record, and a line in ``QUESTIONS``. ``client.ask(PROJECTS)`` gives records,
``client.fetch(OUTPUTS, …)`` an Arrow table of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from store.records import ARTIFACTS

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """A named read: SQL with named parameters, and the record that a row becomes."""

    name: str
    record: type[R]
    sql: str


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


PROJECTS = Question(
    "projects",
    Project,
    "select project, title, retrospective, owner, created_us from project order by created_us",
)
RUNS = Question(
    "runs",
    Run,
    "select r.run_no, r.run_id, r.stage, r.actor, r.opened_us, r.closed_us, e.payload, r.summary, r.closed_seq"
    " from closed_run r join event e on e.seq = r.opened_seq where r.project = $project order by r.closed_seq",
)
MODELS = Question(
    "models",
    Model,
    "select m.model, m.role, m.fingerprint, (select count(*) from outputs o where o.project = $project and o.model = m.model)"
    " from model m where m.project = $project order by m.role = 'teacher' desc, m.role = 'student' desc, m.seq",
)
CONTRACTS = Question(
    "contracts",
    LockedContract,
    "select seq, version, hash, contract, actor, at_us from contract where project = $project order by version",
)
COUNTS = Question(
    "counts",
    Counts,
    """select a.n, a.p, (select count(*) from outputs where project = $project),
       (select count(distinct (output_key, name)) from check_results where project = $project),
       (select count(*) from edges where project = $project),
       (select count(*) from current_verdict where project = $project), (select count(*) from comment where project = $project)
       from (select count(*) as n, count(distinct prompt_id) as p from arrivals where project = $project) a""",
)
ARRIVALS = Question(
    "arrivals",
    ArrivalRow,
    "select arrival_key, prompt_id, text, messages, reference, source, split, metadata from arrivals"
    " where project = $project and ($split is null or split = $split) order by arrival_key",
)
OUTPUTS = Question(
    "outputs",
    OutputRow,
    "select o.output_key, o.arrival_key, o.prompt_id, o.output_id, o.sample_index, o.text, o.logprobs, o.latency_us,"
    " o.cost_nano, a.text as prompt, a.reference, a.split, a.metadata from outputs o join arrival a using (arrival_key)"
    " where o.project = $project and o.model = $model and ($split is null or a.split = $split) order by o.output_key",
)
# A check that ran again replaces what it said of an output before.
_CHECKS_NOW = """
    select * from check_results where project = $project
    qualify row_number() over (partition by output_key, name order by check_key desc) = 1
"""
CHECKS = Question(
    "checks",
    CheckRow,
    f"select output_key, output_id, name, passed from ({_CHECKS_NOW}) order by check_key",  # noqa: S608
)
CHECK_COUNTS = Question(
    "check_counts",
    CheckCount,
    f"select c.name, o.model, count(*) filter (where c.passed), count(*) from ({_CHECKS_NOW}) c join output o using (output_key)"  # noqa: S608
    " group by all order by all",
)
EDGES = Question(
    "edges",
    EdgeRow,
    "select edge_key, field, left_key, right_key, left_id, right_id, jaccard, containment, kind from edges"
    " where project = $project and run_no = $run_no order by edge_key",
)
CLUSTER_MEMBERS = Question(
    "cluster_members",
    MemberRow,
    "select field, cluster, subject_key, subject_id, representative from cluster_members"
    " where project = $project and run_no = $run_no order by member_key",
)
BUCKETS = Question(
    "buckets",
    BucketRow,
    "select cell, have, clean, production, evaluation, target from buckets"
    " where project = $project and run_no = $run_no order by bucket_key",
)
SET_MEMBERS = Question(
    "set_members",
    SetRow,
    "select member_key, arrival_key, prompt_id, output_key, output_id, reference from set_members"
    " where project = $project and run_id = $run_id order by member_key",
)
SCORES = Question(
    "scores",
    ScoreRow,
    "select arrival_key, output_key, prompt_id, model, metric, value from scores"
    " where project = $project and run_id = $run_id order by score_key",
)
FILES = Question(
    "files",
    FileRow,
    "select run_id, name, media_type, sha256, body from files where project = $project and name = $name order by file_key desc",
)
VERDICTS = Question(
    "verdicts",
    VerdictRow,
    "select seq, queue, subject, actor, verdict, reason, at_us from current_verdict"
    " where project = $project and ($queue is null or queue = $queue) order by seq",
)
PAIR_VERDICTS = Question(
    "pair_verdicts",
    PairVerdict,
    "select v.subject, v.verdict, e.payload->>'shown' from current_verdict v join event e using (seq)"
    " where v.project = $project and v.queue = 'duplicates' order by v.seq",
)
# As of a ledger seq (null: now), so that a record can be recomputed after people went on working.
_VERDICTS_THEN = """
    select v.* from verdict_event v
    where v.project = $project and v.seq <= coalesce($seq, v.seq) and not exists (
        select 1 from undo_event u
        where u.target = v.seq and u.seq <= coalesce($seq, u.seq) and not exists (
            select 1 from undo_event r where r.target = u.seq and r.seq <= coalesce($seq, r.seq)))
    qualify row_number() over (partition by v.queue, v.subject, v.actor order by v.seq desc) = 1
"""
TALLIES = Question(
    "tallies",
    Tally,
    f"select queue, verdict, reason, actor, count(*) from ({_VERDICTS_THEN}) group by all order by all",  # noqa: S608
)
TRIAGE = Question(
    "triage",
    TriageRow,
    f"""select case v.verdict when 'left' then l.model when 'right' then r.model else v.verdict end as outcome,
        v.reason, count(*), count(*) filter (where e.payload->>'revealed' = 'true')
    from ({_VERDICTS_THEN}) v join event e using (seq)
    left join (select distinct output_id, model from outputs where project = $project) l on l.output_id = e.payload->'shown'->>0
    left join (select distinct output_id, model from outputs where project = $project) r on r.output_id = e.payload->'shown'->>1
    where v.queue = 'disagreements' group by all order by all""",  # noqa: S608
)
DECISIONS = Question(
    "decisions",
    DecisionRow,
    "select seq, at_us, actor, outcome, rationale, record_sha256, record from decision where project = $project order by seq",
)
METADATA_KEYS = Question(
    "metadata_keys",
    MetadataKey,
    "select distinct unnest(json_keys(metadata)) as key from (select metadata from arrivals where project = $project limit 2000)"
    " order by key",
)
EVENTS = Question(
    "events",
    EventRow,
    """select e.seq, e.kind, e.payload,
        case e.kind when 'verdict' then concat_ws(' ', v.actor, v.queue, v.subject, v.verdict, v.reason, v.project, v.at_us, v.first)
            when 'undo' then u.target::varchar when 'redo' then u.target::varchar
            when 'run.open' then concat_ws(' ', o.run_id, o.stage, o.project)
            when 'run.close' then concat_ws(' ', c.run_no, c.summary) end,
        case e.kind when 'verdict' then concat_ws(' ', concat_ws('/', e.actor, e.claimed), e.payload->>'queue',
                e.payload->>'subject', e.payload->>'verdict', e.payload->>'reason', e.project, e.at_us, e.seq = v.first_seq)
            when 'undo' then e.payload->>'target' when 'redo' then e.payload->>'target'
            when 'run.open' then concat_ws(' ', e.payload->>'run_id', e.payload->>'stage', e.project)
            when 'run.close' then concat_ws(' ', e.payload->>'run_no', e.payload) end
    from event e left join (select *, min(seq) over (partition by project, queue, subject, actor) as first_seq
        from verdict_event) v using (seq) left join undo_event u on u.seq = e.seq
    left join run_opened o on o.seq = e.seq left join run_closed c on c.seq = e.seq
    where e.project = $project order by e.seq""",
)
_STORED = " union all ".join(
    f"select '{table}' as name, run_no, count(*) as n from {table} group by run_no"  # noqa: S608 - our names
    for table in ARTIFACTS
)
STORED = Question(
    "stored",
    StoredRows,
    "select s.name, s.run_no, s.n, o.project, c.summary"  # noqa: S608 - our names
    f" from ({_STORED}) s left join run_opened o using (run_no) left join run_closed c using (run_no)"
    " order by s.run_no, s.name",
)
_COPIES = {
    "verdict_event": ("verdict", "verdict"),
    "undo_event": ("undo", "redo"),
    "run_opened": ("run.open", "run.open"),
    "run_closed": ("run.close", "run.close"),
}
_ORPHANS = " union all ".join(
    f"select '{table}' as name, t.seq from {table} t left join event e on e.seq = t.seq"  # noqa: S608 - our names
    f" where e.kind is null or e.kind not in {kinds}"
    for table, kinds in _COPIES.items()
)
ORPHANS = Question("orphans", Orphan, f"select name, seq from ({_ORPHANS}) order by all")  # noqa: S608 - our names
HEAD = Question(
    "head", Head, "select seq, hash from event where seq <= coalesce($seq, seq) order by seq desc limit 1"
)

QUESTIONS: dict[str, Question[object]] = {
    q.name: q  # type: ignore[misc]
    for q in (
        PROJECTS, RUNS, MODELS, CONTRACTS, COUNTS, ARRIVALS, OUTPUTS, CHECKS, CHECK_COUNTS, EDGES, CLUSTER_MEMBERS,
        BUCKETS, SET_MEMBERS, SCORES, FILES, VERDICTS, PAIR_VERDICTS, TALLIES, TRIAGE, DECISIONS, METADATA_KEYS, EVENTS, STORED,
        ORPHANS, HEAD,
    )
}  # fmt: skip
