-- What is ours alone, one schema for all connections of a database. Run by install.c in one
-- transaction, with search_path = pgforce.

create table migration (
    version integer primary key,
    applied_at timestamptz not null default now()
);

comment on table migration is 'Numbered changes of this schema that have been applied.';

-- One connection: one organisation, one database schema, one slot.
create table connection (
    schema_name text primary key,
    -- What the HTTP API calls it: Heroku Connect's ids are UUIDs.
    uuid uuid not null unique default gen_random_uuid(),
    name text,
    version integer not null,
    state text not null default 'NEW',
    organization_id text,
    instance_url text,
    api_version text,
    features jsonb not null default '{}',
    -- The organisation's API requests of the last 24 hours, as it said last.
    api_used bigint,
    api_max bigint,
    api_seen_at timestamptz,
    -- The database is an older copy, and how that is known; nothing is sent until it is null again.
    restored_reason text,
    -- What an imported file said beside its mappings, to be exported again.
    imported jsonb,
    created_at timestamptz not null default now()
);

-- How often intents to send were stored, where it is kept in a file too: a database that knows of fewer is an older copy.
create table sent (
    schema_name text primary key references connection on delete cascade,
    count bigint not null
);

-- How to sign in to the organisation: what `pgforce login` has been given.
create table credential (
    schema_name text primary key references connection on delete cascade,
    grant_name text not null check (grant_name in ('jwt', 'client', 'web')),
    login_url text not null,
    client_id text not null,
    username text,
    -- Where the private key is; the key itself stays there.
    jwt_key_file text,
    -- JSON of what is secret, by AES-256-GCM (base/seal.h); null when nothing is.
    sealed text,
    -- Which key it was sealed with.
    key_hint text,
    created_at timestamptz not null default now(),
    -- When the tokens were last renewed.
    updated_at timestamptz not null default now()
);

-- Web logins that have begun: the browser comes back with the state, of which only the hash is here.
create table authorization_attempt (
    state_sha256 text primary key,
    schema_name text not null references connection on delete cascade,
    sealed text not null,
    created_at timestamptz not null default now()
);

-- Which object is which table. States are Heroku Connect's.
create table mapping (
    id bigint generated always as identity primary key,
    uuid uuid not null unique default gen_random_uuid(),
    schema_name text not null references connection on delete cascade,
    object_name text not null,
    table_name text not null,
    state text not null default 'INITIAL',
    state_description text,
    access text not null check (access in ('read_only', 'read_write')),
    polling_seconds integer not null default 600,
    notify boolean not null default false,
    max_daily_api_calls integer,
    upsert_field text,
    has_isdeleted boolean not null default true,
    -- What was asked for and is not done yet: 'RELOAD' merges, 'RELOAD_DESTRUCTIVE' empties first.
    operation text check (operation in ('RELOAD', 'RELOAD_DESTRUCTIVE')),
    -- The organisation lacks the object or a field: kept, without fields and table.
    is_orphan boolean not null default false,
    -- Of its fields in the organisation: which are missing, changed, and offered. Null after an edit,
    -- until they are looked at again.
    survey jsonb,
    -- The organisation's records as last counted, by a load or on request.
    sf_count bigint,
    sf_counted_at timestamptz,
    config jsonb not null,
    -- What the file's entry says beside object_name and config, and how it spells the object.
    extra jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (schema_name, object_name),
    unique (schema_name, table_name)
);

create table mapping_field (
    mapping_id bigint not null references mapping on delete cascade,
    position integer not null,
    -- The name in the export: an API name, or Parent__Key__c for a reference by external id.
    field_name text not null,
    column_name text not null,
    field_type text not null,
    column_type text not null,
    -- What SELECT names: 'Name', or 'Parent.Key__c'.
    soql_path text not null,
    is_createable boolean not null,
    is_updateable boolean not null,
    -- A formula or a roll-up: may change without the record's stamp.
    is_calculated boolean not null default false,
    -- How an encrypted text is shown to who may not view it: '* lastFour'.
    mask text,
    -- The organisation no longer has it, or no longer shows it.
    is_missing boolean not null default false,
    relationship_name text,
    reference_object text,
    reference_field text,
    -- False while a column that was added to a loaded table waits for its values.
    is_filled boolean not null default true,
    primary key (mapping_id, column_name)
);

-- Up to where the slot's changes are in the log. Updated in the transaction that writes the entries.
create table progress (
    schema_name text primary key references connection on delete cascade,
    slot_name text not null,
    system_identifier text not null,
    timeline integer not null,
    commit_end_lsn pg_lsn not null,
    updated_at timestamptz not null default now()
) with (fillfactor = 50);

-- Up to where Salesforce's changes are in the table. Updated in the transaction that writes the rows.
create table watermark (
    mapping_id bigint primary key references mapping on delete cascade,
    changes_up_to timestamptz,
    deletes_up_to timestamptz,
    is_loaded boolean not null default false,
    -- A reload in place: rows that the organisation does not have are removed on the way.
    is_sweeping boolean not null default false,
    -- The poll under way goes by Bulk, and how far it is; null again when it is over.
    bulk_poll text check (bulk_poll in ('WAIT_BULK_UPDATE', 'POLLING_SF_BULK')),
    polled_at timestamptz,
    -- Since when reading has failed for now, and with which words it began; null while it succeeds.
    failing_since timestamptz,
    failing_reason text
) with (fillfactor = 50);

-- A load that has begun and is not over. Where it goes on is updated in the transaction that writes a
-- page's rows, so that no page is loaded twice.
create table load (
    mapping_id bigint primary key references mapping on delete cascade,
    -- Of the Bulk query; null when it goes by REST.
    job_id text,
    -- Where the next page of the Bulk query's result is; null at its beginning.
    locator text,
    -- By REST, which goes in the order of Id: the last one that is in the table.
    after_id text,
    -- The table held nothing before, and gets its indexes at the end.
    is_direct boolean not null,
    rows_total bigint not null,
    rows_done bigint not null,
    rows_per_second bigint,
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
) with (fillfactor = 50);

-- Records that a mapped table does not take, for a constraint of the user's or a value that fits no
-- column; read again when their time has come, until they are taken or gone.
create table refused_record (
    mapping_id bigint not null references mapping on delete cascade,
    sfid text not null,
    reason text not null,
    attempts integer not null default 1,
    first_at timestamptz not null default now(),
    refused_at timestamptz not null default now(),
    retry_at timestamptz not null,
    primary key (mapping_id, sfid)
);

create index refused_record_idx_retry_at on refused_record (mapping_id, retry_at);

-- Deletions that look like a mistake: so many at once that an operator has to confirm them.
create table held_deletion (
    mapping_id bigint not null references mapping on delete cascade,
    sfid text not null,
    found_at timestamptz not null default now(),
    confirmed_at timestamptz,
    primary key (mapping_id, sfid)
);

-- API requests made for a mapping, by the hour.
create table api_usage (
    mapping_id bigint not null references mapping on delete cascade,
    hour timestamptz not null,
    calls bigint not null,
    primary key (mapping_id, hour)
) with (fillfactor = 50);

-- Bulk API jobs on their way. The name is stored before anything is uploaded.
create table bulk_job (
    id bigint generated always as identity primary key,
    schema_name text not null references connection on delete cascade,
    mapping_id bigint not null,
    action text not null,
    job_id text,
    created_at timestamptz not null default now(),
    asked_at timestamptz
);

-- The comparison of all records with their rows, in ranges of ids: the pass under way, or the last one.
create table drift (
    mapping_id bigint primary key references mapping on delete cascade,
    -- An operator wants a pass now.
    asked_at timestamptz,
    -- The pass under way was asked for: it does not spread its calls over the day.
    is_asked boolean not null default false,
    began_at timestamptz,
    -- Null while one is under way.
    finished_at timestamptz,
    -- The last id compared.
    after_id text,
    checked bigint not null default 0,
    missing bigint not null default 0,
    extra bigint not null default 0,
    stale bigint not null default 0,
    calculated bigint not null default 0,
    -- What this pass, or a load since, could not write: the next pass comes soon.
    held bigint not null default 0
) with (fillfactor = 50);

-- How far a mapping's change events have been heard. Updated in the transaction that stores them.
create table listening (
    mapping_id bigint primary key references mapping on delete cascade,
    -- The last one; null before the first.
    replay_id bigint,
    subscribed_at timestamptz,
    -- Why it is not listened to; null when it is.
    problem text
) with (fillfactor = 50);

-- Change events that wait for the role pull, which removes them with the rows they lead to.
create table heard (
    id bigint generated always as identity,
    mapping_id bigint not null references mapping on delete cascade,
    -- The records it tells of; null when only a poll can say what has changed.
    sfids text[],
    primary key (mapping_id, id)
);

-- Writes on their way: the intent is committed before the first byte leaves.
create table delivery (
    -- Of a connection, whom nobody deletes. A foreign key is a look-up for each row of each wave, a sixth
    -- of what storing intents costs.
    schema_name text not null,
    log_id integer not null,
    mapping_id bigint not null,
    record_id integer not null,
    action text not null,
    state text not null check (state in ('SENDING', 'IN_DOUBT', 'RETRY')),
    attempt integer not null default 1,
    -- An earlier attempt may have been executed.
    was_in_doubt boolean not null default false,
    -- The unique identifier's value, by which a create whose answer is lost can be found again.
    external_id text,
    -- Or, of a create without one, that of its receipt or of this marker field of the record.
    trace text,
    marker_field text,
    sfid text,
    -- The record as it was sent.
    body json,
    sent_at timestamptz not null default now(),
    retry_at timestamptz,
    message text,
    -- The Bulk job that it goes with.
    bulk_job bigint,
    -- Sent together with its transaction: all of it was done, or none.
    is_unit boolean not null default false,
    -- In this order, for all or nearly all are of one schema.
    primary key (log_id, schema_name)
);

-- What creates without a unique identifier have left in Salesforce to be found by: receipts, to be
-- removed there when nothing waits for them, and markers, to be looked for once more where a create
-- was sent twice. Stored with the intent.
create table trace (
    schema_name text not null,
    trace text not null,
    log_id integer not null,
    mapping_id bigint not null,
    -- Of the record itself; null: it is a receipt's key.
    marker_field text,
    is_resent boolean not null default false,
    sent_at timestamptz not null default now(),
    looked_at timestamptz,
    -- The ids of the records that have the marker, when they are several.
    doubles text[],
    primary key (schema_name, trace)
);

-- Who may use the HTTP API: a token is shown once and only its hash kept.
create table api_token (
    schema_name text not null references connection on delete cascade,
    name text not null,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    -- SHA-256 in hex, of at least 32 random bytes.
    sha256 text not null,
    created_at timestamptz not null default now(),
    primary key (schema_name, name)
);

-- What an operator should know: one row per cause while it lasts, told once, and again when it is over.
create table notification (
    id bigint generated always as identity primary key,
    schema_name text not null references connection on delete cascade,
    -- 'mapping Account', 'slot', 'limit': at most one unresolved row each.
    cause text not null,
    -- Heroku Connect's 'mapping-error' and 'postgres-connection', or one of ours.
    event_type text not null,
    message text not null,
    created_at timestamptz not null default now(),
    resolved_at timestamptz,
    acknowledged_at timestamptz,
    -- Told by webhook or command that it began, and that it is over.
    told_at timestamptz,
    told_resolved_at timestamptz
);

create unique index notification_idx_unresolved on notification (schema_name, cause)
    where resolved_at is null;
create index notification_idx_created_at on notification (schema_name, created_at);

-- Fields changed on both sides: who won, and the value that lost, which stands nowhere else.
create table conflict (
    id bigint generated always as identity primary key,
    schema_name text not null references connection on delete cascade,
    object_name text not null,
    table_name text not null,
    record_id integer,
    sfid text,
    column_name text not null,
    -- The entry of the log that carries PostgreSQL's value.
    log_id integer,
    winner text not null check (winner in ('postgres', 'salesforce')),
    policy text not null,
    -- What both sides last agreed on; null also where that is not known.
    base_value text,
    postgres_value text,
    salesforce_value text,
    detected_at timestamptz not null default clock_timestamp()
);

create index conflict_idx_log_id on conflict (schema_name, log_id);
create index conflict_idx_table_name on conflict (schema_name, table_name, id);

-- Values of entries that wait, which lost a conflict: they are not sent.
create table overruled (
    schema_name text not null references connection on delete cascade,
    log_id integer not null,
    column_name text not null,
    overruled_at timestamptz not null default clock_timestamp(),
    primary key (schema_name, log_id, column_name)
);

-- Columns that an UPDATE is sent again without, because a later entry of the record carries them: of
-- those Salesforce may still have the value from before both.
create table left_out (
    schema_name text not null references connection on delete cascade,
    log_id integer not null,
    column_name text not null,
    primary key (schema_name, log_id, column_name)
);

-- TRUNCATEs of mapped tables, and what becomes of them by the mapping's policy. STOPPED: nothing of
-- the mapping is sent until it is dismissed. WAITING: so many records are only deleted on request.
create table truncation (
    id bigint generated always as identity primary key,
    mapping_id bigint not null references mapping on delete cascade,
    commit_lsn pg_lsn not null,
    seq integer not null,
    xid xid8 not null,
    truncated_at timestamptz not null,
    policy text not null,
    state text not null check (state in ('IGNORED', 'STOPPED', 'WAITING', 'DELETED', 'DISMISSED')),
    -- Records of Salesforce that were in the table; null where nobody counted.
    record_count bigint,
    unique (mapping_id, commit_lsn, seq)
);

-- What a table held when it was truncated, where the policy is to delete it. A row without a
-- record_id says that the table was looked at.
create table truncated_row (
    xid xid8 not null,
    schema_name text not null,
    table_name text not null,
    record_id integer,
    sfid text,
    noted_at timestamptz not null default now()
);
create index truncated_row_idx_xid on truncated_row (xid);

-- What only a role itself can count, for the metrics: it only ever grows.
create table counter (
    schema_name text not null references connection on delete cascade,
    name text not null,
    label text not null default '',
    value double precision not null,
    primary key (schema_name, name, label)
) with (fillfactor = 50);

-- What is known to be missing from the log: changes between the two positions, and why. The upper
-- one is null until an operator goes on with a new slot.
create table gap (
    id bigint generated always as identity primary key,
    schema_name text not null references connection on delete cascade,
    from_lsn pg_lsn,
    to_lsn pg_lsn,
    reason text not null,
    found_at timestamptz not null default now(),
    accepted_at timestamptz
);
create index gap_idx_schema_name on gap (schema_name, found_at);

-- A mapping's state as operators are told it: the stored one, or what is being done at the moment.
create function told_state(m mapping) returns text language sql stable
    set search_path = pg_catalog as
$$
    select case
        when m.state not in ('INITIAL', 'RELOAD_TABLE') and exists (
            select from pg_locks l
            join pg_stat_activity a on a.pid = l.pid
            join pg_class c on c.oid = l.relation
            join pg_namespace n on n.oid = c.relnamespace
            where l.mode = 'AccessExclusiveLock'
            and l.database = (select oid from pg_database where datname = current_database())
            and a.application_name like 'pgforce%'
            and n.nspname = m.schema_name
            and c.relname = m.table_name) then 'SCHEMA_CHANGED'
        when m.state in ('RELOAD_TABLE', 'RESYNC') then coalesce(
            (select case when l.rows_done = 0 then 'WAIT_BULK_LOAD' else 'LOADING_BULK_JOB' end
            from pgforce.load l where l.mapping_id = m.id and l.job_id is not null), m.state)
        when m.state = 'DATA_SYNCED' then coalesce(
            (select w.bulk_poll from pgforce.watermark w where w.mapping_id = m.id), m.state)
        else m.state end
$$;
