#include "mapping/schema.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_BYTES_MAX = 4 << 20, IDENTIFIER_BYTES = 63 };

static void append_table(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
}

static void append_column(struct buf *sql, const struct mapping_field *field)
{
    pg_append_identifier(sql, field->column_name);
    buf_printf(sql, " %s", field->column_type);
}

/* sfid stands after the fields; its order is byte order, as in Heroku Connect's tables: ids differ
 * in case, and comparing bytes is fast. Each change of a row is followed by two of ours, of
 * _hc_lastop alone: a tenth of each page is left free, so that these need no new entries in the
 * indexes. */
void schema_table_sql(const struct mapping *mapping, struct buf *sql)
{
    buf_text(sql, "create table ");
    append_table(sql, mapping);
    buf_text(sql, " (");
    for (size_t i = 0; i < mapping->field_count; i++) {
        if (&mapping->fields[i] == mapping->id_field)
            continue;
        append_column(sql, &mapping->fields[i]);
        buf_text(sql, ", ");
    }
    buf_text(sql, "sfid varchar(18) collate ucs_basic,"
                  " id serial primary key,"
                  " _hc_lastop varchar(32) default 'PENDING',"
                  " _hc_err text) with (fillfactor = 90);\nalter table ");
    append_table(sql, mapping);
    buf_text(sql, " replica identity full;\n");
}

/* FNV-1a, so that two names that only differ after 63 bytes stay two names. */
static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static void append_index_name(struct buf *sql, const char *name)
{
    char shorter[IDENTIFIER_BYTES + 1];

    if (strlen(name) > IDENTIFIER_BYTES) {
        snprintf(shorter, sizeof(shorter), "%.54s_%08" PRIx32, name, hash_name(name));
        name = shorter;
    }
    pg_append_identifier(sql, name);
}

static void append_index_of(struct buf *sql, const struct mapping *mapping, const char *column_name,
                            bool is_unique)
{
    struct buf name BUF_AUTO = {0};

    buf_init(&name, 1024);
    buf_printf(&name, "%s_idx_%s_%s", is_unique ? "hcu" : "hc", mapping->table_name, column_name);
    append_index_name(sql, name.data);
}

static void append_index(struct buf *sql, const struct mapping *mapping, const char *column_name,
                         bool is_unique)
{
    buf_printf(sql, "create %sindex if not exists ", is_unique ? "unique " : "");
    append_index_of(sql, mapping, column_name, is_unique);
    buf_text(sql, " on ");
    append_table(sql, mapping);
    buf_text(sql, " (");
    pg_append_identifier(sql, column_name);
    buf_text(sql, ");\n");
}

void schema_index_sql(const struct mapping *mapping, struct buf *sql)
{
    append_index(sql, mapping, mapping->id_field->column_name, true);
    append_index(sql, mapping, mapping->stamp->column_name, false);
    if (mapping->upsert != NULL)
        append_index(sql, mapping, mapping->upsert->column_name, true);
    for (size_t i = 0; i < mapping->index_count; i++) {
        const char *column = mapping->indexes[i].column_name;
        if (strcmp(column, mapping->id_field->column_name) != 0 &&
            strcmp(column, mapping->stamp->column_name) != 0 &&
            (mapping->upsert == NULL || strcmp(column, mapping->upsert->column_name) != 0))
            append_index(sql, mapping, column, mapping->indexes[i].is_unique);
    }
}

/* A definition the server refuses is the operator's to mend: a view on the column, values that
 * occur twice under a unique index, a value too long for any index. */
static bool run_sql(struct pg *pg, const struct buf *sql, struct error *err)
{
    if (buf_is_full(sql))
        return error_set(err, ERROR_BUG, "a table's definition is longer than %d bytes",
                         SQL_BYTES_MAX);
    if (pg_script(pg, sql->data, err))
        return true;
    if (err->kind == ERROR_RECORD || err->kind == ERROR_BUG)
        err->kind = ERROR_CONFIG;
    return false;
}

bool schema_create_table(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    schema_table_sql(mapping, &sql);
    return run_sql(pg, &sql, err) ||
           error_prefix(err, "creating table %s.%s", mapping->schema_name, mapping->table_name);
}

bool schema_create_indexes(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    schema_index_sql(mapping, &sql);
    return run_sql(pg, &sql, err) || error_prefix(err, "creating the indexes of %s.%s",
                                                  mapping->schema_name, mapping->table_name);
}

bool schema_add_column(struct pg *pg, const struct mapping *mapping,
                       const struct mapping_field *field, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    buf_text(&sql, "alter table ");
    append_table(&sql, mapping);
    buf_text(&sql, " add column ");
    append_column(&sql, field);
    return run_sql(pg, &sql, err) ||
           error_prefix(err, "adding column %s to %s.%s", field->column_name, mapping->schema_name,
                        mapping->table_name);
}

bool schema_drop_column(struct pg *pg, const struct mapping *mapping,
                        const struct mapping_field *field, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    buf_text(&sql, "alter table ");
    append_table(&sql, mapping);
    buf_text(&sql, " drop column if exists ");
    pg_append_identifier(&sql, field->column_name);
    return run_sql(pg, &sql, err) ||
           error_prefix(err, "dropping column %s of %s.%s", field->column_name,
                        mapping->schema_name, mapping->table_name);
}

bool schema_drop_index(struct pg *pg, const struct mapping *mapping,
                       const struct mapping_index *index, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    buf_text(&sql, "drop index if exists ");
    pg_append_identifier(&sql, mapping->schema_name);
    buf_char(&sql, '.');
    append_index_of(&sql, mapping, index->column_name, index->is_unique);
    return run_sql(pg, &sql, err) ||
           error_prefix(err, "dropping the index on %s of %s.%s", index->column_name,
                        mapping->schema_name, mapping->table_name);
}

bool schema_needs_index(const struct mapping *mapping, const struct mapping_index *index)
{
    const char *column = index->column_name;

    return strcmp(column, mapping->id_field->column_name) == 0 ||
           strcmp(column, mapping->stamp->column_name) == 0 ||
           (mapping->upsert != NULL && strcmp(column, mapping->upsert->column_name) == 0);
}

bool schema_is_loaded(struct pg *pg, const struct mapping *mapping, bool *is_loaded,
                      struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select from pgforce.watermark where mapping_id = $1 and is_loaded",
                 PG_PARAMS(pg_number(mapping->id).text), err);

    *is_loaded = result != NULL && PQntuples(result) > 0;
    return result != NULL;
}

bool schema_widen_column(struct pg *pg, const struct mapping *mapping,
                         const struct mapping_field *field, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES_MAX);
    buf_text(&sql, "alter table ");
    append_table(&sql, mapping);
    buf_text(&sql, " alter column ");
    pg_append_identifier(&sql, field->column_name);
    buf_printf(&sql, " type %s", field->column_type);
    return run_sql(pg, &sql, err) ||
           error_prefix(err, "widening column %s of %s.%s", field->column_name,
                        mapping->schema_name, mapping->table_name);
}

bool schema_has_relation(struct pg *pg, const char *schema_name, const char *name, bool *is_there,
                         struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select exists (select from pg_class c"
                                               " join pg_namespace n on n.oid = c.relnamespace"
                                               " where n.nspname = $1 and c.relname = $2)",
                                               PG_PARAMS(schema_name, name), err);

    if (result == NULL)
        return error_prefix(err, "looking for %s.%s", schema_name, name);
    *is_there = pg_field_bool(result, 0, 0);
    return true;
}

/* The n of varchar(n); INT_MAX for text; 0 for everything else. */
static int text_room(const char *column_type)
{
    int room = 0;

    if (strcmp(column_type, "text") == 0)
        return INT32_MAX;
    return sscanf(column_type, "varchar(%d)", &room) == 1 ? room : 0;
}

bool schema_is_text(const char *column_type)
{
    return text_room(column_type) > 0;
}

bool schema_is_wider(const char *old_type, const char *new_type)
{
    return text_room(old_type) > 0 && text_room(new_type) > text_room(old_type);
}

static bool has_truncate_trigger(struct pg *pg, const struct mapping *mapping, bool *has,
                                 struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg,
                 "select from pg_trigger t"
                 " join pg_class c on c.oid = t.tgrelid"
                 " join pg_namespace n on n.oid = c.relnamespace"
                 " where n.nspname = $1 and c.relname = $2 and t.tgname = 'pgforce_note_truncate'",
                 PG_PARAMS(mapping->schema_name, mapping->table_name), err);

    *has = found != NULL && PQntuples(found) > 0;
    return found != NULL;
}

static bool set_truncate_trigger(struct pg *pg, const struct mapping *mapping, bool is_wanted,
                                 struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    bool has;

    if (!has_truncate_trigger(pg, mapping, &has, err))
        return false;
    if (has == is_wanted)
        return true;
    buf_init(&sql, SQL_BYTES_MAX);
    buf_printf(&sql, "%s trigger pgforce_note_truncate%s on ", is_wanted ? "create" : "drop",
               is_wanted ? " before truncate" : "");
    append_table(&sql, mapping);
    if (is_wanted) {
        buf_text(&sql, " for each statement execute function ");
        pg_append_qualified(&sql, mapping->schema_name, "pgforce_note_truncate");
        buf_text(&sql, "()");
    }
    return run_sql(pg, &sql, err);
}

bool schema_follow_truncate(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select coalesce($1::jsonb ->> 'truncate_policy', 'ignore')"
                 " in ('ignore', 'fail', 'delete'),"
                 " coalesce($1::jsonb ->> 'truncate_policy' = 'delete', false)",
                 PG_PARAMS(mapping->config), err);

    if (result == NULL)
        return false;
    if (!pg_field_bool(result, 0, 0))
        return error_set(err, ERROR_RECORD,
                         "config.truncate_policy must be \"ignore\", \"fail\" or \"delete\"");
    return set_truncate_trigger(pg, mapping, pg_field_bool(result, 0, 1), err);
}
