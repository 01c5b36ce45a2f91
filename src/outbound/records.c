#include "outbound/records.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mapping/mask.h"
#include "sf/rest.h"
#include "sf/soql.h"

/* A query stands in the URL, which ends at 16 KB with all that is around it. */
enum { KEYS_PER_QUERY = 100, URL_ROOM = 14 * 1024, SOQL_MAX_BYTES = 64 * 1024 };

/* Of the keys, those of one query. */
struct span {
    size_t from;
    size_t count;
};

json_t *records_value(json_t *record, const struct mapping_field *field)
{
    if (field->relationship_name == NULL)
        return json_object_get(record, field->field_name);
    return json_object_get(json_object_get(record, field->relationship_name),
                           field->reference_field);
}

static bool is_same_value(const struct mapping_field *field, const json_t *sent, const json_t *read,
                          struct arena *arena)
{
    const char *sent_text = NULL;
    const char *read_text = NULL;
    struct error ignored;

    if (!fieldtype_from_json(field->type, sent, arena, &sent_text, &ignored) ||
        !fieldtype_from_json(field->type, read, arena, &read_text, &ignored))
        return false;
    if (mask_is_one(field, read_text))
        return true; /* what it hides cannot be compared */
    if (sent_text == NULL || read_text == NULL)
        return sent_text == read_text;
    return strcmp(sent_text, read_text) == 0;
}

bool records_hold(const struct mapping *mapping, const char *body, json_t *record,
                  struct arena *arena)
{
    json_t *sent = body != NULL ? json_loads(body, 0, NULL) : NULL;
    bool holds = sent != NULL;

    for (size_t i = 0; holds && i < mapping->field_count; i++) {
        json_t *value = records_value(sent, &mapping->fields[i]);

        if (value != NULL && !mapping->fields[i].is_system)
            holds = is_same_value(&mapping->fields[i], value,
                                  records_value(record, &mapping->fields[i]), arena);
    }
    json_decref(sent);
    return holds;
}

static bool read_pages(struct sf_query *query, json_t *records, struct error *err)
{
    json_t *page = NULL;
    bool is_ok;

    while ((is_ok = sf_query_next(query, &page, err)) && page != NULL) {
        json_array_extend(records, page);
        json_decref(page);
    }
    return is_ok;
}

bool records_read(struct sf_session *session, const char *soql, bool with_deleted, json_t *records,
                  struct error *err)
{
    const struct sf_query_options options = {.with_deleted = with_deleted};
    struct sf_query *query;

    if (!sf_query_open(session, soql, &options, &query, err))
        return false;
    bool is_ok = read_pages(query, records, err);
    sf_query_close(query);
    return is_ok;
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

/* What asks for this many keys from this one on. */
static struct sf_query *begin_query(struct sf_session *session, const char *select,
                                    const struct records_keys *keys, const struct span *span,
                                    struct error *err)
{
    const struct sf_query_options options = {.with_deleted = keys->with_deleted};
    struct sf_query *query = NULL;
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    buf_text(&soql, select);
    if ((keys->are_numbers ? soql_in_numbers : soql_in)(&soql, keys->field,
                                                        keys->texts + span->from, span->count, err))
        sf_query_begin(session, soql.data, &options, &query, err);
    return query;
}

static void note_time(struct records_keys *keys, const struct sf_query *query)
{
    int64_t asked_s = sf_query_server_time_s(query);

    if (keys->asked_s == 0 || (asked_s != 0 && asked_s < keys->asked_s))
        keys->asked_s = asked_s;
}

/* As many queries at once as the session lets be on their way. */
bool records_read_by_keys(struct sf_session *session, const char *select, struct records_keys *keys,
                          json_t *records, struct error *err)
{
    struct sf_query **queries = memory_alloc((keys->count + 1) * sizeof(struct sf_query *));
    struct span span = {0, 0};
    size_t count = 0;
    bool is_ok = true;

    for (; is_ok && span.from < keys->count; span.from += span.count) {
        span.count = count_fitting(select, keys, span.from);
        queries[count] = begin_query(session, select, keys, &span, err);
        is_ok = queries[count] != NULL;
        count += is_ok ? 1 : 0;
    }
    keys->asked_s = 0;
    for (size_t i = 0; i < count; i++) {
        is_ok = is_ok && sf_query_await(queries[i], err);
        if (is_ok)
            note_time(keys, queries[i]);
        is_ok = is_ok && read_pages(queries[i], records, err);
        sf_query_close(queries[i]);
    }
    free(queries);
    return is_ok;
}
