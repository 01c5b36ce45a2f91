#include "inbound/refusals.h"

#include "base/log.h"

enum { IDS_MAX_BYTES = 1 << 20 };

/* How many are read again by one query: their ids must fit its text. */
#define DUE_AT_ONCE "100"

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
static PGresult *store_one(const struct refusal *refusal, struct pg *pg,
                           const struct mapping *mapping, struct error *err)
{
    return pg_query(pg,
                    "insert into pgforce.refused_record as r"
                    " (mapping_id, sfid, reason, retry_at)"
                    " values ($1, $2, $3, now() + interval '10 seconds')"
                    " on conflict (mapping_id, sfid) do update"
                    " set reason = excluded.reason,"
                    " attempts = r.attempts + 1,"
                    " refused_at = now(),"
                    " retry_at = now()"
                    " + least(interval '10 seconds' * 2 ^ least(r.attempts, 20), interval '1 hour')"
                    " returning attempts",
                    PG_PARAMS(pg_number(mapping->id).text, refusal->sfid, refusal->reason), err);
}

/* Told once, not at every attempt. */
bool refusals_store(const struct refusals *refusals, struct pg *pg, const struct mapping *mapping,
                    struct error *err)
{
    for (const struct refusal *each = refusals->first; each != NULL; each = each->next) {
        PGresult *result PG_RESULT_AUTO = store_one(each, pg, mapping, err);

        if (result == NULL)
            return error_prefix(err, "recording a refused record");
        if (pg_field_int64(result, 0, 0) == 1)
            log_error("refused a record", log_text("mapping", mapping->object_name),
                      log_text("id", each->sfid), log_text("reason", each->reason));
    }
    return true;
}

bool refusals_due(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                  struct refusals_asked *asked, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select sfid"
                                               " from pgforce.refused_record"
                                               " where mapping_id = $1"
                                               " and (retry_at <= now()"
                                               /* Only where the clock was set back. */
                                               " or retry_at > now() + interval '1 hour')"
                                               " order by retry_at"
                                               " limit " DUE_AT_ONCE,
                                               PG_PARAMS(pg_number(mapping->id).text), err);

    if (result == NULL)
        return false;
    asked->count = (size_t)PQntuples(result);
    const char **ids = arena_array(arena, const char *, asked->count + 1);
    for (size_t i = 0; i < asked->count; i++)
        ids[i] = arena_strdup(arena, pg_field(result, (int)i, 0));
    asked->ids = ids;
    return true;
}

bool refusals_forget(struct pg *pg, const struct mapping *mapping,
                     const struct refusals_asked *asked, struct error *err)
{
    struct buf ids BUF_AUTO = {0};

    buf_init(&ids, IDS_MAX_BYTES);
    for (size_t i = 0; i < asked->count; i++)
        pg_append_element(&ids, asked->ids[i]);
    pg_end_array(&ids);
    return pg_run(pg,
                  "delete from pgforce.refused_record"
                  " where mapping_id = $1"
                  " and refused_at <> now()"
                  " and sfid = any($2::text[])",
                  PG_PARAMS(pg_number(mapping->id).text, ids.data), err);
}
