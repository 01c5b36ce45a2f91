#include "outbound/trace.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/wait.h"
#include "mapping/lost_create.h"
#include "outbound/records.h"
#include "sf/collections.h"

enum { LOTS_MAX = 20, SQL_MAX_BYTES = 8 * 1024, TEXT_MAX_BYTES = 64 * 1024 };

const char *trace_new(struct arena *arena)
{
    unsigned char bytes[LOST_CREATE_TRACE_CHARS / 2];
    char *text = arena_alloc(arena, LOST_CREATE_TRACE_CHARS + 1);

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

/* Traces that are looked for together. */
struct lot {
    const char *object_name; /* whose records have them */
    const char *field;
    const char **traces;
    size_t count;
    json_t *found; /* trace -> the ids of its records */
};

/* Of a schema ($1): what no write waits for, and nobody has looked for within the hour. */
#define DUE                                                                                        \
    " from pgforce.trace t"                                                                        \
    " left join pgforce.mapping m on m.id = t.mapping_id"                                          \
    " where t.schema_name = $1"                                                                    \
    " and (t.looked_at between now() - interval '1 hour' and now()) is not true"                   \
    " and not exists (select from pgforce.delivery d where d.schema_name = t.schema_name"          \
    " and d.log_id = t.log_id and d.trace = t.trace)"

static void take_lot(const PGresult *result, struct arena *arena, struct lot *lot)
{
    lot->count = (size_t)PQntuples(result);
    lot->traces = arena_array(arena, const char *, lot->count);
    for (size_t i = 0; i < lot->count; i++)
        lot->traces[i] = arena_strdup(arena, pg_field(result, (int)i, 0));
}

/* A day, where a first attempt may still be done that only its receipt undoes. */
static bool take_receipts(const struct trace_world *world, struct lot *lot, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(world->pg,
                 "select t.trace" DUE " and t.marker_field is null"
                 " and (not t.is_resent or t.sent_at < now() - interval '1 day')"
                 " order by t.sent_at"
                 " limit $2",
                 PG_PARAMS(world->schema_name, pg_number(SF_BATCH_RECORDS).text), err);

    if (result == NULL)
        return false;
    take_lot(result, world->arena, lot);
    lot->object_name = LOST_CREATE_RECEIPT;
    lot->field = LOST_CREATE_KEY;
    return true;
}

/* Of one object and field. */
static bool take_markers(const struct trace_world *world, struct lot *lot, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(world->pg,
                 "with due as (select t.*, m.object_name" DUE " and t.marker_field is not null"
                 " and m.id is not null"
                 " and t.sent_at < now() - make_interval(secs => $2::bigint / 1000.0)),"
                 " first as (select mapping_id, marker_field from due order by 1, 2 limit 1)"
                 " select trace, object_name, marker_field"
                 " from due join first using (mapping_id, marker_field)"
                 " limit $3",
                 PG_PARAMS(world->schema_name, pg_number(world->quarantine_ms).text,
                           pg_number(SF_BATCH_RECORDS).text),
                 err);

    if (result == NULL)
        return false;
    take_lot(result, world->arena, lot);
    if (lot->count == 0)
        return true;
    lot->object_name = arena_strdup(world->arena, pg_field(result, 0, 1));
    lot->field = arena_strdup(world->arena, pg_field(result, 0, 2));
    return true;
}

/* What was sent once has made one record at most, and where there is no mapping nobody is told. */
static bool forget_markers(const struct trace_world *world, struct error *err)
{
    return pg_run(world->pg,
                  "delete from pgforce.trace f"
                  " using (select t.schema_name, t.trace" DUE " and t.marker_field is not null"
                  " and (not t.is_resent or m.id is null)) g"
                  " where f.schema_name = g.schema_name"
                  " and f.trace = g.trace",
                  PG_PARAMS(world->schema_name), err);
}

static bool find(const struct trace_world *world, struct lot *lot, struct error *err)
{
    struct records_keys wanted = {.field = lot->field, .texts = lot->traces, .count = lot->count};
    const char *select =
        arena_printf(world->arena, "select Id, %s from %s where ", lot->field, lot->object_name);
    json_t *records SF_JSON_AUTO = json_array();
    json_t *record;
    size_t i;

    if (!records_read_by_keys(world->session, select, &wanted, records, err))
        return false;
    json_array_foreach(records, i, record)
    {
        const char *trace = json_string_value(json_object_get(record, lot->field));

        if (trace == NULL)
            continue;
        if (json_object_get(lot->found, trace) == NULL)
            json_object_set_new(lot->found, trace, json_array());
        json_array_append(json_object_get(lot->found, trace), json_object_get(record, "Id"));
    }
    return true;
}

/* Takes out of found what is removed by now: all of it, or it is an error. A key is unique: each
 * has one receipt. */
static bool remove_receipts(const struct trace_world *world, struct lot *lot, struct error *err)
{
    const char **ids = arena_array(world->arena, const char *, lot->count);
    const char **traces = arena_array(world->arena, const char *, lot->count);
    struct sf_batch batch = {.write = SF_DELETE, .ids = ids};
    const char *trace;
    json_t *list;

    json_object_foreach(lot->found, trace, list)
    {
        traces[batch.id_count] = arena_strdup(world->arena, trace);
        ids[batch.id_count++] = json_string_value(json_array_get(list, 0));
    }
    if (batch.id_count == 0)
        return true;
    if (!sf_collection_write(world->session, &batch, 1, world->arena, err))
        return false;
    for (size_t i = 0; i < batch.result_count; i++)
        if (batch.results[i].outcome == SF_OUTCOME_SUCCESS ||
            batch.results[i].outcome == SF_OUTCOME_GONE)
            json_object_del(lot->found, traces[i]);
    return json_object_size(lot->found) == 0 ||
           error_set(err, ERROR_RETRY, "Salesforce does not let all be deleted: %s",
                     batch.results != NULL ? "see the rights of the integration user"
                                           : batch.message);
}

static void append_traces(const struct lot *lot, struct buf *array)
{
    buf_init(array, TEXT_MAX_BYTES);
    for (size_t i = 0; i < lot->count; i++)
        pg_append_element(array, lot->traces[i]);
    pg_end_array(array);
}

/* Those with several records stay, for an operator and for another look; the others are over. */
static bool note_found(const struct trace_world *world, const struct lot *lot, struct error *err)
{
    struct buf traces BUF_AUTO = {0};
    char *found = json_dumps(lot->found, JSON_COMPACT);

    append_traces(lot, &traces);
    bool is_ok = pg_run(world->pg,
                        "update pgforce.trace t"
                        " set looked_at = now(), doubles = (select array_agg(i order by i)"
                        " from jsonb_array_elements_text($3::jsonb -> t.trace) i)"
                        " where t.schema_name = $1"
                        " and t.trace = any($2)",
                        PG_PARAMS(world->schema_name, traces.data, found), err) &&
                 pg_run(world->pg,
                        "delete from pgforce.trace t"
                        " where t.schema_name = $1"
                        " and t.trace = any($2)"
                        " and coalesce(cardinality(t.doubles), 0) < 2",
                        PG_PARAMS(world->schema_name, traces.data), err);
    free(found);
    return is_ok;
}

/* What Salesforce refuses is looked for again, later. */
static bool put_off(const struct trace_world *world, const struct lot *lot, const struct error *why,
                    struct error *err)
{
    struct buf traces BUF_AUTO = {0};

    if (wait_is_stopping())
        return true;
    log_warning("cannot tidy up after creates", log_text("object", lot->object_name),
                log_text("reason", why->message));
    append_traces(lot, &traces);
    return pg_run(world->pg,
                  "update pgforce.trace t"
                  " set looked_at = now()"
                  " where t.schema_name = $1"
                  " and t.trace = any($2)",
                  PG_PARAMS(world->schema_name, traces.data), err);
}

static bool tidy_receipts(const struct trace_world *world, struct lot *lot, struct error *err)
{
    struct error why = {0};

    if (!find(world, lot, &why) || !remove_receipts(world, lot, &why))
        return put_off(world, lot, &why, err);
    return note_found(world, lot, err);
}

static bool tidy_markers(const struct trace_world *world, struct lot *lot, struct error *err)
{
    struct error why = {0};
    const char *trace;
    json_t *ids;

    if (!find(world, lot, &why))
        return put_off(world, lot, &why, err);
    json_object_foreach(lot->found, trace, ids)
    {
        if (json_array_size(ids) > 1)
            log_warning("one INSERT has made several records",
                        log_text("mapping", lot->object_name),
                        log_number("records", (int64_t)json_array_size(ids)));
    }
    return note_found(world, lot, err);
}

/* Lot by lot, until there is no more; each leaves what is due. */
static bool tidy_all(const struct trace_world *world,
                     bool (*take)(const struct trace_world *, struct lot *, struct error *),
                     bool (*tidy)(const struct trace_world *, struct lot *, struct error *),
                     struct error *err)
{
    for (int i = 0; i < LOTS_MAX; i++) {
        json_t *found SF_JSON_AUTO = json_object();
        struct lot lot = {.found = found};

        if (!take(world, &lot, err))
            return false;
        if (lot.count == 0)
            return true;
        if (!tidy(world, &lot, err))
            return false;
        if (wait_is_stopping())
            return true;
    }
    return true;
}

bool trace_tidy(const struct trace_world *world, struct error *err)
{
    return (forget_markers(world, err) && tidy_all(world, take_receipts, tidy_receipts, err) &&
            tidy_all(world, take_markers, tidy_markers, err)) ||
           error_prefix(err, "tidying up after creates without a unique identifier");
}
