#include "sandbox/birth.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/times.h"
#include "sandbox/values.h"

/* Far above what the counters reach. */
enum { FIRST_NUMBER = 1000000000 };

struct birth_value {
    const char *field;
    const char *text;
};

struct ids_text birth_id(const struct object *object, size_t n)
{
    return ids_make(object->key_prefix, FIRST_NUMBER + (int64_t)n);
}

void birth_name(struct org *org)
{
    org->birth_ids[0] = ids_make("00D", 0);
    org->birth_ids[1] = ids_make("005", 0);
    org->org_id = org->birth_ids[0].text;
    org->user_id = org->birth_ids[1].text;
}

/* What every row has, whoever it is. */
static void set_system_values(struct org *org, struct store_row *row, const char *now)
{
    for (size_t i = 0; i < row->object->field_count; i++) {
        const struct field *field = row->object->fields[i];

        if (strcmp(field->name, "Id") == 0)
            row->values[i] = value_text(row->id);
        else if (field->type->kind == KIND_DATETIME && !field->is_nillable)
            row->values[i] = value_text(now);
        else if (field->type->kind == KIND_BOOLEAN)
            row->values[i] = value_integer(field->default_text != NULL &&
                                           strcmp(field->default_text, "true") == 0);
        else if (field->type->kind == KIND_TEXT)
            row->values[i] = value_text(field->default_text);
        else if (field->reference_count > 0 && !field->is_nillable)
            row->values[i] = value_text(org->user_id);
    }
}

static bool insert_texts(struct org *org, struct store_row *row, const struct birth_value *texts,
                         struct error *err)
{
    struct times_text now = times_format_datetime(org_now(org));

    row->values = memory_alloc(row->object->field_count * sizeof(*row->values));
    set_system_values(org, row, now.text);
    for (; texts->field != NULL; texts++)
        row->values[schema_field(row->object, texts->field)->index] = value_text(texts->text);
    bool is_inserted = store_insert(org->store, row, err);
    free(row->values);
    return is_inserted;
}

static bool insert_organization(struct org *org, struct error *err)
{
    struct store_row row = {.object = schema_find(org->schema, "Organization"), .id = org->org_id};
    const struct birth_value texts[] = {{"Name", "Sandbox"},
                                        {"InstanceName", "SIM1"},
                                        {"OrganizationType", "Developer Edition"},
                                        {"Country", "US"},
                                        {"LanguageLocaleKey", "en_US"},
                                        {"TimeZoneSidKey", "GMT"},
                                        {"DefaultLocaleSidKey", "en_US"},
                                        {"DefaultAccountAccess", "Edit"},
                                        {"DefaultContactAccess", "ControlledByParent"},
                                        {"DefaultOpportunityAccess", "Edit"},
                                        {"DefaultLeadAccess", "ReadEditTransfer"},
                                        {"DefaultCaseAccess", "ReadEditTransfer"},
                                        {"PrimaryContact", "Ada Admin"},
                                        {NULL, NULL}};

    return insert_texts(org, &row, texts, err);
}

static bool insert_user(struct org *org, struct error *err)
{
    struct store_row row = {.object = schema_find(org->schema, "User"), .id = org->user_id};
    struct ids_text profile = birth_id(schema_find(org->schema, "Profile"), 0);
    const struct birth_value texts[] = {{"Username", org->options.username},
                                        {"FirstName", "Ada"},
                                        {"LastName", "Admin"},
                                        {"Name", "Ada Admin"},
                                        {"Email", org->options.username},
                                        {"Alias", "admin"},
                                        {"CommunityNickname", "admin"},
                                        {"ProfileId", profile.text},
                                        {NULL, NULL}};

    return insert_texts(org, &row, texts, err);
}

/* ---- the rows of the definitions ---- */

static bool read_values(struct store_row *row, const json_t *json, struct arena *arena,
                        struct error *err)
{
    struct record_errors errors = {.arena = arena};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)json, key, value)
    {
        const struct field *field = schema_field(row->object, key);

        if (field == NULL || !schema_is_stored(field))
            return error_set(err, ERROR_CONFIG, "the rows of %s: there is no field %s",
                             row->object->name, key);
        if (!values_read(field, value, &row->values[field->index], &errors))
            return error_set(err, ERROR_CONFIG, "the rows of %s: %s", row->object->name,
                             errors.first->message);
    }
    return true;
}

bool birth_insert_row(struct org *org, const struct object *object, const char *id,
                      const json_t *json, struct error *err)
{
    struct arena *arena = arena_new();
    const char *now = arena_strdup(arena, times_format_datetime(org_now(org)).text);
    struct store_row row = {.object = object,
                            .id = id,
                            .values = arena_array(arena, struct value, object->field_count)};

    set_system_values(org, &row, now);
    bool is_done = read_values(&row, json, arena, err) && store_insert(org->store, &row, err);
    arena_free(arena);
    return is_done;
}

static bool insert_listed(struct org *org, const struct object *object, struct error *err)
{
    size_t index;
    const json_t *json;

    json_array_foreach(object->rows, index, json)
    {
        struct ids_text id = birth_id(object, index);

        if (!birth_insert_row(org, object, id.text, json, err))
            return false;
    }
    return true;
}

bool birth_insert_rows(struct org *org, struct error *err)
{
    bool is_done = insert_organization(org, err) && insert_user(org, err);

    for (size_t i = 0; i < schema_count(org->schema) && is_done; i++)
        is_done = insert_listed(org, schema_at(org->schema, i), err);
    return is_done;
}
