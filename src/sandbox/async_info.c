#include "sandbox/async_info.h"

#include <string.h>
#include <strings.h>

#include "sandbox/times.h"
#include "sandbox/xml.h"

static const char namespace[] = "http://www.force.com/2009/06/asyncapi/dataload";

static bool speaks_json(const struct call *call)
{
    const char *type = http_server_header(call->request, "Content-Type");

    return type != NULL && strncasecmp(type, "application/json", 16) == 0;
}

const char *async_info_read(struct call *call, const char *name)
{
    if (!speaks_json(call))
        return xml_find(call->arena, call->request->body, name);
    if (call->body == NULL)
        call->body = json_loadb(call->request->body, call->request->body_bytes, 0, NULL);
    return json_string_value(json_object_get(call->body, name));
}

static void write_member(struct buf *out, const char *name, const json_t *value);

static void write_members(struct buf *out, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value) write_member(out, key, value);
}

static void write_member(struct buf *out, const char *name, const json_t *value)
{
    size_t index;
    const json_t *each;

    if (json_is_array(value)) {
        json_array_foreach(value, index, each) write_member(out, name, each);
        return;
    }
    buf_printf(out, "<%s>", name);
    if (json_is_object(value))
        write_members(out, value);
    else if (json_is_string(value))
        xml_write(out, json_string_value(value));
    else
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    buf_printf(out, "</%s>", name);
}

void async_info_answer(struct call *call, int status, const char *root, json_t *info)
{
    if (speaks_json(call)) {
        call_json(call, status, info);
        return;
    }
    call->response->status = status;
    call_header(call, "Content-Type", "application/xml");
    buf_printf(&call->response->body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><%s xmlns=\"%s\">",
               root, namespace);
    write_members(&call->response->body, info);
    buf_printf(&call->response->body, "</%s>", root);
    json_decref(info);
}

void async_info_refuse(struct call *call, const char *code, const char *message)
{
    async_info_answer(call, 400, "error",
                      json_pack("{s:s, s:o}", "exceptionCode", code, "exceptionMessage",
                                errors_text_to_json(message)));
}

void async_info_rewrite(struct call *call, const char *code)
{
    struct http_server_response *response = call->response;
    json_t *errors = json_loadb(response->body.data, response->body.size_bytes, 0, NULL);
    const char *message = json_string_value(json_object_get(json_array_get(errors, 0), "message"));

    buf_clear(&response->body);
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, "Content-Type") == 0)
            response->headers[i--] = response->headers[--response->header_count];
    async_info_refuse(call, code, message != NULL ? message : "");
    json_decref(errors);
}

const char *async_info_moment(struct arena *arena, int64_t seconds)
{
    return arena_printf(arena, "%.23sZ", times_format_datetime(seconds).text);
}
