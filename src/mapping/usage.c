#include "mapping/usage.h"

bool usage_note(struct pg *pg, const char *schema_name, const struct sf_session *session,
                struct error *err)
{
    struct sf_limits limits = sf_session_limits(session);

    if (limits.max == 0)
        return true;
    return pg_run(pg,
                  "update pgforce.connection"
                  " set api_used = $2, api_max = $3, api_seen_at = clock_timestamp()"
                  " where schema_name = $1",
                  PG_PARAMS(schema_name, pg_number(limits.used).text, pg_number(limits.max).text),
                  err);
}

bool usage_read(struct pg *pg, const char *schema_name, struct sf_limits *limits, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select api_used, api_max from pgforce.connection where schema_name = $1",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    *limits = (struct sf_limits){0};
    if (PQntuples(result) > 0)
        *limits = (struct sf_limits){.used = pg_field_int64(result, 0, 0),
                                     .max = pg_field_int64(result, 0, 1)};
    return true;
}

bool usage_count(struct pg *pg, int64_t mapping_id, int64_t calls, struct error *err)
{
    if (calls == 0)
        return true;
    return pg_run(pg,
                  "with old as ("
                  " delete from pgforce.api_usage"
                  " where mapping_id = $1"
                  " and hour not between now() - interval '25 hours' and now() + interval '1 hour')"
                  " insert into pgforce.api_usage as u (mapping_id, hour, calls)"
                  " select id, date_trunc('hour', now()), $2"
                  " from pgforce.mapping"
                  " where id = $1"
                  " on conflict (mapping_id, hour) do update"
                  " set calls = u.calls + excluded.calls",
                  PG_PARAMS(pg_number(mapping_id).text, pg_number(calls).text), err);
}

bool usage_read_counts(struct pg *pg, const struct mapping_list *mappings, struct arena *arena,
                       int64_t **calls, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select mapping_id, sum(calls)"
                                               " from pgforce.api_usage"
                                               " where hour > now() - interval '24 hours'"
                                               " and hour < now() + interval '1 hour'"
                                               " group by mapping_id",
                                               PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *calls = arena_array(arena, int64_t, mappings->count);
    for (int row = 0; row < PQntuples(result); row++)
        for (size_t i = 0; i < mappings->count; i++)
            if (mappings->items[i].id == pg_field_int64(result, row, 0))
                (*calls)[i] = pg_field_int64(result, row, 1);
    return true;
}
