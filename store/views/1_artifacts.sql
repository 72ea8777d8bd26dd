-- The artifacts of closed runs, each with its project: what people and stages read.
create or replace view arrivals as
select r.project, a.* from arrival a join closed_run r using (run_no);
create or replace view outputs as
select r.project, o.* from output o join closed_run r using (run_no);
create or replace view check_results as
select r.project, c.* from check_result c join closed_run r using (run_no);
create or replace view scores as
select r.project, r.run_id, s.* from score s join closed_run r using (run_no);
create or replace view edges as
select r.project, e.* from edge e join closed_run r using (run_no);
create or replace view cluster_members as
select r.project, m.* from cluster_member m join closed_run r using (run_no);
create or replace view suggestions as
select r.project, s.* from suggestion s join closed_run r using (run_no);
create or replace view buckets as
select r.project, b.* from bucket b join closed_run r using (run_no);
create or replace view set_members as
select r.project, r.run_id, r.stage, m.* from set_member m join closed_run r using (run_no);
create or replace view files as
select r.project, r.run_id, f.* from file f join closed_run r using (run_no);
