-- Runs whose closing event stands: only their rows are seen.
create or replace view closed_run as
select o.run_no, o.run_id, o.project, o.stage, o.actor, o.seq as opened_seq, c.seq as closed_seq,
       o.at_us as opened_us, c.at_us as closed_us, c.summary
from run_opened o join run_closed c using (run_no);

create or replace view project as
select project, payload->>'title' as title, coalesce(payload->>'retrospective', 'false') = 'true' as retrospective,
       actor as owner, at_us as created_us
from event where kind = 'project.create';

create or replace view contract as
select project, seq, row_number() over (partition by project order by seq) as version,
       payload->>'hash' as hash, payload->'contract' as contract, actor, at_us
from event where kind = 'contract.lock';

create or replace view model as
select project, payload->>'model' as model, payload->>'role' as role, payload->'fingerprint' as fingerprint, seq
from event where kind = 'model.declare'
qualify row_number() over (partition by project, payload->>'model' order by seq desc) = 1;

create or replace view decision as
select project, seq, at_us, actor, claimed, payload->>'outcome' as outcome, payload->>'rationale' as rationale,
       payload->>'record_sha256' as record_sha256, payload->'record' as record
from event where kind = 'decide';
