#include "sandbox/replication.h"

#include <stdio.h>
#include <string.h>

#include "sandbox/times.h"

enum { MINUTE_S = 60, DAY_S = 24 * 3600, UPDATED_DAYS = 30, DELETED_DAYS = 15 };

struct window {
    const struct object *object;
    int64_t start_s;
    int64_t end_s;
    int64_t covered_s; /* how far the answer can be relied upon */
};

static bool refuse(struct call *call, const char *message)
{
    call_error(call, "INVALID_REPLICATION_DATE", "%s", message);
    return false;
}

static bool read_bound(struct call *call, const char *name, int64_t *seconds)
{
    const char *text = http_server_param(call->request, name);

    if (text == NULL) {
        call_error(call, "MISSING_ARGUMENT", "The %s parameter is required", name);
        return false;
    }
    if (!times_parse_datetime(text, true, seconds))
        return refuse(call, arena_printf(call->arena, "%s is not a valid date", name));
    *seconds -= ((*seconds % MINUTE_S) + MINUTE_S) % MINUTE_S;
    return true;
}

static bool read_window(struct call *call, int days_back, struct window *window)
{
    int64_t now_s = org_now(call->org);

    window->object = call_object(call, call->arguments[0]);
    if (window->object == NULL)
        return false;
    if (!window->object->is_replicateable) {
        call_error(call, "INVALID_TYPE", "object type %s does not support replication",
                   window->object->name);
        return false;
    }
    if (!read_bound(call, "start", &window->start_s) || !read_bound(call, "end", &window->end_s))
        return false;
    if (window->end_s <= window->start_s)
        return refuse(call, "startDate must be at least one minute greater than endDate");
    if (window->start_s < now_s - (int64_t)days_back * DAY_S)
        return refuse(call, arena_printf(call->arena, "startDate cannot be more than %d days ago",
                                         days_back));
    int64_t stamp_s = org_stamp(call->org);
    int64_t minute_s = stamp_s - stamp_s % MINUTE_S;
    window->covered_s = window->end_s < minute_s ? window->end_s : minute_s;
    return true;
}

static const char *write_sharing(struct call *call, const struct object *object)
{
    if (!object->shows_own_only)
        return "1";
    return schema_field(object, "OwnerId") != NULL
               ? arena_printf(call->arena, "\"OwnerId\" = '%s'", call->org->user_id)
               : "0";
}

/* Ids and stamps of the object's rows in the window, in order. */
static bool open_rows(struct call *call, const struct window *window, bool is_deleted,
                      sqlite3_stmt **statement)
{
    struct error err = {0};
    struct times_text start = times_format_datetime(window->start_s);
    struct times_text end = times_format_datetime(window->end_s);
    struct value bounds[] = {value_text(start.text), value_text(end.text)};
    const char *sql = arena_printf(
        call->arena,
        "select \"Id\", \"SystemModstamp\" from \"%s\" where \"SystemModstamp\" >= ?1 and "
        "\"SystemModstamp\" <= ?2 and \"IsDeleted\" = %d and %s order by \"SystemModstamp\", "
        "\"Id\"",
        window->object->name, is_deleted, write_sharing(call, window->object));

    if (!store_prepare(call->org->store, sql, statement, &err)) {
        call_failed(call, &err);
        return false;
    }
    store_bind(*statement, 1, &bounds[0]);
    store_bind(*statement, 2, &bounds[1]);
    return true;
}

void replication_updated(struct call *call)
{
    struct window window;
    sqlite3_stmt *statement = NULL;
    json_t *ids = json_array();

    if (!read_window(call, UPDATED_DAYS, &window) || !open_rows(call, &window, false, &statement)) {
        json_decref(ids);
        return;
    }
    while (sqlite3_step(statement) == SQLITE_ROW)
        json_array_append_new(ids, json_string((const char *)sqlite3_column_text(statement, 0)));
    sqlite3_reset(statement);
    call_json(call, 200,
              json_pack("{s:o, s:s}", "ids", ids, "latestDateCovered",
                        times_format_datetime(window.covered_s).text));
}

void replication_deleted(struct call *call)
{
    struct window window;
    sqlite3_stmt *statement = NULL;
    json_t *records = json_array();
    int64_t earliest_s = org_now(call->org) - (int64_t)DELETED_DAYS * DAY_S;

    if (earliest_s < call->org->bin_emptied_s)
        earliest_s = call->org->bin_emptied_s;
    if (!read_window(call, DELETED_DAYS, &window) || !open_rows(call, &window, true, &statement)) {
        json_decref(records);
        return;
    }
    while (sqlite3_step(statement) == SQLITE_ROW)
        json_array_append_new(records,
                              json_pack("{s:s, s:s}", "id", sqlite3_column_text(statement, 0),
                                        "deletedDate", sqlite3_column_text(statement, 1)));
    sqlite3_reset(statement);
    call_json(call, 200,
              json_pack("{s:o, s:s, s:s}", "deletedRecords", records, "earliestDateAvailable",
                        times_format_datetime(earliest_s - earliest_s % MINUTE_S).text,
                        "latestDateCovered", times_format_datetime(window.covered_s).text));
}
