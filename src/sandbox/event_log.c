#include "sandbox/event_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGE_KEPT_S = 3 * 86400, OTHER_KEPT_S = 86400, PURGE_EVERY = 1000 };

static const char all_changes[] = "/data/ChangeEvents";

struct event_log {
    struct store *store;
    int64_t last;
};

/* One number from a statement without parameters. */
static bool read_number(struct store *store, const char *sql, int64_t *number, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(store, sql, &statement, err) || !store_step(store, statement, &has_row, err))
        return false;
    *number = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

bool event_log_reload(struct event_log *log, struct error *err)
{
    int64_t last = log->last;

    /* autoincrement keeps the last id when the events are gone. */
    if (!read_number(log->store,
                     "select ifnull(max(seq), 0) from sqlite_sequence "
                     "where name = 'sandbox_event'",
                     &log->last, err))
        return false;
    if (log->last >= last)
        return true;
    struct value value = value_integer(last);
    log->last = last;
    return store_change(log->store, "delete from sqlite_sequence where name = 'sandbox_event'",
                        NULL, 0, err) &&
           store_change(log->store, "insert into sqlite_sequence values ('sandbox_event', ?)",
                        &value, 1, err);
}

bool event_log_open(struct store *store, struct event_log **log, struct error *err)
{
    struct event_log *new_log = memory_alloc(sizeof(*new_log));

    new_log->store = store;
    *log = new_log;
    return store_run(store,
                     "create table if not exists sandbox_event ("
                     " id integer primary key autoincrement, channel text not null,"
                     " is_change integer not null, created_s integer not null,"
                     " data text not null, extra text not null);"
                     "create table if not exists sandbox_channel ("
                     " name text not null collate nocase, member text not null collate nocase,"
                     " primary key (name, member)) without rowid",
                     err) &&
           event_log_reload(new_log, err);
}

void event_log_free(struct event_log *log)
{
    free(log);
}

int64_t event_log_last(const struct event_log *log)
{
    return log->last;
}

static bool purge(struct event_log *log, int64_t now_s, struct error *err)
{
    struct value values[] = {value_integer(now_s - CHANGE_KEPT_S),
                             value_integer(now_s - OTHER_KEPT_S),
                             value_integer(log->last - EVENT_LOG_MAX)};

    return store_change(log->store,
                        "delete from sandbox_event "
                        "where created_s < case when is_change then ?1 else ?2 end or id <= ?3",
                        values, 3, err);
}

bool event_log_append(struct event_log *log, const struct event *event, int64_t now_s,
                      struct error *err)
{
    struct value values[] = {value_text(event->channel), value_integer(event->is_change),
                             value_integer(now_s), value_text(event->data),
                             value_text(event->extra)};

    if (!store_change(log->store,
                      "insert into sandbox_event (channel, is_change, created_s, data, extra) "
                      "values (?, ?, ?, ?, ?)",
                      values, 5, err))
        return false;
    log->last = sqlite3_last_insert_rowid(store_database(log->store));
    return log->last % PURGE_EVERY != 0 || purge(log, now_s, err);
}

bool event_log_reaches(struct event_log *log, int64_t n, int64_t now_s, struct error *err)
{
    int64_t first = 0;

    if (!purge(log, now_s, err) ||
        !read_number(log->store, "select ifnull(min(id), 0) from sandbox_event", &first, err))
        return false;
    if (log->last == 0)
        return n == 0;
    return first > 0 && n <= log->last && (n >= first || (n == 0 && first == 1));
}

/* ---- reading ---- */

static bool is_all_changes(const char *channel)
{
    return strcasecmp(channel, all_changes) == 0;
}

static bool is_custom(const char *channel)
{
    size_t length = strlen(channel);

    return length > 5 && strcasecmp(channel + length - 5, "__chn") == 0;
}

static bool prepare_read(struct event_log *log, const struct event_cursor *cursor,
                         sqlite3_stmt **statement, struct error *err)
{
    bool is_all = is_all_changes(cursor->channel);
    struct value after = value_integer(cursor->after);
    struct value channel = value_text(cursor->channel);

    const char *sql = "select id, data, extra from sandbox_event "
                      "where id > ?1 and channel = ?2 collate nocase order by id";

    if (is_all)
        sql = "select id, data, extra from sandbox_event where id > ?1 and is_change order by id";
    else if (is_custom(cursor->channel))
        sql = "select id, data, extra from sandbox_event where id > ?1 and is_change and "
              "channel in (select member from sandbox_channel where name = ?2) order by id";
    if (!store_prepare(log->store, sql, statement, err))
        return false;
    store_bind(*statement, 1, &after);
    if (!is_all)
        store_bind(*statement, 2, &channel);
    return true;
}

static void write_message(const struct event_cursor *cursor, sqlite3_stmt *statement,
                          struct buf *out)
{
    const char *extra = (const char *)sqlite3_column_text(statement, 2);

    buf_printf(out, "{\"channel\":\"%s\",\"data\":{%s,\"event\":{%s%s\"replayId\":%" PRId64 "}}},",
               cursor->channel, (const char *)sqlite3_column_text(statement, 1), extra,
               *extra != '\0' ? "," : "", (int64_t)sqlite3_column_int64(statement, 0));
}

bool event_log_read(struct event_log *log, struct event_cursor *cursor, struct event_batch *batch,
                    struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (cursor->after >= log->last)
        return true;
    if (!prepare_read(log, cursor, &statement, err))
        return false;
    while (batch->count < batch->max_count && batch->out->size_bytes < batch->max_bytes) {
        if (!store_step(log->store, statement, &has_row, err))
            return false;
        if (!has_row) {
            cursor->after = log->last;
            return true;
        }
        write_message(cursor, statement, batch->out);
        cursor->after = sqlite3_column_int64(statement, 0);
        batch->count++;
    }
    sqlite3_reset(statement);
    return true;
}

bool event_log_has_more(struct event_log *log, struct event_cursor *cursor)
{
    sqlite3_stmt *statement = NULL;
    struct error ignored = {0};
    bool has_row = false;

    if (cursor->after >= log->last || !prepare_read(log, cursor, &statement, &ignored) ||
        !store_step(log->store, statement, &has_row, &ignored))
        return false;
    cursor->after = has_row ? sqlite3_column_int64(statement, 0) - 1 : log->last;
    sqlite3_reset(statement);
    return has_row;
}

/* ---- custom channels ---- */

bool event_log_set_channel(struct event_log *log, const char *channel, const char *const *members,
                           size_t count, struct error *err)
{
    struct value values[] = {value_text(channel), {.kind = VALUE_NULL}};

    if (!store_change(log->store, "delete from sandbox_channel where name = ?", values, 1, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        values[1] = value_text(members[i]);
        if (!store_change(log->store, "insert or ignore into sandbox_channel values (?, ?)", values,
                          2, err))
            return false;
    }
    return true;
}

bool event_log_has_channel(struct event_log *log, const char *channel)
{
    sqlite3_stmt *statement = NULL;
    struct value name = value_text(channel);
    struct error ignored = {0};
    bool has_row = false;

    if (!store_prepare(log->store, "select 1 from sandbox_channel where name = ? limit 1",
                       &statement, &ignored))
        return false;
    store_bind(statement, 1, &name);
    if (!store_step(log->store, statement, &has_row, &ignored))
        return false;
    sqlite3_reset(statement);
    return has_row;
}

bool event_log_expire(struct event_log *log, struct error *err)
{
    return store_run(log->store, "delete from sandbox_event", err);
}
