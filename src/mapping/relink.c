#include "mapping/relink.h"

#include "base/arena.h"
#include "mapping/mapping.h"
#include "mapping/move.h"
#include "mapping/transaction.h"
#include "pg/origin.h"

enum { SQL_MAX_BYTES = 64 * 1024 };

/* ---- the plan ---- */

static bool count_into(struct pg *pg, const struct mapping *mapping, json_t *entry,
                       struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select (select count(*) from ");
    pg_append_qualified(&sql, mapping->schema_name, mapping->table_name);
    buf_text(&sql, "), count(*), count(*) filter (where action <> 'INSERT' or sfid is not null)"
                   " from ");
    pg_append_qualified(&sql, mapping->schema_name, "_trigger_log");
    buf_text(&sql, " where table_name = $1 and state in ('NEW', 'PENDING', 'REQUEUE')");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(mapping->table_name), err);
    if (result == NULL)
        return false;
    json_object_set_new(entry, "rows", json_integer(pg_field_int64(result, 0, 0)));
    json_object_set_new(entry, "waiting", json_integer(pg_field_int64(result, 0, 1)));
    json_object_set_new(entry, "given_up",
                        json_integer(pg_field_int64(result, 0, mapping->upsert != NULL ? 2 : 1)));
    return true;
}

bool relink_plan(struct pg *pg, const char *schema_name, json_t **plan, struct error *err)
{
    struct arena *arena = arena_new();
    struct mapping_list list;

    *plan = json_array();
    bool is_ok = mapping_load_all(pg, schema_name, arena, &list, err);
    for (size_t i = 0; is_ok && i < list.count; i++) {
        const struct mapping *mapping = &list.items[i];
        json_t *entry =
            json_pack("{s:s, s:s, s:s, s:s?}", "object_name", mapping->object_name, "table_name",
                      mapping->table_name, "way", mapping->upsert != NULL ? "match" : "reload",
                      "upsert_field", mapping->upsert_field);
        is_ok = count_into(pg, mapping, entry, err);
        json_array_append_new(*plan, entry);
    }
    arena_free(arena);
    return is_ok;
}

/* ---- doing it ---- */

struct relink {
    const struct relink_target *target;
    struct pg *pg;
    struct arena *arena;
};

/* A statement with @ for the log; $1 is the table's name. */
static bool run(const struct relink *relink, const struct mapping *mapping, const char *format,
                struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    for (; *format != '\0'; format++) {
        if (*format == '@')
            pg_append_qualified(&sql, mapping->schema_name, "_trigger_log");
        else
            buf_char(&sql, *format);
    }
    return pg_run(relink->pg, sql.data, PG_PARAMS(mapping->table_name), err);
}

/* The stamp too: the new organisation's may be earlier, and must not look old. */
static bool clear_ids(const struct relink *relink, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "update ");
    pg_append_qualified(&sql, mapping->schema_name, mapping->table_name);
    buf_text(&sql, " set sfid = null, ");
    pg_append_identifier(&sql, mapping->stamp->column_name);
    buf_text(&sql, " = null where sfid is not null");
    return pg_run(relink->pg, sql.data, PG_PARAMS(), err);
}

/* What was sent, or was to be, to a record of the old organisation. An INSERT that Salesforce has
 * answered lends its id to later entries of its row: no more. */
static bool settle_log(const struct relink *relink, const struct mapping *mapping,
                       struct error *err)
{
    return run(relink, mapping,
               "update @ set state = 'IGNORED', processed_at = clock_timestamp(),"
               " sf_message = 'given up: the schema was moved to another organisation'"
               " where table_name = $1 and state in ('NEW', 'PENDING', 'REQUEUE')"
               " and (action <> 'INSERT' or sfid is not null)",
               err) &&
           run(relink, mapping,
               "update @ set state = 'NEW' where table_name = $1 and state = 'PENDING'", err) &&
           run(relink, mapping,
               "update @ set sfid = null"
               " where table_name = $1 and action = 'INSERT' and sfid is not null",
               err);
}

/* All that is kept by the ids of the old organisation, or by its clock. */
static bool forget_state(const struct relink *relink, const struct mapping *mapping,
                         struct error *err)
{
    static const char *const statements[] = {
        "delete from pgforce.delivery where mapping_id = $1",
        "delete from pgforce.bulk_job where mapping_id = $1",
        "delete from pgforce.load where mapping_id = $1",
        "delete from pgforce.refused_record where mapping_id = $1",
        "delete from pgforce.held_deletion where mapping_id = $1",
        "delete from pgforce.heard where mapping_id = $1",
        "delete from pgforce.listening where mapping_id = $1",
        "delete from pgforce.drift where mapping_id = $1",
    };

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        if (!pg_run(relink->pg, statements[i], PG_PARAMS(pg_number(mapping->id).text), err))
            return false;
    struct move move = {.mapping_id = mapping->id,
                        .event = STATE_RELINK,
                        .to = "RELOAD_TABLE",
                        .operation = mapping->upsert != NULL ? "RELOAD" : "RELOAD_DESTRUCTIVE",
                        .may_stay = true};
    bool is_made;
    return move_try(relink->pg, &move, &is_made, err) &&
           (is_made ||
            error_set(err, ERROR_RETRY, "%s is gone or being changed", mapping->object_name));
}

static bool relink_one(const struct relink *relink, const struct mapping *mapping,
                       struct error *err)
{
    return (mapping->upsert == NULL ||
            (clear_ids(relink, mapping, err) && settle_log(relink, mapping, err))) &&
           forget_state(relink, mapping, err);
}

static bool relink_all(void *context, struct error *err)
{
    struct relink *relink = context;
    const char *schema_name = relink->target->schema_name;
    struct mapping_list list;

    if (!mapping_load_all(relink->pg, schema_name, relink->arena, &list, err))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!relink_one(relink, &list.items[i], err))
            return error_prefix(err, "relinking %s", list.items[i].object_name);
    return pg_run(
        relink->pg,
        "update pgforce.connection set organization_id = $2, instance_url = $3"
        " where schema_name = $1",
        PG_PARAMS(schema_name, relink->target->organization_id, relink->target->instance_url), err);
}

/* Who holds the origin is the only one that writes under it, until the session ends. */
static struct pg *hold(const struct relink_target *target, const char *role, struct error *err)
{
    struct pg *pg = pg_open(target->database_url, "pgforce relink", err);
    struct origin_name name = origin_name(role, target->schema_name);

    if (pg != NULL &&
        pg_run(pg, "select pg_replication_origin_session_setup($1)", PG_PARAMS(name.text), err))
        return pg;
    if (pg != NULL && err->kind == ERROR_RETRY) {
        err->kind = ERROR_CONFIG;
        error_prefix(err, "stop pgforce first: its role %s runs", role);
    }
    pg_close(pg);
    return NULL;
}

/* The session that writes has push's origin, which is never captured. */
bool relink_run(const struct relink_target *target, struct error *err)
{
    struct relink relink = {.target = target, .arena = arena_new()};
    struct transaction transaction = {target->schema_name, relink_all, &relink, "relink"};
    struct pg *pull = hold(target, "pull", err);

    relink.pg = pull != NULL ? hold(target, "push", err) : NULL;
    bool is_ok = relink.pg != NULL && transaction_run(relink.pg, &transaction, err);
    pg_close(relink.pg);
    pg_close(pull);
    arena_free(relink.arena);
    return is_ok;
}
