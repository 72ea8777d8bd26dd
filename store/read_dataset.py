"""The reads of dataset versions: candidates, what spoke against them, what changed between versions, whole samples."""

from __future__ import annotations

from dataclasses import dataclass

from store.question import Question


@dataclass(frozen=True, slots=True)
class Candidate:
    """An output that may become a sample, without its text."""

    output_key: int
    arrival_key: int
    prompt_id: str
    output_id: str
    sample_index: int
    finish_reason: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Confidence:
    """The mean probability of an output's tokens; None where it came without logprobs."""

    output_key: int
    confidence: float | None


@dataclass(frozen=True, slots=True)
class DropCount:
    """How many samples a rule spoke against in a run."""

    rule: str
    samples: int


@dataclass(frozen=True, slots=True)
class DropRow:
    """What one rule had against one sample."""

    output_key: int
    output_id: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class ChangeCount:
    """Samples that entered or left between two frozen sets, for one reason; ``example``: the prompt of one of them."""

    change: str  # entered | left
    why: str
    samples: int
    example: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One sample that entered or left."""

    change: str
    why: str
    prompt_id: str
    output_id: str | None


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A sample of a frozen set, whole."""

    prompt_id: str
    output_id: str | None
    prompt: str
    messages: str | None
    output: str | None
    reference: str | None
    source: str
    split: str
    model: str | None
    metadata: str


@dataclass(frozen=True, slots=True)
class Since:
    """How many acts of a kind came after a ledger seq; ``stage``: of runs that closed, else empty."""

    kind: str
    stage: str
    acts: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt of which reviewers called one better, or one ok and the other bad (all who read it)."""

    subject: str
    actor: str
    prompt_id: str
    prompt: str
    messages: str | None
    chosen: str  # its text
    rejected: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text to compare: the packed key and the id of its arrival's prompt or of its output."""

    key: int
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Failures:
    """How many checks an output fails now."""

    output_id: str
    prompt_id: str
    failed: int


@dataclass(frozen=True, slots=True)
class PoolRow:
    """An arrival as requests see it. ``reserved``: kept for the test, so never asked for training."""

    arrival_key: int
    prompt_id: str
    source: str
    split: str
    answered: bool
    reserved: bool


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Samples that somebody asked for."""

    predicate: str
    samples: int
    about: str
    actor: str
    at_us: int


@dataclass(frozen=True, slots=True)
class BucketWaiver:
    """A bucket that may stay thin."""

    predicate: str
    reason: str
    actor: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an output is in a dataset version, or else was a candidate for it."""

    output_id: str
    included: bool
    candidate: bool


@dataclass(frozen=True, slots=True)
class Against:
    """Which rules spoke against an output: one says that a reviewer called it bad."""

    output_id: str
    rules: str


CANDIDATES = Question(
    "candidates",
    Candidate,
    "select o.output_key, o.arrival_key, o.prompt_id, o.output_id, o.sample_index, o.finish_reason, a.reference"
    " from outputs o join arrival a using (arrival_key)"
    " where o.project = $project and o.model = $model and ($split is null or a.split = $split) order by o.output_key",
)
CONFIDENCES = Question(
    "confidences",
    Confidence,
    "select o.output_key, list_avg(list_transform(cast(json_extract(o.logprobs, '$.content[*].logprob') as double[]),"
    " lambda x: exp(least(x, 0)))) as confidence from outputs o where o.project = $project and o.model = $model order by o.output_key",
)
DROP_COUNTS = Question(
    "drop_counts",
    DropCount,
    "select rule, count(*) from drops where project = $project and run_id = $run_id group by rule order by count(*) desc, rule",
)
DROPS = Question(
    "drops",
    DropRow,
    "select output_key, output_id, rule, detail from drops where project = $project and run_id = $run_id"
    " and ($rule is null or rule = $rule) order by dropped_key",
)
CHANGE_COUNTS = Question(
    "change_counts",
    ChangeCount,
    """select c.change, c.why, count(*), any_value(a.text) from set_changes($project, $before, $after) c
    left join (select prompt_id, any_value(text) as text from arrivals where project = $project group by prompt_id) a
    using (prompt_id) group by c.change, c.why order by c.change desc, count(*) desc, c.why""",
)
CHANGES = Question(
    "changes",
    ChangeRow,
    "select change, why, prompt_id, output_id from set_changes($project, $before, $after) order by all",
)
SAMPLES = Question(
    "samples",
    SampleRow,
    "select m.prompt_id, m.output_id, a.text, a.messages, o.text, m.reference, a.source, a.split, o.model, a.metadata"
    " from set_members m join arrival a using (arrival_key) left join output o on o.output_key = m.output_key"
    " where m.project = $project and m.run_id = $run_id order by m.member_key",
)
SINCE = Question(
    "since",
    Since,
    "select e.kind, coalesce(r.stage, ''), count(*) from event e"
    " left join closed_run r on r.closed_seq = e.seq where e.project = $project and e.seq > $seq"
    " and e.kind <> 'run.open' group by all order by all",
)
PREFERENCES = Question(
    "preferences",
    Preference,
    """with said as (
        select v.subject, v.actor, v.seq, e.payload->'shown'->>(case v.verdict when 'left' then 0 else 1 end) as chosen,
            e.payload->'shown'->>(case v.verdict when 'left' then 1 else 0 end) as rejected
        from current_verdict v join event e using (seq)
        where v.project = $project and v.queue = 'disagreements' and v.verdict in ('left', 'right')),
    texts as (
        select output_id, any_value(prompt_id) as prompt_id, any_value(text) as text, min(arrival_key) as arrival_key
        from outputs where project = $project group by output_id),
    audited as (
        select subject, min(actor) as actor, max(seq) as seq, bool_and(verdict = 'ok') as ok, bool_and(verdict = 'bad') as bad
        from reading where project = $project and queue = 'audit' and verdict in ('ok', 'bad')
        group by subject),
    pairs as (
        select subject, actor, seq, chosen, rejected from said union all
        select g.subject, g.actor, greatest(g.seq, b.seq), g.subject, b.subject
        from audited g join texts t on t.output_id = g.subject
        join texts o on o.prompt_id = t.prompt_id join audited b on b.subject = o.output_id where g.ok and b.bad)
    select s.subject, s.actor, c.prompt_id, a.text, a.messages, c.text, r.text
    from pairs s join texts c on c.output_id = s.chosen join texts r on r.output_id = s.rejected
    join arrival a on a.arrival_key = c.arrival_key where c.text <> r.text order by s.seq, s.chosen, s.rejected""",
)
# Every distinct prompt once, by its first arrival.
PROMPTS = Question(
    "prompts",
    Text,
    "select min(arrival_key) as key, prompt_id as id, arg_min(text, arrival_key) as text from arrivals"
    " where project = $project group by prompt_id order by key",
)
ANSWERS = Question(
    "answers",
    Text,
    "select output_key as key, output_id as id, text from outputs where project = $project and model = $model order by key",
)
FAILURES = Question(
    "failures",
    Failures,
    """select o.output_id, o.prompt_id, count(*) from (
        select output_key, name, passed from check_results where project = $project
        qualify row_number() over (partition by output_key, name order by check_key desc) = 1) c
    join outputs o on o.output_key = c.output_key and o.project = $project and o.model = $model
    where not c.passed group by all order by all""",
)
# Every arrival, whether the teacher answered its prompt, and whether it is kept for the test.
POOL = Question(
    "pool",
    PoolRow,
    """select a.arrival_key, a.prompt_id, a.source, a.split,
        a.prompt_id in (select prompt_id from outputs where project = $project and model = $model) as answered,
        a.split = 'test' or a.prompt_id in (select prompt_id from set_members
            where project = $project and stage = 'evaluation') as reserved
    from arrivals a where a.project = $project order by a.arrival_key""",
)
REQUESTS = Question(
    "requests",
    SampleRequest,
    "select predicate, samples, about, actor, at_us from sample_request where project = $project order by seq",
)
WAIVERS = Question(
    "waivers",
    BucketWaiver,
    "select predicate, reason, actor, at_us from bucket_waiver where project = $project order by seq",
)
STANDINGS = Question(
    "standings",
    Standing,
    """with asked as (select unnest($subjects::varchar[]) as output_id),
    inside as (select distinct output_id from set_members where project = $project and run_id = $run_id
        and output_id in (select output_id from asked)),
    against as (select distinct output_id from drops where project = $project and run_id = $run_id
        and output_id in (select output_id from asked))
    select output_id, i.output_id is not null, i.output_id is not null or g.output_id is not null from asked
    left join inside i using (output_id) left join against g using (output_id)""",
)
AGAINST = Question(
    "against",
    Against,
    "select output_id, string_agg(distinct rule, ', ' order by rule) from drops where project = $project"
    " and run_id = $run_id and output_id in (select unnest($subjects::varchar[])) group by output_id order by output_id",
)
QUESTIONS = (
    STANDINGS, AGAINST,
    PROMPTS, ANSWERS, FAILURES, POOL, REQUESTS, WAIVERS,
    CANDIDATES, CONFIDENCES, DROP_COUNTS, DROPS, CHANGE_COUNTS, CHANGES, SAMPLES, SINCE, PREFERENCES,
)  # fmt: skip
