#include "mapping/mapping.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

/* PostgreSQL's NAMEDATALEN less the end of the string. */
enum { IDENTIFIER_BYTES = 63 };

const char *mapping_access_name(enum mapping_access access)
{
    return access == MAPPING_READ_WRITE ? "read_write" : "read_only";
}

const char *mapping_identifier(const char *api_name, struct arena *arena)
{
    char *name = arena_strndup(arena, api_name, strnlen(api_name, IDENTIFIER_BYTES));

    for (char *at = name; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    return name;
}

const struct mapping_field *mapping_field_by_column(const struct mapping *mapping,
                                                    const char *column_name)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (strcmp(mapping->fields[i].column_name, column_name) == 0)
            return &mapping->fields[i];
    return NULL;
}

const struct mapping_field *mapping_field_by_name(const struct mapping *mapping,
                                                  const char *field_name)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (strcasecmp(mapping->fields[i].field_name, field_name) == 0)
            return &mapping->fields[i];
    return NULL;
}

const struct mapping *mapping_find_by_table(const struct mapping_list *list, const char *table_name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].table_name, table_name) == 0)
            return &list->items[i];
    return NULL;
}

const struct mapping *mapping_find_by_object(const struct mapping_list *list,
                                             const char *object_name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->items[i].object_name, object_name) == 0)
            return &list->items[i];
    return NULL;
}

bool mapping_is_system_column(const char *column_name)
{
    static const char *const names[] = {"sfid", "systemmodstamp", "isdeleted",
                                        "id",   "_hc_lastop",     "_hc_err"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], column_name) == 0)
            return true;
    return false;
}

bool mapping_bind(struct mapping *mapping, struct error *err)
{
    static const char *const stamps[] = {"SystemModstamp", "LastModifiedDate", "CreatedDate"};

    mapping->id_field = mapping_field_by_name(mapping, "Id");
    mapping->stamp = NULL;
    for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]) && mapping->stamp == NULL; i++)
        mapping->stamp = mapping_field_by_name(mapping, stamps[i]);
    mapping->upsert = NULL;
    if (mapping->upsert_field != NULL) {
        mapping->upsert = mapping_field_by_name(mapping, mapping->upsert_field);
        if (mapping->upsert == NULL)
            return error_set(err, ERROR_BUG, "mapping %s lacks its upsert field %s",
                             mapping->object_name, mapping->upsert_field);
    }
    if (mapping->id_field == NULL || mapping->stamp == NULL)
        return error_set(err, ERROR_BUG, "mapping %s lacks Id or its modification stamp",
                         mapping->object_name);
    return true;
}

/* A result's text, copied: the result does not live as long as the mapping. */
static const char *copy_field(const PGresult *result, int row, int column, struct arena *arena)
{
    const char *text = pg_field(result, row, column);

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static bool read_field(const PGresult *result, int row, struct arena *arena,
                       struct mapping_field *field, struct error *err)
{
    const char *type = pg_field(result, row, 3);

    field->field_name = copy_field(result, row, 1, arena);
    field->column_name = copy_field(result, row, 2, arena);
    field->type = fieldtype_find(type);
    field->column_type = copy_field(result, row, 4, arena);
    if (field->type != NULL && strcmp(field->column_type, "numeric") == 0)
        field->type = fieldtype_exact(field->type);
    field->soql_path = copy_field(result, row, 5, arena);
    field->is_createable = pg_field_bool(result, row, 6);
    field->is_updateable = pg_field_bool(result, row, 7);
    field->relationship_name = copy_field(result, row, 8, arena);
    field->reference_object = copy_field(result, row, 9, arena);
    field->reference_field = copy_field(result, row, 10, arena);
    field->is_filled = pg_field_bool(result, row, 11);
    field->is_calculated = pg_field_bool(result, row, 12);
    field->is_missing = pg_field_bool(result, row, 13);
    field->mask = copy_field(result, row, 14, arena);
    field->is_createable = field->is_createable && !field->is_missing;
    field->is_updateable = field->is_updateable && !field->is_missing;
    field->is_system = mapping_is_system_column(field->column_name);
    if (field->type == NULL)
        return error_set(err, ERROR_CONFIG,
                         "field %s is stored with the unknown type %s: this pgforce is older than "
                         "the one that wrote it; upgrade it",
                         field->field_name, type);
    return true;
}

/* Fields come sorted by mapping, so each mapping's are one run of rows. */
static bool read_fields(const PGresult *result, struct arena *arena, struct mapping *mapping,
                        int *row, struct error *err)
{
    int first = *row;

    while (*row < PQntuples(result) && pg_field_int64(result, *row, 0) == mapping->id)
        (*row)++;
    mapping->field_count = (size_t)(*row - first);
    mapping->fields = arena_array(arena, struct mapping_field, mapping->field_count);
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!read_field(result, first + (int)i, arena, &mapping->fields[i], err))
            return error_prefix(err, "mapping %s", mapping->object_name);
    return true;
}

static void decref_json(json_t **json)
{
    json_decref(*json);
}

/* What import.h has let in. */
static const char *copy_option(const json_t *config, const char *key, const char *fallback,
                               struct arena *arena)
{
    const char *text = json_string_value(json_object_get(config, key));

    return text != NULL ? arena_strdup(arena, text) : fallback;
}

/* The options and the chosen indexes, by field name, stand in the stored config. */
static bool read_config(struct mapping *mapping, struct arena *arena, struct error *err)
{
    json_t *config __attribute__((cleanup(decref_json))) =
        json_loads(mapping->config, JSON_REJECT_DUPLICATES, NULL);
    const char *name = NULL;
    json_t *index = NULL;

    if (config == NULL)
        return error_set(err, ERROR_BUG, "mapping %s has a config that is not JSON",
                         mapping->object_name);
    mapping->lost_create = copy_option(config, "lost_create", "probe", arena);
    mapping->marker_field = copy_option(config, "marker_field", NULL, arena);
    mapping->conflict_policy = copy_option(config, "conflict_policy", "last-writer", arena);
    mapping->adopts_existing = json_is_true(json_object_get(config, "adopt_existing"));
    mapping->calculated_seconds =
        (int)json_integer_value(json_object_get(config, "calculated_seconds"));
    mapping->keeps_deleted =
        mapping->has_isdeleted &&
        strcmp(copy_option(config, "delete_policy", "remove", arena), "keep") == 0;
    json_t *indexes = json_object_get(config, "indexes");
    mapping->indexes = arena_array(arena, struct mapping_index, json_object_size(indexes));
    json_object_foreach(indexes, name, index)
    {
        const struct mapping_field *field = mapping_field_by_name(mapping, name);
        if (field == NULL)
            continue;
        mapping->indexes[mapping->index_count++] = (struct mapping_index){
            field->column_name, json_is_true(json_object_get(index, "unique"))};
    }
    return true;
}

static void read_mapping(const PGresult *result, int row, struct arena *arena,
                         struct mapping *mapping)
{
    mapping->id = pg_field_int64(result, row, 0);
    mapping->schema_name = copy_field(result, row, 1, arena);
    mapping->object_name = copy_field(result, row, 2, arena);
    mapping->table_name = copy_field(result, row, 3, arena);
    mapping->state = copy_field(result, row, 4, arena);
    mapping->state_description = copy_field(result, row, 5, arena);
    mapping->access = strcmp(pg_field(result, row, 6), "read_write") == 0 ? MAPPING_READ_WRITE
                                                                          : MAPPING_READ_ONLY;
    mapping->polling_seconds = (int)pg_field_int64(result, row, 7);
    mapping->is_notified = pg_field_bool(result, row, 8);
    mapping->max_daily_api_calls = (int)pg_field_int64(result, row, 9);
    mapping->upsert_field = copy_field(result, row, 10, arena);
    mapping->has_isdeleted = pg_field_bool(result, row, 11);
    mapping->config = copy_field(result, row, 12, arena);
    mapping->operation = copy_field(result, row, 13, arena);
    mapping->is_orphan = pg_field_bool(result, row, 14);
    mapping->extra = copy_field(result, row, 15, arena);
    mapping->filter = copy_field(result, row, 16, arena);
    mapping->is_numeric = pg_field_bool(result, row, 17);
    mapping->is_surveyed = pg_field_bool(result, row, 18);
}

static PGresult *select_mappings(struct pg *pg, const char *schema_name, bool with_orphans,
                                 struct error *err)
{
    return pg_query(pg,
                    "select id, schema_name, object_name, table_name, state, state_description,"
                    " access, polling_seconds, notify, max_daily_api_calls, upsert_field,"
                    " has_isdeleted, coalesce(config, '{}'), operation, is_orphan, extra,"
                    " config ->> 'filter', config -> 'numeric' = 'true', survey is not null"
                    " from pgforce.mapping"
                    " where schema_name = $1 and (not is_orphan or $2)"
                    " order by object_name collate \"C\", id",
                    PG_PARAMS(schema_name, with_orphans ? "t" : "f"), err);
}

static PGresult *select_fields(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_query(pg,
                    "select f.mapping_id, f.field_name, f.column_name, f.field_type,"
                    " f.column_type, f.soql_path, f.is_createable, f.is_updateable,"
                    " f.relationship_name, f.reference_object, f.reference_field, f.is_filled,"
                    " f.is_calculated, f.is_missing, f.mask"
                    " from pgforce.mapping_field f"
                    " join pgforce.mapping m on m.id = f.mapping_id"
                    " where m.schema_name = $1"
                    " order by m.object_name collate \"C\", m.id, f.position, f.column_name",
                    PG_PARAMS(schema_name), err);
}

/* Either result may be NULL: then err is set. */
static bool load(const PGresult *mappings, const PGresult *fields, struct arena *arena,
                 struct mapping_list *list, struct error *err)
{
    int row = 0;

    if (fields == NULL)
        return error_prefix(err, "loading mappings");
    list->count = (size_t)PQntuples(mappings);
    list->items = arena_array(arena, struct mapping, list->count);
    for (size_t i = 0; i < list->count; i++) {
        struct mapping *mapping = &list->items[i];
        read_mapping(mappings, (int)i, arena, mapping);
        if (!read_fields(fields, arena, mapping, &row, err) || !read_config(mapping, arena, err) ||
            (!mapping->is_orphan && !mapping_bind(mapping, err)))
            return false;
    }
    return true;
}

bool mapping_load_all(struct pg *pg, const char *schema_name, struct arena *arena,
                      struct mapping_list *list, struct error *err)
{
    PGresult *mappings PG_RESULT_AUTO = select_mappings(pg, schema_name, false, err);
    PGresult *fields PG_RESULT_AUTO = mappings != NULL ? select_fields(pg, schema_name, err) : NULL;

    return load(mappings, fields, arena, list, err);
}

bool mapping_load_every(struct pg *pg, const char *schema_name, struct arena *arena,
                        struct mapping_list *list, struct error *err)
{
    PGresult *mappings PG_RESULT_AUTO = select_mappings(pg, schema_name, true, err);
    PGresult *fields PG_RESULT_AUTO = mappings != NULL ? select_fields(pg, schema_name, err) : NULL;

    return load(mappings, fields, arena, list, err);
}

bool mapping_refuse_unknown(const char *schema_name, const char *object_name, struct error *err)
{
    return error_set(err, ERROR_RECORD,
                     "%s is not mapped in the schema %s (`pgforce mapping list`)", object_name,
                     schema_name);
}

bool mapping_lacks_values(const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->field_count; i++)
        if (!mapping->fields[i].is_filled)
            return true;
    return false;
}
