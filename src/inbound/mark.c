#include "inbound/mark.h"

bool mark_read(struct pg *pg, const struct mapping *mapping, struct mark *mark, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select (extract(epoch from changes_up_to) * 1000000)::bigint,"
                 " (extract(epoch from deletes_up_to) * 1000000)::bigint,"
                 " coalesce(is_loaded, false),"
                 " (extract(epoch from l.started_at) * 1000000)::bigint,"
                 " (extract(epoch from clock_timestamp()) * 1000000)::bigint,"
                 " coalesce(is_sweeping, false)"
                 " from (select $1::bigint as id) m"
                 " left join pgforce.watermark w on w.mapping_id = m.id"
                 " left join pgforce.load l on l.mapping_id = m.id",
                 PG_PARAMS(pg_number(mapping->id).text), err);

    *mark = (struct mark){0};
    if (result == NULL)
        return false;
    mark->changes_up_to_us = pg_field_int64(result, 0, 0);
    mark->deletes_up_to_us = pg_field_int64(result, 0, 1);
    mark->is_loaded = pg_field_bool(result, 0, 2);
    mark->loading_since_us = pg_field_int64(result, 0, 3);
    mark->is_loading = mark->loading_since_us != 0;
    mark->is_sweeping = pg_field_bool(result, 0, 5);
    mark->read_at_us = pg_field_int64(result, 0, 4);
    return true;
}

bool mark_store(struct pg *pg, const struct mapping *mapping, const struct mark *mark,
                struct error *err)
{
    struct pg_number changes = pg_number(mark->changes_up_to_us);
    struct pg_number deletes = pg_number(mark->deletes_up_to_us);

    return pg_run(
        pg,
        "insert into pgforce.watermark as w"
        " (mapping_id, changes_up_to, deletes_up_to, is_loaded, polled_at)"
        " values ($1, to_timestamp($2::bigint / 1000000.0),"
        " to_timestamp($3::bigint / 1000000.0), $4, clock_timestamp())"
        " on conflict (mapping_id) do update"
        " set changes_up_to = coalesce(excluded.changes_up_to, w.changes_up_to),"
        " deletes_up_to = coalesce(excluded.deletes_up_to, w.deletes_up_to),"
        " is_loaded = excluded.is_loaded,"
        " bulk_poll = null,"
        " polled_at = excluded.polled_at, failing_since = null, failing_reason = null",
        PG_PARAMS(pg_number(mapping->id).text, mark->changes_up_to_us != 0 ? changes.text : NULL,
                  mark->deletes_up_to_us != 0 ? deletes.text : NULL, mark->is_loaded ? "t" : "f"),
        err);
}

bool mark_failing(struct pg *pg, const struct mapping *mapping, const char *reason,
                  struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.watermark as w (mapping_id, failing_since, failing_reason)"
                  " values ($1, clock_timestamp(), $2)"
                  " on conflict (mapping_id) do update set failing_since = excluded.failing_since,"
                  " failing_reason = excluded.failing_reason"
                  " where w.failing_since is null",
                  PG_PARAMS(pg_number(mapping->id).text, reason), err);
}

bool mark_bulk_poll(struct pg *pg, const struct mapping *mapping, const char *state,
                    struct error *err)
{
    return pg_run(pg, "update pgforce.watermark set bulk_poll = $2 where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text, state), err);
}

static const char *copy_field(const PGresult *result, int column, struct arena *arena)
{
    const char *text = pg_field(result, 0, column);

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

bool mark_load_read(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                    struct mark_load *load, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select job_id, locator, after_id, is_direct, rows_total, rows_done"
                 " from pgforce.load"
                 " where mapping_id = $1",
                 PG_PARAMS(pg_number(mapping->id).text), err);

    *load = (struct mark_load){0};
    if (result == NULL)
        return false;
    load->is_there = PQntuples(result) > 0;
    if (!load->is_there)
        return true;
    load->job_id = copy_field(result, 0, arena);
    load->locator = copy_field(result, 1, arena);
    load->after_id = copy_field(result, 2, arena);
    load->is_direct = pg_field_bool(result, 0, 3);
    load->rows_total = pg_field_int64(result, 0, 4);
    load->rows_done = pg_field_int64(result, 0, 5);
    return true;
}

bool mark_load_begin(struct pg *pg, const struct mapping *mapping, const struct mark_load *load,
                     struct error *err)
{
    /* $4 is the largest number where the organisation could not count. */
    return mark_load_end(pg, mapping, err) &&
           pg_run(pg,
                  "with counted as (update pgforce.mapping"
                  " set sf_count = $4::bigint, sf_counted_at = clock_timestamp()"
                  " where id = $1::bigint and $4::bigint < 9223372036854775807)"
                  " insert into pgforce.load"
                  " (mapping_id, job_id, is_direct, rows_total, rows_done, started_at)"
                  " values ($1, $2, $3, $4, $5, to_timestamp($6::bigint / 1000000.0))",
                  PG_PARAMS(pg_number(mapping->id).text, load->job_id, load->is_direct ? "t" : "f",
                            pg_number(load->rows_total).text, pg_number(load->rows_done).text,
                            pg_number(load->began_us).text),
                  err);
}

bool mark_load_advance(struct pg *pg, const struct mapping *mapping, const struct mark_load *load,
                       int64_t rows_per_s, struct error *err)
{
    return pg_run(pg,
                  "update pgforce.load"
                  " set locator = $2,"
                  " after_id = $3,"
                  " rows_done = $4,"
                  " rows_per_second = $5,"
                  " updated_at = now()"
                  " where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text, load->locator, load->after_id,
                            pg_number(load->rows_done).text, pg_number(rows_per_s).text),
                  err);
}

bool mark_load_stage(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg, "update pgforce.load set is_direct = false where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}

bool mark_load_end(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg, "delete from pgforce.load where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}
