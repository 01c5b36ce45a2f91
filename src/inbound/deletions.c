#include "inbound/deletions.h"

#include <string.h>

#include "base/log.h"
#include "inbound/statement.h"
#include "sf/id.h"
#include "sf/rest.h"
#include "sf/soql.h"

/* More than both of these need a confirmation. */
enum { GUARD_ROWS = 100, GUARD_PERCENT = 5 };

enum {
    SOQL_MAX_BYTES = 100 * 1000,
    ASKED_AT_ONCE = 400, /* ids that fit the address of one query */
};

struct ids {
    const char **items;
    size_t count;
};

/* One run over some ids. */
struct removal {
    const struct poll *poll;
    struct arena *arena;
    struct ids known; /* whose rows are here */
    struct ids alive; /* of the piece that is asked about: what Salesforce still has */
    size_t from;      /* the piece: its first id, */
    size_t to;        /* and the one behind its last */
};

static void append_array(struct buf *array, const char *const *ids, size_t count)
{
    buf_init(array, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++)
        pg_append_element(array, ids[i]);
    pg_end_array(array);
}

static struct ids read_ids(const PGresult *result, struct arena *arena)
{
    struct ids ids = {.count = (size_t)PQntuples(result)};

    ids.items = arena_array(arena, const char *, ids.count + 1);
    for (size_t i = 0; i < ids.count; i++)
        ids.items[i] = arena_strdup(arena, pg_field(result, (int)i, 0));
    return ids;
}

/* Of the ids, those whose rows are here and not marked deleted yet. */
static bool find_known(struct removal *removal, const struct deletions *deletions,
                       struct error *err)
{
    struct buf array BUF_AUTO = {0};

    append_array(&array, deletions->ids, deletions->count);
    PGresult *result PG_RESULT_AUTO =
        statement_query(removal->poll->world.pg, removal->poll->mapping,
                        "select t.sfid from @t t where t.sfid = any($1::text[]) and not @gone",
                        PG_PARAMS(array.data), err);
    if (result == NULL)
        return false;
    removal->known = read_ids(result, removal->arena);
    return true;
}

/* ---- waiting for a confirmation ---- */

static bool is_suspicious(const struct poll *poll, int64_t count, bool *answer, struct error *err)
{
    *answer = false;
    if (count <= GUARD_ROWS)
        return true;
    PGresult *result PG_RESULT_AUTO = statement_query(
        poll->world.pg, poll->mapping, "select count(*) from @t t", PG_PARAMS(), err);
    if (result == NULL)
        return false;
    *answer = count * 100 > pg_field_int64(result, 0, 0) * GUARD_PERCENT;
    return true;
}

static bool hold(const struct poll *poll, const struct ids *ids, struct error *err)
{
    struct pg *pg = poll->world.pg;
    struct buf array BUF_AUTO = {0};

    append_array(&array, ids->items, ids->count);
    log_warning("holds deletions back until they are confirmed",
                log_text("mapping", poll->mapping->object_name),
                log_number("rows", (int64_t)ids->count));
    return pg_run(pg,
                  "insert into pgforce.held_deletion (mapping_id, sfid)"
                  " select $1, unnest($2::text[])"
                  " on conflict (mapping_id, sfid) do nothing",
                  PG_PARAMS(pg_number(poll->mapping->id).text, array.data), err);
}

bool deletions_count_held(struct pg *pg, const struct mapping *mapping, int64_t *count,
                          struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select count(*) from pgforce.held_deletion"
                                               " where mapping_id = $1 and confirmed_at is null",
                                               PG_PARAMS(pg_number(mapping->id).text), err);

    if (result == NULL)
        return false;
    *count = pg_field_int64(result, 0, 0);
    return true;
}

/* ---- asking once more ---- */

static bool note_alive(void *context, const json_t *records, struct error *err)
{
    struct removal *removal = context;
    struct ids *alive = &removal->alive;
    json_t *record;
    size_t i;

    (void)err;
    json_array_foreach(records, i, record)
    {
        const char *id = json_string_value(json_object_get(record, "Id"));

        if (id != NULL && alive->count < ASKED_AT_ONCE)
            alive->items[alive->count++] = arena_strdup(removal->arena, id);
    }
    return true;
}

/* Somebody may have written into sfid what is no id: no record has it, and no query takes it. */
static struct ids askable_ids(const struct removal *removal)
{
    struct ids asked = {.items = arena_array(removal->arena, const char *, ASKED_AT_ONCE)};

    for (size_t i = removal->from; i < removal->to; i++)
        if (sf_id_is_valid(removal->known.items[i]))
            asked.items[asked.count++] = removal->known.items[i];
    return asked;
}

static bool ask_alive(struct removal *removal, struct error *err)
{
    const struct poll *poll = removal->poll;
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query;

    removal->alive.items = arena_array(removal->arena, const char *, ASKED_AT_ONCE);
    removal->alive.count = 0;
    const struct ids asked = askable_ids(removal);
    if (asked.count == 0)
        return true;
    buf_init(&soql, SOQL_MAX_BYTES);
    buf_printf(&soql, "select Id from %s", poll->mapping->object_name);
    poll_append_where(poll, true, &soql);
    if (!soql_in(&soql, "Id", asked.items, asked.count, err) ||
        !sf_query_open(poll->session, soql.data, NULL, &query, err))
        return false;
    bool is_ok = sf_query_each(query, note_alive, removal, err);
    sf_query_close(query);
    return is_ok;
}

static bool is_alive(const struct removal *removal, const char *id)
{
    for (size_t i = 0; i < removal->alive.count; i++)
        if (strcmp(removal->alive.items[i], id) == 0)
            return true;
    return false;
}

/* ---- removing ---- */

static bool give_deletions(void *context, struct stage *stage, struct error *err)
{
    const struct removal *removal = context;
    const struct mapping *mapping = removal->poll->mapping;
    struct value *values = arena_array(removal->arena, struct value, mapping->field_count);
    const struct row row = {.op = ROW_DELETE, .old_values = values};

    for (size_t i = 0; i < mapping->field_count; i++)
        values[i] = (struct value){.kind = VALUE_ABSENT};
    for (size_t i = removal->from; i < removal->to; i++) {
        const char *id = removal->known.items[i];

        values[mapping->id_field - mapping->fields] =
            (struct value){.kind = VALUE_TEXT, .text = id, .size_bytes = strlen(id)};
        if (!is_alive(removal, id) && !stage_put(stage, &row, err))
            return false;
    }
    return true;
}

/* In the transaction that removes the rows. */
static bool forget_held(void *context, struct pg *pg, struct error *err)
{
    const struct removal *removal = context;
    struct buf array BUF_AUTO = {0};

    append_array(&array, removal->known.items + removal->from, removal->to - removal->from);
    return pg_run(pg,
                  "delete from pgforce.held_deletion"
                  " where mapping_id = $1 and sfid = any($2::text[])",
                  PG_PARAMS(pg_number(removal->poll->mapping->id).text, array.data), err);
}

static bool remove_known(struct removal *removal, struct apply_report *report, struct error *err)
{
    const struct poll *poll = removal->poll;
    const struct apply_source source = {give_deletions, removal};
    const struct apply_page page = {.mapping = poll->mapping,
                                    .source = &source,
                                    .is_confirmed = true,
                                    .store = forget_held,
                                    .context = removal,
                                    .is_stored_whole = true};

    for (removal->from = 0; removal->from < removal->known.count; removal->from = removal->to) {
        removal->to = removal->from + ASKED_AT_ONCE;
        if (removal->to > removal->known.count)
            removal->to = removal->known.count;
        arena_reset(poll->world.arena);
        if (!ask_alive(removal, err) || !apply_records(&poll->world, &page, report, err))
            return false;
    }
    return true;
}

/* Those that were absent before and are not any more need no confirmation. */
static bool forget_returned(const struct removal *removal, struct error *err)
{
    struct buf array BUF_AUTO = {0};

    append_array(&array, removal->known.items, removal->known.count);
    return pg_run(removal->poll->world.pg,
                  "delete from pgforce.held_deletion"
                  " where mapping_id = $1"
                  " and confirmed_at is null"
                  " and not sfid = any($2::text[])",
                  PG_PARAMS(pg_number(removal->poll->mapping->id).text, array.data), err);
}

static bool apply_or_hold(struct removal *removal, const struct deletions *deletions,
                          struct apply_report *report, struct error *err)
{
    const struct poll *poll = removal->poll;
    bool needs_confirmation = false;

    if (!find_known(removal, deletions, err) ||
        (deletions->is_all && !forget_returned(removal, err)))
        return false;
    if ((deletions->is_inferred || poll->world.confirms_all_deletions) &&
        !is_suspicious(poll, deletions->earlier + (int64_t)removal->known.count,
                       &needs_confirmation, err))
        return false;
    return needs_confirmation ? hold(poll, &removal->known, err)
                              : remove_known(removal, report, err);
}

bool deletions_apply(const struct poll *poll, const struct deletions *deletions,
                     struct apply_report *report, struct error *err)
{
    struct removal removal = {.poll = poll};

    if (deletions->count == 0 && !deletions->is_all)
        return true;
    removal.arena = arena_new();
    bool is_ok = apply_or_hold(&removal, deletions, report, err);
    arena_free(removal.arena);
    return is_ok || error_prefix(err, "removing what is gone");
}

static bool find_confirmed(struct removal *removal, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(removal->poll->world.pg,
                 "select sfid from pgforce.held_deletion"
                 " where mapping_id = $1"
                 " and confirmed_at is not null",
                 PG_PARAMS(pg_number(removal->poll->mapping->id).text), err);

    if (result == NULL)
        return false;
    removal->known = read_ids(result, removal->arena);
    return true;
}

bool deletions_release(const struct poll *poll, struct apply_report *report, struct error *err)
{
    struct removal removal = {.poll = poll, .arena = arena_new()};
    bool is_ok = find_confirmed(&removal, err) && remove_known(&removal, report, err);

    arena_free(removal.arena);
    return is_ok || error_prefix(err, "removing what was confirmed");
}
