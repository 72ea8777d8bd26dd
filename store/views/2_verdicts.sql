-- An act is live unless undone; an undo counts unless it was itself redone.
create or replace view verdict as
select v.*, not exists (
    select 1 from undo_event u
    where u.target = v.seq and not exists (select 1 from undo_event r where r.target = u.seq)
) as live
from verdict_event v;

-- What each person says of each subject now: the latest live verdict.
create or replace view current_verdict as
select * exclude (live) from verdict where live
qualify row_number() over (partition by project, queue, subject, actor order by seq desc) = 1;

create or replace view comment as
select e.project, e.seq, e.actor || coalesce('/' || e.claimed, '') as actor, e.at_us, e.payload->>'subject' as subject, e.payload->>'text' as text
from event e
where e.kind = 'comment' and not exists (
    select 1 from undo_event u
    where u.target = e.seq and not exists (select 1 from undo_event r where r.target = u.seq)
);

-- The same of texts that were read: what was said of whole selections, unread, is no reading.
create or replace view reading as
select * exclude (live, bulk) from verdict where live and not bulk
qualify row_number() over (partition by project, queue, subject, actor order by seq desc) = 1;
