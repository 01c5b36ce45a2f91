#include "mapping/lost_create.h"

#include <string.h>

#include "sf/id.h"

#define REMEDY "deploy docs/deploy/salesforce and give the integration user its permission set"

static bool is_text(const struct sf_field *field, int chars)
{
    return field != NULL && strcmp(field->type, "string") == 0 && field->length >= chars;
}

const char *lost_create_receipt_problem(const struct sf_object *receipt, struct arena *arena)
{
    const struct sf_field *key;
    const struct sf_field *record;

    if (receipt == NULL)
        return "lost_create \"receipt\" needs the object " LOST_CREATE_RECEIPT
               ", which is not there (or the integration user may not see it): " REMEDY;
    if (!receipt->is_createable || !receipt->is_queryable || !receipt->is_deletable)
        return "lost_create \"receipt\" needs an integration user who may read, create and delete"
               " records of " LOST_CREATE_RECEIPT ": " REMEDY;
    key = sf_object_field(receipt, LOST_CREATE_KEY);
    record = sf_object_field(receipt, LOST_CREATE_RECORD);
    if (!is_text(key, LOST_CREATE_TRACE_CHARS) || !key->is_unique || !key->is_createable ||
        !key->is_filterable)
        return arena_printf(arena,
                            "lost_create \"receipt\" needs %s.%s, a unique external id of %d"
                            " characters that the integration user may write: " REMEDY,
                            LOST_CREATE_RECEIPT, LOST_CREATE_KEY, LOST_CREATE_TRACE_CHARS);
    if (!is_text(record, SF_ID_BYTES - 1) || !record->is_createable)
        return arena_printf(arena,
                            "lost_create \"receipt\" needs %s.%s, a text of %d characters that the"
                            " integration user may write: " REMEDY,
                            LOST_CREATE_RECEIPT, LOST_CREATE_RECORD, SF_ID_BYTES - 1);
    return NULL;
}

const char *lost_create_marker_problem(const struct sf_object *object, const char *field_name,
                                       struct arena *arena)
{
    const struct sf_field *field = sf_object_field(object, field_name);

    if (field == NULL)
        return arena_printf(arena,
                            "marker_field %s does not exist (or the integration user may not see"
                            " it): name another, or grant it",
                            field_name);
    if (strcmp(field->type, "string") != 0 || field->length < LOST_CREATE_TRACE_CHARS)
        return arena_printf(arena,
                            "marker_field %s is no text of at least %d characters: name another",
                            field->name, LOST_CREATE_TRACE_CHARS);
    if (!field->is_createable || field->is_calculated)
        return arena_printf(arena,
                            "marker_field %s cannot be written by the integration user: grant it,"
                            " or name another",
                            field->name);
    if (!field->is_filterable)
        return arena_printf(arena, "marker_field %s cannot be searched by: name another",
                            field->name);
    if (field->is_name_field)
        return arena_printf(arena, "marker_field %s is the record's name: name another",
                            field->name);
    return NULL;
}
