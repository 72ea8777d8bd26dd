-- Schema 2: audits by plan, verdicts over many subjects at once.

-- The drawn sample of an audit plan, in the order in which it is to be judged.
create table draw (
    run_no integer not null, draw_key bigint not null, output_key bigint not null, output_id varchar not null,
    stratum varchar not null, inclusion double not null, reserve boolean not null,
    assigned varchar not null
);

-- ``bulk``: given to a whole selection, its texts unread. ``revealed``: source or others' verdicts were seen before.
alter table verdict_event add column bulk boolean default false;
alter table verdict_event add column revealed boolean default false;
update verdict_event set revealed = true
where seq in (select seq from event where kind = 'verdict' and payload->>'revealed' = 'true');
