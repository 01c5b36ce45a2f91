#include "inbound/sweep.h"

#include <string.h>

#include "base/log.h"
#include "inbound/deletions.h"
#include "inbound/statement.h"
#include "sf/rest.h"
#include "sf/soql.h"

enum { SOQL_MAX_BYTES = 100 * 1000, ARRAY_MAX_BYTES = 1 << 20 };

struct sweep {
    const struct poll *poll;
    struct arena *arena;
    const char **gone;
    size_t count;
    size_t room;
    char last[32]; /* the id that the page before ended with */
};

static void add_gone(struct sweep *sweep, const PGresult *ids)
{
    for (int i = 0; i < PQntuples(ids); i++) {
        if (sweep->count == sweep->room) {
            size_t room = sweep->room * 2 + 256;
            const char **larger = arena_array(sweep->arena, const char *, room);
            if (sweep->count > 0)
                memcpy(larger, sweep->gone, sweep->count * sizeof(*larger));
            sweep->gone = larger;
            sweep->room = room;
        }
        sweep->gone[sweep->count++] = arena_strdup(sweep->arena, pg_field(ids, i, 0));
    }
}

static bool append_ids(struct buf *array, const json_t *records, const char **last)
{
    size_t i;
    json_t *record;

    buf_init(array, ARRAY_MAX_BYTES);
    json_array_foreach(records, i, record)
    {
        const char *id = json_string_value(json_object_get(record, "Id"));
        if (id == NULL)
            return false;
        pg_append_element(array, id);
        *last = id;
    }
    pg_end_array(array);
    return !buf_is_full(array);
}

/* The rows between the last page's end and this one's that this page does not have; after the last
 * page, records is NULL. */
static bool compare_page(void *context, const json_t *records, struct error *err)
{
    static const char between[] =
        "select t.sfid from @t t"
        " where t.sfid > $1 and t.sfid <= $2 and t.sfid <> all($3::text[])";
    static const char behind[] = "select t.sfid from @t t where t.sfid > $1";
    struct sweep *sweep = context;
    const struct poll *poll = sweep->poll;
    struct buf array BUF_AUTO = {0};
    const char *last = "";

    if (!append_ids(&array, records, &last))
        return error_set(err, ERROR_RETRY, "Salesforce answered a record without Id");
    PGresult *result PG_RESULT_AUTO =
        records != NULL
            ? statement_query(poll->world.pg, poll->mapping, between,
                              PG_PARAMS(sweep->last, last, array.data), err)
            : statement_query(poll->world.pg, poll->mapping, behind, PG_PARAMS(sweep->last), err);
    if (result == NULL)
        return false;
    add_gone(sweep, result);
    snprintf(sweep->last, sizeof(sweep->last), "%s", last);
    return true;
}

static bool find_gone(struct sweep *sweep, struct error *err)
{
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query;

    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select Id from %s", sweep->poll->mapping->object_name);
    poll_append_where(sweep->poll, false, &soql);
    buf_text(&soql, " order by Id");
    if (!sf_query_open(sweep->poll->session, soql.data, NULL, &query, err))
        return false;
    bool is_ok = sf_query_each(query, compare_page, sweep, err) && compare_page(sweep, NULL, err);
    sf_query_close(query);
    return is_ok;
}

bool sweep_run(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct sweep sweep = {.poll = poll, .arena = arena_new()};
    bool is_ok = find_gone(&sweep, err);
    const struct deletions deletions = {
        .ids = sweep.gone, .count = sweep.count, .is_inferred = true, .is_all = true};

    is_ok = is_ok && (sweep.count == 0 || deletions_apply(poll, &deletions, report, err)) &&
            pg_run(poll->world.pg,
                   "update pgforce.watermark set is_sweeping = false where mapping_id = $1",
                   PG_PARAMS(pg_number(poll->mapping->id).text), err);
    if (is_ok)
        log_info("swept", log_text("mapping", poll->mapping->object_name),
                 log_number("gone", (int64_t)sweep.count));
    arena_free(sweep.arena);
    return is_ok;
}

/* Every record that changed, whether the filter takes it or not; those it takes are told apart when
 * Salesforce is asked once more. */
static bool note_changed(void *context, const json_t *records, struct error *err)
{
    static const char known[] = "select t.sfid from @t t where t.sfid = any($1::text[])";
    struct sweep *sweep = context;
    struct buf array BUF_AUTO = {0};
    const char *last = "";

    if (!append_ids(&array, records, &last))
        return error_set(err, ERROR_RETRY, "Salesforce answered a record without Id");
    PGresult *result PG_RESULT_AUTO = statement_query(sweep->poll->world.pg, sweep->poll->mapping,
                                                      known, PG_PARAMS(array.data), err);
    if (result == NULL)
        return false;
    add_gone(sweep, result);
    return true;
}

static bool find_changed(struct sweep *sweep, int64_t from_us, struct sweep_changed *changed,
                         struct error *err)
{
    static const struct sf_query_options with_deleted = {.with_deleted = true};
    const struct mapping *mapping = sweep->poll->mapping;
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query;

    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select Id from %s where %s >= ", mapping->object_name,
               mapping->stamp->field_name);
    soql_datetime(&soql, from_us);
    if (!sf_query_open(sweep->poll->session, soql.data, &with_deleted, &query, err))
        return false;
    *changed =
        (struct sweep_changed){sf_query_total(query), sf_query_server_time_s(query) * 1000000};
    bool is_ok = sf_query_each(query, note_changed, sweep, err);
    sf_query_close(query);
    return is_ok;
}

bool sweep_leavers(const struct poll *poll, int64_t from_us, struct sweep_changed *changed,
                   struct apply_report *report, struct error *err)
{
    struct sweep sweep = {.poll = poll, .arena = arena_new()};
    bool is_ok = find_changed(&sweep, from_us, changed, err);
    const struct deletions deletions = {.ids = sweep.gone, .count = sweep.count};
    is_ok = is_ok && deletions_apply(poll, &deletions, report, err);
    arena_free(sweep.arena);
    return is_ok;
}
