#include "sandbox/bulk_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/async_jobs.h"
#include "sandbox/bulk_load.h"
#include "sandbox/bulk_query.h"
#include "sandbox/users.h"

bool bulk_store_open(struct org *org, struct error *err)
{
    return store_run(org->store,
                     "create table if not exists sandbox_job ("
                     " id text primary key, number integer not null, info text not null);"
                     "create table if not exists sandbox_job_part ("
                     " seq integer primary key, job text not null, kind integer not null,"
                     " data blob not null);"
                     "create index if not exists sandbox_job_parts on sandbox_job_part (job)",
                     err);
}

bool bulk_store_is_kept(const struct org *org)
{
    return org->options.data != NULL;
}

/* ---- writing ---- */

static json_t *describe(const struct bulk_job *job)
{
    json_t *info =
        json_pack("{s:b, s:b, s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:b}", "query", job->is_query,
                  "batch", job->is_batch, "state", (int)job->state, "operation", job->operation,
                  "object", job->object->name, "version", job->version, "client", job->client,
                  "user", job->user_id.text, "delimiter", job->format.delimiter, "crlf",
                  job->format.is_crlf, "any_end", job->format.takes_any_end);
    json_t *rest =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?, s:s?, s:b}", "created", job->created_s,
                  "modified", job->modified_s, "processed", job->processed_count, "failed",
                  job->failed_count, "work_ms", job->work_ms, "soql", job->soql, "key",
                  job->key != NULL ? job->key->name : NULL, "uploaded", job->upload != NULL);

    json_object_update(info, rest);
    json_decref(rest);
    if (job->error_message != NULL)
        json_object_set_new(info, "error", errors_text_to_json(job->error_message));
    return info;
}

static bool write_info(struct org *org, const struct bulk_job *job, struct error *err)
{
    json_t *info = describe(job);
    char *text = json_dumps(info, JSON_COMPACT);
    struct value values[] = {value_text(job->id.text), value_integer(job->number),
                             value_text(text)};
    bool is_written = store_change(
        org->store, "insert or replace into sandbox_job values (?, ?, ?)", values, 3, err);

    free(text);
    json_decref(info);
    return is_written;
}

static bool write_part(struct org *org, const struct bulk_job *job, int kind,
                       const struct bulk_piece *piece, struct error *err)
{
    struct value id = value_text(job->id.text);
    struct value number = value_integer(kind);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(org->store,
                       "insert into sandbox_job_part (job, kind, data) values (?1, ?2, ?3)",
                       &statement, err))
        return false;
    store_bind(statement, 1, &id);
    store_bind(statement, 2, &number);
    sqlite3_bind_blob64(statement, 3, piece->data, piece->size_bytes, SQLITE_STATIC);
    bool is_written = store_step(org->store, statement, &has_row, err);
    sqlite3_clear_bindings(statement);
    return is_written;
}

/* What a spool has got since it was written last. */
static bool write_spool(struct org *org, struct bulk_job *job, int kind, struct spool *spool,
                        struct error *err)
{
    int64_t size = spool != NULL ? spool_size(spool) : 0;
    int64_t kept = job->kept_bytes[kind];

    if (size <= kept)
        return true;
    const char *data = spool_view(spool, err);
    if (data == NULL)
        return false;
    const struct bulk_piece piece = {.data = data + kept, .size_bytes = (size_t)(size - kept)};
    if (!write_part(org, job, kind, &piece, err))
        return false;
    job->kept_bytes[kind] = size;
    return true;
}

static bool write_spools(struct org *org, struct bulk_job *job, struct error *err)
{
    struct spool *rows = NULL;
    struct spool *ends = NULL;

    /* Of a query only what is whole: another run may find other rows. */
    if (job->is_query && job->state == BULK_JOB_COMPLETE)
        bulk_pages_spools(job->pages, &rows, &ends);
    return write_spool(org, job, BULK_UPLOAD, job->upload, err) &&
           write_spool(org, job, BULK_SUCCESSES, job->successes, err) &&
           write_spool(org, job, BULK_FAILURES, job->failures, err) &&
           write_spool(org, job, BULK_UNPROCESSED, job->unprocessed, err) &&
           write_spool(org, job, BULK_ROWS, rows, err) &&
           write_spool(org, job, BULK_ENDS, ends, err);
}

bool bulk_store_save(struct org *org, struct bulk_job *job, struct error *err)
{
    struct call call = {.org = org};

    if (!job->is_query && job->state >= BULK_JOB_COMPLETE && !bulk_load_finish(&call, job, err))
        return false;
    if (!write_spools(org, job, err) || !write_info(org, job, err))
        return false;
    job->is_changed = false;
    return true;
}

bool bulk_store_save_changed(struct org *org, struct error *err)
{
    struct error ignored = {0};
    bool is_saved = true;

    if (!bulk_jobs_has_changed(org->bulk) && !async_jobs_has_changed(org->async))
        return true;
    if (!store_begin(org->store, err))
        return false;
    for (struct bulk_job *job = bulk_jobs_first(org->bulk); job != NULL && is_saved;
         job = job->next)
        is_saved = !job->is_changed || bulk_store_save(org, job, err);
    if (is_saved && async_jobs_save(org, err))
        return store_commit(org->store, err);
    store_rollback(org->store, &ignored);
    return false;
}

/* A job that cannot be forgotten is found again after a restart: a nuisance, not a loss. */
void bulk_store_drop(struct org *org, const char *id)
{
    struct value value = value_text(id);
    struct error err = {0};

    if (!store_change(org->store, "delete from sandbox_job where id = ?", &value, 1, &err) ||
        !store_change(org->store, "delete from sandbox_job_part where job = ?", &value, 1, &err))
        log_error("cannot forget a job", log_text("job", id), log_text("error", err.message));
}

bool bulk_store_clear(struct org *org, struct error *err)
{
    return store_run(
        org->store,
        "delete from sandbox_job; delete from sandbox_job_part; delete from sandbox_async", err);
}

/* ---- reading ---- */

static const char *get_text(const struct bulk_job *job, const json_t *info, const char *key)
{
    const char *text = json_string_value(json_object_get(info, key));

    return text != NULL ? arena_strdup(job->arena, text) : NULL;
}

static int64_t get_number(const json_t *info, const char *key)
{
    return json_integer_value(json_object_get(info, key));
}

/* False when what it is about is no more. */
static bool read_target(struct org *org, struct bulk_job *job, const json_t *info)
{
    const char *object = get_text(job, info, "object");
    const char *user = get_text(job, info, "user");
    const char *key = get_text(job, info, "key");

    job->object = object != NULL ? schema_find(org->schema, object) : NULL;
    if (job->object == NULL || user == NULL || !ids_normalize(user, &job->user_id))
        return false;
    job->key = key != NULL ? schema_field(job->object, key) : NULL;
    return key == NULL || job->key != NULL;
}

static bool read_info(struct org *org, struct bulk_job *job, const json_t *info)
{
    job->is_query = json_is_true(json_object_get(info, "query"));
    job->is_batch = json_is_true(json_object_get(info, "batch"));
    job->state = (enum bulk_state)get_number(info, "state");
    job->operation = get_text(job, info, "operation");
    job->version = get_text(job, info, "version");
    job->client = get_text(job, info, "client");
    job->soql = get_text(job, info, "soql");
    job->error_message = get_text(job, info, "error");
    job->format = (struct csv_format){
        .delimiter = (char)get_number(info, "delimiter"),
        .is_crlf = json_is_true(json_object_get(info, "crlf")),
        .takes_any_end = json_is_true(json_object_get(info, "any_end")),
    };
    job->created_s = get_number(info, "created");
    job->modified_s = get_number(info, "modified");
    job->processed_count = get_number(info, "processed");
    job->failed_count = get_number(info, "failed");
    job->work_ms = get_number(info, "work_ms");
    if (json_is_true(json_object_get(info, "uploaded")))
        job->upload = spool_new();
    return job->operation != NULL && job->version != NULL && job->client != NULL &&
           read_target(org, job, info);
}

/* Where the bytes of a kind go; NULL: nowhere. */
static struct spool *find_spool(struct bulk_job *job, int kind)
{
    struct spool **own[] = {[BULK_UPLOAD] = &job->upload,
                            [BULK_SUCCESSES] = &job->successes,
                            [BULK_FAILURES] = &job->failures,
                            [BULK_UNPROCESSED] = &job->unprocessed};
    struct spool *rows = NULL;
    struct spool *ends = NULL;

    if (kind == BULK_ROWS || kind == BULK_ENDS) {
        if (job->pages != NULL)
            bulk_pages_spools(job->pages, &rows, &ends);
        return kind == BULK_ROWS ? rows : ends;
    }
    if (kind < 0 || kind > BULK_UNPROCESSED)
        return NULL;
    if (*own[kind] == NULL)
        *own[kind] = spool_new();
    return *own[kind];
}

static bool read_parts(struct org *org, struct bulk_job *job, struct error *err)
{
    struct value id = value_text(job->id.text);
    sqlite3_stmt *statement = NULL;
    bool has_row = true;

    if (!store_prepare(org->store,
                       "select kind, data from sandbox_job_part where job = ? order by seq",
                       &statement, err))
        return false;
    store_bind(statement, 1, &id);
    for (;;) {
        if (!store_step(org->store, statement, &has_row, err))
            return false;
        if (!has_row)
            return true;
        int kind = sqlite3_column_int(statement, 0);
        size_t size = (size_t)sqlite3_column_bytes(statement, 1);
        struct spool *spool = find_spool(job, kind);
        if (spool != NULL && !spool_append(spool, sqlite3_column_blob(statement, 1), size, err)) {
            sqlite3_reset(statement);
            return false;
        }
        if (spool != NULL)
            job->kept_bytes[kind] += (int64_t)size;
    }
}

/* A query is planned again as its user would; one that was under way starts again. */
static bool plan_again(struct org *org, struct bulk_job *job)
{
    struct http_server_response response = {.status = 200};
    struct http_server_request request = {.method = "POST", .body = "", .arena = arena_new()};
    struct call call = {.org = org,
                        .arena = request.arena,
                        .request = &request,
                        .response = &response,
                        .method = "POST",
                        .version = job->version};

    buf_init(&response.body, ERROR_MESSAGE_BYTES);
    users_become(org, users_find_id(org, job->user_id.text));
    bool is_planned = job->soql != NULL && bulk_query_plan(&call, job);
    users_become(org, NULL);
    buf_done(&response.body);
    arena_free(request.arena);
    if (job->state == BULK_IN_PROGRESS) {
        job->state = BULK_UPLOAD_COMPLETE;
        job->processed_count = 0;
    }
    return is_planned;
}

static bool read_job(struct org *org, struct bulk_job *job, const char *text, struct error *err)
{
    json_t *info = json_loads(text, 0, NULL);
    bool is_known = info != NULL && read_info(org, job, info);

    json_decref(info);
    if (is_known && job->is_query)
        is_known = plan_again(org, job);
    if (!is_known) {
        log_warning("dropped a job whose object or field is no more",
                    log_text("job", job->id.text));
        bulk_jobs_drop(job);
        return true;
    }
    if (!read_parts(org, job, err)) {
        bulk_jobs_drop(job);
        return false;
    }
    if (job->is_query && job->state == BULK_JOB_COMPLETE)
        bulk_pages_restore(job->pages, job->processed_count);
    if (!job->is_query && job->state >= BULK_JOB_COMPLETE && job->unprocessed == NULL)
        job->unprocessed = spool_new();
    bulk_jobs_adopt(org->bulk, job);
    return true;
}

static bool list_job(void *context, sqlite3_stmt *row, struct error *err)
{
    (void)err;
    json_array_append_new(context, json_pack("[s, I, s]", sqlite3_column_text(row, 0),
                                             (json_int_t)sqlite3_column_int64(row, 1),
                                             sqlite3_column_text(row, 2)));
    return true;
}

/* The list first: reading a job runs statements of its own. */
static bool list_jobs(struct org *org, json_t *list, struct error *err)
{
    return store_each(org->store, "select id, number, info from sandbox_job order by number",
                      list_job, list, err);
}

bool bulk_store_load(struct org *org, struct error *err)
{
    json_t *list = json_array();
    bool is_loaded = list_jobs(org, list, err);
    size_t index;
    json_t *row;

    /* What the door has switched stays. */
    const struct bulk_switches switches = *bulk_jobs_switches(org->bulk);
    async_jobs_forget(org->async);
    bulk_jobs_forget(org->bulk);
    *bulk_jobs_switches(org->bulk) = switches;
    json_array_foreach(list, index, row)
    {
        struct bulk_job *job = memory_alloc(sizeof(*job));

        job->arena = arena_new();
        job->number = json_integer_value(json_array_get(row, 1));
        ids_normalize(json_string_value(json_array_get(row, 0)), &job->id);
        if (!is_loaded)
            bulk_jobs_drop(job);
        else
            is_loaded = read_job(org, job, json_string_value(json_array_get(row, 2)), err);
    }
    json_decref(list);
    return is_loaded && async_jobs_load(org, err);
}
