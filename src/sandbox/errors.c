#include "sandbox/errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *code;
    int status;
} statuses[] = {
    {"INVALID_SESSION_ID", 401},
    {"INVALID_AUTH_HEADER", 401},
    {"REQUEST_LIMIT_EXCEEDED", 403},
    {"API_DISABLED_FOR_ORG", 403},
    {"INSUFFICIENT_ACCESS_OR_READONLY", 403},
    {"NOT_FOUND", 404},
    {"ENTITY_IS_DELETED", 404},
    {"METHOD_NOT_ALLOWED", 405},
    {"API_VERSION_MISMATCH", 409},
    {"URI_TOO_LONG", 414},
    {"UNSUPPORTED_MEDIA_TYPE", 415},
    {"REQUEST_HEADER_FIELDS_TOO_LARGE", 431},
    {"UNKNOWN_EXCEPTION", 500},
    {"SERVER_UNAVAILABLE", 503},
};

int errors_status(const char *code)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (strcmp(statuses[i].code, code) == 0)
            return statuses[i].status;
    return 400;
}

bool errors_add(struct record_errors *errors, const char *code, const char *fields,
                const char *format, ...)
{
    struct record_error *error = arena_alloc(errors->arena, sizeof(*error));
    va_list args;

    va_start(args, format);
    error->message = arena_vprintf(errors->arena, format, args);
    va_end(args);
    error->code = arena_strdup(errors->arena, code);
    error->fields = arena_strdup(errors->arena, fields);
    if (errors->last != NULL)
        errors->last->next = error;
    else
        errors->first = error;
    errors->last = error;
    return false;
}

bool errors_is_empty(const struct record_errors *errors)
{
    return errors->first == NULL;
}

json_t *errors_text_to_json(const char *text)
{
    json_t *json = json_string(text);

    if (json != NULL)
        return json;
    char *plain = memory_strdup(text);
    for (char *each = plain; *each != '\0'; each++)
        if ((unsigned char)*each >= 0x80)
            *each = '?';
    json = json_string(plain);
    free(plain);
    return json;
}

static json_t *split_fields(const char *fields)
{
    json_t *list = json_array();

    while (*fields != '\0') {
        size_t length = strcspn(fields, ",");

        json_array_append_new(list, json_stringn(fields, length));
        fields += length + (fields[length] == ',');
    }
    return list;
}

json_t *errors_to_json(const struct record_errors *errors, const char *code_key)
{
    json_t *list = json_array();

    for (const struct record_error *each = errors->first; each != NULL; each = each->next) {
        json_t *error = json_object();

        json_object_set_new(error, "message", errors_text_to_json(each->message));
        json_object_set_new(error, code_key, json_string(each->code));
        json_object_set_new(error, "fields", split_fields(each->fields));
        if (each->duplicates != NULL && strcmp(code_key, "errorCode") == 0)
            json_object_set_new(error, "duplicateResult", json_loads(each->duplicates, 0, NULL));
        json_array_append_new(list, error);
    }
    return list;
}
