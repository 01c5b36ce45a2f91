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

bool records_read(struct sf_session *session, const char *soql, json_t *records, struct error *err)
{
    struct sf_query *query;
    json_t *page = NULL;
    bool is_ok;

    if (!sf_query_open(session, soql, NULL, &query, err))
        return false;
    while ((is_ok = sf_query_next(query, &page, err)) && page != NULL) {
        json_array_extend(records, page);
        json_decref(page);
    }
    sf_query_close(query);
    return is_ok;
}

bool records_read_by_keys(struct sf_session *session, const char *select,
                          const struct records_keys *keys, json_t *records, struct error *err)
{
    for (size_t from = 0; from < keys->count; from += KEYS_PER_QUERY) {
        size_t left = keys->count - from;
        struct buf soql BUF_AUTO = {0};

        buf_init(&soql, SOQL_MAX_BYTES);
        buf_text(&soql, select);
        if (!soql_in(&soql, keys->field, keys->texts + from,
                     left < KEYS_PER_QUERY ? left : KEYS_PER_QUERY, err) ||
            !records_read(session, soql.data, records, err))
            return false;
    }
    return true;
}
