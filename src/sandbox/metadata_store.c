#include "sandbox/metadata_store.h"

#include <string.h>
#include <strings.h>

#include "sandbox/metadata_types.h"
#include "sandbox/redefine.h"

static const char not_found[] = "INVALID_CROSS_REFERENCE_KEY";
static const char integrity[] = "FIELD_INTEGRITY_EXCEPTION";
static const char duplicate[] = "DUPLICATE_DEVELOPER_NAME";

static bool is_custom(const char *name)
{
    size_t length = strlen(name);

    return length > 3 && strcasecmp(name + length - 3, "__c") == 0;
}

static void add_error(struct record_errors *errors, const struct error *err)
{
    errors_add(errors, integrity, "", "%s", err->message);
}

const char *metadata_store_split(struct call *call, const char *full_name,
                                 const struct object **object, const struct field **field)
{
    const char *dot = strchr(full_name, '.');

    *object = dot != NULL ? schema_find(call->org->schema, arena_strndup(call->arena, full_name,
                                                                         (size_t)(dot - full_name)))
                          : NULL;
    *field = *object != NULL ? schema_field(*object, dot + 1) : NULL;
    return *object != NULL ? dot + 1 : NULL;
}

/* ---- fields ---- */

static bool may_save(enum metadata_store_how how, bool exists)
{
    return how == METADATA_UPSERT || exists == (how == METADATA_UPDATE);
}

static bool define_field(struct call *call, const struct object *object, const json_t *definition,
                         struct error *err)
{
    json_t *whole = json_pack("{s:s, s:[O]}", "name", object->name, "fields", definition);
    bool is_done = org_define(call->org, whole, true, err);

    json_decref(whole);
    return is_done;
}

static void save_field(struct call *call, const char *full_name, const json_t *metadata,
                       enum metadata_store_how how, struct record_errors *errors)
{
    const struct object *object = NULL;
    const struct field *field = NULL;
    const char *name = metadata_store_split(call, full_name, &object, &field);
    bool exists = field != NULL && !field->is_gone;
    struct error err = {0};

    if (name == NULL) {
        errors_add(errors, not_found, "", "Entity of type 'CustomObject' of '%s' cannot be found",
                   full_name);
    } else if (!is_custom(name)) {
        errors_add(errors, integrity, "", "The name of a custom field ends in __c: %s", name);
    } else if (!may_save(how, exists)) {
        errors_add(errors, exists ? duplicate : not_found, "",
                   exists ? "There is already a field named %s on %s."
                          : "There is no field named %s on %s.",
                   name, object->label);
    } else {
        json_t *definition = metadata_types_define_field(call->org->schema, name, metadata, &err);

        if (definition == NULL ||
            !(field != NULL ? redefine_field(call->org, object, definition, &err)
                            : define_field(call, object, definition, &err)))
            add_error(errors, &err);
        json_decref(definition);
    }
}

/* ---- objects ---- */

static void set_labels(struct call *call, const struct object *object, const json_t *definition)
{
    struct object *place = (struct object *)object;
    struct arena *arena = schema_arena(call->org->schema);
    const char *label = json_string_value(json_object_get(definition, "label"));
    const char *plural = json_string_value(json_object_get(definition, "labelPlural"));

    if (label != NULL)
        place->label = arena_strdup(arena, label);
    if (plural != NULL)
        place->label_plural = arena_strdup(arena, plural);
}

static void save_object(struct call *call, const char *name, const json_t *metadata,
                        enum metadata_store_how how, struct record_errors *errors)
{
    const struct object *object = schema_find(call->org->schema, name);
    struct error err = {0};

    if (!is_custom(name)) {
        errors_add(errors, integrity, "", "The name of a custom object ends in __c: %s", name);
        return;
    }
    if (!may_save(how, object != NULL)) {
        errors_add(errors, object != NULL ? duplicate : not_found, "",
                   object != NULL ? "The object name %s is already in use."
                                  : "There is no object named %s.",
                   name);
        return;
    }
    json_t *definition = metadata_types_define_object(call->org->schema, name, metadata, &err);
    if (definition == NULL || !org_define(call->org, definition, true, &err))
        add_error(errors, &err);
    else if (object != NULL)
        set_labels(call, object, definition);
    json_decref(definition);
}

void metadata_store_save(struct call *call, const struct metadata_store_name *name,
                         const json_t *metadata, enum metadata_store_how how,
                         struct record_errors *errors)
{
    if (strcmp(name->type, "CustomField") == 0)
        save_field(call, name->full, metadata, how, errors);
    else if (strcmp(name->type, "CustomObject") == 0)
        save_object(call, name->full, metadata, how, errors);
    else
        errors_add(errors, "INVALID_TYPE", "", "metadata of type %s is not supported", name->type);
}

void metadata_store_remove(struct call *call, const struct metadata_store_name *name,
                           struct record_errors *errors)
{
    const struct object *object = schema_find(call->org->schema, name->full);
    const struct field *field = NULL;
    struct error err = {0};

    if (strcmp(name->type, "CustomField") == 0)
        metadata_store_split(call, name->full, &object, &field);
    if (field != NULL && field->is_custom && !field->is_gone) {
        if (!redefine_remove_field(call->org, object, field, &err))
            add_error(errors, &err);
    } else if (strcmp(name->type, "CustomObject") == 0 && object != NULL && object->is_custom) {
        if (!redefine_remove_object(call->org, object, &err))
            add_error(errors, &err);
    } else {
        errors_add(errors, not_found, "", "no %s named %s found", name->type, name->full);
    }
}

json_t *metadata_store_read(struct call *call, const struct metadata_store_name *name)
{
    const struct object *object = NULL;
    const struct field *field = NULL;

    if (strcmp(name->type, "CustomObject") == 0) {
        object = schema_find(call->org->schema, name->full);
        return object != NULL ? metadata_types_tell_object(object) : NULL;
    }
    if (strcmp(name->type, "CustomField") != 0 ||
        metadata_store_split(call, name->full, &object, &field) == NULL || field == NULL ||
        field->is_gone)
        return NULL;
    json_t *json = metadata_types_tell_field(field);
    json_object_set_new(json, "fullName", json_sprintf("%s.%s", object->name, field->name));
    return json;
}
