#include "outbound/batch.h"

#include <string.h>

#include "mapping/mask.h"
#include "sf/collections.h"

static bool is_writable(const struct mapping_field *field, bool is_insert)
{
    if (field == NULL || field->is_system)
        return false;
    return is_insert ? field->is_createable : field->is_updateable;
}

/* A new record has its nulls already, a checkbox is never null in Salesforce, and a mask is no
 * value. */
static bool is_left_out(const struct mapping_field *field, const char *text, bool is_insert)
{
    if (mask_is_one(field, text))
        return true;
    return text == NULL && (is_insert || strcmp(fieldtype_name(field->type), "boolean") == 0);
}

/* {"Parent__r": {"Key__c": value}}, or the whole reference as null. */
static bool set_reference(json_t *record, const struct mapping_field *field, json_t *value)
{
    if (json_is_null(value))
        return json_object_set_new(record, field->relationship_name, value) == 0;
    return json_object_set_new(record, field->relationship_name,
                               json_pack("{s:o}", field->reference_field, value)) == 0;
}

static bool set_field(json_t *record, const struct mapping_field *field, const char *text,
                      struct arena *arena, struct error *err)
{
    json_t *value;

    if (!fieldtype_to_json(field->type, text, arena, &value, err))
        return error_prefix(err, "pgforce: %s", field->column_name);
    bool is_set = field->relationship_name != NULL
                      ? set_reference(record, field, value)
                      : json_object_set_new(record, field->field_name, value) == 0;
    return is_set ||
           error_set(err, ERROR_RECORD, "pgforce: %s is not valid UTF-8", field->column_name);
}

static bool set_fields(const struct batch_source *source, struct arena *arena,
                       struct batch_record *record, struct error *err)
{
    bool is_insert = source->action == DELIVERY_INSERT;

    for (size_t i = 0; i < source->pair_count; i++) {
        const char *text = source->pairs[i].value;
        const struct mapping_field *field =
            mapping_field_by_column(source->mapping, source->pairs[i].key);

        if (!is_writable(field, is_insert) || is_left_out(field, text, is_insert))
            continue;
        if (!set_field(record->json, field, text, arena, err))
            return false;
        if (field == source->mapping->upsert)
            record->external_id = text;
        record->field_count++;
    }
    return true;
}

bool batch_make_record(const struct batch_source *source, struct arena *arena,
                       struct batch_record *record, struct error *err)
{
    *record = (struct batch_record){0};
    if (source->action == DELIVERY_DELETE)
        return true;
    record->json = sf_record_new(source->mapping->object_name);
    if (source->action == DELIVERY_UPDATE)
        json_object_set_new(record->json, "id", json_string(source->sfid));
    if (set_fields(source, arena, record, err))
        return true;
    json_decref(record->json);
    record->json = NULL;
    return false;
}
