#include "mapping/store.h"

static const char *sql_bool(bool value)
{
    return value ? "t" : "f";
}

bool store_insert(struct pg *pg, struct mapping *mapping, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "insert into pgforce.mapping (schema_name, object_name, table_name, state,"
        " state_description, access, polling_seconds, notify, max_daily_api_calls, upsert_field,"
        " has_isdeleted, is_orphan, config, extra)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        " returning id",
        PG_PARAMS(mapping->schema_name, mapping->object_name, mapping->table_name, mapping->state,
                  mapping->state_description, mapping_access_name(mapping->access),
                  pg_number(mapping->polling_seconds).text, sql_bool(mapping->is_notified),
                  pg_number(mapping->max_daily_api_calls).text, mapping->upsert_field,
                  sql_bool(mapping->has_isdeleted), sql_bool(mapping->is_orphan), mapping->config,
                  mapping->extra),
        err);

    if (result == NULL)
        return error_prefix(err, "storing mapping %s", mapping->object_name);
    mapping->id = pg_field_int64(result, 0, 0);
    return true;
}

bool store_update(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_run(pg,
                  "update pgforce.mapping"
                  " set object_name = $2, access = $3, polling_seconds = $4, notify = $5,"
                  " max_daily_api_calls = $6, upsert_field = $7, has_isdeleted = $8,"
                  " is_orphan = $9, config = $10, extra = $11, survey = null, updated_at = now()"
                  " where id = $1",
                  PG_PARAMS(pg_number(mapping->id).text, mapping->object_name,
                            mapping_access_name(mapping->access),
                            pg_number(mapping->polling_seconds).text,
                            sql_bool(mapping->is_notified),
                            pg_number(mapping->max_daily_api_calls).text, mapping->upsert_field,
                            sql_bool(mapping->has_isdeleted), sql_bool(mapping->is_orphan),
                            mapping->config, mapping->extra),
                  err) ||
           error_prefix(err, "changing mapping %s", mapping->object_name);
}

bool store_insert_field(struct pg *pg, int64_t mapping_id, const struct mapping_field *field,
                        bool is_filled, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.mapping_field (mapping_id, position, field_name,"
                  " column_name, field_type, column_type, soql_path, is_createable,"
                  " is_updateable, relationship_name, reference_object, reference_field,"
                  " is_filled, is_calculated, mask)"
                  " select $1, coalesce(max(position), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9,"
                  " $10, $11, $12, $13, $14"
                  " from pgforce.mapping_field where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping_id).text, field->field_name, field->column_name,
                            fieldtype_name(field->type), field->column_type, field->soql_path,
                            sql_bool(field->is_createable), sql_bool(field->is_updateable),
                            field->relationship_name, field->reference_object,
                            field->reference_field, sql_bool(is_filled),
                            sql_bool(field->is_calculated), field->mask),
                  err) ||
           error_prefix(err, "storing field %s", field->field_name);
}

bool store_update_field(struct pg *pg, int64_t mapping_id, const struct mapping_field *field,
                        struct error *err)
{
    return pg_run(pg,
                  "update pgforce.mapping_field"
                  " set field_name = $3, field_type = $4, column_type = $5, soql_path = $6,"
                  " is_createable = $7, is_updateable = $8, relationship_name = $9,"
                  " reference_object = $10, reference_field = $11, is_calculated = $12,"
                  " mask = $13"
                  " where mapping_id = $1 and column_name = $2",
                  PG_PARAMS(pg_number(mapping_id).text, field->column_name, field->field_name,
                            fieldtype_name(field->type), field->column_type, field->soql_path,
                            sql_bool(field->is_createable), sql_bool(field->is_updateable),
                            field->relationship_name, field->reference_object,
                            field->reference_field, sql_bool(field->is_calculated), field->mask),
                  err) ||
           error_prefix(err, "changing field %s", field->field_name);
}

/* A column added while the records were read is not one of them. */
bool store_note_filled(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!mapping->fields[i].is_filled &&
            !pg_run(pg,
                    "update pgforce.mapping_field set is_filled = true"
                    " where mapping_id = $1 and column_name = $2 and not is_filled",
                    PG_PARAMS(pg_number(mapping->id).text, mapping->fields[i].column_name), err))
            return error_prefix(err, "noting filled columns");
    return true;
}

bool store_delete_field(struct pg *pg, int64_t mapping_id, const char *column_name,
                        struct error *err)
{
    return pg_run(pg,
                  "delete from pgforce.mapping_field"
                  " where mapping_id = $1 and column_name = $2",
                  PG_PARAMS(pg_number(mapping_id).text, column_name), err) ||
           error_prefix(err, "removing column %s", column_name);
}
