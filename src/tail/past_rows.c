#include "tail/past_rows.h"

#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "base/arena.h"

enum { TEXT_OID = 25 };

enum field { COMMIT_LSN, SEQ, TXID, COMMIT_TIME, ORIGIN, ACTION, TABLE_NAME, OLD, VALUES };

struct table {
    struct table *next;
    struct relation relation;
    struct arena *arena;
    bool is_told;
};

struct past_rows {
    struct pg *pg;
    const char *schema_name;
    char fetch[128];
    PGresult *page;
    int at; /* of the page */
    struct table *tables;
    struct table *current;
    struct transaction transaction;
    bool has_transaction;
    struct arena *transaction_arena;
    struct arena *arena; /* of one entry */
};

struct past_rows *past_rows_new(struct pg *pg, const char *schema_name, const char *cursor_name)
{
    struct past_rows *rows = memory_alloc(sizeof(*rows));

    rows->pg = pg;
    rows->schema_name = schema_name;
    snprintf(rows->fetch, sizeof(rows->fetch), "fetch 200 from %s", cursor_name);
    rows->arena = arena_new();
    rows->transaction_arena = arena_new();
    return rows;
}

void past_rows_free(struct past_rows *rows)
{
    if (rows == NULL)
        return;
    for (struct table *table = rows->tables, *next; table != NULL; table = next) {
        next = table->next;
        arena_free(table->arena);
        free(table);
    }
    PQclear(rows->page);
    arena_free(rows->arena);
    arena_free(rows->transaction_arena);
    free(rows);
}

bool past_rows_next(struct past_rows *rows, bool *has_row, struct error *err)
{
    rows->at++;
    if (rows->page == NULL || rows->at >= PQntuples(rows->page)) {
        PQclear(rows->page);
        rows->page = pg_query(rows->pg, rows->fetch, PG_PARAMS(), err);
        rows->at = 0;
        if (rows->page == NULL)
            return error_prefix(err, "reading the log");
    }
    *has_row = PQntuples(rows->page) > 0;
    return true;
}

static const char *field(const struct past_rows *rows, enum field column)
{
    return pg_field(rows->page, rows->at, column);
}

bool past_rows_is_next_transaction(const struct past_rows *rows)
{
    return !rows->has_transaction ||
           rows->transaction.commit_lsn != pg_field_lsn(rows->page, rows->at, COMMIT_LSN);
}

const struct transaction *past_rows_begin_transaction(struct past_rows *rows)
{
    const char *origin = field(rows, ORIGIN);

    arena_reset(rows->transaction_arena);
    rows->has_transaction = true;
    rows->transaction = (struct transaction){
        .xid = (uint32_t)pg_field_int64(rows->page, rows->at, TXID),
        .commit_time_us = pg_field_int64(rows->page, rows->at, COMMIT_TIME),
        .commit_lsn = pg_field_lsn(rows->page, rows->at, COMMIT_LSN),
        .end_lsn = pg_field_lsn(rows->page, rows->at, COMMIT_LSN) + 1,
        .origin = arena_strdup(rows->transaction_arena, origin != NULL ? origin : ""),
        .source_position = "",
    };
    return &rows->transaction;
}

const struct transaction *past_rows_transaction(const struct past_rows *rows)
{
    return rows->has_transaction ? &rows->transaction : NULL;
}

void past_rows_end_transaction(struct past_rows *rows)
{
    rows->has_transaction = false;
}

static void fill_columns(struct table *table, const PGresult *result)
{
    size_t count = (size_t)PQntuples(result);

    table->relation.columns = arena_array(table->arena, struct column, count);
    table->relation.column_count = count;
    for (size_t i = 0; i < count; i++) {
        table->relation.columns[i] = (struct column){
            .name = arena_strdup(table->arena, PQgetvalue(result, (int)i, 2)),
            .type = arena_strdup(table->arena, PQgetvalue(result, (int)i, 3)),
            .type_oid = (uint32_t)pg_field_int64(result, (int)i, 4),
            .type_modifier = (int32_t)pg_field_int64(result, (int)i, 5),
            .is_key = pg_field_bool(result, (int)i, 6),
        };
    }
    if (count == 0)
        return;
    table->relation.id = (uint32_t)pg_field_int64(result, 0, 0);
    table->relation.replica_identity = PQgetvalue(result, 0, 1)[0];
}

static struct table *describe(struct past_rows *rows, const char *name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(rows->pg,
                 "select c.oid, c.relreplident, a.attname, format_type(a.atttypid, null),"
                 " a.atttypid, a.atttypmod,"
                 " c.relreplident = 'f' or coalesce(a.attnum = any(i.indkey::int2[]), false)"
                 " from pg_class c"
                 " join pg_namespace n on n.oid = c.relnamespace"
                 " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
                 " and not a.attisdropped"
                 " left join pg_index i on i.indrelid = c.oid"
                 " and case c.relreplident when 'i' then i.indisreplident"
                 " when 'd' then i.indisprimary else false end"
                 " where n.nspname = $1 and c.relname = $2"
                 " order by a.attnum",
                 PG_PARAMS(rows->schema_name, name), err);

    if (result == NULL)
        return NULL;
    struct table *table = memory_alloc(sizeof(*table));
    table->arena = arena_new();
    table->relation = (struct relation){.schema = arena_strdup(table->arena, rows->schema_name),
                                        .table = arena_strdup(table->arena, name),
                                        .replica_identity = 'd'};
    fill_columns(table, result);
    table->next = rows->tables;
    rows->tables = table;
    return table;
}

static struct table *find_table(struct past_rows *rows, const char *name, struct error *err)
{
    for (struct table *table = rows->tables; table != NULL; table = table->next)
        if (strcmp(table->relation.table, name) == 0)
            return table;
    return describe(rows, name, err);
}

/* A column that the table has no more. */
static void add_column(struct table *table, const char *name)
{
    struct relation *relation = &table->relation;
    struct column *columns = arena_array(table->arena, struct column, relation->column_count + 1);

    if (relation->column_count > 0)
        memcpy(columns, relation->columns, relation->column_count * sizeof(*columns));
    columns[relation->column_count++] = (struct column){.name = arena_strdup(table->arena, name),
                                                        .type = "text",
                                                        .type_oid = TEXT_OID,
                                                        .type_modifier = -1};
    relation->columns = columns;
    table->is_told = false;
}

struct side {
    struct hstore_pair *pairs;
    size_t count;
};

static bool read_side(struct past_rows *rows, enum field column, struct side *side,
                      struct error *err)
{
    const char *text = field(rows, column);

    if (text == NULL)
        return true;
    if (!hstore_parse(text, rows->arena, &side->pairs, &side->count, err))
        return error_prefix(err, "reading the log");
    for (size_t i = 0; i < side->count; i++)
        if (relation_column(&rows->current->relation, side->pairs[i].key) < 0)
            add_column(rows->current, side->pairs[i].key);
    return true;
}

static void lay_over(const struct relation *relation, struct value *values, const struct side *side)
{
    for (size_t i = 0; i < side->count; i++) {
        const char *text = side->pairs[i].value;
        int column = relation_column(relation, side->pairs[i].key);

        values[column] =
            (struct value){.kind = text != NULL ? VALUE_TEXT : VALUE_NULL,
                           .text = text,
                           .size_bytes = text != NULL ? side->pairs[i].value_bytes : 0};
    }
}

static enum row_op op_of(const char *action)
{
    if (strcmp(action, "INSERT") == 0)
        return ROW_INSERT;
    return strcmp(action, "DELETE") == 0 ? ROW_DELETE : ROW_UPDATE;
}

bool past_rows_read(struct past_rows *rows, struct event *event, struct error *err)
{
    struct side old_side = {0};
    struct side new_side = {0};
    struct value *new_values;
    struct value *old_values;

    arena_reset(rows->arena);
    rows->current = find_table(rows, field(rows, TABLE_NAME), err);
    if (rows->current == NULL || !read_side(rows, OLD, &old_side, err) ||
        !read_side(rows, VALUES, &new_side, err))
        return false;
    const struct relation *relation = &rows->current->relation;
    enum row_op op = op_of(field(rows, ACTION));
    new_values = arena_array(rows->arena, struct value, relation->column_count);
    old_values = arena_array(rows->arena, struct value, relation->column_count);
    lay_over(relation, old_values, &old_side);
    lay_over(relation, new_values, &old_side);
    lay_over(relation, new_values, &new_side);
    *event = (struct event){
        .kind = EVENT_ROW,
        .transaction = &rows->transaction,
        .seq = (uint32_t)pg_field_int64(rows->page, rows->at, SEQ),
        .row = {.op = op,
                .relation = relation,
                .new_values = op == ROW_DELETE ? NULL : new_values,
                .old_values = op == ROW_INSERT || field(rows, OLD) == NULL ? NULL : old_values},
    };
    return true;
}

bool past_rows_is_news(struct past_rows *rows)
{
    bool is_news = !rows->current->is_told;

    rows->current->is_told = true;
    return is_news;
}
