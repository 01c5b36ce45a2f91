#include "sandbox/schema_rows.h"

#include <string.h>

#include "sandbox/times.h"

/* More than an object can have. */
enum { FIELDS_PER_OBJECT = 10000 };

/* A row on its way: what its fields are, by name. */
struct draft_row {
    struct org *org;
    struct arena *arena;
    const struct object *object; /* EntityDefinition, ... */
    struct value *values;
};

/* Of the three characters of the prefix, so that it stays when other objects come and go. */
static int64_t number_object(const struct object *object)
{
    int64_t number = 0;

    for (const char *each = object->key_prefix; *each != '\0'; each++)
        number = number * 128 + *each;
    return number;
}

struct ids_text schema_rows_field_id(const struct object *object, const struct field *field)
{
    return ids_make("00N", number_object(object) * FIELDS_PER_OBJECT + (int64_t)field->index);
}

const struct field *schema_rows_find_field(const struct org *org, const char *id,
                                           const struct object **object)
{
    struct ids_text whole;

    for (size_t i = 0; ids_normalize(id, &whole) && i < schema_count(org->schema); i++) {
        *object = schema_at(org->schema, i);
        for (size_t j = 0; j < (*object)->field_count; j++) {
            const struct field *field = (*object)->fields[j];

            if (field->is_custom && !field->is_gone &&
                strcmp(schema_rows_field_id(*object, field).text, whole.text) == 0)
                return field;
        }
    }
    return NULL;
}

/* ---- making rows ---- */

static void set(struct draft_row *row, const char *name, struct value value)
{
    row->values[schema_field(row->object, name)->index] = value;
}

static void begin(struct draft_row *row, const char *object)
{
    struct org *org = row->org;

    row->object = schema_find(org->schema, object);
    row->values = arena_array(row->arena, struct value, row->object->field_count);
    struct value date =
        value_text(arena_strdup(row->arena, times_format_datetime(org->schema_modified_s).text));
    for (size_t i = 0; i < row->object->field_count; i++) {
        const struct field *field = row->object->fields[i];

        if (field->type->kind == KIND_BOOLEAN)
            row->values[i] = value_integer(0);
        else if (field->type->kind == KIND_DATETIME && !field->is_nillable)
            row->values[i] = date;
    }
    set(row, "CreatedById", value_text(org->user_id));
    set(row, "LastModifiedById", value_text(org->user_id));
}

static bool end(struct draft_row *row, struct ids_text id, struct error *err)
{
    const struct store_row stored = {.object = row->object, .id = id.text, .values = row->values};

    set(row, "Id", value_text(id.text));
    return store_insert(row->org->store, &stored, err);
}

/* "Invoice__c" is Invoice. */
static struct value developer_name(struct arena *arena, const char *name, bool is_custom)
{
    return value_text(arena_strndup(arena, name, strlen(name) - (is_custom ? 3 : 0)));
}

static struct ids_text entity_id(const struct object *object)
{
    return ids_make("4ie", number_object(object));
}

static bool tell_object(struct draft_row *row, const struct object *object, struct error *err)
{
    struct value name = value_text(object->name);

    begin(row, "EntityDefinition");
    set(row, "DurableId", name);
    set(row, "QualifiedApiName", name);
    set(row, "DeveloperName", developer_name(row->arena, object->name, object->is_custom));
    set(row, "MasterLabel", value_text(object->label));
    set(row, "Label", value_text(object->label));
    set(row, "PluralLabel", value_text(object->label_plural));
    set(row, "KeyPrefix", value_text(object->key_prefix));
    set(row, "IsCustomizable", value_integer(object->is_createable));
    set(row, "IsQueryable", value_integer(object->is_queryable));
    set(row, "IsRetrieveable", value_integer(object->is_queryable));
    set(row, "IsReplicateable", value_integer(object->is_replicateable));
    if (!end(row, entity_id(object), err))
        return false;
    if (!object->is_custom)
        return true;
    begin(row, "CustomObject");
    set(row, "DeveloperName", developer_name(row->arena, object->name, true));
    return end(row, ids_make("01I", number_object(object)), err);
}

static bool tell_custom_field(struct draft_row *row, const struct object *object,
                              const struct field *field, struct error *err)
{
    struct ids_text entity = entity_id(object);

    begin(row, "CustomField");
    set(row, "DeveloperName", developer_name(row->arena, field->name, true));
    set(row, "TableEnumOrId", value_text(object->name));
    set(row, "EntityDefinitionId", value_text(entity.text));
    set(row, "FullName", value_text(arena_printf(row->arena, "%s.%s", object->name, field->name)));
    return end(row, schema_rows_field_id(object, field), err);
}

static bool tell_field(struct draft_row *row, const struct object *object,
                       const struct field *field, struct error *err)
{
    struct ids_text entity = entity_id(object);
    int64_t number = number_object(object) * FIELDS_PER_OBJECT + (int64_t)field->index;

    begin(row, "FieldDefinition");
    set(row, "DurableId", value_text(arena_printf(row->arena, "%s.%s", object->name, field->name)));
    set(row, "QualifiedApiName", value_text(field->name));
    set(row, "EntityDefinitionId", value_text(entity.text));
    set(row, "DeveloperName", developer_name(row->arena, field->name, field->is_custom));
    set(row, "MasterLabel", value_text(field->label));
    set(row, "Label", value_text(field->label));
    set(row, "DataType", value_text(field->type->name));
    set(row, "Length", value_integer(field->length));
    set(row, "Precision", value_integer(field->precision));
    set(row, "Scale", value_integer(field->scale));
    set(row, "IsNillable", value_integer(field->is_nillable));
    set(row, "IsCalculated", value_integer(field->formula != NULL));
    set(row, "IsNameField", value_integer(field->is_name));
    set(row, "IsIndexed", value_integer(field->is_id_lookup || field->reference_count > 0));
    set(row, "IsCompound", value_integer(field->type->kind == KIND_COMPOUND));
    return end(row, ids_make("4fe", number), err) &&
           (!field->is_custom || tell_custom_field(row, object, field, err));
}

static bool tell_all(struct draft_row *row, struct error *err)
{
    const struct schema *schema = row->org->schema;

    for (size_t i = 0; i < schema_count(schema); i++) {
        const struct object *object = schema_at(schema, i);

        if (!tell_object(row, object, err))
            return false;
        for (size_t j = 0; j < object->field_count; j++)
            if (!object->fields[j]->is_hidden && !tell_field(row, object, object->fields[j], err))
                return false;
        arena_reset(row->arena);
    }
    return true;
}

bool schema_rows_fill(struct org *org, struct error *err)
{
    struct draft_row row = {.org = org, .arena = arena_new()};
    bool is_done = store_begin(org->store, err);
    struct error ignored = {0};

    if (is_done)
        is_done = store_run(org->store,
                            "delete from \"EntityDefinition\"; delete from \"FieldDefinition\";"
                            "delete from \"CustomObject\"; delete from \"CustomField\"",
                            err) &&
                  tell_all(&row, err) && store_commit(org->store, err);
    if (!is_done)
        store_rollback(org->store, &ignored);
    arena_free(row.arena);
    return is_done;
}
