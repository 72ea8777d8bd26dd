-- Schema 4: pairs that may mean the same. Suggested by a model, verified by nobody: nothing is removed by them.

create table suggestion (
    run_no integer not null, suggestion_key bigint not null, field varchar not null,
    left_key bigint not null, right_key bigint not null, left_id varchar not null, right_id varchar not null,
    cosine double not null, near boolean not null, leak boolean not null
);
