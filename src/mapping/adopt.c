#include "mapping/adopt.h"

#include <string.h>

#include "mapping/move.h"
#include "mapping/schema.h"
#include "mapping/store.h"

/* How far before its newest stamp a table is read again: what Heroku Connect had not read yet. */
#define READ_AGAIN "interval '1 hour'"

struct adoption {
    struct pg *pg;
    const char *schema_name;
    struct import_problems *problems;
    struct mapping *mapping;
    const PGresult *columns; /* name, type */
};

static PGresult *select_columns(const struct adoption *adoption, struct error *err)
{
    return pg_query(adoption->pg,
                    "select a.attname,"
                    " replace(format_type(a.atttypid, a.atttypmod), 'character varying', 'varchar')"
                    " from pg_class c"
                    " join pg_namespace n on n.oid = c.relnamespace"
                    " join pg_attribute a on a.attrelid = c.oid"
                    " where n.nspname = $1 and c.relname = $2 and c.relkind = 'r'"
                    " and a.attnum > 0 and not a.attisdropped",
                    PG_PARAMS(adoption->schema_name, adoption->mapping->table_name), err);
}

/* NULL when there is no such column. */
static const char *column_type(const struct adoption *adoption, const char *name)
{
    for (int i = 0; i < PQntuples(adoption->columns); i++)
        if (strcmp(pg_field(adoption->columns, i, 0), name) == 0)
            return pg_field(adoption->columns, i, 1);
    return NULL;
}

/* Types of one kind take each other's values. */
static const char *kind_of(const char *type)
{
    static const char *const kinds[][2] = {
        {"varchar", "text"},      {"text", "text"},       {"integer", "number"},
        {"bigint", "number"},     {"smallint", "number"}, {"double precision", "number"},
        {"numeric", "number"},    {"real", "number"},     {"timestamp", "timestamp"},
        {"time without", "time"},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(type, kinds[i][0], strlen(kinds[i][0])) == 0)
            return kinds[i][1];
    return type;
}

static void check_field(const struct adoption *adoption, struct mapping_field *field)
{
    const char *found = column_type(adoption, field->column_name);

    field->is_filled = found != NULL;
    if (found == NULL)
        return;
    if (strcmp(kind_of(found), kind_of(field->column_type)) != 0)
        import_problem(adoption->problems,
                       "%s.%s.%s is %s, but the field %s is %s: alter the column, or leave the"
                       " field out of the file",
                       adoption->schema_name, adoption->mapping->table_name, field->column_name,
                       found, field->field_name, field->column_type);
    else if (!schema_is_wider(found, field->column_type))
        field->column_type =
            arena_strdup(adoption->problems->arena, strcmp(found, "varchar") == 0 ? "text" : found);
}

static void check_columns(const struct adoption *adoption)
{
    static const char *const needed[] = {"id", "sfid", "_hc_lastop", "_hc_err"};
    struct mapping *mapping = adoption->mapping;

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (column_type(adoption, needed[i]) == NULL)
            import_problem(adoption->problems,
                           "%s.%s lacks the column %s, so it is none of Heroku Connect's: drop or"
                           " rename it, and map the object with `pgforce import`",
                           adoption->schema_name, mapping->table_name, needed[i]);
    for (size_t i = 0; i < mapping->field_count; i++)
        check_field(adoption, &mapping->fields[i]);
}

static bool check_one(struct adoption *adoption, struct error *err)
{
    PGresult *columns PG_RESULT_AUTO = select_columns(adoption, err);

    if (columns == NULL)
        return error_prefix(err, "looking at %s", adoption->mapping->table_name);
    adoption->mapping->schema_name = adoption->schema_name;
    adoption->columns = columns;
    if (PQntuples(columns) == 0)
        import_problem(adoption->problems,
                       "%s.%s is not there: restore it, or leave %s out of the file and import it"
                       " afterwards",
                       adoption->schema_name, adoption->mapping->table_name,
                       adoption->mapping->object_name);
    else
        check_columns(adoption);
    return true;
}

bool adopt_check(struct pg *pg, const char *schema_name, struct mapping_list *list,
                 struct import_problems *problems, struct error *err)
{
    struct adoption adoption = {.pg = pg, .schema_name = schema_name, .problems = problems};

    for (size_t i = 0; i < list->count; i++) {
        adoption.mapping = &list->items[i];
        if (!check_one(&adoption, err))
            return false;
    }
    return import_problems_end(problems, "nothing was adopted", err);
}

/* As ours are: the whole old row in the write-ahead log, no trigger for the status. */
static bool alter_table(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "alter table ");
    pg_append_qualified(&sql, mapping->schema_name, mapping->table_name);
    buf_text(&sql, " replica identity full,"
                   " alter column _hc_lastop set default 'PENDING',"
                   " alter column _hc_err type text");
    return pg_script(pg, sql.data, err) ||
           error_prefix(err, "altering %s.%s", mapping->schema_name, mapping->table_name);
}

/* A column that is wide enough is not touched: a view may stand on it. */
static bool adopt_field(const struct adoption *adoption, const struct mapping_field *field,
                        struct error *err)
{
    const struct mapping *mapping = adoption->mapping;
    const char *found = column_type(adoption, field->column_name);
    bool is_ok = true;

    if (found == NULL)
        is_ok = schema_add_column(adoption->pg, mapping, field, err);
    else if (schema_is_wider(found, field->column_type))
        is_ok = schema_widen_column(adoption->pg, mapping, field, err);
    return is_ok && store_insert_field(adoption->pg, mapping->id, field, field->is_filled, err);
}

static bool store_mark(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "insert into pgforce.watermark"
                   " (mapping_id, changes_up_to, deletes_up_to, is_loaded)"
                   " select $1, newest, newest, true from (select max(");
    pg_append_identifier(&sql, mapping->stamp->column_name);
    buf_text(&sql, ") at time zone 'UTC' - " READ_AGAIN " as newest from ");
    pg_append_qualified(&sql, mapping->schema_name, mapping->table_name);
    buf_text(&sql, ") marks where newest is not null");
    PGresult *stored PG_RESULT_AUTO =
        pg_query(pg, sql.data, PG_PARAMS(pg_number(mapping->id).text), err);
    if (stored == NULL)
        return false;
    if (pg_affected(stored) == 0)
        return true; /* an empty table: INITIAL, and loaded */
    bool is_made;
    return move_try(
               pg,
               &(struct move){.mapping_id = mapping->id, .event = STATE_ADOPT, .to = "DATA_SYNCED"},
               &is_made, err) &&
           (is_made || error_set(err, ERROR_BUG, "an adopted mapping has no way to its state"));
}

static bool adopt_one(struct pg *pg, struct mapping *mapping, struct error *err)
{
    if (!store_insert(pg, mapping, err) || !alter_table(pg, mapping, err))
        return false;
    struct adoption adoption = {.pg = pg, .schema_name = mapping->schema_name, .mapping = mapping};
    PGresult *columns PG_RESULT_AUTO = select_columns(&adoption, err);
    adoption.columns = columns;
    for (size_t i = 0; i < mapping->field_count && columns != NULL; i++)
        if (!adopt_field(&adoption, &mapping->fields[i], err))
            return false;
    if (columns == NULL)
        return false;
    return schema_create_indexes(pg, mapping, err) && store_mark(pg, mapping, err);
}

bool adopt_tables(struct pg *pg, struct mapping_list *list, struct error *err)
{
    for (size_t i = 0; i < list->count; i++)
        if (!adopt_one(pg, &list->items[i], err))
            return error_prefix(err, "adopting %s", list->items[i].object_name);
    return true;
}
