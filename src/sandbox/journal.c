#include "sandbox/journal.h"

#include <stdlib.h>

struct journal {
    json_t *entries[JOURNAL_MAX]; /* a ring */
    size_t first;
    size_t count;
    int64_t next_number;
};

struct journal *journal_new(void)
{
    return memory_alloc(sizeof(struct journal));
}

void journal_clear(struct journal *journal)
{
    for (size_t i = 0; i < journal->count; i++) {
        size_t slot = (journal->first + i) % JOURNAL_MAX;

        json_decref(journal->entries[slot]);
        journal->entries[slot] = NULL;
    }
    journal->first = 0;
    journal->count = 0;
}

void journal_free(struct journal *journal)
{
    if (journal == NULL)
        return;
    journal_clear(journal);
    free(journal);
}

/* The query of a URL as an object: tests look for the SOQL, not for its encoding. */
static json_t *list_params(const struct http_server_request *request)
{
    json_t *params = json_object();

    for (size_t i = 0; i < request->param_count; i++)
        json_object_set_new(params, request->params[i].name, json_string(request->params[i].value));
    return params;
}

static json_t *describe_call(const struct call *call, const char *fault)
{
    json_t *entry = json_object();

    json_object_set_new(entry, "method", json_string(call->method));
    json_object_set_new(entry, "path", json_string(call->request->path));
    json_object_set_new(entry, "query", list_params(call->request));
    json_object_set_new(entry, "status", json_integer(call->response->status));
    json_object_set_new(entry, "records", json_integer((json_int_t)call->record_count));
    json_object_set_new(entry, "bytes", json_integer((json_int_t)call->request->body_bytes));
    json_object_set_new(entry, "dropped", json_boolean(call->response->is_dropped));
    json_object_set_new(entry, "fault", fault != NULL ? json_string(fault) : json_null());
    return entry;
}

void journal_add(struct journal *journal, const struct call *call, const char *fault)
{
    json_t *entry = describe_call(call, fault);

    json_object_set_new(entry, "n", json_integer(++journal->next_number));
    if (journal->count == JOURNAL_MAX) {
        json_decref(journal->entries[journal->first]);
        journal->first = (journal->first + 1) % JOURNAL_MAX;
        journal->count--;
    }
    journal->entries[(journal->first + journal->count++) % JOURNAL_MAX] = entry;
}

json_t *journal_read(const struct journal *journal)
{
    json_t *list = json_array();

    for (size_t i = 0; i < journal->count; i++)
        json_array_append(list, journal->entries[(journal->first + i) % JOURNAL_MAX]);
    return list;
}
