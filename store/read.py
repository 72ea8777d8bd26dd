"""Reads: one question, one record type, one SQL text over the views. The hub knows no other reads.

To add one: a record, and a line in ``QUESTIONS``. ``client.ask(PROJECTS)`` gives records,
``client.fetch(OUTPUTS, …)`` an Arrow table of the same rows.
"""

from __future__ import annotations

from store.answers import (
    ActRow,
    ArrivalRow,
    BucketRow,
    BulkCopy,
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
    RowOfFile,
    Run,
    ScoreRow,
    SetRow,
    StoredRows,
    Tally,
    TriageRow,
    VerdictRow,
)
from store.answers_audit import Conflicts, Drawn, MetadataValue, Pattern, Plan, Said, SavedSlice
from store.question import Question
from store.read_audit import CONFLICTS, DRAWN, METADATA_VALUES, PATTERNS, PLANS, REVIEWERS, SLICES
from store.read_dataset import QUESTIONS as OF_DATASETS
from store.read_near import QUESTIONS as OF_NEAR
from store.read_proof import ACTS, BULK_COPIES, EVENTS, ORPHANS, STORED
from store.read_semantic import QUESTIONS as OF_MEANING
from store.read_standards import QUESTIONS as OF_STANDARDS

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
    "ActRow",
    "BulkCopy",
    "Conflicts",
    "Drawn",
    "Pattern",
    "MetadataValue",
    "Plan",
    "Said",
    "SavedSlice",
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
    "ROWS_OF_FILE",
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
    "ACTS",
    "BULK_COPIES",
    "PLANS",
    "DRAWN",
    "PATTERNS",
    "REVIEWERS",
    "CONFLICTS",
    "SLICES",
    "METADATA_VALUES",
]


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
    "select o.prompt_id, o.output_key, o.text, o.latency_us, o.cost_nano from outputs o join arrival a using (arrival_key)"
    " where o.project = $project and o.model = $model and o.sample_index = 0 and ($split is null or a.split = $split)"
    " order by o.output_key",
)
SCORED = Question(
    "scored",
    Given,
    "select o.prompt_id, o.output_key, o.text, o.latency_us, o.cost_nano from scores s"
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
_VERDICTS_THEN = "select * from verdicts_then($project, $seq)"
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
ROWS_OF_FILE = Question(
    "rows_of_file",
    RowOfFile,
    "select file_row from arrivals where project = $project and file_id = $file_id order by file_row",
)
METADATA_KEYS = Question(
    "metadata_keys",
    MetadataKey,
    "select distinct unnest(json_keys(metadata)) as key from (select metadata from arrivals where project = $project limit 2000)"
    " order by key",
)
HEAD = Question(
    "head", Head, "select seq, hash from event where seq <= coalesce($seq, seq) order by seq desc limit 1"
)

QUESTIONS: dict[str, Question[object]] = {
    q.name: q  # type: ignore[misc]
    for q in (
        PROJECTS, RUNS, MODELS, CONTRACTS, COUNTS, ARRIVALS, OUTPUTS, GIVEN, SCORED, CHECKS, CHECK_COUNTS, EDGES, CLUSTER_MEMBERS,
        BUCKETS, SET_MEMBERS, SCORES, FILES, VERDICTS, PAIR_VERDICTS, TALLIES, TRIAGE, DECISIONS, METADATA_KEYS, EVENTS, STORED,
        ORPHANS, HEAD, ACTS, BULK_COPIES, PLANS, DRAWN, PATTERNS, REVIEWERS, SLICES,
        METADATA_VALUES, CONFLICTS, ROWS_OF_FILE, *OF_DATASETS, *OF_NEAR, *OF_STANDARDS, *OF_MEANING,
    )
}  # fmt: skip
