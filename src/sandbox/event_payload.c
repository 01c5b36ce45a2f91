#include "sandbox/event_payload.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "sandbox/times.h"
#include "sandbox/values.h"

enum { SCHEMA_ID_BYTES = 16, SCHEMA_ID_CHARACTERS = 22 };

static bool has_parts(const struct object *object, const char *compound)
{
    for (size_t i = 0; i < object->field_count; i++)
        if (object->fields[i]->compound != NULL &&
            strcmp(object->fields[i]->compound, compound) == 0)
            return true;
    return false;
}

bool event_payload_covers(const struct object *object, const struct field *field)
{
    static const char *const left_out[] = {"Id",
                                           "IsDeleted",
                                           "SystemModstamp",
                                           "MasterRecordId",
                                           "LastActivityDate",
                                           "LastViewedDate",
                                           "LastReferencedDate",
                                           "PhotoUrl"};

    if (!schema_is_stored(field) || field->type->kind == KIND_COMPOUND)
        return false;
    for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
        if (strcmp(field->name, left_out[i]) == 0)
            return false;
    /* A person's Name is told by its parts. */
    return !field->is_name || field->compound != NULL || !has_parts(object, field->name);
}

static bool is_listed(const char *names, const char *name)
{
    size_t length = strlen(name);

    while (*names != '\0') {
        size_t each = strcspn(names, ",");

        if (each == length && strncmp(names, name, length) == 0)
            return true;
        names += each + (names[each] == ',');
    }
    return false;
}

static bool is_included(const struct event_payload *payload, const struct field *field)
{
    if (!event_payload_covers(payload->object, field))
        return false;
    if (payload->changed != NULL)
        return is_listed(payload->changed, field->name);
    return payload->values[field->index].kind != VALUE_NULL;
}

/* BillingCity in BillingAddress is City; FirstName in Name stays as it is. */
static const char *name_part(const struct field *field)
{
    static const char suffix[] = "Address";
    size_t length = strlen(field->compound);
    size_t stem = length >= strlen(suffix) ? length - strlen(suffix) : 0;

    if (stem > 0 && strcmp(field->compound + stem, suffix) == 0 &&
        strncmp(field->name, field->compound, stem) == 0)
        return field->name + stem;
    return field->name;
}

static void write_value(const struct field *field, const struct value *value, struct buf *out)
{
    int64_t seconds = 0;

    if (field->type->kind == KIND_DATETIME && value->kind == VALUE_TEXT &&
        times_parse_datetime(value->text, false, &seconds))
        buf_printf(out, "\"%.19sZ\"", times_format_datetime(seconds).text);
    else
        values_write(out, field, value);
}

/* All included parts, at the place of the first of them. */
static void write_compound(const struct event_payload *payload, const struct field *first,
                           struct buf *out)
{
    const char *separator = "";

    buf_printf(out, ",\"%s\":{", first->compound);
    for (size_t i = first->index; i < payload->object->field_count; i++) {
        const struct field *field = payload->object->fields[i];

        if (field->compound == NULL || strcmp(field->compound, first->compound) != 0 ||
            !is_included(payload, field))
            continue;
        buf_printf(out, "%s\"%s\":", separator, name_part(field));
        write_value(field, &payload->values[i], out);
        separator = ",";
    }
    buf_char(out, '}');
}

static bool is_first_part(const struct event_payload *payload, const struct field *field)
{
    for (size_t i = 0; i < field->index; i++) {
        const struct field *other = payload->object->fields[i];

        if (other->compound != NULL && strcmp(other->compound, field->compound) == 0 &&
            is_included(payload, other))
            return false;
    }
    return true;
}

void event_payload_write_body(const struct event_payload *payload, struct buf *out)
{
    for (size_t i = 0; i < payload->object->field_count; i++) {
        const struct field *field = payload->object->fields[i];

        if (!is_included(payload, field))
            continue;
        if (field->compound == NULL) {
            buf_printf(out, ",\"%s\":", field->name);
            write_value(field, &payload->values[i], out);
        } else if (is_first_part(payload, field)) {
            write_compound(payload, field, out);
        }
    }
}

void event_payload_write_names(const struct event_payload *payload, bool is_nulled_only,
                               struct buf *out)
{
    const char *separator = "";

    buf_char(out, '[');
    for (size_t i = 0; payload->changed != NULL && i < payload->object->field_count; i++) {
        const struct field *field = payload->object->fields[i];

        if (!is_included(payload, field) ||
            (is_nulled_only && payload->values[i].kind != VALUE_NULL))
            continue;
        if (field->compound == NULL)
            buf_printf(out, "%s\"%s\"", separator, field->name);
        else
            buf_printf(out, "%s\"%s.%s\"", separator, field->compound, name_part(field));
        separator = ",";
    }
    buf_char(out, ']');
}

const char *event_payload_schema(struct arena *arena, const struct object *object)
{
    const char *text = arena_printf(arena, "%s/%zu", object->name, object->field_count);
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    char *id = arena_alloc(arena, EVP_MAX_MD_SIZE * 2);

    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
    EVP_EncodeBlock((unsigned char *)id, digest, SCHEMA_ID_BYTES);
    id[SCHEMA_ID_CHARACTERS] = '\0';
    for (char *each = id; *each != '\0'; each++)
        *each = (char)(*each == '+' ? '-' : *each == '/' ? '_' : *each);
    return id;
}
