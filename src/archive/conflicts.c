#include "archive/conflicts.h"

#include "base/buf.h"

enum { SQL_MAX_BYTES = 4096 };

bool conflicts_store(struct pg *pg, const char *schema_name, const struct conflict *conflict,
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

bool conflicts_overrule(struct pg *pg, const char *schema_name, const struct conflict *conflict,
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

/* A text that cannot be read is as good as none. */
static void parse_pairs(const char *text, struct arena *arena, struct hstore_pair **pairs,
                        size_t *count)
{
    struct error ignored;

    if (text != NULL && hstore_parse(text, arena, pairs, count, &ignored))
        return;
    *pairs = NULL;
    *count = 0;
}

bool conflicts_read_failures(struct pg *pg, struct conflicts_failures *failures, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select old, \"values\" from ");
    pg_append_qualified(&sql, failures->schema_name, "_trigger_log");
    buf_text(&sql, " where table_name = $1"
                   " and record_id = $2"
                   " and state = 'FAILED'"
                   " and action = 'UPDATE'"
                   " and id < $3"
                   " order by id desc"
                   " limit 100");
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, sql.data, PG_PARAMS(failures->table_name, failures->record_id, failures->before_log_id),
        err);
    if (result == NULL)
        return false;
    failures->count = (size_t)PQntuples(result);
    failures->items = arena_array(failures->arena, struct conflicts_failure, failures->count);
    for (size_t i = 0; i < failures->count; i++) {
        struct conflicts_failure *failure = &failures->items[i];

        parse_pairs(pg_field(result, (int)i, 0), failures->arena, &failure->old,
                    &failure->old_count);
        parse_pairs(pg_field(result, (int)i, 1), failures->arena, &failure->values,
                    &failure->value_count);
    }
    return true;
}
