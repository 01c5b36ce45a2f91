#include "sandbox/bulk_load.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/bulk_row.h"
#include "sandbox/events.h"
#include "sandbox/locks.h"
#include "sandbox/removal.h"
#include "sandbox/save.h"

enum { CHUNK_ROWS = 200, MAX_RESULT_BYTES = 1024 * 1024 * 1024, SHUFFLE_STEP = 67 };

struct bulk_load {
    struct csv_reader reader;
    struct arena *arena;         /* of one chunk */
    struct bulk_column *columns; /* by the cells of the header */
    struct csv_row header;
    const struct field *id;
};

struct chunk_row {
    struct csv_row csv;
    json_t *record;
};

/* The rows of one unit of work, and the results they make. */
struct chunk {
    struct org *org;
    struct bulk_job *job;
    struct chunk_row rows[CHUNK_ROWS];
    size_t count;
    struct buf successes;
    struct buf failures;
};

void bulk_load_free(struct bulk_load *load)
{
    if (load == NULL)
        return;
    arena_free(load->arena);
    free(load);
}

static bool fail_batch(const struct org *org, struct bulk_job *job, const char *message)
{
    bulk_jobs_fail(org, job, arena_printf(job->arena, "InvalidBatch : %s", message));
    return true;
}

/* ---- results ---- */

static void write_cells(struct buf *out, const struct bulk_job *job, const struct csv_row *row,
                        bool is_first)
{
    for (size_t i = 0; i < job->load->header.count; i++) {
        const char *text = i < row->count ? row->cells[i] : "";

        if (!is_first || i > 0)
            buf_char(out, job->format.delimiter);
        csv_write(out, text, strlen(text));
    }
    csv_write_end(out, &job->format);
}

static void write_result(struct buf *out, const struct bulk_job *job, const char *first,
                         const char *second)
{
    csv_write(out, first, strlen(first));
    buf_char(out, job->format.delimiter);
    csv_write(out, second, strlen(second));
}

/* CODE:message:Field1,Field2 -- */
static const char *error_text(struct arena *arena, const struct record_errors *errors)
{
    const char *text = "";

    for (const struct record_error *each = errors->first; each != NULL; each = each->next)
        text = arena_printf(arena, "%s%s:%s:%s%s--", text, each->code, each->message, each->fields,
                            *each->fields != '\0' ? " " : "");
    return text;
}

/* Of a batch, one line for each row, in the rows' order. */
static bool write_batch_header(struct bulk_job *job, struct error *err)
{
    static const char header[] = "\"Id\",\"Success\",\"Created\",\"Error\"\n";

    job->successes = spool_new();
    job->failures = spool_new();
    return spool_append(job->successes, header, strlen(header), err);
}

static void write_batch_result(struct buf *out, const struct save *save)
{
    bool is_saved = errors_is_empty(&save->errors);
    const char *text = error_text(save->arena, &save->errors);

    buf_printf(out, "\"%s\",\"%s\",\"%s\",", is_saved ? save->id : "", is_saved ? "true" : "false",
               save->is_created && is_saved ? "true" : "false");
    csv_write(out, text, strlen(text));
    buf_char(out, '\n');
}

static bool write_headers(struct bulk_job *job, struct error *err)
{
    if (job->is_batch)
        return write_batch_header(job, err);
    struct buf success BUF_AUTO = {0};
    struct buf failure BUF_AUTO = {0};

    buf_init(&success, MAX_RESULT_BYTES);
    buf_init(&failure, MAX_RESULT_BYTES);
    write_result(&success, job, "sf__Id", "sf__Created");
    write_cells(&success, job, &job->load->header, false);
    write_result(&failure, job, "sf__Id", "sf__Error");
    write_cells(&failure, job, &job->load->header, false);
    job->successes = spool_new();
    job->failures = spool_new();
    return spool_append(job->successes, success.data, success.size_bytes, err) &&
           spool_append(job->failures, failure.data, failure.size_bytes, err);
}

/* ---- one row ---- */

static const char *find_id(const struct chunk *chunk, const struct chunk_row *row)
{
    const struct bulk_load *load = chunk->job->load;

    return bulk_row_cell(load->columns, load->header.count, &row->csv, load->id);
}

static bool refuse_missing(struct save *save, const struct field *field, const char *message)
{
    errors_add(&save->errors, "MISSING_ARGUMENT", field->name, "%s", message);
    return true;
}

static bool insert_row(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                       struct error *err)
{
    (void)chunk;
    return save_insert(save, row->record, err);
}

static bool update_row(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                       struct error *err)
{
    const char *id = find_id(chunk, row);

    if (id == NULL)
        return refuse_missing(save, chunk->job->load->id, "Id not specified in an update call");
    return save_update(save, id, row->record, err);
}

static bool upsert_row(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                       struct error *err)
{
    const struct bulk_job *job = chunk->job;
    const char *value =
        bulk_row_cell(job->load->columns, job->load->header.count, &row->csv, job->key);

    if (job->key == job->load->id)
        return value != NULL ? save_update(save, value, row->record, err)
                             : save_insert(save, row->record, err);
    if (value == NULL)
        return refuse_missing(save, job->key,
                              arena_printf(save->arena, "%s not specified", job->key->name));
    return save_upsert(save, job->key, value, row->record, err);
}

static bool delete_row(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                       struct error *err)
{
    const char *id = find_id(chunk, row);

    if (id == NULL)
        return refuse_missing(save, chunk->job->load->id, "Id not specified in a delete call");
    return removal_delete(save, id, err);
}

static bool purge_row(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                      struct error *err)
{
    const char *id = find_id(chunk, row);

    if (id == NULL)
        return refuse_missing(save, chunk->job->load->id, "Id not specified in a delete call");
    return removal_purge(save, id, err);
}

static const struct operation {
    const char *name;
    bool (*run)(struct chunk *chunk, const struct chunk_row *row, struct save *save,
                struct error *err);
    bool needs_id;
} operations[] = {
    {"insert", insert_row, false}, {"update", update_row, true},    {"upsert", upsert_row, false},
    {"delete", delete_row, true},  {"hardDelete", purge_row, true},
};

static const struct operation *find_operation(const struct bulk_job *job)
{
    const struct operation *each = operations;

    while (strcmp(each->name, job->operation) != 0)
        each++;
    return each;
}

static void write_outcome(struct chunk *chunk, const struct chunk_row *row, const struct save *save)
{
    struct bulk_job *job = chunk->job;
    bool is_saved = errors_is_empty(&save->errors);
    struct buf *out = is_saved ? &chunk->successes : &chunk->failures;
    const char *given = find_id(chunk, row);

    job->processed_count++;
    job->failed_count += !is_saved;
    if (job->is_batch) {
        write_batch_result(&chunk->successes, save);
        return;
    }
    if (is_saved)
        write_result(out, job, save->id, save->is_created ? "true" : "false");
    else
        write_result(out, job, given != NULL ? given : "", error_text(save->arena, &save->errors));
    write_cells(out, job, &row->csv, false);
}

/* One row in a unit of work of its own. */
static bool run_row(struct chunk *chunk, const struct chunk_row *row, struct error *err)
{
    struct store *store = chunk->org->store;
    struct error ignored = {0};
    struct save save;

    save_init(&save, chunk->org, chunk->job->load->arena, chunk->job->object);
    if (!store_begin(store, err))
        return false;
    if (!find_operation(chunk->job)->run(chunk, row, &save, err)) {
        store_rollback(store, &ignored);
        return false;
    }
    write_outcome(chunk, row, &save);
    return errors_is_empty(&save.errors) ? store_commit(store, err) : store_rollback(store, err);
}

/* ---- the start ---- */

static bool find_columns(struct org *org, struct bulk_job *job, const char **unknown)
{
    struct bulk_load *load = job->load;

    load->columns = arena_array(job->arena, struct bulk_column, load->header.count);
    for (size_t i = 0; i < load->header.count; i++)
        if (!bulk_row_find_column(org->schema, job->object, load->header.cells[i],
                                  &load->columns[i])) {
            *unknown = load->header.cells[i];
            return false;
        }
    return true;
}

static bool has_column(const struct bulk_load *load, const struct field *field)
{
    for (size_t i = 0; i < load->header.count; i++)
        if (load->columns[i].field == field && load->columns[i].relationship == NULL)
            return true;
    return false;
}

static bool skip_done(struct bulk_load *load, const struct bulk_job *job)
{
    struct csv_row row;

    for (int64_t i = 0; i < job->processed_count; i++) {
        if (csv_read(&load->reader, load->arena, &row) != CSV_ROW)
            break;
        arena_reset(load->arena);
    }
    return true;
}

static bool start(struct org *org, struct bulk_job *job, struct error *err)
{
    struct bulk_load *load = memory_alloc(sizeof(*load));
    const char *unknown = "";

    job->load = load;
    load->arena = arena_new();
    load->id = schema_field(job->object, "Id");
    load->reader = (struct csv_reader){.format = job->format};
    load->reader.data = job->upload != NULL ? spool_view(job->upload, err) : "";
    load->reader.size_bytes = job->upload != NULL ? (size_t)spool_size(job->upload) : 0;
    if (load->reader.data == NULL)
        return false;
    enum csv_result result = csv_read(&load->reader, job->arena, &load->header);
    if (result == CSV_BAD)
        return fail_batch(org, job, load->reader.problem);
    if (result == CSV_END)
        return fail_batch(org, job, "Records not found");
    if (!find_columns(org, job, &unknown))
        return fail_batch(org, job, arena_printf(job->arena, "Field name not found : %s", unknown));
    const struct field *key = find_operation(job)->needs_id ? load->id : job->key;
    if (key != NULL && !has_column(load, key))
        return fail_batch(org, job,
                          arena_printf(job->arena, "The column %s is missing", key->name));
    /* A job that comes from the store goes on where it was. */
    return job->successes != NULL ? skip_done(load, job) : write_headers(job, err);
}

/* ---- one chunk ---- */

static void read_rows(struct chunk *chunk, size_t room)
{
    struct bulk_load *load = chunk->job->load;

    while (chunk->count < room) {
        struct chunk_row *row = &chunk->rows[chunk->count];

        if (csv_read(&load->reader, load->arena, &row->csv) != CSV_ROW)
            return;
        if (row->csv.count > load->header.count) {
            load->reader.problem = "Failed to parse CSV. A row has more fields than the header";
            return;
        }
        row->record = bulk_row_read(load->columns, load->header.count, &row->csv);
        if (row->record == NULL) {
            load->reader.problem = "Failed to parse CSV. Found text that is not UTF-8";
            return;
        }
        chunk->count++;
    }
}

static bool run_rows(struct chunk *chunk, struct error *err)
{
    bool is_shuffled = bulk_jobs_switches(chunk->org->bulk)->is_shuffled && !chunk->job->is_batch;
    size_t step = is_shuffled && chunk->count % SHUFFLE_STEP != 0 ? SHUFFLE_STEP : 1;
    size_t first = is_shuffled ? chunk->count - 1 : 0;
    struct error ignored = {0};

    if (!store_begin(chunk->org->store, err))
        return false;
    for (size_t i = 0; i < chunk->count; i++)
        if (!run_row(chunk, &chunk->rows[(first + i * step) % chunk->count], err)) {
            store_rollback(chunk->org->store, &ignored);
            return false;
        }
    return store_commit(chunk->org->store, err) &&
           spool_append(chunk->job->successes, chunk->successes.data, chunk->successes.size_bytes,
                        err) &&
           spool_append(chunk->job->failures, chunk->failures.data, chunk->failures.size_bytes,
                        err);
}

/* How many rows may still be read; the door may have set an end before the last. */
static size_t rows_left(const struct org *org, const struct bulk_job *job)
{
    int64_t end = bulk_jobs_switches(org->bulk)->fail_after;

    if (end < 0 || end - job->processed_count >= CHUNK_ROWS)
        return CHUNK_ROWS;
    return end > job->processed_count ? (size_t)(end - job->processed_count) : 0;
}

static bool run_chunk(struct chunk *chunk, struct error *err)
{
    bool is_done = chunk->count == 0;

    buf_init(&chunk->successes, MAX_RESULT_BYTES);
    buf_init(&chunk->failures, MAX_RESULT_BYTES);
    if (!is_done)
        is_done = run_rows(chunk, err);
    for (size_t i = 0; i < chunk->count; i++)
        json_decref(chunk->rows[i].record);
    buf_done(&chunk->successes);
    buf_done(&chunk->failures);
    return is_done;
}

bool bulk_load_work(struct call *call, struct bulk_job *job, struct error *err)
{
    struct org *org = call->org;
    struct chunk chunk = {.org = org, .job = job};

    if (job->load == NULL && (!start(org, job, err) || job->state == BULK_FAILED))
        return job->state == BULK_FAILED;
    size_t room = rows_left(org, job);
    if (room == 0) {
        bulk_jobs_switches(org->bulk)->fail_after = -1;
        bulk_jobs_fail(org, job, "InternalServerError : The job was stopped by the sandbox's door");
        return true;
    }
    read_rows(&chunk, room);
    bool is_done = run_chunk(&chunk, err);
    locks_end_call(org->locks);
    events_publish(call);
    arena_reset(job->load->arena);
    call->record_count += chunk.count;
    if (!is_done || chunk.count > 0)
        return is_done;
    if (job->load->reader.problem != NULL)
        return fail_batch(org, job, job->load->reader.problem);
    bulk_jobs_set_state(org, job, BULK_JOB_COMPLETE);
    return true;
}

/* ---- what was not processed ---- */

static bool copy_rest(struct bulk_job *job, struct spool *rest, struct error *err)
{
    struct bulk_load *load = job->load;
    struct buf out BUF_AUTO = {0};
    struct csv_row row;

    buf_init(&out, MAX_RESULT_BYTES);
    write_cells(&out, job, &load->header, true);
    while (csv_read(&load->reader, load->arena, &row) == CSV_ROW) {
        write_cells(&out, job, &row, true);
        if (!spool_append(rest, out.data, out.size_bytes, err))
            return false;
        buf_clear(&out);
        arena_reset(load->arena);
    }
    return spool_append(rest, out.data, out.size_bytes, err);
}

bool bulk_load_finish(struct call *call, struct bulk_job *job, struct error *err)
{
    if (job->unprocessed != NULL)
        return true;
    struct spool *rest = spool_new();
    bool is_done = true;
    if (job->load == NULL && job->state == BULK_ABORTED && job->upload != NULL) {
        is_done = start(call->org, job, err);
        bulk_jobs_set_state(call->org, job, BULK_ABORTED);
    }
    if (is_done && job->load != NULL && job->load->header.count > 0)
        is_done = copy_rest(job, rest, err);
    if (is_done)
        job->unprocessed = rest;
    else
        spool_free(rest);
    return is_done;
}
