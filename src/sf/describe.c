#include "sf/describe.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "sf/soql.h"

enum { PATH_BYTES = 1024 };

static const char *read_text(const json_t *json, const char *key, struct arena *arena)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static int read_number(const json_t *json, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(json, key));

    return number < 0 ? 0 : number > INT_MAX ? INT_MAX : (int)number;
}

static bool read_flag(const json_t *json, const char *key)
{
    return json_is_true(json_object_get(json, key));
}

static void read_reference_to(const json_t *json, struct arena *arena, struct sf_field *out)
{
    const json_t *names = json_object_get(json, "referenceTo");
    const char **list = arena_array(arena, const char *, json_array_size(names) + 1);

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL)
            list[out->reference_count++] = arena_strdup(arena, name);
    }
    out->reference_to = list;
}

static void read_field_flags(const json_t *json, struct sf_field *out)
{
    out->is_nillable = read_flag(json, "nillable");
    out->is_createable = read_flag(json, "createable");
    out->is_updateable = read_flag(json, "updateable");
    out->is_defaulted_on_create = read_flag(json, "defaultedOnCreate");
    out->is_calculated = read_flag(json, "calculated");
    out->is_auto_number = read_flag(json, "autoNumber");
    out->is_unique = read_flag(json, "unique");
    out->is_case_sensitive = read_flag(json, "caseSensitive");
    out->is_external_id = read_flag(json, "externalId");
    out->is_id_lookup = read_flag(json, "idLookup");
    out->is_name_field = read_flag(json, "nameField");
    out->is_custom = read_flag(json, "custom");
    out->is_encrypted = read_flag(json, "encrypted");
    out->is_filterable = read_flag(json, "filterable");
    out->is_sortable = read_flag(json, "sortable");
    out->is_deprecated = read_flag(json, "deprecatedAndHidden");
    out->is_polymorphic = read_flag(json, "polymorphicForeignKey") || out->reference_count > 1;
}

static bool read_field(const json_t *json, struct arena *arena, struct sf_field *out)
{
    *out = (struct sf_field){
        .name = read_text(json, "name", arena),
        .label = read_text(json, "label", arena),
        .type = read_text(json, "type", arena),
        .soap_type = read_text(json, "soapType", arena),
        .extra_type_info = read_text(json, "extraTypeInfo", arena),
        .relationship_name = read_text(json, "relationshipName", arena),
        .compound_field_name = read_text(json, "compoundFieldName", arena),
        .mask = read_text(json, "mask", arena),
        .mask_type = read_text(json, "maskType", arena),
        .length = read_number(json, "length"),
        .byte_length = read_number(json, "byteLength"),
        .precision = read_number(json, "precision"),
        .scale = read_number(json, "scale"),
        .digits = read_number(json, "digits"),
    };
    read_reference_to(json, arena, out);
    read_field_flags(json, out);
    return out->name != NULL && out->type != NULL && soql_is_name(out->name);
}

static bool read_object(const json_t *json, struct arena *arena, struct sf_object *out)
{
    *out = (struct sf_object){
        .name = read_text(json, "name", arena),
        .label = read_text(json, "label", arena),
        .label_plural = read_text(json, "labelPlural", arena),
        .key_prefix = read_text(json, "keyPrefix", arena),
        .is_custom = read_flag(json, "custom"),
        .is_custom_setting = read_flag(json, "customSetting"),
        .is_queryable = read_flag(json, "queryable"),
        .is_retrieveable = read_flag(json, "retrieveable"),
        .is_createable = read_flag(json, "createable"),
        .is_updateable = read_flag(json, "updateable"),
        .is_deletable = read_flag(json, "deletable"),
        .is_undeletable = read_flag(json, "undeletable"),
        .is_replicateable = read_flag(json, "replicateable"),
        .is_searchable = read_flag(json, "searchable"),
        .is_triggerable = read_flag(json, "triggerable"),
        .is_deprecated = read_flag(json, "deprecatedAndHidden"),
    };
    return out->name != NULL && soql_is_name(out->name);
}

bool sf_object_from_json(const json_t *json, struct arena *arena, struct sf_object *out,
                         struct error *err)
{
    const json_t *list = json_object_get(json, "fields");
    size_t count = json_array_size(list);

    if (!read_object(json, arena, out) || !json_is_array(list))
        return error_set(err, ERROR_RETRY, "the description of the object is not one");
    struct sf_field *fields = arena_array(arena, struct sf_field, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!read_field(json_array_get(list, i), arena, &fields[i]))
            return error_set(err, ERROR_RETRY, "the description of %s has a field without a name",
                             out->name);
    }
    out->fields = fields;
    out->field_count = count;
    return true;
}

bool sf_describe_json(struct sf_session *session, const char *object_name, json_t **out,
                      struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {.method = "GET"};

    *out = NULL;
    buf_init(&path, PATH_BYTES);
    if (!soql_is_name(object_name) || strlen(object_name) > PATH_BYTES / 2)
        return error_set(err, ERROR_RECORD, "\"%s\" is no name of an object", object_name);
    buf_printf(&path, "/sobjects/%s/describe", object_name);
    call.path = path.data;
    if (!sf_request(session, &call, 1, err))
        return false;
    if (call.exchange.fate == HTTP_ANSWERED && call.exchange.status == 404 &&
        !call.is_wrong_address)
        return error_set(err, ERROR_RECORD,
                         "the organisation has no object \"%s\", or the user %s may not see it",
                         object_name, sf_session_user_id(session));
    if (call.outcome != SF_OUTCOME_SUCCESS)
        return sf_call_error(&call, err);
    if (!json_is_object(call.json))
        return error_set(err, ERROR_RETRY, "the description of %s is not one", object_name);
    *out = json_incref(call.json);
    return true;
}

bool sf_describe(struct sf_session *session, const char *object_name, struct arena *arena,
                 struct sf_object *out, struct error *err)
{
    json_t *json SF_JSON_AUTO = NULL;

    *out = (struct sf_object){0};
    return sf_describe_json(session, object_name, &json, err) &&
           sf_object_from_json(json, arena, out, err);
}

bool sf_describe_global(struct sf_session *session, struct arena *arena, struct sf_object_list *out,
                        struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .path = "/sobjects"};

    *out = (struct sf_object_list){0};
    if (!sf_request_one(session, &call, err))
        return false;
    const json_t *list = json_object_get(call.json, "sobjects");
    if (!json_is_array(list))
        return error_set(err, ERROR_RETRY, "the list of objects is not one");
    struct sf_object *objects = arena_array(arena, struct sf_object, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!read_object(json_array_get(list, i), arena, &objects[out->count]))
            return error_set(err, ERROR_RETRY, "the list of objects has one without a name");
        out->count++;
    }
    out->objects = objects;
    return true;
}

const struct sf_field *sf_object_field(const struct sf_object *object, const char *name)
{
    for (size_t i = 0; i < object->field_count; i++) {
        if (strcasecmp(object->fields[i].name, name) == 0)
            return &object->fields[i];
    }
    return NULL;
}
