"""The reads that ``verify`` compares: events with their typed copies, what stands in the tables, what nobody accounts for."""

from __future__ import annotations

from store.answers import ActRow, BulkCopy, EventRow, Orphan, StoredRows
from store.question import Question
from store.records import ARTIFACTS

_COPIED = (
    "to_json([v.actor, v.queue, v.subject, v.verdict, v.reason::varchar, v.project, v.at_us::varchar, v.first::varchar,"
    " v.revealed::varchar])"
)
_STATED = (
    "to_json([concat_ws('/', e.actor, e.claimed), e.payload->>'queue', e.payload->>'subject', e.payload->>'verdict',"
    " e.payload->>'reason', e.project, e.at_us::varchar, (e.seq = v.first_seq)::varchar,"
    " coalesce(e.payload->>'revealed', 'false')])"
)
EVENTS = Question(
    "events",
    EventRow,
    f"""select e.seq, e.kind, e.payload,
        case e.kind when 'verdict' then {_COPIED} when 'adjudicate' then {_COPIED}
            when 'undo' then to_json([u.target::varchar]) when 'redo' then to_json([u.target::varchar])
            when 'run.open' then to_json([o.run_id, o.stage, o.project, o.actor, o.at_us::varchar])
            when 'run.close' then to_json([c.run_no::varchar, c.at_us::varchar, c.summary]) end,
        case e.kind when 'verdict' then {_STATED} when 'adjudicate' then {_STATED}
            when 'undo' then to_json([e.payload->>'target']) when 'redo' then to_json([e.payload->>'target'])
            when 'run.open' then to_json([e.payload->>'run_id', e.payload->>'stage', e.project,
                concat_ws('/', e.actor, e.claimed), e.at_us::varchar])
            when 'run.close' then to_json([e.payload->>'run_no', e.at_us::varchar, e.payload]) end
    from event e left join (
        select * from (select *, min(seq) over (partition by project, queue, subject, actor) as first_seq from verdict_event)
        where not bulk) v using (seq) left join undo_event u on u.seq = e.seq
    left join run_opened o on o.seq = e.seq left join run_closed c on c.seq = e.seq
    where e.project = $project order by e.seq""",  # noqa: S608 - constants of ours
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
    "verdict_event": ("verdict", "verdicts", "adjudicate"),
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
BULK_COPIES = Question(
    "bulk_copies",
    BulkCopy,
    """select e.seq,
        to_json([list(v.subject order by v.subject)::varchar, min(v.actor), max(v.actor), min(v.queue), max(v.queue),
            min(v.verdict), max(v.verdict), min(v.reason)::varchar, max(v.reason)::varchar, min(v.at_us)::varchar,
            max(v.at_us)::varchar, min(v.project), max(v.project), bool_and(v.bulk)::varchar]) as copies,
        to_json([list_sort(cast(e.payload->'subjects' as varchar[]))::varchar, concat_ws('/', e.actor, e.claimed),
            concat_ws('/', e.actor, e.claimed), e.payload->>'queue', e.payload->>'queue', e.payload->>'verdict',
            e.payload->>'verdict', e.payload->>'reason', e.payload->>'reason', e.at_us::varchar, e.at_us::varchar,
            e.project, e.project, 'true']) as original
    from event e left join verdict_event v using (seq)
    where e.project = $project and e.kind = 'verdicts'
    group by e.seq, e.payload, e.actor, e.claimed, e.at_us, e.project order by e.seq""",
)
ACTS = Question(
    "acts", ActRow, "select seq, project, kind, actor, claimed, payload, hash from event order by seq"
)
