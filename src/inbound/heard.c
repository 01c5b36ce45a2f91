#include "inbound/heard.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/fetch.h"
#include "mapping/usage.h"
#include "sf/id.h"

enum {
    SQL_MAX_BYTES = 4096,
    IDS_MAX_BYTES = 1 << 20,
    EVENTS_AT_ONCE = 2000,
    EVENTS_AT_MOST = 10 * 1000,
    DAY_MS = 24 * 60 * 60 * 1000,
    CALLS_AT_ONCE = 60,     /* then as many as the day's calls allow */
    RECORDS_AT_MOST = 1000, /* more of them are read by one poll, which costs less */
};

/* ---- what an event says ---- */

/* "com/salesforce/api/rest/60.0;client=pgforce" */
static bool is_of_client(const char *origin, const char *client_name)
{
    static const char key[] = ";client=";
    const char *found = strstr(origin, key);

    if (found == NULL)
        return false;
    found += sizeof(key) - 1;
    return strcspn(found, ";") == strlen(client_name) &&
           strncmp(found, client_name, strlen(client_name)) == 0;
}

/* Into ids; false when they cannot be told: a wildcard, no ids, an overflow. */
static bool append_ids(const json_t *header, struct buf *ids)
{
    const json_t *list = json_object_get(header, "recordIds");
    const char *type = json_string_value(json_object_get(header, "changeType"));
    char id[SF_ID_BYTES];
    size_t i;
    const json_t *each;

    if (type == NULL || strcmp(type, "GAP_OVERFLOW") == 0 || json_array_size(list) == 0)
        return false;
    json_array_foreach(list, i, each)
    {
        if (!json_is_string(each) || !sf_id_to_18(json_string_value(each), id))
            return false;
        pg_append_element(ids, id);
    }
    pg_end_array(ids);
    return !buf_is_full(ids);
}

static bool insert(struct pg *pg, int64_t mapping_id, const char *ids, struct error *err)
{
    return pg_run(pg, "insert into pgforce.heard (mapping_id, sfids) values ($1, $2)",
                  PG_PARAMS(pg_number(mapping_id).text, ids), err) ||
           error_prefix(err, "storing a change event");
}

bool heard_add(struct pg *pg, int64_t mapping_id, const char *client_name, const json_t *payload,
               struct error *err)
{
    const json_t *header = json_object_get(payload, "ChangeEventHeader");
    const char *origin = json_string_value(json_object_get(header, "changeOrigin"));
    struct buf ids BUF_AUTO = {0};

    if (origin != NULL && is_of_client(origin, client_name))
        return true;
    buf_init(&ids, IDS_MAX_BYTES);
    return insert(pg, mapping_id, append_ids(header, &ids) ? ids.data : NULL, err);
}

bool heard_add_poll(struct pg *pg, int64_t mapping_id, struct error *err)
{
    return insert(pg, mapping_id, NULL, err);
}

bool heard_bound(struct pg *pg, int64_t mapping_id, struct error *err)
{
    return pg_run(
        pg,
        "with full_up as ("
        "select from pgforce.heard where mapping_id = $1 offset $2 limit 1),"
        " gone as ("
        "delete from pgforce.heard where mapping_id = $1 and exists (select from full_up))"
        " insert into pgforce.heard (mapping_id) select $1::bigint from full_up",
        PG_PARAMS(pg_number(mapping_id).text, pg_number(EVENTS_AT_MOST).text), err);
}

bool heard_wake(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_run(pg, "select pg_notify($1 || '.pgforce_heard', '')", PG_PARAMS(schema_name), err);
}

/* ---- what waits ---- */

bool heard_listen(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql, "listen \"%s.pgforce_heard\"", schema_name);
    return pg_script(pg, sql.data, err);
}

bool heard_is_wake(const char *channel)
{
    const char *dot = strrchr(channel, '.');

    return dot != NULL && strcmp(dot, ".pgforce_heard") == 0;
}

bool heard_waiting(struct pg *pg, const char *schema_name, struct arena *arena,
                   struct heard_mappings *waiting, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select m.id"
                 " from pgforce.mapping m"
                 " where m.schema_name = $1"
                 " and exists (select from pgforce.heard h where h.mapping_id = m.id)",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    waiting->count = (size_t)PQntuples(result);
    waiting->ids = arena_array(arena, int64_t, waiting->count + 1);
    for (size_t i = 0; i < waiting->count; i++)
        waiting->ids[i] = pg_field_int64(result, (int)i, 0);
    return true;
}

/* until_ms is up to when the calls made have used up what the day allows. */
bool heard_take_call(const struct mapping *mapping, int64_t *until_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t calls = mapping->max_daily_api_calls > 0 ? mapping->max_daily_api_calls : 1;
    int64_t cost_ms = DAY_MS / calls > 0 ? DAY_MS / calls : 1;

    if (*until_ms < now_ms)
        *until_ms = now_ms;
    if (*until_ms - now_ms > CALLS_AT_ONCE * cost_ms)
        return false;
    *until_ms += cost_ms;
    return true;
}

bool heard_reach(struct pg *pg, const struct mapping *mapping, int64_t *reach, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select coalesce(max(id), 0) from pgforce.heard where mapping_id = $1",
                 PG_PARAMS(pg_number(mapping->id).text), err);

    if (result == NULL)
        return false;
    *reach = pg_field_int64(result, 0, 0);
    return true;
}

bool heard_forget(struct pg *pg, const struct mapping *mapping, int64_t reach, struct error *err)
{
    return reach == 0 || pg_run(pg, "delete from pgforce.heard where mapping_id = $1 and id <= $2",
                                PG_PARAMS(pg_number(mapping->id).text, pg_number(reach).text), err);
}

/* ---- reading them ---- */

struct batch {
    const struct mapping *mapping;
    int64_t reach; /* the last event that it covers */
    const char *const *ids;
    size_t count;
    bool must_poll;
};

/* The oldest events that wait: how far they go, whether all of them name records, and which. */
static bool read_batch(const struct poll *poll, struct arena *arena, struct batch *batch,
                       struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(poll->world.pg,
                 "with oldest as ("
                 "select id, sfids from pgforce.heard where mapping_id = $1 order by id limit $2)"
                 " select (select max(id) from oldest),"
                 " (select bool_or(sfids is null) from oldest), sfid"
                 " from (select null as sfid"
                 " union select unnest(sfids) from oldest) s"
                 " order by sfid nulls first",
                 PG_PARAMS(pg_number(poll->mapping->id).text, pg_number(EVENTS_AT_ONCE).text), err);

    if (result == NULL)
        return false;
    int rows = PQntuples(result);
    const char **ids = arena_array(arena, const char *, (size_t)rows);
    for (int i = 1; i < rows; i++)
        ids[i - 1] = arena_strdup(arena, pg_field(result, i, 2));
    *batch = (struct batch){.mapping = poll->mapping,
                            .reach = pg_field_int64(result, 0, 0),
                            .ids = ids,
                            .count = (size_t)(rows - 1),
                            .must_poll = pg_field_bool(result, 0, 1) || rows > RECORDS_AT_MOST};
    return true;
}

static bool forget_batch(void *context, struct pg *pg, struct error *err)
{
    const struct batch *batch = context;

    return heard_forget(pg, batch->mapping, batch->reach, err);
}

/* The events are forgotten with the last of their records. */
static bool apply_batch(const struct poll *poll, struct batch *batch, struct apply_report *report,
                        struct error *err)
{
    for (size_t done = 0; done < batch->count; done += FETCH_AT_ONCE) {
        size_t left = batch->count - done;
        bool is_last = left <= FETCH_AT_ONCE;
        struct fetch some = {.ids = batch->ids + done,
                             .count = is_last ? left : FETCH_AT_ONCE,
                             .page = {.store = is_last ? forget_batch : NULL, .context = batch}};

        if (!fetch_apply(poll, &some, report, err))
            return false;
        /* Purged, or out of our sight. */
        batch->must_poll = batch->must_poll || some.answered < some.count;
    }
    return true;
}

bool heard_apply(const struct poll *poll, bool *must_poll, struct apply_report *report,
                 struct error *err)
{
    int64_t began_ms = clock_monotonic_ms();
    int64_t requests = sf_session_requests(poll->session);
    struct arena *arena = arena_new();
    struct batch batch;

    *must_poll = false;
    bool is_ok = read_batch(poll, arena, &batch, err);
    if (is_ok && !batch.must_poll) {
        is_ok = apply_batch(poll, &batch, report, err) &&
                usage_count(poll->world.pg, poll->mapping->id,
                            sf_session_requests(poll->session) - requests, err);
        log_debug("read what was heard of", log_text("mapping", poll->mapping->object_name),
                  log_number("records", (int64_t)batch.count),
                  log_number("ms", clock_monotonic_ms() - began_ms));
    }
    if (is_ok)
        *must_poll = batch.must_poll;
    arena_free(arena);
    return is_ok;
}
