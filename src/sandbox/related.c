#include "sandbox/related.h"

#include <string.h>

#include "sandbox/base64.h"
#include "sandbox/ids.h"
#include "sandbox/query.h"
#include "sandbox/record.h"

enum { MAX_SOQL_BYTES = 128 * 1024 };

bool related_is(const struct call *call, const struct object *object)
{
    struct ids_text id;

    return ids_normalize(call->arguments[1], &id) &&
           strncmp(id.text, object->key_prefix, strlen(object->key_prefix)) == 0;
}

static bool refuse_missing(struct call *call)
{
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
    return false;
}

/* What a field of the record holds, as text; NULL when it is null or there is no such record. */
static const char *read_text(struct call *call, const struct object *object,
                             const struct field *field)
{
    struct store_row row = {.object = object};
    struct ids_text id;
    struct error err = {0};

    if (!ids_normalize(call->arguments[1], &id))
        return NULL;
    row.id = id.text;
    if (!store_load(call->org->store, call->arena, &row, &err) || row.values == NULL)
        return NULL;
    return row.values[field->index].text;
}

bool related_find_parent(struct call *call, const struct object *object)
{
    const struct field *field = schema_relationship(object, call->arguments[2]);
    const char *id = field != NULL ? read_text(call, object, field) : NULL;
    const struct object *parent = id != NULL ? schema_find_prefix(call->org->schema, id) : NULL;

    if (parent == NULL)
        return refuse_missing(call);
    call->arguments[0] = parent->name;
    call->arguments[1] = id;
    return true;
}

static void write_fields(struct buf *soql, const struct object *object, const char *fields)
{
    const char *separator = "";

    if (fields != NULL) {
        buf_text(soql, fields);
        return;
    }
    for (size_t i = 0; i < object->field_count; i++) {
        if (object->fields[i]->is_hidden)
            continue;
        buf_printf(soql, "%s%s", separator, object->fields[i]->name);
        separator = ", ";
    }
}

static void answer_children(struct call *call, const struct object *child, const struct field *link)
{
    const char *fields = http_server_param(call->request, "fields");
    struct buf soql BUF_AUTO = {0};
    struct ids_text id;

    if (!ids_normalize(call->arguments[1], &id))
        return;
    if (fields != NULL && !record_is_field_list(fields)) {
        call_error(call, "INVALID_FIELD", "No such column '%s' on entity '%s'.", fields,
                   child->name);
        return;
    }
    buf_init(&soql, MAX_SOQL_BYTES);
    buf_text(&soql, "SELECT ");
    write_fields(&soql, child, fields);
    buf_printf(&soql, " FROM %s WHERE %s = '%s'", child->name, link->name, id.text);
    query_answer(call, soql.data, false);
}

/* The bytes of a blob, such as an attachment's Body. */
static void answer_blob(struct call *call, const struct object *object, const struct field *field)
{
    const struct field *type = schema_field(object, "ContentType");
    const char *text = read_text(call, object, field);
    const char *content = type != NULL ? read_text(call, object, type) : NULL;
    size_t size_bytes = 0;
    const char *bytes =
        text != NULL ? base64_decode(call->arena, text, strlen(text), &size_bytes) : NULL;

    if (bytes == NULL) {
        refuse_missing(call);
        return;
    }
    call_header(call, "Content-Type", content != NULL ? content : "application/octet-stream");
    call->response->status = 200;
    buf_append(&call->response->body, bytes, size_bytes);
}

void related_get(struct call *call, const struct object *object)
{
    const struct field *field = schema_field(object, call->arguments[2]);

    if (field != NULL && strcmp(field->type->name, "base64") == 0 && !field->is_hidden) {
        answer_blob(call, object, field);
        return;
    }
    const struct object *child = NULL;
    const struct field *link =
        schema_children(call->org->schema, object, call->arguments[2], &child);

    if (link != NULL)
        answer_children(call, child, link);
    else if (related_find_parent(call, object))
        record_get(call);
}
