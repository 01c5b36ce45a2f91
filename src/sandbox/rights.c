#include "sandbox/rights.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 256 };

/* ---- what is asked ---- */

static struct object *find_object(const struct schema *schema, const char *name)
{
    return (struct object *)schema_find(schema, name);
}

/* "Account.Phone"; NULL when there is no such field. */
static struct field *find_field(const struct schema *schema, const char *path)
{
    char name[NAME_BYTES];
    const char *dot = strchr(path, '.');

    if (dot == NULL || dot - path >= NAME_BYTES)
        return NULL;
    snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
    const struct object *object = schema_find(schema, name);
    return object != NULL ? (struct field *)schema_field(object, dot + 1) : NULL;
}

static bool is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

static const char *check_objects(const struct schema *schema, const json_t *objects)
{
    static const char *const names[] = {"read", "create", "edit", "delete", "view_all"};
    const char *object;
    json_t *each;

    json_object_foreach((json_t *)objects, object, each)
    {
        const char *right;
        json_t *value;

        if (find_object(schema, object) == NULL || !json_is_object(each))
            return "\"objects\" must name objects that exist, each with its rights";
        json_object_foreach(each, right, value)
        {
            bool is_known = false;

            for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                is_known = is_known || strcmp(right, names[i]) == 0;
            if (!is_known || !json_is_boolean(value))
                return "rights are read, create, edit, delete and view_all, each true or false";
        }
    }
    return NULL;
}

static const char *check_fields(const struct schema *schema, const json_t *fields)
{
    const char *path;
    json_t *value;

    json_object_foreach((json_t *)fields, path, value)
    {
        if (find_field(schema, path) == NULL)
            return "\"fields\" must name fields that exist, like \"Account.Phone\"";
        if (!is_word(value, "hidden") && !is_word(value, "read"))
            return "a field is \"hidden\", or there to \"read\"";
    }
    return NULL;
}

static const char *check_limits(const json_t *settings)
{
    static const char *const names[] = {"daily_requests", "logins_per_hour"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(settings, names[i]);

        if (value != NULL && (!json_is_integer(value) || json_integer_value(value) < 0))
            return "daily_requests and logins_per_hour are numbers from 0";
    }
    return NULL;
}

static const char *check_keys(const json_t *settings)
{
    static const char *const names[] = {
        "username",       "password",       "access_token",    "first_name", "last_name",
        "view_encrypted", "daily_requests", "logins_per_hour", "objects",    "fields"};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)settings, key, value)
    {
        bool is_known = false;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            is_known = is_known || strcmp(key, names[i]) == 0;
        if (!is_known)
            return "unknown key: use username, password, access_token, first_name, last_name, "
                   "view_encrypted, daily_requests, logins_per_hour, objects, fields";
    }
    return NULL;
}

const char *rights_check(const struct schema *schema, const json_t *settings)
{
    const json_t *objects = json_object_get(settings, "objects");
    const json_t *fields = json_object_get(settings, "fields");
    const char *problem = check_keys(settings);

    if (json_object_size(objects) > RIGHTS_MAX || json_object_size(fields) > RIGHTS_MAX)
        return "at most 500 objects and 500 fields have rights of their own";
    if (problem == NULL)
        problem = check_limits(settings);
    if (problem == NULL)
        problem = check_objects(schema, objects);
    return problem == NULL ? check_fields(schema, fields) : problem;
}

/* ---- on and off ---- */

static bool is_denied(const json_t *rights, const char *name)
{
    return json_is_false(json_object_get(rights, name));
}

static void apply_object(struct rights *rights, struct object *object, const json_t *own)
{
    rights->objects[rights->object_count++] =
        (struct rights_object){.object = object, .before = *object};
    object->is_hidden = is_denied(own, "read");
    object->shows_own_only = is_denied(own, "view_all");
    object->is_createable = object->is_createable && !is_denied(own, "create");
    object->is_updateable = object->is_updateable && !is_denied(own, "edit");
    object->is_deletable = object->is_deletable && !is_denied(own, "delete");
}

static void apply_field(struct rights *rights, struct field *field, const json_t *level)
{
    rights->fields[rights->field_count++] = (struct rights_field){.field = field, .before = *field};
    if (is_word(level, "hidden"))
        field->is_hidden = true;
    field->is_createable = false;
    field->is_updateable = false;
}

void rights_apply(struct rights *rights, const struct schema *schema, const json_t *settings)
{
    const char *name;
    json_t *each;

    json_object_foreach(json_object_get(settings, "objects"), name, each)
    {
        struct object *object = find_object(schema, name);

        if (object != NULL && rights->object_count < RIGHTS_MAX)
            apply_object(rights, object, each);
    }
    json_object_foreach(json_object_get(settings, "fields"), name, each)
    {
        struct field *field = find_field(schema, name);

        if (field != NULL && rights->field_count < RIGHTS_MAX)
            apply_field(rights, field, each);
    }
}

void rights_take_back(struct rights *rights)
{
    while (rights->object_count > 0) {
        const struct rights_object *each = &rights->objects[--rights->object_count];

        each->object->is_hidden = each->before.is_hidden;
        each->object->shows_own_only = each->before.shows_own_only;
        each->object->is_createable = each->before.is_createable;
        each->object->is_updateable = each->before.is_updateable;
        each->object->is_deletable = each->before.is_deletable;
    }
    while (rights->field_count > 0) {
        const struct rights_field *each = &rights->fields[--rights->field_count];

        each->field->is_hidden = each->before.is_hidden;
        each->field->is_createable = each->before.is_createable;
        each->field->is_updateable = each->before.is_updateable;
    }
}
