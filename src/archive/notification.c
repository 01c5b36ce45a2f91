#include "archive/notification.h"

#include <string.h>

enum { SQL_BYTES = 8192 };

static bool store_one(struct pg *pg, const char *schema_name, const struct notification *item,
                      struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.notification (schema_name, cause, event_type, message)"
                  " values ($1, $2, $3, $4)"
                  " on conflict (schema_name, cause) where resolved_at is null"
                  " do update set message = excluded.message"
                  " where notification.message <> excluded.message",
                  PG_PARAMS(schema_name, item->cause, item->event_type, item->message), err);
}

static bool resolve_others(struct pg *pg, const char *schema_name, const char *causes,
                           struct error *err)
{
    return pg_run(pg,
                  "update pgforce.notification set resolved_at = now()"
                  " where schema_name = $1"
                  " and resolved_at is null"
                  " and cause <> all ($2::text[])",
                  PG_PARAMS(schema_name, causes), err);
}

static bool store_all(struct pg *pg, const char *schema_name, const struct notification *items,
                      size_t count, struct error *err)
{
    struct buf causes BUF_AUTO = {0};

    buf_init(&causes, 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        pg_append_element(&causes, items[i].cause);
        if (!store_one(pg, schema_name, &items[i], err))
            return false;
    }
    pg_end_array(&causes);
    return resolve_others(pg, schema_name, causes.data, err);
}

bool notification_agree(struct pg *pg, const char *schema_name, const struct notification *items,
                        size_t count, struct error *err)
{
    if (pg_script(pg, "begin", err) && store_all(pg, schema_name, items, count, err) &&
        pg_script(pg, "commit", err))
        return true;
    pg_rollback(pg);
    return false;
}

static const char conditions[] = " where schema_name = $1"
                                 " and ($2::timestamptz is null or created_at > $2::timestamptz)"
                                 " and ($3::timestamptz is null or created_at < $3::timestamptz)"
                                 " and ($4::text is null or event_type = $4)";

/* Class 22: a value that is no timestamp, from whoever asked. */
static bool blame_value(struct pg *pg, struct error *err)
{
    if (strncmp(pg_sqlstate(pg), "22", 2) == 0)
        err->kind = ERROR_RECORD;
    return false;
}

PGresult *notification_list(struct pg *pg, const char *schema_name,
                            const struct notification_filter *filter, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES);
    buf_printf(&sql,
               "select id, " PG_RFC3339("created_at") ", " PG_RFC3339(
                   "resolved_at") ","
                                  " " PG_RFC3339("acknowledged_at") ", event_type, message, cause"
                                                                    " from pgforce.notification%s"
                                                                    " order by id desc limit $5",
               conditions);
    PGresult *result = pg_query(pg, sql.data,
                                PG_PARAMS(schema_name, filter->after, filter->before,
                                          filter->event_type, pg_number(filter->limit).text),
                                err);
    if (result == NULL)
        blame_value(pg, err);
    return result;
}

bool notification_acknowledge(struct pg *pg, const char *schema_name,
                              const struct notification_filter *filter, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES);
    buf_printf(&sql,
               "update pgforce.notification set acknowledged_at = now()%s"
               " and acknowledged_at is null",
               conditions);
    return pg_run(pg, sql.data,
                  PG_PARAMS(schema_name, filter->after, filter->before, filter->event_type), err) ||
           blame_value(pg, err);
}
