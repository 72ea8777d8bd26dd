-- Schema 1. Append-only: a later schema is a new numbered file, never a change of this one.

create table meta (key varchar primary key, value varchar not null);

-- The ledger: every act, hash-chained. Nothing here is ever updated.
create table event (
    seq bigint not null, id varchar not null, project varchar not null, kind varchar not null,
    actor varchar not null, claimed varchar, at_us bigint not null, payload varchar not null,
    previous varchar not null, hash varchar not null
);

-- Typed copies of events, written in the event's own transaction so that views need not parse JSON.
create table verdict_event (
    seq bigint not null, project varchar not null, actor varchar not null, at_us bigint not null,
    queue varchar not null, subject varchar not null, verdict varchar not null, reason integer,
    first boolean not null
);
create table undo_event (seq bigint not null, target bigint not null);
create table run_opened (
    seq bigint not null, run_no integer not null, run_id varchar not null, project varchar not null,
    stage varchar not null, actor varchar not null, at_us bigint not null
);
create table run_closed (
    seq bigint not null, run_no integer not null, at_us bigint not null, summary varchar not null
);

-- Artifacts: appended by runs in (run, seq) order, invisible until the run's closing event.
create table arrival (
    run_no integer not null, arrival_key bigint not null, prompt_id varchar not null, text varchar not null,
    messages varchar, reference varchar, source varchar not null, split varchar not null, at_us bigint,
    metadata varchar not null, file_id varchar not null, file_row bigint not null
);
create table output (
    run_no integer not null, output_key bigint not null, arrival_key bigint not null,
    prompt_id varchar not null, output_id varchar not null, model varchar not null,
    sample_index integer not null, text varchar not null, finish_reason varchar, tokens_in integer,
    tokens_out integer, cost_nano bigint, latency_us bigint, logprobs varchar
);
create table check_result (
    run_no integer not null, check_key bigint not null, output_key bigint not null,
    output_id varchar not null, name varchar not null, passed boolean not null, detail varchar not null
);
create table score (
    run_no integer not null, score_key bigint not null, arrival_key bigint not null,
    output_key bigint not null, prompt_id varchar not null, model varchar not null,
    metric varchar not null, value double not null
);
create table edge (
    run_no integer not null, edge_key bigint not null, field varchar not null, left_key bigint not null,
    right_key bigint not null, left_id varchar not null, right_id varchar not null,
    jaccard double not null, containment double not null, kind varchar not null, spans varchar not null
);
create table cluster_member (
    run_no integer not null, member_key bigint not null, field varchar not null, cluster integer not null,
    subject_key bigint not null, subject_id varchar not null, representative boolean not null
);
create table bucket (
    run_no integer not null, bucket_key bigint not null, cell varchar not null, have bigint not null,
    clean bigint not null, production bigint not null, evaluation bigint not null, target bigint not null
);
create table set_member (
    run_no integer not null, member_key bigint not null, arrival_key bigint not null,
    prompt_id varchar not null, output_key bigint, output_id varchar, reference varchar
);
create table file (
    run_no integer not null, file_key bigint not null, name varchar not null, media_type varchar not null,
    sha256 varchar not null, body blob not null
);
