#include "mapping/lifecycle.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "mapping/import.h"
#include "mapping/schema.h"

/* One import on its way into the database. */
struct importer {
    struct pg *pg;
    const char *schema_name;
    struct arena *arena;
    struct mapping_list existing;
    struct lifecycle_counts *counts;
    /* Of the mapping being changed. */
    bool is_changed;
    bool has_new_columns;
};

static const char *sql_bool(bool value)
{
    return value ? "t" : "f";
}

/* Names all tables that are in the way, before anything is made. */
static bool check_tables(struct importer *importer, const struct mapping_list *list,
                         struct error *err)
{
    struct import_problems problems = {.arena = importer->arena};

    for (size_t i = 0; i < list->count; i++) {
        const char *table = list->items[i].table_name;
        bool is_there = false;
        if (mapping_find_by_object(&importer->existing, list->items[i].object_name) != NULL)
            continue;
        if (!schema_has_relation(importer->pg, importer->schema_name, table, &is_there, err))
            return false;
        if (is_there)
            import_problem(&problems,
                           "%s.%s exists already and was not made by pgforce: rename or drop it, "
                           "or choose another schema",
                           importer->schema_name, table);
    }
    return import_problems_end(&problems, "nothing was imported", err);
}

static bool insert_field(struct importer *importer, int64_t mapping_id, int64_t position,
                         const struct mapping_field *field, struct error *err)
{
    return pg_run(importer->pg,
                  "insert into pgforce.mapping_field (mapping_id, position, field_name,"
                  " column_name, field_type, column_type, soql_path, is_createable,"
                  " is_updateable, relationship_name, reference_object, reference_field)"
                  " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                  PG_PARAMS(pg_number(mapping_id).text, pg_number(position).text, field->field_name,
                            field->column_name, fieldtype_name(field->type), field->column_type,
                            field->soql_path, sql_bool(field->is_createable),
                            sql_bool(field->is_updateable), field->relationship_name,
                            field->reference_object, field->reference_field),
                  err) ||
           error_prefix(err, "storing field %s", field->field_name);
}

static bool insert_mapping(struct importer *importer, struct mapping *mapping, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        importer->pg,
        "insert into pgforce.mapping (schema_name, object_name, table_name, state, access,"
        " polling_seconds, notify, max_daily_api_calls, upsert_field, has_isdeleted, config)"
        " values ($1, $2, $3, 'INITIAL', $4, $5, $6, $7, $8, $9, $10)"
        " returning id",
        PG_PARAMS(mapping->schema_name, mapping->object_name, mapping->table_name,
                  mapping_access_name(mapping->access), pg_number(mapping->polling_seconds).text,
                  sql_bool(mapping->is_notified), pg_number(mapping->max_daily_api_calls).text,
                  mapping->upsert_field, sql_bool(mapping->has_isdeleted), mapping->config),
        err);

    if (result == NULL)
        return error_prefix(err, "storing mapping %s", mapping->object_name);
    mapping->id = pg_field_int64(result, 0, 0);
    return true;
}

static bool create_mapping(struct importer *importer, struct mapping *mapping, struct error *err)
{
    if (!insert_mapping(importer, mapping, err))
        return false;
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!insert_field(importer, mapping->id, (int64_t)i + 1, &mapping->fields[i], err))
            return false;
    if (!schema_create_table(importer->pg, mapping, err))
        return false;
    importer->counts->created++;
    return true;
}

/* What the server sets in an export (applied_at, revision) is no change. */
static bool update_settings(struct importer *importer, const struct mapping *mapping,
                            struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        importer->pg,
        "update pgforce.mapping"
        " set access = $2, polling_seconds = $3, notify = $4, max_daily_api_calls = $5,"
        " upsert_field = $6, has_isdeleted = $7, config = $8, updated_at = now()"
        " where id = $1"
        " and (access, polling_seconds, notify, max_daily_api_calls, upsert_field, has_isdeleted,"
        " config - 'applied_at' - 'revision')"
        " is distinct from ($2::text, $3::integer, $4::boolean, $5::integer, $6::text,"
        " $7::boolean, $8::jsonb - 'applied_at' - 'revision')",
        PG_PARAMS(pg_number(mapping->id).text, mapping_access_name(mapping->access),
                  pg_number(mapping->polling_seconds).text, sql_bool(mapping->is_notified),
                  pg_number(mapping->max_daily_api_calls).text, mapping->upsert_field,
                  sql_bool(mapping->has_isdeleted), mapping->config),
        err);

    if (result == NULL)
        return error_prefix(err, "changing mapping %s", mapping->object_name);
    importer->is_changed = importer->is_changed || pg_affected(result) > 0;
    return true;
}

static bool update_field(struct importer *importer, int64_t mapping_id,
                         const struct mapping_field *field, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        importer->pg,
        "update pgforce.mapping_field"
        " set field_name = $3, field_type = $4, column_type = $5, soql_path = $6,"
        " is_createable = $7, is_updateable = $8, relationship_name = $9,"
        " reference_object = $10, reference_field = $11"
        " where mapping_id = $1 and column_name = $2"
        " and (field_name, field_type, column_type, soql_path, is_createable, is_updateable,"
        " relationship_name, reference_object, reference_field)"
        " is distinct from ($3::text, $4::text, $5::text, $6::text, $7::boolean, $8::boolean,"
        " $9::text, $10::text, $11::text)",
        PG_PARAMS(pg_number(mapping_id).text, field->column_name, field->field_name,
                  fieldtype_name(field->type), field->column_type, field->soql_path,
                  sql_bool(field->is_createable), sql_bool(field->is_updateable),
                  field->relationship_name, field->reference_object, field->reference_field),
        err);

    if (result == NULL)
        return error_prefix(err, "changing field %s", field->field_name);
    importer->is_changed = importer->is_changed || pg_affected(result) > 0;
    return true;
}

/*
 * A column only ever gets wider. A shorter text keeps its column; a type that the column cannot
 * take keeps the old field type too, because values are written by the column's.
 */
static bool adapt_column(struct importer *importer, const struct mapping *mapping,
                         const struct mapping_field *old, struct mapping_field *field,
                         struct error *err)
{
    if (strcmp(old->column_type, field->column_type) == 0)
        return true;
    if (schema_is_wider(old->column_type, field->column_type))
        return schema_widen_column(importer->pg, mapping, field, err);
    if (!schema_is_text(old->column_type) || !schema_is_text(field->column_type)) {
        log_warning("kept the old type of a column", log_text("mapping", mapping->object_name),
                    log_text("field", field->field_name), log_text("type", old->column_type),
                    log_text("wanted", field->column_type));
        field->type = old->type;
    }
    field->column_type = old->column_type;
    return true;
}

static bool merge_fields(struct importer *importer, const struct mapping *old,
                         const struct mapping *wanted, struct error *err)
{
    int64_t position = (int64_t)old->field_count;

    for (size_t i = 0; i < wanted->field_count; i++) {
        struct mapping_field field = wanted->fields[i];
        const struct mapping_field *before = mapping_field_by_column(old, field.column_name);
        if (before != NULL) {
            if (!adapt_column(importer, wanted, before, &field, err) ||
                !update_field(importer, wanted->id, &field, err))
                return false;
            continue;
        }
        if (!schema_add_column(importer->pg, wanted, &field, err) ||
            !insert_field(importer, wanted->id, ++position, &field, err))
            return false;
        importer->has_new_columns = true;
    }
    return true;
}

/* A table not loaded yet gets its indexes and its new columns' values with the load. */
static bool follow_up(struct importer *importer, const struct mapping *old,
                      const struct mapping *wanted, struct error *err)
{
    if (strcmp(old->state, "INITIAL") == 0 || strcmp(old->state, "RELOAD_TABLE") == 0)
        return true;
    if (!schema_create_indexes(importer->pg, wanted, err))
        return false;
    return !importer->has_new_columns ||
           mapping_set_state(importer->pg, wanted->id, "RESYNC", NULL, err);
}

/* Fields and indexes that are only in the database stay; settings become the import's. */
static bool change_mapping(struct importer *importer, const struct mapping *old,
                           struct mapping *wanted, struct error *err)
{
    wanted->id = old->id;
    wanted->table_name = old->table_name;
    wanted->state = old->state;
    importer->is_changed = false;
    importer->has_new_columns = false;
    if (!merge_fields(importer, old, wanted, err) || !update_settings(importer, wanted, err))
        return false;
    if (!importer->is_changed && !importer->has_new_columns) {
        importer->counts->unchanged++;
        return true;
    }
    importer->counts->changed++;
    return follow_up(importer, old, wanted, err);
}

static bool import_one(struct importer *importer, const struct mapping *given, struct error *err)
{
    const struct mapping *old = mapping_find_by_object(&importer->existing, given->object_name);
    struct mapping wanted = *given;

    wanted.schema_name = importer->schema_name;
    if (old != NULL)
        return change_mapping(importer, old, &wanted, err) ||
               error_prefix(err, "mapping %s", given->object_name);
    return create_mapping(importer, &wanted, err) ||
           error_prefix(err, "mapping %s", given->object_name);
}

/* One import at a time; readers are not kept out. */
static bool begin_import(struct importer *importer, struct error *err)
{
    PGresult *found PG_RESULT_AUTO = NULL;

    if (!pg_run(importer->pg, "begin", PG_PARAMS(), err))
        return false;
    if (!pg_run(importer->pg, "lock table pgforce.mapping in share row exclusive mode", PG_PARAMS(),
                err))
        return error_prefix(err, "cannot import before `pgforce setup`");
    found = pg_query(importer->pg, "select from pgforce.connection where schema_name = $1",
                     PG_PARAMS(importer->schema_name), err);
    if (found == NULL)
        return false;
    if (PQntuples(found) == 0)
        return error_set(err, ERROR_CONFIG,
                         "there is no connection for the schema %s: run `pgforce setup` for it",
                         importer->schema_name);
    return mapping_load_all(importer->pg, importer->schema_name, importer->arena,
                            &importer->existing, err);
}

static bool import_all(struct importer *importer, const struct mapping_list *list,
                       struct error *err)
{
    if (!begin_import(importer, err) || !check_tables(importer, list, err))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!import_one(importer, &list->items[i], err))
            return false;
    return pg_run(importer->pg, "select pg_notify($1 || '.pgforce_mapping', 'import')",
                  PG_PARAMS(importer->schema_name), err) &&
           pg_run(importer->pg, "commit", PG_PARAMS(), err);
}

bool lifecycle_import(struct pg *pg, const char *schema_name, const struct mapping_list *list,
                      struct lifecycle_counts *counts, struct error *err)
{
    struct importer importer = {
        .pg = pg, .schema_name = schema_name, .arena = arena_new(), .counts = counts};

    *counts = (struct lifecycle_counts){0};
    bool is_done = import_all(&importer, list, err);
    if (!is_done)
        pg_rollback(pg);
    arena_free(importer.arena);
    return is_done;
}
