#include "outbound/bulk.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "outbound/deliver.h"
#include "outbound/parcel.h"
#include "sf/bulk_ingest.h"
#include "sync/transport.h"

/* A job being made: one run's rows. */
struct making {
    const struct bulk_world *world;
    const struct mapping *mapping;
    enum delivery_action action;
    struct parcel *parcels;
    size_t count;
    int64_t job; /* our number for it */
};

/* Salesforce's operations, by ours. */
static const char *const operations[] = {
    [DELIVERY_INSERT] = "insert",
    [DELIVERY_UPDATE] = "update",
    [DELIVERY_DELETE] = "delete",
};

static void free_records(struct making *making)
{
    for (size_t i = 0; i < making->count; i++)
        json_decref(making->parcels[i].record.json);
}

/* --- the rows ----------------------------------------------------------------------------------
 */

static bool fill_parcels(struct making *making, const struct bulk_run *run, struct error *err)
{
    const struct parcel_world world = {making->world->pg, making->world->arena, run->plan, true};
    const struct order_batch *batches = run->batches;
    size_t room = 0;

    for (size_t i = 0; i < run->count; i++)
        room += batches[i].count;
    making->parcels = arena_array(making->world->arena, struct parcel, room);
    for (size_t i = 0; i < run->count; i++)
        for (size_t j = 0; j < batches[i].count; j++)
            making->parcels[making->count++] =
                (struct parcel){.index = batches[i].entries[j],
                                .entry = &run->plan->queue->entries[batches[i].entries[j]],
                                .mapping = making->mapping};
    if (!parcel_read_rows(&world, making->parcels, making->count, err)) {
        making->count = 0;
        return false;
    }
    for (size_t i = 0; i < making->count; i++)
        parcel_fill(&world, &making->parcels[i], making->action);
    return true;
}

/* A cell cannot say "#N/A", and without its identifier a row could not be told from the others. A
 * row that ends unsent, or in two steps, is the requests' matter, too. */
static bool is_fit(const struct making *making, const struct parcel *parcel)
{
    if (!parcel->is_to_be_sent || parcel->has_rest ||
        (making->action == DELIVERY_INSERT && parcel->record.external_id == NULL))
        return false;
    for (size_t i = 0; i < parcel->pair_count; i++)
        if (parcel->pairs[i].value != NULL && strcmp(parcel->pairs[i].value, "#N/A") == 0)
            return false;
    return true;
}

static bool are_fit(const struct making *making)
{
    for (size_t i = 0; i < making->count; i++)
        if (!is_fit(making, &making->parcels[i]))
            return false;
    return making->count > 0;
}

/* What a record has of a field; NULL: not this field. */
static json_t *value_of(const struct parcel *parcel, const struct mapping_field *field)
{
    return json_object_get(parcel->record.json, field->relationship_name != NULL
                                                    ? field->relationship_name
                                                    : field->field_name);
}

static const char *text_of(const struct parcel *parcel, const struct mapping_field *field)
{
    const struct hstore_pair *pair =
        hstore_find(parcel->pairs, parcel->pair_count, field->column_name);

    return pair != NULL ? pair->value : NULL;
}

static bool write_cell(const struct making *making, const struct parcel *parcel,
                       const struct mapping_field *field, struct buf *csv, struct error *err)
{
    json_t *value = value_of(parcel, field);
    const char *wire = "";

    if (value != NULL &&
        !fieldtype_to_text(field->type, text_of(parcel, field), making->world->arena, &wire, err))
        return false;
    sf_ingest_cell(csv, wire, false);
    return true;
}

/* The columns that any of the rows has; the record's id leads, empty for new ones. */
static size_t choose_columns(const struct making *making, const struct mapping_field **columns)
{
    size_t count = 0;

    for (size_t i = 0; i < making->mapping->field_count; i++) {
        bool is_used = false;

        for (size_t j = 0; j < making->count && !is_used; j++)
            is_used = value_of(&making->parcels[j], &making->mapping->fields[i]) != NULL;
        if (is_used)
            columns[count++] = &making->mapping->fields[i];
    }
    return count;
}

static bool write_csv(const struct making *making, struct buf *csv, struct error *err)
{
    const struct mapping_field **columns = arena_array(
        making->world->arena, const struct mapping_field *, making->mapping->field_count);
    size_t column_count = choose_columns(making, columns);
    bool has_id = making->action != DELIVERY_INSERT;

    if (has_id)
        sf_ingest_cell(csv, "Id", true);
    for (size_t i = 0; i < column_count; i++)
        sf_ingest_cell(csv, columns[i]->soql_path, !has_id && i == 0);
    sf_ingest_end_row(csv);
    for (size_t i = 0; i < making->count; i++) {
        struct buf row BUF_AUTO = {0};

        buf_init(&row, SF_CSV_ROW_BYTES);
        for (size_t j = 0; j < column_count; j++)
            if (!write_cell(making, &making->parcels[i], columns[j], &row, err))
                return false;
        if (has_id)
            buf_text(csv, making->parcels[i].sfid);
        buf_append(csv, row.data + (has_id ? 0 : 1), row.size_bytes - (has_id ? 0 : 1));
        sf_ingest_end_row(csv);
    }
    return !buf_is_full(csv) || error_set(err, ERROR_RECORD, "too many bytes for one job");
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static bool number_job(struct making *making, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        making->world->pg, "select nextval(pg_get_serial_sequence('pgforce.bulk_job', 'id'))",
        PG_PARAMS(), err);

    if (result == NULL)
        return false;
    making->job = pg_field_int64(result, 0, 0);
    return true;
}

static bool store(const struct bulk_world *world, struct error *err)
{
    return settle_store_patiently(world->settle, world->pg, world->schema_name, err);
}

static bool name_job(const struct making *making, const char *id, struct error *err)
{
    return pg_run(making->world->pg, "update pgforce.bulk_job set job_id = $2 where id = $1",
                  PG_PARAMS(pg_number(making->job).text, id), err);
}

static bool forget_job(const struct bulk_world *world, int64_t job, struct error *err)
{
    return pg_run(world->pg, "delete from pgforce.bulk_job where id = $1",
                  PG_PARAMS(pg_number(job).text), err);
}

/* Nothing was done: back to NEW, for another job or, where Bulk takes none, for requests. */
static bool release(const struct making *making, const struct error *why, struct error *err)
{
    const struct bulk_world *world = making->world;
    bool is_refused = why->kind != ERROR_RETRY;

    if (is_refused)
        world->are_refused[making->mapping - world->mappings->items] = true;
    log_warning("no Bulk job", log_text("mapping", making->mapping->object_name),
                log_text("reason", why->message));
    for (size_t i = 0; i < making->count; i++) {
        const struct settle_outcome outcome = {
            .verdict = {.todo = DELIVERY_RETRY, .state = DELIVERY_NEW},
            .message = arena_strdup(world->arena, why->message),
            .wait_ms = is_refused ? 0
                                  : delivery_backoff_ms(DELIVERY_WAIT_SHORT,
                                                        (uint32_t)making->parcels[i].entry->attempt,
                                                        drand48()),
        };
        settle_add(world->settle, making->mapping, making->parcels[i].entry, &outcome);
    }
    return store(world, err) && forget_job(world, making->job, err);
}

/* From here on the job has a name; what is lost now is found by asking it. */
static void upload(const struct making *making, const char *id, const struct buf *csv)
{
    struct error err;

    if (sf_ingest_upload(making->world->session, id, csv, &err) &&
        sf_ingest_close(making->world->session, id, &err))
        return;
    log_warning("the Bulk job's upload has no answer; it will be asked",
                log_text("mapping", making->mapping->object_name), log_text("job", id),
                log_text("reason", err.message));
}

static bool send_job(struct making *making, const struct buf *csv, struct error *err)
{
    char id[SF_ID_BYTES];
    struct error why;

    for (size_t i = 0; i < making->count; i++)
        settle_intend(making->world->settle, deliver_intent(&making->parcels[i], making->job));
    if (!store(making->world, err))
        return false;
    if (!sf_ingest_create(making->world->session, making->mapping->object_name,
                          operations[making->action], id, &why))
        return release(making, &why, err);
    if (!name_job(making, id, err))
        return false;
    upload(making, id, csv);
    log_info("began a Bulk job", log_text("mapping", making->mapping->object_name),
             log_text("action", delivery_action_name(making->action)),
             log_number("rows", (int64_t)making->count), log_text("job", id));
    return true;
}

bool bulk_begin(const struct bulk_world *world, struct bulk_run *run, struct bulk_report *report,
                struct error *err)
{
    struct making making = {.world = world,
                            .mapping = &world->mappings->items[run->batches->mapping],
                            .action = run->batches->action};
    struct buf csv BUF_AUTO = {0};
    struct error unfit;
    bool is_ok = true;

    buf_init(&csv, SF_INGEST_BYTES);
    run->is_taken = false;
    if (!fill_parcels(&making, run, err))
        return false;
    if (are_fit(&making) && write_csv(&making, &csv, &unfit)) {
        run->is_taken = true;
        report->sent += making.count;
        is_ok = number_job(&making, err) && send_job(&making, &csv, err);
    }
    free_records(&making);
    return is_ok;
}

/* --- following ---------------------------------------------------------------------------------
 */

/* A row of a job that has been sent, and what has been heard of it. */
struct sent_row {
    const char *key; /* what a result names it by: its identifier, or its record's id */
    const struct queue_entry *entry;
    bool is_told;
};

struct following {
    const struct bulk_world *world;
    const struct mapping *mapping;
    enum delivery_action action;
    int64_t job;
    const char *id; /* NULL: never named, so nothing was uploaded */
    struct queue queue;
    struct sent_row *rows; /* by key */
    struct bulk_report *report;
    size_t unprocessed;
};

static int compare_rows(const void *left, const void *right)
{
    return strcmp(((const struct sent_row *)left)->key, ((const struct sent_row *)right)->key);
}

static void index_rows(struct following *following)
{
    following->rows = arena_array(following->world->arena, struct sent_row, following->queue.count);
    for (size_t i = 0; i < following->queue.count; i++) {
        const struct queue_entry *entry = &following->queue.entries[i];
        const char *key = following->action == DELIVERY_INSERT ? entry->external_id : entry->sfid;

        following->rows[i] = (struct sent_row){key != NULL ? key : "", entry, false};
    }
    qsort(following->rows, following->queue.count, sizeof(*following->rows), compare_rows);
}

static void settle_row(struct following *following, struct sent_row *row,
                       const struct deliver_facts *facts)
{
    struct settle_outcome outcome = deliver_outcome(facts, following->world->arena);

    row->is_told = true;
    following->report->resolved++;
    following->report->failed += outcome.verdict.state == DELIVERY_FAILED;
    settle_add(following->world->settle, following->mapping, row->entry, &outcome);
}

static struct deliver_facts make_facts(const struct following *following,
                                       const struct queue_entry *entry)
{
    return (struct deliver_facts){
        .entry = entry,
        .action = following->action,
        .has_unique_key = entry->external_id != NULL,
        .code = "",
        .message = "",
    };
}

static const char *cell_named(const struct sf_csv_row *header, const struct sf_csv_row *row,
                              const char *name)
{
    for (size_t i = 0; i < header->count; i++)
        if (strcasecmp(header->cells[i], name) == 0)
            return row->cells[i];
    return NULL;
}

static struct sent_row *find_row(const struct following *following, const char *key)
{
    const struct sent_row wanted = {.key = key};

    if (key == NULL)
        return NULL;
    return bsearch(&wanted, following->rows, following->queue.count, sizeof(*following->rows),
                   compare_rows);
}

static void take_result(void *context, enum sf_ingest_result kind, const struct sf_csv_row *header,
                        const struct sf_csv_row *cells)
{
    struct following *following = context;
    struct arena *arena = following->world->arena;
    bool is_insert = following->action == DELIVERY_INSERT;
    const char *id = cell_named(header, cells, "sf__Id");
    const char *key = is_insert ? cell_named(header, cells, following->mapping->upsert->field_name)
                      : id != NULL && id[0] != '\0' ? id
                                                    : cell_named(header, cells, "Id");
    struct sent_row *row = find_row(following, key);

    if (row == NULL || row->is_told)
        return;
    struct deliver_facts facts = make_facts(following, row->entry);
    struct sf_row_result result = {
        .id = id != NULL ? arena_strdup(arena, id) : "", .code = "", .message = ""};
    facts.fate = kind == SF_INGEST_UNPROCESSED ? SF_NOT_DONE : SF_ANSWERED;
    facts.outcome = SF_OUTCOME_TRANSIENT;
    following->unprocessed += kind == SF_INGEST_UNPROCESSED;
    if (kind == SF_INGEST_FAILED) {
        const char *error = cell_named(header, cells, "sf__Error");

        sf_ingest_read_error(error != NULL ? error : "", arena, &result.code, &result.message);
        result.outcome = sf_outcome_of_record(result.code, result.message);
    }
    facts.row = kind != SF_INGEST_UNPROCESSED ? &result : NULL;
    settle_row(following, row, &facts);
}

/* What no result names may have been done; what was certainly not is tried again. */
static void settle_untold(struct following *following, enum sf_fate fate, const char *why)
{
    for (size_t i = 0; i < following->queue.count; i++) {
        struct sent_row *row = &following->rows[i];
        struct deliver_facts facts = make_facts(following, row->entry);

        if (row->is_told)
            continue;
        facts.fate = fate;
        facts.outcome = fate == SF_NOT_DONE ? SF_OUTCOME_TRANSIENT : SF_OUTCOME_UNKNOWN;
        facts.message = why;
        settle_row(following, row, &facts);
    }
}

static bool finish(struct following *following, struct error *err)
{
    const struct bulk_world *world = following->world;
    size_t rows = following->queue.count;

    if (!store(world, err) || !forget_job(world, following->job, err))
        return false;
    log_info("finished a Bulk job", log_text("mapping", following->mapping->object_name),
             log_text("action", delivery_action_name(following->action)),
             log_number("rows", (int64_t)rows),
             log_number("unprocessed", (int64_t)following->unprocessed));
    if (following->id != NULL)
        sf_ingest_drop(world->session, following->id);
    return true;
}

/* A job that could not even begin with its rows is no way for this mapping. */
static void note_refusal(const struct following *following,
                         const struct sf_ingest_progress *progress)
{
    const struct bulk_world *world = following->world;

    if (following->unprocessed < following->queue.count || following->queue.count == 0)
        return;
    world->are_refused[following->mapping - world->mappings->items] = true;
    log_warning("a Bulk job did none of its rows: they go by requests",
                log_text("mapping", following->mapping->object_name),
                log_text("reason", progress->message));
}

static bool read_results(struct following *following, const struct sf_ingest_progress *progress,
                         struct error *err)
{
    struct sf_session *session = following->world->session;
    const struct sf_ingest_reader reader = {take_result, following};

    for (int kind = SF_INGEST_SUCCESSFUL; kind <= SF_INGEST_UNPROCESSED; kind++)
        if (!sf_ingest_results(session, following->id, (enum sf_ingest_result)kind, &reader, err)) {
            settle_clear(following->world->settle);
            return false;
        }
    note_refusal(following, progress);
    settle_untold(following, SF_IN_DOUBT, "no result of the Bulk job names this row");
    return finish(following, err);
}

/* Open after the upload's answer was lost, or after a crash: what is aborted open is not done. */
static bool give_up_open(struct following *following, struct error *err)
{
    if (!sf_ingest_abort(following->world->session, following->id, err))
        return false;
    settle_untold(following, SF_NOT_DONE, "the Bulk job's upload was lost");
    return finish(following, err);
}

static bool follow_named(struct following *following, struct error *err)
{
    struct sf_ingest_progress progress;

    if (!sf_ingest_ask(following->world->session, following->id, &progress, err))
        return false;
    switch (progress.state) {
    case SF_INGEST_WORKING: return true;
    case SF_INGEST_OPEN: return give_up_open(following, err);
    case SF_INGEST_ENDED: return read_results(following, &progress, err);
    case SF_INGEST_LOST: break;
    }
    settle_untold(following, SF_IN_DOUBT, "Salesforce no longer knows the Bulk job");
    return finish(following, err);
}

static bool follow(struct following *following, struct error *err)
{
    const struct bulk_world *world = following->world;

    following->queue.arena = world->arena;
    if (!queue_take_job(world->pg, world->schema_name, following->job, &following->queue, err))
        return false;
    index_rows(following);
    if (following->id != NULL && following->queue.count > 0)
        return follow_named(following, err);
    settle_untold(following, SF_NOT_DONE, "the Bulk job was never made");
    return finish(following, err);
}

static PGresult *due_jobs(const struct bulk_world *world, struct error *err)
{
    return pg_query(world->pg,
                    "update pgforce.bulk_job"
                    " set asked_at = clock_timestamp()"
                    " where schema_name = $1"
                    " and" QUEUE_BULK_IS_DUE " returning id, mapping_id, action, job_id",
                    PG_PARAMS(world->schema_name), err);
}

static const struct mapping *mapping_by_id(const struct bulk_world *world, int64_t id)
{
    for (size_t i = 0; i < world->mappings->count; i++)
        if (world->mappings->items[i].id == id)
            return &world->mappings->items[i];
    return NULL;
}

bool bulk_follow(const struct bulk_world *world, struct bulk_report *report, struct error *err)
{
    PGresult *jobs PG_RESULT_AUTO = due_jobs(world, err);

    if (jobs == NULL)
        return false;
    for (int i = 0; i < PQntuples(jobs); i++) {
        struct following following = {.world = world,
                                      .mapping = mapping_by_id(world, pg_field_int64(jobs, i, 1)),
                                      .job = pg_field_int64(jobs, i, 0),
                                      .id = pg_field(jobs, i, 3),
                                      .report = report};

        if (following.mapping == NULL ||
            !delivery_action_parse(pg_field(jobs, i, 2), &following.action))
            continue;
        if (follow(&following, err))
            continue;
        if (PQstatus(pg_conn(world->pg)) != CONNECTION_OK || err->kind == ERROR_BUG)
            return false;
        log_warning("cannot follow a Bulk job yet",
                    log_text("mapping", following.mapping->object_name),
                    log_text("reason", err->message));
    }
    return true;
}
