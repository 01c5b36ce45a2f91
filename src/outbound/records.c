#include "outbound/records.h"

#include "base/buf.h"
#include "sf/rest.h"
#include "sf/soql.h"

/* Keys per query: URLs end at 16 KB. */
enum { KEYS_PER_QUERY = 100, SOQL_MAX_BYTES = 64 * 1024 };

json_t *records_value(json_t *record, const struct mapping_field *field)
{
    if (field->relationship_name == NULL)
        return json_object_get(record, field->field_name);
    return json_object_get(json_object_get(record, field->relationship_name),
                           field->reference_field);
}

/* Which records a query reads. */
struct scope {
    const char *soql;
    struct sf_query_options options;
};

static bool read_pages(struct sf_session *session, const struct scope *scope, json_t *records,
                       int64_t *asked_s, struct error *err)
{
    struct sf_query *query;
    json_t *page = NULL;
    bool is_ok;

    if (!sf_query_open(session, scope->soql, &scope->options, &query, err))
        return false;
    *asked_s = sf_query_server_time_s(query);
    while ((is_ok = sf_query_next(query, &page, err)) && page != NULL) {
        json_array_extend(records, page);
        json_decref(page);
    }
    sf_query_close(query);
    return is_ok;
}

bool records_read(struct sf_session *session, const char *soql, bool with_deleted, json_t *records,
                  struct error *err)
{
    const struct scope scope = {soql, {.with_deleted = with_deleted}};
    int64_t asked_s;

    return read_pages(session, &scope, records, &asked_s, err);
}

bool records_read_by_keys(struct sf_session *session, const char *select, struct records_keys *keys,
                          json_t *records, struct error *err)
{
    for (size_t from = 0; from < keys->count; from += KEYS_PER_QUERY) {
        size_t left = keys->count - from;
        struct buf soql BUF_AUTO = {0};
        int64_t asked_s;

        buf_init(&soql, SOQL_MAX_BYTES);
        buf_text(&soql, select);
        if (!soql_in(&soql, keys->field, keys->texts + from,
                     left < KEYS_PER_QUERY ? left : KEYS_PER_QUERY, err) ||
            !read_pages(session, &(struct scope){soql.data, {.with_deleted = keys->with_deleted}},
                        records, &asked_s, err))
            return false;
        if (from == 0)
            keys->asked_s = asked_s;
    }
    return true;
}
