-- Heroku Connect's functions that capture a row again, by its names, arguments and results. Run by
-- install.c, on every setup, where the server has the type hstore, with search_path = the mapped
-- schema, the schema of hstore, pg_temp: the functions keep that path.
--
-- An array of several dimensions counts by its elements, here and in the operators of hstore.

create or replace function hc_capture_insert_from_row(
    source_row hstore, table_name varchar, excluded_cols text[] default array[]::text[])
returns integer language plpgsql security invoker set search_path from current as
$$
declare
    dropped text[] := array['_hc_lastop', '_hc_err'];
    entry_id integer;
begin
    if (source_row -> 'id') is null then
        return null;
    end if;
    -- Without id and sfid an entry would speak of no row: they cannot be left out.
    dropped := dropped || array(
        select name from unnest(excluded_cols) as name where name not in ('id', 'sfid'));
    insert into _trigger_log
        (txid, created_at, state, action, table_name, record_id, "values")
    values
        (txid_current(), clock_timestamp(), 'NEW', 'INSERT', table_name,
         (source_row -> 'id')::integer, source_row - dropped)
    returning id into entry_id;
    return entry_id;
end
$$;

create or replace function hc_capture_update_from_row(
    source_row hstore, table_name varchar, columns_to_include text[] default array[]::text[])
returns integer language plpgsql security invoker set search_path from current as
$$
declare
    dropped text[] := array['_hc_lastop', '_hc_err'];
    entry_id integer;
begin
    if (source_row -> 'id') is null then
        return null;
    end if;
    if cardinality(columns_to_include) > 0 then
        dropped := dropped || array(
            select skeys(source_row) except select unnest(columns_to_include));
    end if;
    insert into _trigger_log
        (txid, created_at, state, action, table_name, record_id, sfid, "values")
    values
        (txid_current(), clock_timestamp(), 'NEW', 'UPDATE', table_name,
         (source_row -> 'id')::integer, source_row -> 'sfid', source_row - dropped)
    returning id into entry_id;
    return entry_id;
end
$$;
