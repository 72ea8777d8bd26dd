"""The reads of an audit: plans, draws with their outcomes, what reviewers say, saved slices, values to complete."""

from __future__ import annotations

from store.answers import Drawn, Judged, MetadataValue, Plan, SavedSlice
from store.question import Question

PLANS = Question(
    "plans",
    Plan,
    "select run_no, run_id, actor, seq, at_us, params, result from audit_plan where project = $project order by seq",
)
DRAWN = Question(
    "drawn",
    Drawn,
    "select stratum, inclusion, outcome, adjudicated, count(*), count(*) filter (where reviewers > 1),"
    " coalesce(sum(revealed), 0)::bigint from sampled_then($run_id, $seq)"
    " where project = $project group by all order by all",
)
JUDGED = Question(
    "judged",
    Judged,
    "select subject, actor, verdict, reason, revealed from verdicts_then($project, $seq)"
    " where queue = 'audit' and not bulk and ($run_id is null or subject in"
    "   (select output_id from draws where run_id = $run_id)) order by subject, actor",
)
SLICES = Question(
    "slices",
    SavedSlice,
    "select name, predicate, actor, at_us from saved_slice where project = $project order by name",
)
# Of 20,000 arrivals, keys with few values: what is not a number of its own for every row.
METADATA_VALUES = Question(
    "metadata_values",
    MetadataValue,
    """with some as (select metadata from arrivals where project = $project limit 20000),
        pairs as (select unnest(json_keys(metadata)) as key, metadata from some),
        counted as (select key, json_extract_string(metadata, '$."' || key || '"') as value, count(*) as n
            from pairs group by all)
    select key, value from counted where length(value) <= 40
    qualify count(*) over (partition by key) <= 200 and row_number() over (partition by key order by n desc, value) <= 50
    order by key, n desc, value""",
)
