#include "sandbox/tooling.h"

#include <strings.h>

#include "sandbox/metadata_store.h"
#include "sandbox/schema_rows.h"

static bool is_supported(struct call *call)
{
    if (strcasecmp(call->arguments[0], "CustomField") == 0 ||
        strcasecmp(call->arguments[0], "CustomObject") == 0)
        return true;
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
    return false;
}

/* Answers the errors; true when there are none. */
static bool is_fine(struct call *call, const struct record_errors *errors)
{
    if (!errors_is_empty(errors))
        call_errors(call, errors);
    return errors_is_empty(errors);
}

/* The id of what was just made. */
static const char *find_id(struct call *call, const char *full_name)
{
    const struct object *object = NULL;
    const struct field *field = NULL;
    sqlite3_stmt *statement = NULL;
    bool has_row = false;
    struct error err = {0};

    if (metadata_store_split(call, full_name, &object, &field) != NULL && field != NULL)
        return arena_strdup(call->arena, schema_rows_field_id(object, field).text);
    object = schema_find(call->org->schema, full_name);
    if (object == NULL || !schema_rows_fill(call->org, &err) ||
        !store_prepare(call->org->store,
                       "select \"Id\" from \"CustomObject\" where \"DeveloperName\" || '__c' = ?",
                       &statement, &err))
        return "";
    struct value name = value_text(object->name);
    store_bind(statement, 1, &name);
    if (!store_step(call->org->store, statement, &has_row, &err) || !has_row)
        return "";
    const char *id = store_column(call->arena, statement, 0).text;
    sqlite3_reset(statement);
    return id;
}

void tooling_create(struct call *call)
{
    json_t *body = is_supported(call) ? call_body(call) : NULL;
    const char *full = json_string_value(json_object_get(body, "FullName"));
    const struct metadata_store_name name = {call->arguments[0], full};
    struct record_errors errors = {.arena = call->arena};

    if (body == NULL)
        return;
    if (full == NULL) {
        errors_add(&errors, "REQUIRED_FIELD_MISSING", "FullName",
                   "Required fields are missing: [FullName]");
    } else {
        metadata_store_save(call, &name, json_object_get(body, "Metadata"), METADATA_CREATE,
                            &errors);
    }
    if (is_fine(call, &errors))
        call_json(call, 201,
                  json_pack("{s:s, s:b, s:[], s:[]}", "id", find_id(call, full), "success", 1,
                            "errors", "warnings"));
}

/* The full name of the custom field the path names; NULL after 404. */
static const char *find_full_name(struct call *call)
{
    const struct object *object = NULL;

    if (!is_supported(call))
        return NULL;
    const struct field *field = schema_rows_find_field(call->org, call->arguments[1], &object);
    if (field != NULL)
        return arena_printf(call->arena, "%s.%s", object->name, field->name);
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
    return NULL;
}

void tooling_get(struct call *call)
{
    const char *full = find_full_name(call);
    const struct metadata_store_name name = {"CustomField", full};

    if (full == NULL)
        return;
    json_t *metadata = metadata_store_read(call, &name);
    json_object_del(metadata, "fullName");
    call_json(call, 200,
              json_pack("{s:{s:s, s:s}, s:s, s:s, s:o}", "attributes", "type", "CustomField", "url",
                        call_url(call, "/tooling/sobjects/CustomField/%s", call->arguments[1]),
                        "Id", call->arguments[1], "FullName", full, "Metadata", metadata));
}

void tooling_update(struct call *call)
{
    const char *full = find_full_name(call);
    json_t *body = full != NULL ? call_body(call) : NULL;
    const struct metadata_store_name name = {"CustomField", full};
    struct record_errors errors = {.arena = call->arena};

    if (body == NULL)
        return;
    metadata_store_save(call, &name, json_object_get(body, "Metadata"), METADATA_UPDATE, &errors);
    if (is_fine(call, &errors))
        call_no_content(call);
}

void tooling_delete(struct call *call)
{
    const char *full = find_full_name(call);
    const struct metadata_store_name name = {"CustomField", full};
    struct record_errors errors = {.arena = call->arena};

    if (full == NULL)
        return;
    metadata_store_remove(call, &name, &errors);
    if (is_fine(call, &errors))
        call_no_content(call);
}
