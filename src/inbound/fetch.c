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

bool fetch_apply(const struct poll *poll, struct fetch *fetch, struct apply_report *report,
                 struct error *err)
{
    json_t *records SF_JSON_AUTO = NULL;
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!poll_append_select(poll, &soql, err))
        return false;
    poll_append_where(poll, true, &soql);
    if (!soql_in(&soql, "Id", fetch->ids, fetch->count, err) ||
        !read_records(poll, soql.data, &records, err))
        return false;
    fetch->answered = json_array_size(records);
    fetch->page.mapping = poll->mapping;
    fetch->page.records = records;
    arena_reset(poll->world.arena);
    bool is_ok = apply_records(&poll->world, &fetch->page, report, err);
    fetch->page.records = NULL;
    return is_ok;
}
