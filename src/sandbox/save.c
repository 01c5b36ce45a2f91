#include "sandbox/save.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "sandbox/draft.h"
#include "sandbox/events.h"
#include "sandbox/ids.h"
#include "sandbox/record_types.h"
#include "sandbox/sales.h"
#include "sandbox/times.h"
#include "sandbox/validate.h"
#include "sandbox/values.h"

void save_init(struct save *save, struct org *org, struct arena *arena, const struct object *object)
{
    *save = (struct save){.org = org, .arena = arena, .object = object, .errors = {.arena = arena}};
}

/* "INV-{0000}" and 7 make "INV-0007". */
static const char *format_auto_number(struct arena *arena, const char *format, int64_t number)
{
    size_t before = strcspn(format, "{");
    size_t zeros = strspn(format + before + (format[before] != '\0'), "0");
    const char *end = strchr(format, '}');

    return arena_printf(arena, "%.*s%0*" PRId64 "%s", (int)before, format, (int)zeros, number,
                        end != NULL ? end + 1 : "");
}

static bool number_record(struct draft *draft, struct error *err)
{
    struct save *save = draft->save;
    const struct object *object = save->object;
    int64_t number = 0;

    if (!store_next_number(save->org->store, object, &number, err))
        return false;
    save->id = arena_strdup(save->arena, ids_make(object->key_prefix, number).text);
    for (size_t i = 0; i < object->field_count; i++)
        if (object->fields[i]->auto_format != NULL)
            draft->values[i] =
                value_text(format_auto_number(save->arena, object->fields[i]->auto_format, number));
    const struct field *name = schema_field(object, "Name");
    if (name != NULL && object->is_custom && draft->values[name->index].kind == VALUE_NULL)
        draft->values[name->index] = value_text(save->id);
    return true;
}

bool save_insert(struct save *save, const json_t *fields, struct error *err)
{
    const struct object *object = save->object;
    struct draft draft = {
        .save = save,
        .values = arena_array(save->arena, struct value, object->field_count),
        .is_given = arena_array(save->arena, bool, object->field_count),
        .is_insert = true,
    };

    if (!object->is_createable) {
        errors_add(&save->errors, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "",
                   "entity type %s does not support create", object->name);
        return true;
    }
    if (!draft_read(&draft, fields, err))
        return false;
    if (!draft_complete(&draft, err))
        return false;
    draft_follow(&draft);
    if (!record_types_settle(&draft, err) || !sales_complete(&draft, err))
        return false;
    if (!validate_draft(&draft, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    if (!number_record(&draft, err))
        return false;
    draft_stamp(&draft);
    save->is_created = true;
    struct store_row row = {.object = object, .id = save->id, .values = draft.values};
    return events_record_changed(save, &row, EVENTS_CREATE, err) &&
           store_insert(save->org->store, &row, err);
}

bool save_is_shared(const struct save *save, const struct store_row *row)
{
    const struct field *owner = schema_field(row->object, "OwnerId");

    if (!row->object->shows_own_only || strcmp(row->id, save->org->user_id) == 0)
        return true;
    return owner != NULL && row->values[owner->index].kind == VALUE_TEXT &&
           strcmp(row->values[owner->index].text, save->org->user_id) == 0;
}

bool save_load(struct save *save, const char *id, struct store_row *row, struct error *err)
{
    struct ids_text whole;

    *row = (struct store_row){.object = save->object};
    if (!ids_normalize(id, &whole) ||
        strncmp(whole.text, save->object->key_prefix, strlen(save->object->key_prefix)) != 0) {
        save->is_missing = true;
        errors_add(&save->errors, "MALFORMED_ID", "Id", "malformed id %s", id);
        return true;
    }
    row->id = arena_strdup(save->arena, whole.text);
    if (!store_load(save->org->store, save->arena, row, err))
        return false;
    save->id = row->id;
    if (row->values == NULL) {
        save->is_missing = true;
        errors_add(&save->errors, "INVALID_CROSS_REFERENCE_KEY", "", "invalid cross reference id");
    } else if (!save_is_shared(save, row)) {
        errors_add(&save->errors, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "",
                   "insufficient access rights on cross-reference id");
    }
    return true;
}

static bool is_deleted(const struct store_row *row)
{
    return row->values[schema_field(row->object, "IsDeleted")->index].integer != 0;
}

static bool refuse_deleted(struct save *save, const struct store_row *row)
{
    if (row->values == NULL)
        return true;
    if (is_deleted(row))
        errors_add(&save->errors, "ENTITY_IS_DELETED", "", "entity is deleted");
    else if (!save->object->is_updateable && errors_is_empty(&save->errors))
        errors_add(&save->errors, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "",
                   "entity type %s does not support update", save->object->name);
    return !errors_is_empty(&save->errors);
}

bool save_update(struct save *save, const char *id, const json_t *fields, struct error *err)
{
    struct store_row row;

    if (!save_load(save, id, &row, err))
        return false;
    if (refuse_deleted(save, &row))
        return true;
    size_t count = save->object->field_count;
    struct value *before = arena_array(save->arena, struct value, count);
    struct draft draft = {
        .save = save,
        .values = row.values,
        .is_given = arena_array(save->arena, bool, count),
        .before = before,
    };
    memcpy(before, row.values, count * sizeof(*before));
    if (!draft_read(&draft, fields, err))
        return false;
    draft_follow(&draft);
    if (!record_types_settle(&draft, err) || !sales_complete(&draft, err))
        return false;
    if (!validate_draft(&draft, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    draft_stamp(&draft);
    return events_record_changed(save, &row, EVENTS_UPDATE, err) &&
           store_update(save->org->store, &row, err);
}

/* ---- upsert ---- */

bool save_find(struct save *save, const struct field *key, const char *value, struct error *err)
{
    struct store_search search = {.object = save->object, .field = key};

    if (!values_read_text(key, value, &search.value, &save->errors))
        return true;
    if (search.value.kind == VALUE_NULL) {
        save->is_missing = true;
        return true;
    }
    if (!store_find(save->org->store, save->arena, &search, err))
        return false;
    save->is_missing = search.count == 0;
    save->is_ambiguous = search.count > 1;
    save->id = search.count == 1 ? search.ids[0] : NULL;
    if (search.count > 1)
        errors_add(&save->errors, "DUPLICATE_EXTERNAL_ID", key->name,
                   "%s: more than one record found for external id field: [%s, %s]", key->label,
                   search.ids[0], search.ids[1]);
    return true;
}

bool save_upsert(struct save *save, const struct field *key, const char *value,
                 const json_t *fields, struct error *err)
{
    if (!save_find(save, key, value, err))
        return false;
    if (!errors_is_empty(&save->errors))
        return true;
    json_t *rest = json_copy((json_t *)fields);
    const char *name;
    json_t *each;
    void *next;
    json_object_foreach_safe(rest, next, name, each) if (strcasecmp(name, key->name) == 0)
        json_object_del(rest, name);
    if (save->is_missing)
        json_object_set_new(rest, key->name, json_string(value));
    bool is_missing = save->is_missing;
    save->is_missing = false;
    bool is_saved =
        is_missing ? save_insert(save, rest, err) : save_update(save, save->id, rest, err);
    json_decref(rest);
    return is_saved;
}
