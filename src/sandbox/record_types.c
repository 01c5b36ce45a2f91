#include "sandbox/record_types.h"

#include <string.h>

#include "sandbox/birth.h"

static const char master_id[] = "012000000000000AAA";

static const char *text_in(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

/* ---- rows ---- */

static void take_one(struct org *org, const json_t *definition)
{
    const char *object = text_in(definition, "name");
    size_t index;
    json_t *type;

    json_array_foreach(json_object_get(definition, "recordTypes"), index, type)
    {
        const char *developer_name = text_in(type, "developerName");
        const char *name = text_in(type, "name");

        if (developer_name != NULL)
            json_array_append_new(org->record_types,
                                  json_pack("{s:s, s:s, s:s, s:s?, s:b}", "SobjectType", object,
                                            "DeveloperName", developer_name, "Name",
                                            name != NULL ? name : developer_name, "Description",
                                            text_in(type, "description"), "IsActive",
                                            !json_is_false(json_object_get(type, "active"))));
    }
}

void record_types_take(struct org *org, const json_t *definition)
{
    const json_t *list = json_object_get(definition, "objects");
    size_t index;
    const json_t *each;

    if (list == NULL)
        list = definition;
    if (!json_is_array(list)) {
        take_one(org, list);
        return;
    }
    json_array_foreach(list, index, each)
    {
        take_one(org, each);
    }
}

static bool has_row(struct org *org, const json_t *row, bool *answer, struct error *err)
{
    struct value values[] = {value_text(text_in(row, "SobjectType")),
                             value_text(text_in(row, "DeveloperName"))};
    sqlite3_stmt *statement = NULL;

    if (!store_prepare(org->store,
                       "select 1 from \"RecordType\" "
                       "where \"SobjectType\" = ?1 and \"DeveloperName\" = ?2",
                       &statement, err))
        return false;
    store_bind(statement, 1, &values[0]);
    store_bind(statement, 2, &values[1]);
    if (!store_step(org->store, statement, answer, err))
        return false;
    sqlite3_reset(statement);
    return true;
}

bool record_types_make_rows(struct org *org, struct error *err)
{
    const struct object *object = schema_find(org->schema, "RecordType");
    size_t index;
    const json_t *row;

    json_array_foreach(org->record_types, index, row)
    {
        int64_t number = 0;
        bool is_there = false;

        if (!has_row(org, row, &is_there, err))
            return false;
        if (is_there)
            continue;
        if (!store_next_number(org->store, object, &number, err))
            return false;
        struct ids_text id = ids_make(object->key_prefix, number);
        if (!birth_insert_row(org, object, id.text, row, err))
            return false;
    }
    return true;
}

/* ---- records ---- */

/* A statement over the active types of an object, or only the one of that id. */
static bool find_active(struct draft *draft, const char *id, const char **found, struct error *err)
{
    struct store *store = draft->save->org->store;
    struct value values[] = {value_text(draft->save->object->name), value_text(id)};
    sqlite3_stmt *statement = NULL;
    bool is_found = false;

    *found = NULL;
    if (!store_prepare(store,
                       "select \"Id\" from \"RecordType\" "
                       "where \"SobjectType\" = ?1 and \"IsActive\" = 1 "
                       "and (?2 is null or \"Id\" = ?2) order by \"_row\" limit 1",
                       &statement, err))
        return false;
    store_bind(statement, 1, &values[0]);
    store_bind(statement, 2, &values[1]);
    if (!store_step(store, statement, &is_found, err))
        return false;
    if (is_found)
        *found = store_column(draft->save->arena, statement, 0).text;
    sqlite3_reset(statement);
    return true;
}

bool record_types_settle(struct draft *draft, struct error *err)
{
    const struct field *field = schema_field(draft->save->object, "RecordTypeId");
    const char *found = NULL;

    if (field == NULL || (!draft->is_insert && !draft->is_given[field->index]))
        return true;
    struct value *value = &draft->values[field->index];
    if (!draft->is_given[field->index]) {
        if (!find_active(draft, NULL, &found, err))
            return false;
        *value = value_text(found);
    } else if (value->kind == VALUE_TEXT && strcmp(value->text, master_id) == 0) {
        *value = (struct value){.kind = VALUE_NULL};
    } else if (value->kind == VALUE_TEXT) {
        if (!find_active(draft, value->text, &found, err))
            return false;
        if (found == NULL)
            errors_add(&draft->save->errors, "INVALID_CROSS_REFERENCE_KEY", field->name,
                       "Record Type ID: this ID value isn't valid for the user: %s", value->text);
    }
    return true;
}

/* ---- describe ---- */

static json_t *tell(struct call *call, const struct object *object, const char *const texts[3],
                    const bool flags[3])
{
    return json_pack("{s:b, s:b, s:b, s:s, s:b, s:s, s:s, s:{s:s}}", "active", flags[0],
                     "available", flags[0], "defaultRecordTypeMapping", flags[1], "developerName",
                     texts[1], "master", flags[2], "name", texts[2], "recordTypeId", texts[0],
                     "urls", "layout",
                     call_url(call, "/sobjects/%s/describe/layouts/%s", object->name, texts[0]));
}

json_t *record_types_describe(struct call *call, const struct object *object)
{
    json_t *list = json_array();
    sqlite3_stmt *statement = NULL;
    struct error ignored = {0};
    bool has_more = true;
    bool has_default = false;
    struct value name = value_text(object->name);

    if (store_prepare(
            call->org->store,
            "select \"Id\", \"DeveloperName\", \"Name\", \"IsActive\" from \"RecordType\" "
            "where \"SobjectType\" = ? order by \"_row\"",
            &statement, &ignored)) {
        store_bind(statement, 1, &name);
        while (store_step(call->org->store, statement, &has_more, &ignored) && has_more) {
            const char *const texts[] = {store_column(call->arena, statement, 0).text,
                                         store_column(call->arena, statement, 1).text,
                                         store_column(call->arena, statement, 2).text};
            bool is_active = sqlite3_column_int(statement, 3) != 0;
            const bool flags[] = {is_active, is_active && !has_default, false};

            has_default = has_default || is_active;
            json_array_append_new(list, tell(call, object, texts, flags));
        }
    }
    const char *const master[] = {master_id, "Master", "Master"};
    const bool flags[] = {true, !has_default, true};
    json_array_append_new(list, tell(call, object, master, flags));
    return list;
}
