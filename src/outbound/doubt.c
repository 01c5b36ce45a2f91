#include "outbound/doubt.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mapping/lost_create.h"
#include "outbound/identifier.h"
#include "outbound/records.h"
#include "sf/datetime.h"
#include "sf/rest.h"
#include "sf/soql.h"
#include "sync/delivery.h"

enum { SOQL_MAX_BYTES = 64 * 1024 };

/* For what may happen to clocks between a sending and its CreatedDate. */
static const int64_t CLOCK_SLACK_US = INT64_C(900) * 1000 * 1000;
static const int64_t DAY_US = INT64_C(86400) * 1000 * 1000;

/* A record that was read back; it belongs to at most one entry. */
struct found {
    const char *sfid;
    const char *key;   /* the unique identifier's value; NULL if none */
    const char *trace; /* found by that of a receipt or marker; NULL: in another way */
    json_t *json;      /* owned by the page */
    bool is_deleted;
    int64_t row_id; /* of the row that it belongs to; 0: none */
    bool is_taken;  /* by a row, or by an entry judged before */
};

/* Under this name a record that was found by its trace has it: no field is called so. */
#define TRACE "@trace"

struct search {
    const struct doubt_world *world;
    struct doubt_entries *doubts;
    json_t *records; /* all pages together */
    json_t *traced;  /* an object whose keys are the ids of those found by a trace */
    struct found *found;
    size_t found_count;
};

/* An INSERT whose record is known went as an update, with what its first request left out. */
static bool is_insert(const struct queue_entry *entry)
{
    return strcmp(entry->action, "INSERT") == 0 && entry->sfid == NULL;
}

/* Whether a record holds every value that the entry sent. */
static bool equals_sent(const struct search *search, const struct queue_entry *entry,
                        json_t *record)
{
    return records_hold(search->doubts->mapping, entry->body, record, search->world->arena);
}

static bool is_same_text(const char *left, const char *right)
{
    return left == NULL || right == NULL ? left == right : strcmp(left, right) == 0;
}

static bool has_receipt(const struct queue_entry *entry)
{
    return entry->trace != NULL && entry->marker_field == NULL;
}

/* marker_field may be NULL. */
static void append_select(const struct search *search, const char *marker_field, struct buf *soql)
{
    static const char *const provenance[] = {"CreatedById", "CreatedDate"};
    const struct mapping *mapping = search->doubts->mapping;

    buf_text(soql, "select ");
    for (size_t i = 0; i < mapping->field_count; i++)
        buf_printf(soql, "%s%s", i > 0 ? ", " : "", mapping->fields[i].soql_path);
    for (size_t i = 0; i < 2; i++)
        if (mapping_field_by_name(mapping, provenance[i]) == NULL)
            buf_printf(soql, ", %s", provenance[i]);
    if (marker_field != NULL)
        buf_printf(soql, ", %s", marker_field);
    buf_printf(soql, " from %s where ", mapping->object_name);
}

/* What somebody deletes at once was made all the same. */
static bool can_tell_deleted(const struct search *search)
{
    return mapping_field_by_name(search->doubts->mapping, "IsDeleted") != NULL;
}

/* field NULL: the Id. */
static bool read_by_keys(struct search *search, const struct mapping_field *field,
                         const char **keys, size_t count, struct error *err)
{
    struct records_keys wanted = {.field = field != NULL ? field->soql_path : "Id",
                                  .texts = keys,
                                  .count = count,
                                  .with_deleted = can_tell_deleted(search),
                                  .are_numbers = field != NULL && fieldtype_is_number(field->type)};
    struct buf select BUF_AUTO = {0};

    buf_init(&select, SOQL_MAX_BYTES);
    append_select(search, NULL, &select);
    return records_read_by_keys(search->world->session, select.data, &wanted, search->records, err);
}

/* Notes what each record was found by, from the field that has it. */
static void take_traced(struct search *search, const json_t *records, const char *field)
{
    json_t *record;
    size_t i;

    json_array_foreach(records, i, record)
    {
        const char *sfid = json_string_value(json_object_get(record, "Id"));

        if (sfid == NULL)
            continue;
        json_object_set(record, TRACE, json_object_get(record, field));
        json_object_set_new(search->traced, sfid, json_true());
        json_array_append(search->records, record);
    }
}

/* A receipt stands for the record it names. */
static bool read_receipts(struct search *search, const char **traces, size_t count,
                          struct error *err)
{
    struct records_keys wanted = {.field = LOST_CREATE_KEY, .texts = traces, .count = count};
    json_t *receipts SF_JSON_AUTO = json_array();
    json_t *receipt;
    size_t i;

    if (!records_read_by_keys(search->world->session,
                              "select " LOST_CREATE_KEY ", " LOST_CREATE_RECORD
                              " from " LOST_CREATE_RECEIPT " where ",
                              &wanted, receipts, err))
        return false;
    json_array_foreach(receipts, i, receipt)
        json_object_set(receipt, "Id", json_object_get(receipt, LOST_CREATE_RECORD));
    take_traced(search, receipts, LOST_CREATE_KEY);
    return true;
}

static bool read_marked(struct search *search, const char *field, const char **traces, size_t count,
                        struct error *err)
{
    struct records_keys wanted = {
        .field = field, .texts = traces, .count = count, .with_deleted = can_tell_deleted(search)};
    struct buf select BUF_AUTO = {0};
    json_t *records SF_JSON_AUTO = json_array();

    buf_init(&select, SOQL_MAX_BYTES);
    append_select(search, field, &select);
    if (!records_read_by_keys(search->world->session, select.data, &wanted, records, err))
        return false;
    take_traced(search, records, field);
    return true;
}

/* Those with receipts, or with one marker field, together. */
static bool read_traced(struct search *search, struct error *err)
{
    const struct doubt_entries *doubts = search->doubts;
    const char **traces = arena_array(search->world->arena, const char *, doubts->count);
    bool *are_read = arena_array(search->world->arena, bool, doubts->count);

    for (size_t i = 0; i < doubts->count; i++) {
        const char *field = doubts->items[i]->marker_field;
        size_t count = 0;

        if (doubts->items[i]->trace == NULL || are_read[i])
            continue;
        for (size_t j = i; j < doubts->count; j++) {
            const struct queue_entry *entry = doubts->items[j];

            if (are_read[j] || !is_insert(entry) || entry->trace == NULL ||
                !is_same_text(entry->marker_field, field))
                continue;
            traces[count++] = entry->trace;
            are_read[j] = true;
        }
        if (count > 0 && !(field != NULL ? read_marked(search, field, traces, count, err)
                                         : read_receipts(search, traces, count, err)))
            return false;
    }
    return true;
}

/* How long ago an entry was sent, at most: set back, a clock does not tell. */
static int64_t age_us(const struct queue_entry *entry)
{
    return (entry->waited_us >= 0 ? entry->waited_us : DAY_US) + CLOCK_SLACK_US;
}

/* By Salesforce's clock, if it is known, however PostgreSQL's differs. */
static int64_t born_after_us(const struct search *search, const struct queue_entry *entry)
{
    int64_t now_us = sf_session_now_us(search->world->session);

    return (now_us != 0 ? now_us : entry->sent_at_us + entry->waited_us) - age_us(entry);
}

/* What our user has created since the first of these entries was sent. */
static bool read_created(struct search *search, int64_t since_us, struct error *err)
{
    const char *user_id = sf_session_user_id(search->world->session);
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    append_select(search, NULL, &soql);
    buf_text(&soql, "CreatedDate >= ");
    soql_datetime(&soql, since_us);
    if (user_id[0] != '\0')
        buf_printf(&soql, " and CreatedById = '%s'", user_id);
    return records_read(search->world->session, soql.data, can_tell_deleted(search),
                        search->records, err);
}

/* Reads all that may answer a doubt: by identifier, by id, by trace, and by time where there is
 * none of them. */
static bool read_back(struct search *search, struct error *err)
{
    const struct doubt_entries *doubts = search->doubts;
    const char **external_ids = arena_array(search->world->arena, const char *, doubts->count);
    const char **sfids = arena_array(search->world->arena, const char *, doubts->count);
    size_t external_id_count = 0;
    size_t sfid_count = 0;
    int64_t since_us = INT64_MAX;

    for (size_t i = 0; i < doubts->count; i++) {
        const struct queue_entry *entry = doubts->items[i];
        const char *key = is_insert(entry) && entry->external_id != NULL
                              ? identifier_in_query(doubts->mapping->upsert, entry->external_id,
                                                    search->world->arena)
                              : NULL;

        if (!is_insert(entry) && entry->sfid != NULL)
            sfids[sfid_count++] = entry->sfid;
        else if (key != NULL)
            external_ids[external_id_count++] = key;
        else if (is_insert(entry) && entry->trace == NULL &&
                 born_after_us(search, entry) < since_us)
            since_us = born_after_us(search, entry);
    }
    if (external_id_count > 0 &&
        !read_by_keys(search, doubts->mapping->upsert, external_ids, external_id_count, err))
        return false;
    if (sfid_count > 0 && !read_by_keys(search, NULL, sfids, sfid_count, err))
        return false;
    if (!read_traced(search, err))
        return false;
    return since_us == INT64_MAX || read_created(search, since_us, err);
}

static void index_found(struct search *search)
{
    const struct mapping *mapping = search->doubts->mapping;
    json_t *record;
    size_t i;

    search->found_count = json_array_size(search->records);
    search->found = arena_array(search->world->arena, struct found, search->found_count);
    json_array_foreach(search->records, i, record)
    {
        struct found *found = &search->found[i];

        found->json = record;
        found->trace = json_string_value(json_object_get(record, TRACE));
        found->sfid = json_string_value(json_object_get(record, "Id"));
        found->is_deleted = json_is_true(json_object_get(record, "IsDeleted"));
        /* Whose it is is known, though it looks like another's, too. */
        found->is_taken = found->trace == NULL && found->sfid != NULL &&
                          json_object_get(search->traced, found->sfid) != NULL;
        if (mapping->upsert != NULL)
            found->key = identifier_of(mapping->upsert, record, search->world->arena);
    }
}

static const char *list_sfids(const struct search *search)
{
    json_t *ids = json_array();

    for (size_t i = 0; i < search->found_count; i++)
        json_array_append_new(ids, json_string(search->found[i].sfid));
    char *text = json_dumps(ids, JSON_COMPACT);
    json_decref(ids);
    const char *list = arena_strdup(search->world->arena, text);
    free(text);
    return list;
}

/*
 * A record that belongs to a row here is not the one we look for by content; unless that row was
 * copied by a first load under way, which takes our own new records for others' until it ends. $4:
 * a deleted one may have been that of a row which is gone, too: the log knows, since then.
 */
static void write_owners(const struct mapping *mapping, struct buf *sql)
{
    buf_init(sql, SOQL_MAX_BYTES);
    buf_text(sql, "with f as materialized (select value as sfid, ordinality - 1 as place"
                  " from jsonb_array_elements_text($1::jsonb) with ordinality)"
                  " select f.place, t.id from f join ");
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
    buf_text(sql, " t on t.sfid = f.sfid"
                  " where t._hc_lastop is not null"
                  " or not exists (select from pgforce.load l"
                  " where l.mapping_id = $2 and l.is_direct)"
                  " union all select f.place, l.record_id from f join ");
    pg_append_qualified(sql, mapping->schema_name, "_trigger_log");
    buf_text(sql, " l on l.sfid = f.sfid"
                  " where l.table_name = $3"
                  " and l.processed_at >= to_timestamp($4::bigint / 1000000.0)");
}

/* Since when, by PostgreSQL's clock, the log is to be asked about deleted records; INT64_MAX: there
 * are none. */
static int64_t logged_since_us(const struct search *search)
{
    int64_t since_us = INT64_MAX;
    bool has_deleted = false;

    for (size_t i = 0; i < search->found_count; i++)
        has_deleted |= search->found[i].is_deleted;
    for (size_t i = 0; has_deleted && i < search->doubts->count; i++) {
        const struct queue_entry *entry = search->doubts->items[i];
        int64_t sent_us = entry->sent_at_us + entry->waited_us - age_us(entry);

        since_us = sent_us < since_us ? sent_us : since_us;
    }
    return since_us;
}

static bool mark_owners(struct search *search, struct error *err)
{
    const struct mapping *mapping = search->doubts->mapping;
    int64_t since_us = logged_since_us(search);
    struct pg_number since = pg_number(since_us - CLOCK_SLACK_US);
    struct buf sql BUF_AUTO = {0};

    write_owners(mapping, &sql);
    PGresult *result PG_RESULT_AUTO =
        pg_query(search->world->pg, sql.data,
                 PG_PARAMS(list_sfids(search), pg_number(mapping->id).text, mapping->table_name,
                           since_us != INT64_MAX ? since.text : NULL),
                 err);
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        struct found *found = &search->found[pg_field_int64(result, row, 0)];

        found->row_id = pg_field_int64(result, row, 1);
        found->is_taken = true;
    }
    return true;
}

static bool has_its_key(const struct search *search, const struct queue_entry *entry,
                        const struct found *found)
{
    return identifier_is_same(search->doubts->mapping->upsert, entry->external_id, found->key,
                              search->world->arena);
}

static bool has_its_trace(const struct queue_entry *entry, const struct found *found)
{
    return found->trace != NULL && strcmp(entry->trace, found->trace) == 0;
}

static bool matches(const struct search *search, const struct queue_entry *entry,
                    const struct found *found)
{
    if (found->is_deleted)
        return false;
    if (!is_insert(entry))
        return entry->sfid != NULL && found->sfid != NULL && strcmp(entry->sfid, found->sfid) == 0;
    if (entry->external_id != NULL)
        return has_its_key(search, entry, found);
    if (entry->trace != NULL)
        return has_its_trace(entry, found);
    return found->trace == NULL && !found->is_taken && equals_sent(search, entry, found->json);
}

/* Since the entry was sent: what our user made before is another's record. Where Salesforce did not
 * say who we are, nothing is known to be ours. */
static bool is_created_by_us(const struct search *search, const struct queue_entry *entry,
                             const struct found *found)
{
    const char *user_id = sf_session_user_id(search->world->session);
    const char *creator = json_string_value(json_object_get(found->json, "CreatedById"));
    const char *date = json_string_value(json_object_get(found->json, "CreatedDate"));
    int64_t created_us;

    return user_id[0] != '\0' && creator != NULL && strcmp(creator, user_id) == 0 && date != NULL &&
           sf_datetime_parse(date, &created_us) && created_us >= born_after_us(search, entry);
}

static struct found *find(struct search *search, const struct queue_entry *entry)
{
    for (size_t i = 0; i < search->found_count; i++)
        if (matches(search, entry, &search->found[i]))
            return &search->found[i];
    return NULL;
}

/* Whether a deleted record is the one that an INSERT made: somebody was quicker than we. */
static bool matches_deleted(const struct search *search, const struct queue_entry *entry,
                            const struct found *found)
{
    if (!found->is_deleted || found->is_taken || !is_created_by_us(search, entry, found))
        return false;
    if (entry->external_id != NULL)
        return has_its_key(search, entry, found);
    return entry->trace != NULL ? has_its_trace(entry, found)
                                : equals_sent(search, entry, found->json);
}

static struct found *find_deleted(struct search *search, const struct queue_entry *entry)
{
    for (size_t i = 0; i < search->found_count; i++)
        if (matches_deleted(search, entry, &search->found[i]))
            return &search->found[i];
    return NULL;
}

static bool is_changed(const struct search *search, const struct found *found)
{
    const char *created = json_string_value(json_object_get(found->json, "CreatedDate"));
    const char *stamp =
        json_string_value(records_value(found->json, search->doubts->mapping->stamp));
    int64_t created_us;
    int64_t stamp_us;

    return created != NULL && stamp != NULL && sf_datetime_parse(created, &created_us) &&
           sf_datetime_parse(stamp, &stamp_us) && stamp_us > created_us;
}

/* A record of nobody's that may have been like the entry's before somebody changed it. As it is now
 * it is no other entry's either. */
static const struct found *find_changed(const struct search *search,
                                        const struct queue_entry *entry)
{
    for (size_t i = 0; i < search->found_count; i++) {
        const struct found *found = &search->found[i];
        bool is_anothers = found->is_taken || found->is_deleted;

        if (is_anothers || !is_changed(search, found) || !is_created_by_us(search, entry, found))
            continue;
        for (size_t j = 0; !is_anothers && j < search->doubts->count; j++)
            is_anothers = matches(search, search->doubts->items[j], found);
        if (!is_anothers)
            return found;
    }
    return NULL;
}

/*
 * How many records may be this entry's. By content there may be several; as long as no more than
 * entries in doubt that are alike, each gets one, no matter which.
 */
static uint32_t count_found(struct search *search, size_t index, const struct found *first)
{
    const struct queue_entry *entry = search->doubts->items[index];
    uint32_t records = 0;
    uint32_t entries = 0;

    if (first == NULL || !is_insert(entry) || entry->external_id != NULL)
        return first != NULL;
    for (size_t i = 0; i < search->found_count; i++)
        records += matches(search, entry, &search->found[i]);
    if (entry->trace != NULL)
        return records;
    for (size_t i = index; i < search->doubts->count; i++)
        entries += is_insert(search->doubts->items[i]) &&
                   search->doubts->items[i]->external_id == NULL &&
                   search->doubts->items[i]->trace == NULL &&
                   equals_sent(search, search->doubts->items[i], first->json);
    return records > entries ? records : 1;
}

static int64_t quarantine_ms(const struct search *search, const struct queue_entry *entry,
                             enum delivery_action action)
{
    if (action == DELIVERY_INSERT && entry->external_id == NULL && !has_receipt(entry))
        return search->world->quarantine_ms;
    return delivery_quarantine_ms(action, entry->external_id != NULL || has_receipt(entry));
}

/* What was sent is told by the entry; the mapping may have been changed since. */
static enum delivery_lost_create lost_create_of(const struct search *search,
                                                const struct queue_entry *entry)
{
    enum delivery_lost_create lost = DELIVERY_LOST_PROBE;

    if (entry->trace != NULL)
        return has_receipt(entry) ? DELIVERY_LOST_RECEIPT : DELIVERY_LOST_MARKER;
    delivery_lost_create_parse(search->doubts->mapping->lost_create, &lost);
    return lost == DELIVERY_LOST_RECEIPT || lost == DELIVERY_LOST_MARKER ? DELIVERY_LOST_PROBE
                                                                         : lost;
}

/* What stands in Salesforce in place of a new record that is not there. */
static const struct found *look_further(struct search *search, const struct queue_entry *entry,
                                        struct delivery_doubt *doubt)
{
    if (!is_insert(entry))
        return NULL;
    struct found *deleted = find_deleted(search, entry);
    doubt->was_deleted_since = deleted != NULL;
    if (deleted != NULL)
        deleted->is_taken = true;
    if (deleted != NULL || entry->external_id != NULL || entry->trace != NULL)
        return deleted;
    const struct found *changed = find_changed(search, entry);
    doubt->may_be_changed = changed != NULL;
    return changed;
}

static void note_found(const struct search *search, const struct queue_entry *entry,
                       const struct found *found, struct delivery_doubt *doubt)
{
    bool is_anothers = is_insert(entry) && found->row_id != 0 && found->row_id != entry->record_id;

    if (is_anothers) {
        doubt->was_sent = doubt->may_adopt = false;
        return;
    }
    doubt->equals_ours =
        strcmp(entry->action, "DELETE") != 0 && equals_sent(search, entry, found->json);
    doubt->is_created_by_us = is_created_by_us(search, entry, found);
}

static int64_t waited_ms(const struct search *search, const struct queue_entry *entry)
{
    int64_t waited_ms = entry->waited_us > 0 ? entry->waited_us / 1000 : 0;

    return waited_ms < search->world->steady_ms ? waited_ms : search->world->steady_ms;
}

static void judge(struct search *search, size_t index)
{
    const struct queue_entry *entry = search->doubts->items[index];
    struct found *found = find(search, entry);
    struct delivery_doubt doubt = {
        .has_unique_key = entry->external_id != NULL || has_receipt(entry),
        .lost_create = lost_create_of(search, entry),
        .found_count = count_found(search, index, found),
        /* Nobody else has ever known the trace. */
        .was_sent = entry->was_in_doubt || entry->trace != NULL,
        .may_adopt = search->doubts->mapping->adopts_existing && entry->external_id != NULL &&
                     !entry->is_unit,
    };

    delivery_action_parse(entry->action, &doubt.action);
    if (doubt.action == DELIVERY_INSERT && !is_insert(entry))
        doubt.action = DELIVERY_UPDATE;
    int64_t left_ms = quarantine_ms(search, entry, doubt.action) - waited_ms(search, entry);
    doubt.is_quarantine_over = left_ms <= 0;
    if (found != NULL)
        note_found(search, entry, found, &doubt);
    if (found != NULL && doubt.found_count == 1)
        found->is_taken = true;
    const struct found *meant = found != NULL ? found : look_further(search, entry, &doubt);

    struct delivery_verdict verdict = delivery_resolve(&doubt);
    bool is_named = doubt.may_be_changed && verdict.state == DELIVERY_FAILED;
    search->doubts->outcomes[index] = (struct settle_outcome){
        .verdict = verdict,
        .sfid = verdict.binds_id && meant != NULL ? arena_strdup(search->world->arena, meant->sfid)
                                                  : NULL,
        .message = is_named ? arena_printf(search->world->arena, "pgforce: %s: %s", verdict.reason,
                                           meant->sfid)
                            : verdict.reason,
        .wait_ms = verdict.state == DELIVERY_PENDING ? left_ms : 0,
    };
}

bool doubt_resolve(const struct doubt_world *world, struct doubt_entries *doubts, struct error *err)
{
    json_t *records SF_JSON_AUTO = json_array();
    json_t *traced SF_JSON_AUTO = json_object();
    struct search search = {.world = world, .doubts = doubts, .records = records, .traced = traced};

    if (!read_back(&search, err))
        return error_prefix(err, "reading back writes in doubt of %s",
                            doubts->mapping->object_name);
    index_found(&search);
    doubts->outcomes = arena_array(world->arena, struct settle_outcome, doubts->count);
    if (!mark_owners(&search, err))
        return false;
    for (size_t i = 0; i < doubts->count; i++)
        judge(&search, i);
    return true;
}
