#include "sandbox/xml_rows.h"

#include <string.h>
#include <strings.h>

#include "sandbox/xml.h"

enum { MAX_DEPTH = 20 };

static const char declaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

bool xml_rows_are_wanted(const struct call *call)
{
    const char *accepted = http_server_header(call->request, "Accept");
    const char *xml = accepted != NULL ? strcasestr(accepted, "application/xml") : NULL;
    const char *json = accepted != NULL ? strcasestr(accepted, "json") : NULL;

    if (call->suffix != NULL)
        return strcasecmp(call->suffix, "xml") == 0;
    return xml != NULL && (json == NULL || xml < json);
}

/* ---- writing ---- */

static void write_value(struct buf *out, const char *name, const json_t *value, int depth);

static void write_members(struct buf *out, const json_t *object, int depth)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (strcmp(key, "attributes") != 0)
            write_value(out, key, value, depth);
    }
}

static void write_attributes(struct buf *out, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(object, "attributes"), key, value)
    {
        if (!json_is_string(value))
            continue;
        buf_printf(out, " %s=\"", key);
        xml_write(out, json_string_value(value));
        buf_char(out, '"');
    }
}

static void write_scalar(struct buf *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: xml_write(out, json_string_value(value)); break;
    case JSON_INTEGER: buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
    case JSON_REAL: buf_printf(out, "%.15g", json_real_value(value)); break;
    case JSON_TRUE: buf_text(out, "true"); break;
    case JSON_FALSE: buf_text(out, "false"); break;
    default: break;
    }
}

static void write_value(struct buf *out, const char *name, const json_t *value, int depth)
{
    size_t index;
    const json_t *each;

    if (depth > MAX_DEPTH)
        return;
    if (json_is_array(value)) {
        json_array_foreach(value, index, each) write_value(out, name, each, depth + 1);
        return;
    }
    if (json_is_null(value)) {
        buf_printf(out, "<%s xsi:nil=\"true\"/>", name);
        return;
    }
    buf_printf(out, "<%s", name);
    write_attributes(out, value);
    buf_char(out, '>');
    if (json_is_object(value))
        write_members(out, value, depth + 1);
    else
        write_scalar(out, value);
    buf_printf(out, "</%s>", name);
}

static const char *root_name(const json_t *json)
{
    const char *type =
        json_string_value(json_object_get(json_object_get(json, "attributes"), "type"));

    if (type != NULL)
        return type;
    return json_object_get(json, "records") != NULL ? "QueryResult" : "Result";
}

static void write_document(struct buf *out, const json_t *json)
{
    size_t index;
    const json_t *each;

    buf_text(out, declaration);
    if (!json_is_array(json)) {
        write_value(out, root_name(json), json, 0);
        return;
    }
    bool is_errors = json_object_get(json_array_get(json, 0), "errorCode") != NULL;
    buf_text(out, is_errors ? "<Errors>" : "<Results>");
    json_array_foreach(json, index, each)
        write_value(out, is_errors ? "Error" : root_name(each), each, 0);
    buf_text(out, is_errors ? "</Errors>" : "</Results>");
}

static void set_type(struct http_server_response *response)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, "Content-Type") == 0)
            response->headers[i].value = "application/xml;charset=UTF-8";
}

static bool is_json(const struct http_server_response *response)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, "Content-Type") == 0)
            return strncasecmp(response->headers[i].value, "application/json", 16) == 0;
    return false;
}

void xml_rows_write(struct call *call)
{
    struct http_server_response *response = call->response;

    if (call->version == NULL || !xml_rows_are_wanted(call) || !is_json(response))
        return;
    json_t *json =
        json_loadb(response->body.data, response->body.size_bytes, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        return;
    buf_clear(&response->body);
    write_document(&response->body, json);
    set_type(response);
    json_decref(json);
}

/* ---- reading ---- */

json_t *xml_rows_read(const char *document, size_t size_bytes)
{
    json_t *json = xml_read(document, size_bytes);
    json_t *root = json_object_iter_value(json_object_iter(json));
    json_t *fields = NULL;

    if (json_is_object(root))
        fields = json_incref(root);
    else if (root != NULL)
        fields = json_object();
    json_object_del(fields, "@type");
    json_decref(json);
    return fields;
}

void xml_rows_append(struct buf *out, const char *name, const json_t *json)
{
    write_value(out, name, json, 0);
}
