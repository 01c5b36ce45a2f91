#include "outbound/records.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "sf/rest.h"
#include "sf/soql.h"

/* A query stands in the URL, which ends at 16 KB with all that is around it. */
enum { KEYS_PER_QUERY = 100, URL_ROOM = 14 * 1024, SOQL_MAX_BYTES = 64 * 1024 };

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

/* At most: what is escaped in SOQL is two bytes there, and a byte may be three in a URL. */
static size_t room_of(const char *text)
{
    size_t room = 0;

    for (; *text != '\0'; text++)
        room += isalnum((unsigned char)*text) ? 1 : strchr("'\"\\", *text) != NULL ? 6 : 3;
    return room;
}

/* How many keys from here on fit one query with the select; one at least. */
static size_t count_fitting(const char *select, const struct records_keys *keys, size_t from)
{
    size_t room = room_of(select) + room_of(keys->field) + room_of(" in ()");
    size_t count = 0;

    while (from + count < keys->count && count < KEYS_PER_QUERY) {
        room += room_of(keys->texts[from + count]) + room_of("'', ");
        if (room > URL_ROOM && count > 0)
            break;
        count++;
    }
    return count;
}

bool records_read_by_keys(struct sf_session *session, const char *select, struct records_keys *keys,
                          json_t *records, struct error *err)
{
    size_t count;

    for (size_t from = 0; from < keys->count; from += count) {
        struct buf soql BUF_AUTO = {0};
        int64_t asked_s;

        count = count_fitting(select, keys, from);
        buf_init(&soql, SOQL_MAX_BYTES);
        buf_text(&soql, select);
        if (!(keys->are_numbers ? soql_in_numbers : soql_in)(&soql, keys->field, keys->texts + from,
                                                             count, err) ||
            !read_pages(session, &(struct scope){soql.data, {.with_deleted = keys->with_deleted}},
                        records, &asked_s, err))
            return false;
        if (from == 0)
            keys->asked_s = asked_s;
    }
    return true;
}
