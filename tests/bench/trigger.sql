-- Capture by triggers, of the kind that Heroku Connect puts on a mapped table: a row trigger writes the
-- old row and the changed columns, as hstore text, into a log, and a second one marks the row. Written
-- from the public description of what those triggers do, for comparison only: pgforce has none.

create extension if not exists hstore with schema public;
create schema salesforce;

create table salesforce._trigger_log (
    id serial primary key,
    txid bigint,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    processed_at timestamptz,
    processed_tx bigint,
    state varchar(8),
    action varchar(7),
    table_name varchar(128),
    record_id integer,
    sfid varchar(18),
    old text,
    values text,
    sf_result integer,
    sf_message text
);
create index on salesforce._trigger_log (created_at);
create index on salesforce._trigger_log (state, id);
create index on salesforce._trigger_log (state, table_name) where state in ('NEW', 'PENDING');

create function salesforce.wake_writer() returns trigger language plpgsql as $$
begin
    perform pg_notify('salesforce.hc_trigger_log', 'ping');
    return null;
end $$;
create trigger wake_writer after insert on salesforce._trigger_log
    for each row execute function salesforce.wake_writer();

create function public.is_user_session() returns boolean language sql stable as
$$ select current_setting('xmlbinary') = 'base64' $$;

create function salesforce.log_change() returns trigger language plpgsql as $$
declare
    entry salesforce._trigger_log;
    system_columns constant text[] := array['_hc_lastop', '_hc_err'];
    was hstore;
    is_now hstore;
begin
    entry.id := nextval('salesforce._trigger_log_id_seq');
    entry.txid := txid_current();
    entry.created_at := clock_timestamp();
    entry.action := tg_op;
    entry.table_name := tg_table_name;
    entry.state := 'NEW';
    if tg_op = 'INSERT' then
        entry.record_id := new.id;
        entry.values := (hstore(new) - system_columns)::text;
    else
        was := hstore(old) - system_columns;
        entry.record_id := old.id;
        entry.sfid := old.sfid;
        entry.old := was::text;
    end if;
    if tg_op = 'UPDATE' then
        is_now := (hstore(new) - system_columns) - was;
        entry.values := is_now::text;
        if is_now = '' then
            entry.state := 'IGNORE';
        end if;
    elsif tg_op = 'DELETE' and old.sfid is null then
        entry.state := 'IGNORE';
    end if;
    insert into salesforce._trigger_log values (entry.*);
    return null;
end $$;

create function salesforce.mark_row() returns trigger language plpgsql as $$
begin
    if public.is_user_session() then
        new._hc_lastop := 'PENDING';
        new._hc_err := null;
    end if;
    return new;
end $$;
