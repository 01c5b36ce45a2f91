-- The mapped schema's own tables, Heroku Connect's names, columns and order; our four columns come
-- last and are nullable. Run by install.c with search_path = the mapped schema.

create table _trigger_log (
    id serial primary key,
    txid bigint,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    processed_at timestamptz,
    processed_tx bigint,
    state varchar(8) check (state in ('NEW', 'IGNORE', 'READONLY', 'PENDING', 'SUCCESS', 'MERGED',
        'IGNORED', 'FAILED', 'REQUEUE', 'REQUEUED')),
    action varchar(7),
    table_name varchar(128),
    record_id integer,
    sfid varchar(18),
    old text,
    values text,
    sf_result integer,
    sf_message text,
    commit_lsn pg_lsn,
    seq integer,
    commit_time timestamptz,
    origin text
);

create index _trigger_log_idx_created_at on _trigger_log (created_at);
-- Finds what was answered since a moment: what was read from Salesforce before may lack it.
create index _trigger_log_idx_processed_at on _trigger_log (processed_at)
    where processed_at is not null;
create index _trigger_log_idx_state_id on _trigger_log (state, id);
create index _trigger_log_idx_state_table_name on _trigger_log (state, table_name)
    where state in ('NEW', 'PENDING');
-- The second net against a change delivered twice.
create unique index _trigger_log_idx_commit_lsn_seq on _trigger_log (commit_lsn, seq);
-- Finds a record's INSERT: what follows it needs its outcome, and the sfid it was given.
create index _trigger_log_idx_inserts on _trigger_log (table_name, record_id)
    where action = 'INSERT';

-- Finds what is still to be sent of a record, for each answer and each new change of it, and what its
-- refused changes would have changed, when a poll brings the record. IS TRUE: see unsettled.h.
create index _trigger_log_idx_unsettled on _trigger_log (table_name, record_id)
    where (state in ('NEW', 'PENDING', 'FAILED')) is true;

-- A partition for each day, made and dropped by retention.c. The key begins with the id, so an entry
-- is found by it in each day's index.
create table _trigger_log_archive (
    id integer,
    txid bigint,
    created_at timestamptz not null default now(),
    updated_at timestamptz,
    processed_at timestamptz,
    processed_tx bigint,
    state varchar(8) check (state in ('NEW', 'IGNORE', 'READONLY', 'PENDING', 'SUCCESS', 'MERGED',
        'IGNORED', 'FAILED', 'REQUEUE', 'REQUEUED')),
    action varchar(7),
    table_name varchar(128),
    record_id integer,
    sfid varchar(18),
    old text,
    values text,
    sf_result integer,
    sf_message text,
    commit_lsn pg_lsn,
    seq integer,
    commit_time timestamptz,
    origin text,
    primary key (id, created_at)
) partition by range (created_at);

create index _trigger_log_archive_idx_created_at on _trigger_log_archive (created_at);
create index _trigger_log_archive_idx_record_id on _trigger_log_archive (record_id);
create index _trigger_log_archive_idx_state_table_name on _trigger_log_archive (state, table_name)
    where state = 'FAILED';
-- The order in which `pgforce tail --since` reads.
create index _trigger_log_archive_idx_commit_lsn_seq on _trigger_log_archive (commit_lsn, seq);

create table _hcmeta (
    id serial primary key,
    hcver integer,
    org_id varchar(50),
    details text
);

-- New entries wake the writer, whoever made them; so does a state that an operator sets by hand, NEW
-- or REQUEUE to have it sent, IGNORED to let go what waits for it.
create function tlog_notify_trigger() returns trigger language plpgsql as
$$
begin
    perform pg_catalog.pg_notify(tg_table_schema || '.hc_trigger_log', 'ping');
    return null;
end
$$;

create trigger tlog_insert_trigger after insert on _trigger_log
    for each statement execute function tlog_notify_trigger();
create trigger tlog_requeue_trigger after update of state on _trigger_log
    for each row
    when (new.state in ('NEW', 'REQUEUE', 'IGNORED') and new.state is distinct from old.state) execute function tlog_notify_trigger();

-- What was logged as not to be sent, and is set back by hand, has been over before: push asks.
create function tlog_reopen_trigger() returns trigger language plpgsql as
$$
begin
    new.processed_at := pg_catalog.clock_timestamp();
    return new;
end
$$;
create trigger tlog_reopen_trigger before update of state on _trigger_log
    for each row
    when (old.state = 'READONLY' and new.state in ('NEW', 'REQUEUE')) execute function tlog_reopen_trigger();

-- A transaction's wish that what it changes from here on is neither logged nor sent. A message in the
-- write-ahead log, so it counts exactly where it stands and goes with a ROLLBACK TO SAVEPOINT; the
-- role archive heeds it where PGFORCE_ALLOW_CAPTURE_OFF is on.
create function pgforce_capture_off() returns void language plpgsql set search_path from current as
$$
begin
    perform pg_catalog.pg_logical_emit_message(
        true, 'pgforce.capture_off', pg_catalog.current_schema()::text);
end
$$;

-- Before a TRUNCATE of a table whose policy is to delete the records too: decoding tells that the
-- table was emptied, not of what. Our own roles have an origin, and empty tables for other reasons.
create function pgforce_note_truncate() returns trigger language plpgsql security definer
    set search_path from current as
$$
begin
    if pg_catalog.pg_replication_origin_session_is_setup() then
        return null;
    end if;
    insert into pgforce.truncated_row (xid, schema_name, table_name)
    values (pg_current_xact_id(), tg_table_schema, tg_table_name);
    execute format(
        'insert into pgforce.truncated_row (xid, schema_name, table_name, record_id, sfid)'
        ' select pg_current_xact_id(), %L, %L, id, sfid from %I.%I',
        tg_table_schema, tg_table_name, tg_table_schema, tg_table_name);
    return null;
end
$$;
