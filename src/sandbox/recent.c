#include "sandbox/recent.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/ids.h"
#include "sandbox/record.h"

enum { MAX_RECENT = 200, MAX_RECORD_BYTES = 64 * 1024 };

struct recent {
    struct ids_text ids[MAX_RECENT]; /* the latest first */
    size_t count;
};

struct recent *recent_new(void)
{
    return memory_alloc(sizeof(struct recent));
}

void recent_free(struct recent *recent)
{
    free(recent);
}

void recent_forget(struct recent *recent)
{
    recent->count = 0;
}

void recent_add(struct org *org, const char *id)
{
    struct recent *recent = org->recent;
    size_t place = 0;

    while (place < recent->count && strcmp(recent->ids[place].text, id) != 0)
        place++;
    if (place == recent->count && recent->count < MAX_RECENT)
        recent->count++;
    if (place == MAX_RECENT)
        place--;
    memmove(&recent->ids[1], &recent->ids[0], place * sizeof(recent->ids[0]));
    snprintf(recent->ids[0].text, sizeof(recent->ids[0].text), "%s", id);
}

static void append_record(struct call *call, const struct object *object, const char *id,
                          json_t *list)
{
    bool has_name = schema_field(object, "Name") != NULL;
    struct buf row BUF_AUTO = {0};

    buf_init(&row, MAX_RECORD_BYTES);
    if (!record_write(call, object, id, has_name ? "Id,Name" : "Id", &row) || row.size_bytes == 0)
        return;
    json_t *json = json_loadb(row.data, row.size_bytes, 0, NULL);
    if (json != NULL)
        json_array_append_new(list, json);
}

json_t *recent_list(struct call *call, const struct object *object, size_t limit)
{
    const struct recent *recent = call->org->recent;
    json_t *list = json_array();

    for (size_t i = 0; i < recent->count && json_array_size(list) < limit; i++) {
        const struct object *own = schema_find_prefix(call->org->schema, recent->ids[i].text);

        if (own != NULL && (object == NULL || own == object))
            append_record(call, own, recent->ids[i].text, list);
    }
    return list;
}

void recent_get(struct call *call)
{
    const char *limit = http_server_param(call->request, "limit");
    long count = limit != NULL ? strtol(limit, NULL, 10) : MAX_RECENT;

    if (count < 1 || count > MAX_RECENT) {
        call_error(call, "INVALID_QUERY_SCOPE", "limit is from 1 to %d", MAX_RECENT);
        return;
    }
    call_json(call, 200, recent_list(call, NULL, (size_t)count));
}
