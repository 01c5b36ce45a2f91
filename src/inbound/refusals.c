#include "inbound/refusals.h"

#include "base/log.h"

enum { SQL_MAX_BYTES = 1 << 20 };

/* How many are read again by one query: their ids must fit its text. */
#define DUE_AT_ONCE "200"

void refusals_add(struct refusals *refusals, const char *sfid, const char *format, ...)
{
    struct refusal *refusal = arena_alloc(refusals->arena, sizeof(*refusal));
    va_list args;

    va_start(args, format);
    *refusal = (struct refusal){.next = refusals->first,
                                .sfid = arena_strdup(refusals->arena, sfid),
                                .reason = arena_vprintf(refusals->arena, format, args)};
    va_end(args);
    refusals->first = refusal;
    refusals->count++;
}

/* Again after 10 s, 20 s, 40 s, ... an hour. */
static bool store_one(const struct refusal *refusal, struct pg *pg, const struct mapping *mapping,
                      struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.refused_record as r"
                  " (mapping_id, sfid, reason, retry_at)"
                  " values ($1, $2, $3, now() + interval '10 seconds')"
                  " on conflict (mapping_id, sfid) do update"
                  " set reason = excluded.reason,"
                  " attempts = r.attempts + 1,"
                  " refused_at = now(),"
                  " retry_at = now()"
                  " + least(interval '10 seconds' * 2 ^ least(r.attempts, 20), interval '1 hour')",
                  PG_PARAMS(pg_number(mapping->id).text, refusal->sfid, refusal->reason), err);
}

bool refusals_store(const struct refusals *refusals, struct pg *pg, const struct mapping *mapping,
                    struct error *err)
{
    for (const struct refusal *each = refusals->first; each != NULL; each = each->next) {
        log_error("refused a record", log_text("mapping", mapping->object_name),
                  log_text("id", each->sfid), log_text("reason", each->reason));
        if (!store_one(each, pg, mapping, err))
            return error_prefix(err, "recording a refused record");
    }
    return true;
}

bool refusals_due(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                  const char *const **ids, size_t *count, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select sfid"
                                               " from pgforce.refused_record"
                                               " where mapping_id = $1"
                                               " and retry_at <= now()"
                                               " order by retry_at"
                                               " limit " DUE_AT_ONCE,
                                               PG_PARAMS(pg_number(mapping->id).text), err);

    if (result == NULL)
        return false;
    *count = (size_t)PQntuples(result);
    const char **found = arena_array(arena, const char *, *count + 1);
    for (size_t i = 0; i < *count; i++)
        found[i] = arena_strdup(arena, pg_field(result, (int)i, 0));
    *ids = found;
    return true;
}

bool refusals_forget(struct pg *pg, const struct mapping *mapping, const char *const *ids,
                     size_t count, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "delete from pgforce.refused_record"
                   " where mapping_id = $1"
                   " and refused_at < now()"
                   " and sfid in (");
    for (size_t i = 0; i < count; i++) {
        buf_text(&sql, i > 0 ? ", " : "");
        pg_append_literal(&sql, ids[i]);
    }
    buf_text(&sql, ")");
    return pg_run(pg, sql.data, PG_PARAMS(pg_number(mapping->id).text), err);
}
