#include "inbound/fetch.h"

#include "sf/rest.h"
#include "sf/soql.h"

enum { SOQL_MAX_BYTES = 100 * 1000 };

/* So few are one page, empty if all of them are gone. */
static bool read_records(const struct poll *poll, const char *soql, json_t **records,
                         struct error *err)
{
    static const struct sf_query_options with_deleted = {.with_deleted = true};
    struct sf_query *query;

    if (!sf_query_open(poll->session, soql, &with_deleted, &query, err))
        return false;
    bool is_ok = sf_query_next(query, records, err);
    sf_query_close(query);
    return is_ok;
}

bool fetch_apply(const struct poll *poll, const struct fetch_ids *ids, struct apply_page *page,
                 size_t *answered, struct apply_report *report, struct error *err)
{
    json_t *records SF_JSON_AUTO = NULL;
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!poll_append_select(poll, &soql, err))
        return false;
    buf_text(&soql, " where ");
    if (!soql_in(&soql, "Id", ids->texts, ids->count, err) ||
        !read_records(poll, soql.data, &records, err))
        return false;
    *answered = json_array_size(records);
    page->mapping = poll->mapping;
    page->records = records;
    arena_reset(poll->world.arena);
    return apply_records(&poll->world, page, report, err);
}
