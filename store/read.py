"""Reads: one question, one record type, one SQL text over the views. The hub knows no other reads.

To add one: a record, and a line in ``QUESTIONS``. ``client.ask(PROJECTS)`` gives records,
``client.fetch(OUTPUTS, …)`` an Arrow table of the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from store.answers import (
    ArrivalRow,
    BucketRow,
    CheckCount,
    CheckRow,
    Counts,
    DecisionRow,
    EdgeRow,
    EventRow,
    FileRow,
    Given,
    Head,
    LockedContract,
    MemberRow,
    MetadataKey,
    Model,
    Orphan,
    OutputRow,
    PairVerdict,
    Project,
    Run,
    ScoreRow,
    SetRow,
    StoredRows,
    Tally,
    TriageRow,
    VerdictRow,
)
from store.records import ARTIFACTS

R = TypeVar("R")

# The questions, and the records that answer them: one import for those who ask.
__all__ = [  # noqa: RUF022 - records, then questions
    "Question",
    "ArrivalRow",
    "BucketRow",
    "CheckCount",
    "CheckRow",
    "Counts",
    "DecisionRow",
    "EdgeRow",
    "EventRow",
    "FileRow",
    "Given",
    "Head",
    "LockedContract",
    "MemberRow",
    "MetadataKey",
    "Model",
    "Orphan",
    "OutputRow",
    "PairVerdict",
    "Project",
    "Run",
    "ScoreRow",
    "SetRow",
    "StoredRows",
    "Tally",
    "TriageRow",
    "VerdictRow",
    "PROJECTS",
    "RUNS",
    "MODELS",
    "CONTRACTS",
    "COUNTS",
    "ARRIVALS",
    "OUTPUTS",
    "GIVEN",
    "SCORED",
    "CHECKS",
    "CHECK_COUNTS",
    "EDGES",
    "CLUSTER_MEMBERS",
    "BUCKETS",
    "SET_MEMBERS",
    "SCORES",
    "FILES",
    "VERDICTS",
    "PAIR_VERDICTS",
    "TALLIES",
    "TRIAGE",
    "DECISIONS",
    "METADATA_KEYS",
    "EVENTS",
    "STORED",
    "ORPHANS",
    "HEAD",
]


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """A named read: SQL with named parameters, and the record that a row becomes."""

    name: str
    record: type[R]
    sql: str


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
GIVEN = Question(
    "given",
    Given,
    "select o.prompt_id, o.output_key, o.text, o.latency_us from outputs o join arrival a using (arrival_key)"
    " where o.project = $project and o.model = $model and o.sample_index = 0 and ($split is null or a.split = $split)"
    " order by o.output_key",
)
SCORED = Question(
    "scored",
    Given,
    "select o.prompt_id, o.output_key, o.text, o.latency_us from scores s"
    " join output o on o.output_key = s.output_key and o.model = s.model and o.prompt_id = s.prompt_id"
    " where s.project = $project and s.run_id = $run_id and s.model = $model order by s.score_key",
)
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
_OUTPUTS_THEN = """
    select distinct o.output_id, o.model from output o join closed_run r using (run_no)
    where r.project = $project and r.closed_seq <= coalesce($seq, r.closed_seq)
"""
TRIAGE = Question(
    "triage",
    TriageRow,
    f"""select case v.verdict when 'left' then l.model when 'right' then r.model else v.verdict end as outcome,
        v.reason, count(*), count(*) filter (where e.payload->>'revealed' = 'true')
    from ({_VERDICTS_THEN}) v join event e using (seq)
    left join ({_OUTPUTS_THEN}) l on l.output_id = (e.payload->'shown'->>0)
    left join ({_OUTPUTS_THEN}) r on r.output_id = (e.payload->'shown'->>1)
    where v.queue = 'disagreements' group by all order by all""",  # noqa: S608
)
DECISIONS = Question(
    "decisions",
    DecisionRow,
    "select seq, at_us, concat_ws('/', actor, claimed), outcome, rationale, record_sha256, record from decision"
    " where project = $project order by seq",
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
        case e.kind when 'verdict' then to_json([v.actor, v.queue, v.subject, v.verdict, v.reason::varchar, v.project,
                v.at_us::varchar, v.first::varchar])
            when 'undo' then to_json([u.target::varchar]) when 'redo' then to_json([u.target::varchar])
            when 'run.open' then to_json([o.run_id, o.stage, o.project, o.actor, o.at_us::varchar])
            when 'run.close' then to_json([c.run_no::varchar, c.at_us::varchar, c.summary]) end,
        case e.kind when 'verdict' then to_json([concat_ws('/', e.actor, e.claimed), e.payload->>'queue',
                e.payload->>'subject', e.payload->>'verdict', e.payload->>'reason', e.project, e.at_us::varchar,
                (e.seq = v.first_seq)::varchar])
            when 'undo' then to_json([e.payload->>'target']) when 'redo' then to_json([e.payload->>'target'])
            when 'run.open' then to_json([e.payload->>'run_id', e.payload->>'stage', e.project,
                concat_ws('/', e.actor, e.claimed), e.at_us::varchar])
            when 'run.close' then to_json([e.payload->>'run_no', e.at_us::varchar, e.payload]) end
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
        PROJECTS, RUNS, MODELS, CONTRACTS, COUNTS, ARRIVALS, OUTPUTS, GIVEN, SCORED, CHECKS, CHECK_COUNTS, EDGES, CLUSTER_MEMBERS,
        BUCKETS, SET_MEMBERS, SCORES, FILES, VERDICTS, PAIR_VERDICTS, TALLIES, TRIAGE, DECISIONS, METADATA_KEYS, EVENTS, STORED,
        ORPHANS, HEAD,
    )
}  # fmt: skip
