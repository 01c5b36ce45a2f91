#include "sandbox/metadata_summary.h"

#include <string.h>

#include "base/arena.h"

static const char *const keys[] = {"summaryOperation", "summaryForeignKey", "summarizedField"};

/* The field that "Line__c.Amount__c" names; NULL when there is none. */
static const struct field *find_field(const struct schema *schema, const char *name)
{
    const char *dot = name != NULL ? strchr(name, '.') : NULL;

    if (dot == NULL)
        return NULL;
    char *object_name = memory_strdup(name);
    object_name[dot - name] = '\0';
    const struct object *object = schema_find(schema, object_name);
    free(object_name);
    return object != NULL ? schema_field(object, dot + 1) : NULL;
}

/* An element that came once is no array. */
static void copy_items(json_t *field, const json_t *items)
{
    if (json_is_array(items))
        json_object_set(field, "summaryFilterItems", (json_t *)items);
    else if (json_is_object(items))
        json_object_set_new(field, "summaryFilterItems", json_pack("[O]", items));
}

bool metadata_summary_define(const struct schema *schema, json_t *field, const json_t *metadata,
                             struct error *err)
{
    const char *operation = json_string_value(json_object_get(metadata, "summaryOperation"));
    const char *source_name = json_string_value(json_object_get(metadata, "summarizedField"));
    const struct field *source = find_field(schema, source_name);

    if (operation == NULL)
        return error_set(err, ERROR_CONFIG,
                         "must specify 'summaryOperation' for a field of type "
                         "Summary");
    if (strcmp(operation, "count") != 0 && source == NULL)
        return error_set(err, ERROR_CONFIG, "summarizedField: there is no field %s",
                         source_name != NULL ? source_name : "(none)");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_object_get(metadata, keys[i]) != NULL)
            json_object_set(field, keys[i], json_object_get(metadata, keys[i]));
    copy_items(field, json_object_get(metadata, "summaryFilterItems"));
    if (source == NULL || source->type->kind == KIND_INTEGER) {
        json_object_set_new(field, "type", json_string("double"));
        return true;
    }
    json_object_set_new(field, "type", json_string(source->type->name));
    if (source->type->kind == KIND_REAL) {
        json_object_set_new(field, "precision", json_integer(source->precision));
        json_object_set_new(field, "scale", json_integer(source->scale));
    }
    return true;
}

void metadata_summary_tell(json_t *json, const struct rollup *rollup)
{
    const char *const values[] = {rollup->operation, rollup->key_name, rollup->source_name};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (values[i] != NULL)
            json_object_set_new(json, keys[i], json_string(values[i]));
    if (rollup->items_text != NULL)
        json_object_set_new(json, "summaryFilterItems", json_loads(rollup->items_text, 0, NULL));
}
