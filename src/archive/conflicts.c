#include "archive/conflicts.h"

#include <string.h>

#include "archive/hstore.h"
#include "archive/unsettled.h"
#include "base/buf.h"
#include "base/log.h"

enum { SQL_MAX_BYTES = 4096 };

static bool store(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                  struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.conflict"
                  " (schema_name, object_name, table_name, record_id, sfid, column_name, log_id,"
                  " winner, policy, base_value, postgres_value, salesforce_value)"
                  " select $1, $2, $3, $4::integer, $5, $6, $7::integer, $8, $9, $10, $11, $12"
                  " where not exists (select from pgforce.conflict c"
                  " where c.schema_name = $1 and c.log_id = $7::integer and c.column_name = $6"
                  " and c.winner = $8 and c.salesforce_value is not distinct from $12)",
                  PG_PARAMS(schema_name, conflict->object_name, conflict->table_name,
                            conflict->record_id, conflict->sfid, conflict->column_name,
                            conflict->log_id, conflict->winner, conflict->policy,
                            conflict->base_value, conflict->postgres_value,
                            conflict->salesforce_value),
                  err) ||
           error_prefix(err, "storing a conflict");
}

static bool overrule(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                     struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "insert into pgforce.overruled (schema_name, log_id, column_name)"
                   " select $1, id, $4 from ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " where table_name = $2"
                   " and record_id = $3::integer"
                   " and state = 'NEW'"
                   " and id <= $5::integer"
                   " on conflict do nothing");
    return pg_run(pg, sql.data,
                  PG_PARAMS(schema_name, conflict->table_name, conflict->record_id,
                            conflict->column_name, conflict->log_id),
                  err) ||
           error_prefix(err, "overruling a value");
}

bool conflicts_settle(struct pg *pg, const char *schema_name, const struct conflict *conflict,
                      struct error *err)
{
    log_warning("met a conflict", log_text("mapping", conflict->object_name),
                log_text("sfid", conflict->sfid), log_text("column", conflict->column_name),
                log_text("winner", conflict->winner));
    return store(pg, schema_name, conflict, err) && (strcmp(conflict->winner, "salesforce") != 0 ||
                                                     overrule(pg, schema_name, conflict, err));
}

bool conflicts_is_overruled(const char *overruled, const char *column)
{
    size_t length = strlen(column);

    for (const char *at = overruled; (at = strstr(at, column)) != NULL; at++)
        if (at > overruled && at[-1] == '"' && at[length] == '"')
            return true;
    return false;
}

static const char *copy_text(const PGresult *result, int row, int column, struct arena *arena)
{
    const char *text = pg_field(result, row, column);

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

bool conflicts_read(struct pg *pg, const char *schema_name, const char *table_name,
                    struct conflicts *conflicts, struct error *err)
{
    struct arena *arena = conflicts->arena;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select id, object_name, table_name, record_id, sfid, column_name, log_id, winner,"
                 " policy, base_value, postgres_value, salesforce_value,"
                 " to_char(detected_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                 " from pgforce.conflict"
                 " where schema_name = $1"
                 " and ($2::text is null or table_name = $2)"
                 " order by id desc"
                 " limit $3",
                 PG_PARAMS(schema_name, table_name, pg_number(conflicts->limit).text), err);

    if (result == NULL)
        return error_prefix(err, "reading the conflicts");
    conflicts->count = (size_t)PQntuples(result);
    conflicts->items = arena_array(arena, struct conflict, conflicts->count);
    for (int row = 0; row < PQntuples(result); row++)
        conflicts->items[row] = (struct conflict){
            .id = pg_field_int64(result, row, 0),
            .object_name = copy_text(result, row, 1, arena),
            .table_name = copy_text(result, row, 2, arena),
            .record_id = copy_text(result, row, 3, arena),
            .sfid = copy_text(result, row, 4, arena),
            .column_name = copy_text(result, row, 5, arena),
            .log_id = copy_text(result, row, 6, arena),
            .winner = copy_text(result, row, 7, arena),
            .policy = copy_text(result, row, 8, arena),
            .base_value = copy_text(result, row, 9, arena),
            .postgres_value = copy_text(result, row, 10, arena),
            .salesforce_value = copy_text(result, row, 11, arena),
            .detected_at = copy_text(result, row, 12, arena),
        };
    return true;
}

/* NULL when the text does not have the column, or cannot be read. */
static const struct hstore_pair *find_pair(const char *text, const char *column,
                                           struct arena *arena)
{
    struct hstore_pair *pairs;
    struct error ignored;
    size_t count;

    if (text == NULL || !hstore_parse(text, arena, &pairs, &count, &ignored))
        return NULL;
    return hstore_find(pairs, count, column);
}

static void take_refused(const PGresult *result, int row, struct conflicts_refused *refused)
{
    const char *column = refused->column_name;
    const struct hstore_pair *old = find_pair(pg_field(result, row, 0), column, refused->arena);

    if (old != NULL && find_pair(pg_field(result, row, 1), column, refused->arena) != NULL)
        refused->befores[refused->count++] = old->value;
}

/* Of the log's entries l. */
static void append_untaken(struct buf *sql, const char *schema_name, const char *condition)
{
    buf_text(sql, "select id, old, \"values\" from ");
    pg_append_qualified(sql, schema_name, "_trigger_log");
    buf_printf(sql,
               " l where table_name = $1"
               " and record_id = $2"
               " and %s"
               " and action = 'UPDATE'"
               " and id < $3",
               condition);
}

bool conflicts_read_refused(struct pg *pg, struct conflicts_refused *refused, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select old, \"values\" from (");
    append_untaken(&sql, refused->schema_name, UNSETTLED);
    buf_text(&sql, " union all ");
    append_untaken(&sql, refused->schema_name,
                   "state in ('SUCCESS', 'MERGED')"
                   " and id in (select log_id from pgforce.left_out"
                   " where schema_name = $4 and column_name = $5)");
    buf_text(&sql, ") u order by id desc limit 100");
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, sql.data,
                 PG_PARAMS(refused->table_name, refused->record_id, refused->before_log_id,
                           refused->schema_name, refused->column_name),
                 err);
    if (result == NULL)
        return false;
    refused->count = 0;
    refused->befores = arena_array(refused->arena, const char *, (size_t)PQntuples(result));
    for (int row = 0; row < PQntuples(result); row++)
        take_refused(result, row, refused);
    return true;
}

bool conflicts_leave(struct pg *pg, const char *schema_name, const char *columns, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.left_out (schema_name, log_id, column_name)"
                  " select $1, log_id, column_name"
                  " from json_to_recordset($2::json) as c(log_id integer, column_name text)"
                  " on conflict do nothing",
                  PG_PARAMS(schema_name, columns), err) ||
           error_prefix(err, "storing what is left to later entries");
}
