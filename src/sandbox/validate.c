#include "sandbox/validate.h"

#include <string.h>
#include <strings.h>

#include "sandbox/duplicates.h"
#include "sandbox/formulas.h"
#include "sandbox/ids.h"
#include "sandbox/locks.h"
#include "sandbox/push_topics.h"
#include "sandbox/rules.h"
#include "sandbox/values.h"

enum { ID_IN_MESSAGE = 15 };

static void check_required(struct draft *draft)
{
    const struct object *object = draft->save->object;
    struct buf missing BUF_AUTO = {0};
    struct buf fields BUF_AUTO = {0};

    buf_init(&missing, 64 * 1024);
    buf_init(&fields, 64 * 1024);
    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (field->is_nillable || !field->is_createable || field->type->kind == KIND_BOOLEAN ||
            draft->values[i].kind != VALUE_NULL || (!draft->is_insert && !draft->is_given[i]))
            continue;
        buf_printf(&missing, "%s%s", missing.size_bytes > 0 ? ", " : "", field->name);
        buf_printf(&fields, "%s%s", fields.size_bytes > 0 ? "," : "", field->name);
    }
    if (missing.size_bytes > 0)
        errors_add(&draft->save->errors, "REQUIRED_FIELD_MISSING", fields.data,
                   "Required fields are missing: [%s]", missing.data);
}

/* An id tells by its prefix which of the field's objects it is of. */
static bool check_reference(struct draft *draft, const struct field *field, struct error *err)
{
    struct save *save = draft->save;
    const char *id = draft->values[field->index].text;
    const struct object *parent = schema_find_prefix(save->org->schema, id);
    struct store_row row = {.object = parent, .id = id};

    if (parent == NULL || !schema_field_refers_to(field, parent)) {
        errors_add(&save->errors, "MALFORMED_ID", field->name, "%s: id value of incorrect type: %s",
                   field->label, id);
        return true;
    }
    if (!store_load(save->org->store, save->arena, &row, err))
        return false;
    if (row.values == NULL)
        errors_add(&save->errors, "INVALID_CROSS_REFERENCE_KEY", "", "invalid cross reference id");
    else if (row.values[schema_field(parent, "IsDeleted")->index].integer != 0)
        errors_add(&save->errors, "ENTITY_IS_DELETED", field->name, "entity is deleted");
    else if (!save_is_shared(save, &row))
        errors_add(&save->errors, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "",
                   "insufficient access rights on cross-reference id: %.15s", id);
    return true;
}

static bool check_unique(struct draft *draft, const struct field *field, struct error *err)
{
    struct save *save = draft->save;
    struct store_search search = {
        .object = save->object, .field = field, .value = draft->values[field->index]};

    if (!store_find(save->org->store, save->arena, &search, err))
        return false;
    for (size_t i = 0; i < search.count; i++)
        if (save->id == NULL || strcmp(search.ids[i], save->id) != 0) {
            errors_add(&save->errors, "DUPLICATE_VALUE", field->name,
                       "duplicate value found: %s duplicates value on record with id: %.*s",
                       field->name, ID_IN_MESSAGE, search.ids[i]);
            break;
        }
    return true;
}

static bool check_fields(struct draft *draft, struct error *err)
{
    const struct object *object = draft->save->object;

    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];

        if (!draft->is_given[i] || draft->values[i].kind == VALUE_NULL)
            continue;
        if (field->reference_count > 0 && !check_reference(draft, field, err))
            return false;
        if (field->is_unique && !check_unique(draft, field, err))
            return false;
    }
    return true;
}

bool validate_draft(struct draft *draft, struct error *err)
{
    if (!errors_is_empty(&draft->save->errors))
        return true;
    check_required(draft);
    if (!errors_is_empty(&draft->save->errors))
        return true;
    if (!check_fields(draft, err))
        return false;
    if (errors_is_empty(&draft->save->errors) && !formulas_check_rules(draft, err))
        return false;
    if (errors_is_empty(&draft->save->errors) && !duplicates_check(draft, err))
        return false;
    if (errors_is_empty(&draft->save->errors))
        locks_check(draft->save, draft->values);
    if (errors_is_empty(&draft->save->errors))
        rules_check_row(draft->save, draft->values);
    push_topics_check(draft);
    return true;
}
