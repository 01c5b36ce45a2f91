#include "sandbox/draft.h"

#include <string.h>
#include <strings.h>

#include "sandbox/follows.h"
#include "sandbox/formulas.h"
#include "sandbox/times.h"
#include "sandbox/values.h"

static bool is_writable(const struct draft *draft, const struct field *field)
{
    return draft->is_insert ? field->is_createable : field->is_updateable;
}

static bool refuse_read_only(struct draft *draft, const struct field *field)
{
    return errors_add(&draft->save->errors, "INVALID_FIELD_FOR_INSERT_UPDATE", field->name,
                      "Unable to create/update fields: %s. Please check the security settings of "
                      "this field and verify that it is read/write for your profile or permission "
                      "set.",
                      field->name);
}

static const char *fold(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);

    for (char *each = copy; *each != '\0'; each++)
        if (*each >= 'A' && *each <= 'Z')
            *each = (char)(*each - 'A' + 'a');
    return copy;
}

/* The object a nested parent is of: its attributes say so, or the field leaves one choice. */
static const struct object *find_parent_object(struct draft *draft, const struct field *field,
                                               const json_t *parent)
{
    const char *type =
        json_string_value(json_object_get(json_object_get(parent, "attributes"), "type"));
    const struct object *object =
        schema_find(draft->save->org->schema, type != NULL ? type : field->reference_to[0]);

    if (object == NULL || !schema_field_refers_to(field, object))
        return NULL;
    return object;
}

/* The one key of a nested parent; NULL when it has not exactly one. */
static const char *find_only_key(const json_t *parent, const json_t **value)
{
    const char *only = NULL;
    const char *key;
    json_t *each;

    json_object_foreach((json_t *)parent, key, each)
    {
        if (strcasecmp(key, "attributes") == 0)
            continue;
        if (only != NULL)
            return NULL;
        only = key;
        *value = each;
    }
    return only;
}

static bool search_parent(struct draft *draft, const struct field *field,
                          struct store_search *search, struct error *err)
{
    struct save *save = draft->save;

    if (!store_find(save->org->store, save->arena, search, err))
        return false;
    if (search->count == 1) {
        draft->values[field->index] = value_text(search->ids[0]);
        draft->is_given[field->index] = true;
    } else if (search->count == 0) {
        errors_add(&save->errors, "INVALID_FIELD", "",
                   "Foreign key external ID: %s not found for field %s in entity %s",
                   search->value.kind == VALUE_TEXT ? fold(save->arena, search->value.text)
                                                    : "null",
                   search->field->name, search->object->name);
    } else {
        errors_add(&save->errors, "DUPLICATE_EXTERNAL_ID", search->field->name,
                   "more than one record found for external id field: [%s, %s]", search->ids[0],
                   search->ids[1]);
    }
    return true;
}

/* "Account":{"External_Id__c":"A-1"} */
static bool read_parent(struct draft *draft, const struct field *field, const json_t *parent,
                        struct error *err)
{
    struct save *save = draft->save;
    struct store_search search = {.object = find_parent_object(draft, field, parent)};
    const json_t *value = NULL;
    const char *key = find_only_key(parent, &value);

    if (json_is_null(parent)) {
        draft->values[field->index] = (struct value){.kind = VALUE_NULL};
        draft->is_given[field->index] = true;
        return true;
    }
    search.field = search.object != NULL && key != NULL ? schema_field(search.object, key) : NULL;
    if (search.field == NULL || !search.field->is_id_lookup) {
        errors_add(&save->errors, "INVALID_FIELD", "",
                   "%s is not an External ID or indexed field for %s", key != NULL ? key : "",
                   search.object != NULL ? search.object->name : field->relationship);
        return true;
    }
    if (!is_writable(draft, field))
        return refuse_read_only(draft, field) || true;
    if (!values_read(search.field, value, &search.value, &save->errors))
        return true;
    return search_parent(draft, field, &search, err);
}

static void read_one(struct draft *draft, const struct field *field, const json_t *json)
{
    if (!is_writable(draft, field)) {
        refuse_read_only(draft, field);
        return;
    }
    if (values_read(field, json, &draft->values[field->index], &draft->save->errors))
        draft->is_given[field->index] = true;
}

bool draft_read(struct draft *draft, const json_t *fields, struct error *err)
{
    const struct object *object = draft->save->object;
    const char *key;
    json_t *json;

    json_object_foreach((json_t *)fields, key, json)
    {
        const struct field *field = schema_field(object, key);

        if (strcasecmp(key, "attributes") == 0 || (strcasecmp(key, "Id") == 0 && !draft->is_insert))
            continue;
        if (field != NULL && !field->is_hidden) {
            read_one(draft, field, json);
            continue;
        }
        field = schema_relationship(object, key);
        if (field == NULL || field->is_hidden || (!json_is_object(json) && !json_is_null(json)))
            errors_add(&draft->save->errors, "INVALID_FIELD", "",
                       "No such column '%s' on sobject of type %s", key, object->name);
        else if (!read_parent(draft, field, json, err))
            return false;
    }
    return true;
}

bool draft_complete(struct draft *draft, struct error *err)
{
    const struct object *object = draft->save->object;

    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];
        struct record_errors ignored = {.arena = draft->save->arena};

        if (draft->is_given[i] || !schema_is_stored(field))
            continue;
        if (field->default_computed != NULL) {
            if (!formulas_default(draft->save, field, &draft->values[i], err))
                return false;
        } else if (field->default_text != NULL) {
            values_read_text(field, field->default_text, &draft->values[i], &ignored);
        } else if (strcmp(field->name, "OwnerId") == 0) {
            draft->values[i] = value_text(draft->save->org->user_id);
        }
    }
    return true;
}

static bool has_changed(const struct draft *draft, const struct field *field)
{
    const struct value *value = &draft->values[field->index];

    if (draft->is_insert)
        return true;
    const struct value *before = &draft->before[field->index];
    return value->kind != before->kind ||
           (value->kind == VALUE_TEXT && strcmp(value->text, before->text) != 0) ||
           value->integer != before->integer || value->real != before->real;
}

void draft_follow(struct draft *draft)
{
    const struct object *object = draft->save->object;
    struct times_text now = times_format_datetime(org_stamp(draft->save->org));
    struct record_errors ignored = {.arena = draft->save->arena};

    for (size_t i = 0; i < object->field_count; i++) {
        const struct field *field = object->fields[i];
        const struct field *other =
            field->follows != NULL ? schema_field(object, follows_field(field->follows)) : NULL;
        const char *text = NULL;

        if (other == NULL || draft->is_given[i] || !has_changed(draft, other) ||
            !follows_answer(field->follows, draft->values[other->index].text, now.text, &text))
            continue;
        draft->values[i] = (struct value){.kind = VALUE_NULL};
        if (text != NULL)
            values_read_text(field, text, &draft->values[i], &ignored);
    }
}

static void set(struct draft *draft, const char *name, struct value value)
{
    const struct field *field = schema_field(draft->save->object, name);

    if (field != NULL)
        draft->values[field->index] = value;
}

static const char *get_text(const struct draft *draft, const char *name)
{
    const struct field *field = schema_field(draft->save->object, name);
    const char *text = field != NULL ? draft->values[field->index].text : NULL;

    return text != NULL ? text : "";
}

/* Contacts, leads and users: Name is read-only and made of its parts. */
static void compose_name(struct draft *draft)
{
    const struct field *name = schema_field(draft->save->object, "Name");
    const char *first = get_text(draft, "FirstName");
    const char *last = get_text(draft, "LastName");

    if (name == NULL || name->is_createable || name->auto_format != NULL || *last == '\0')
        return;
    draft->values[name->index] = value_text(
        arena_printf(draft->save->arena, "%s%s%s", first, *first != '\0' ? " " : "", last));
}

void draft_stamp(struct draft *draft)
{
    struct org *org = draft->save->org;
    struct value now =
        value_text(arena_strdup(draft->save->arena, times_format_datetime(org_stamp(org)).text));
    struct value user = value_text(org->user_id);

    compose_name(draft);
    if (draft->is_insert) {
        set(draft, "Id", value_text(draft->save->id));
        set(draft, "IsDeleted", value_integer(0));
        set(draft, "CreatedDate", now);
        set(draft, "CreatedById", user);
    }
    set(draft, "LastModifiedDate", now);
    set(draft, "LastModifiedById", user);
    set(draft, "SystemModstamp", now);
}
