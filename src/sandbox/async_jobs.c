#include "sandbox/async_jobs.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/async_info.h"
#include "sandbox/bulk_ingest.h"
#include "sandbox/bulk_query.h"
#include "sandbox/oauth.h"
#include "sandbox/resources.h"

enum { MAX_JOBS = 1000, MAX_BATCHES = 5000 };

struct async_job {
    struct ids_text id;
    json_t *parameters; /* operation, object, externalIdFieldName, as the 2.0 API takes them */
    const char *state;
    int64_t created_s;
    struct bulk_job *batches[MAX_BATCHES];
    size_t batch_count;
    bool is_changed; /* since it was written to the store */
};

struct async {
    struct async_job *jobs[MAX_JOBS]; /* a ring: the oldest gives way */
    size_t next;
};

static void free_job(struct async_job *job)
{
    if (job == NULL)
        return;
    json_decref(job->parameters);
    free(job);
}

struct async *async_jobs_new(void)
{
    return memory_alloc(sizeof(struct async));
}

void async_jobs_forget(struct async *async)
{
    for (size_t i = 0; i < MAX_JOBS; i++) {
        free_job(async->jobs[i]);
        async->jobs[i] = NULL;
    }
}

void async_jobs_free(struct async *async)
{
    if (async == NULL)
        return;
    async_jobs_forget(async);
    free(async);
}

/* ---- finding ---- */

/* This API's session comes in a header of its own, and so does its refusal. */
static bool check_session(struct call *call)
{
    const char *token = http_server_header(call->request, "X-SFDC-Session");

    if (!resources_is_version(call->arguments[0])) {
        async_info_refuse(call, "InvalidVersion", "unsupported API version");
        return false;
    }
    call->version = call->arguments[0];
    if ((token != NULL && oauth_enter(call->org, token)) || oauth_has_session(call))
        return true;
    async_info_refuse(call, "InvalidSessionId", "Invalid session id");
    return false;
}

static struct async_job *find_job(struct call *call)
{
    struct async *async = call->org->async;
    struct ids_text id;

    if (!check_session(call))
        return NULL;
    for (size_t i = 0; i < MAX_JOBS && ids_normalize(call->arguments[1], &id); i++)
        if (async->jobs[i] != NULL && strcmp(async->jobs[i]->id.text, id.text) == 0)
            return async->jobs[i];
    async_info_refuse(call, "InvalidJob", "Unable to find the job");
    return NULL;
}

static struct bulk_job *find_batch(struct call *call, struct async_job **job)
{
    struct ids_text id;

    *job = find_job(call);
    if (*job == NULL)
        return NULL;
    for (size_t i = 0; i < (*job)->batch_count && ids_normalize(call->arguments[2], &id); i++)
        if (strcmp((*job)->batches[i]->id.text, id.text) == 0)
            return (*job)->batches[i];
    async_info_refuse(call, "InvalidBatch", "Unable to find the batch");
    return NULL;
}

static struct bulk_job *find_ended_batch(struct call *call)
{
    struct async_job *job = NULL;
    struct bulk_job *batch = find_batch(call, &job);

    if (batch == NULL || batch->state == BULK_JOB_COMPLETE)
        return batch;
    async_info_refuse(call, "InvalidBatch", "Batch not completed");
    return NULL;
}

/* ---- jobs ---- */

static void count_batches(const struct async_job *job, json_t *info)
{
    json_int_t queued = 0;
    json_int_t working = 0;
    json_int_t completed = 0;
    json_int_t failed = 0;
    json_int_t processed = 0;
    json_int_t rows_failed = 0;

    for (size_t i = 0; i < job->batch_count; i++) {
        const struct bulk_job *batch = job->batches[i];

        queued += batch->state == BULK_UPLOAD_COMPLETE;
        working += batch->state == BULK_IN_PROGRESS;
        completed += batch->state == BULK_JOB_COMPLETE;
        failed += batch->state >= BULK_FAILED;
        processed += batch->processed_count;
        rows_failed += batch->failed_count;
    }
    json_t *counts = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "numberBatchesQueued",
                               queued, "numberBatchesInProgress", working, "numberBatchesCompleted",
                               completed, "numberBatchesFailed", failed, "numberBatchesTotal",
                               (json_int_t)job->batch_count, "numberRecordsProcessed", processed,
                               "numberRetries", 0, "numberRecordsFailed", rows_failed);
    json_object_update(info, counts);
    json_decref(counts);
}

static void answer_job(struct call *call, const struct async_job *job, int status)
{
    json_t *info =
        json_pack("{s:s, s:O, s:O, s:s, s:s, s:s, s:s}", "id", job->id.text, "operation",
                  json_object_get(job->parameters, "operation"), "object",
                  json_object_get(job->parameters, "object"), "createdById", call->org->user_id,
                  "createdDate", async_info_moment(call->arena, job->created_s), "systemModstamp",
                  async_info_moment(call->arena, job->created_s), "state", job->state);
    json_t *key = json_object_get(job->parameters, "externalIdFieldName");

    if (key != NULL)
        json_object_set(info, "externalIdFieldName", key);
    json_object_set_new(info, "concurrencyMode", json_string("Parallel"));
    json_object_set_new(info, "contentType", json_string("CSV"));
    json_object_set_new(info, "apiVersion", json_string(call->version));
    count_batches(job, info);
    async_info_answer(call, status, "jobInfo", info);
}

/* The members of jobInfo that matter; NULL after refusing. */
static json_t *read_parameters(struct call *call)
{
    static const char *const names[] = {"operation", "object", "externalIdFieldName"};
    json_t *parameters = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = async_info_read(call, names[i]);

        if (text != NULL)
            json_object_set_new(parameters, names[i], json_string(text));
    }
    const char *content = async_info_read(call, "contentType");
    const char *object = json_string_value(json_object_get(parameters, "object"));
    if (content != NULL && strcasecmp(content, "CSV") != 0)
        async_info_refuse(call, "InvalidJob", "this organisation takes batches in CSV only");
    else if (json_object_get(parameters, "operation") == NULL)
        async_info_refuse(call, "InvalidJob", "operation is missing");
    else if (object == NULL || schema_find_visible(call->org->schema, object) == NULL)
        async_info_refuse(call, "InvalidEntity", "the object is not supported by the Bulk API");
    else
        return parameters;
    json_decref(parameters);
    return NULL;
}

static void drop_job(struct org *org, struct async_job *job)
{
    struct value id = value_text(job->id.text);
    struct error ignored = {0};

    store_change(org->store, "delete from sandbox_async where id = ?", &id, 1, &ignored);
    free_job(job);
}

void async_jobs_create(struct call *call)
{
    struct async *async = call->org->async;
    json_t *parameters = check_session(call) ? read_parameters(call) : NULL;

    if (parameters == NULL)
        return;
    struct async_job **slot = &async->jobs[async->next++ % MAX_JOBS];
    for (size_t i = 0; *slot != NULL && i < (*slot)->batch_count; i++)
        bulk_jobs_remove(call->org, (*slot)->batches[i]);
    if (*slot != NULL)
        drop_job(call->org, *slot);
    *slot = memory_alloc(sizeof(**slot));
    (*slot)->id = bulk_jobs_next_id(call->org->bulk, "750");
    (*slot)->parameters = parameters;
    (*slot)->state = "Open";
    (*slot)->is_changed = true;
    (*slot)->created_s = org_now(call->org);
    answer_job(call, *slot, 201);
}

void async_jobs_get(struct call *call)
{
    const struct async_job *job = find_job(call);

    if (job != NULL)
        answer_job(call, job, 200);
}

void async_jobs_change(struct call *call)
{
    struct async_job *job = find_job(call);
    const char *state = job != NULL ? async_info_read(call, "state") : NULL;

    if (job == NULL)
        return;
    if (state == NULL || (strcmp(state, "Closed") != 0 && strcmp(state, "Aborted") != 0)) {
        async_info_refuse(call, "InvalidJobState", "state must be Closed or Aborted");
        return;
    }
    job->state = strcmp(state, "Closed") == 0 ? "Closed" : "Aborted";
    job->is_changed = true;
    for (size_t i = 0; *job->state == 'A' && i < job->batch_count; i++)
        if (job->batches[i]->state < BULK_JOB_COMPLETE)
            bulk_jobs_set_state(call->org, job->batches[i], BULK_ABORTED);
    answer_job(call, job, 200);
}

/* ---- batches ---- */

static json_t *describe_batch(struct call *call, const struct async_job *job,
                              const struct bulk_job *batch)
{
    static const char *const states[] = {
        [BULK_OPEN] = "Queued",
        [BULK_UPLOAD_COMPLETE] = "Queued",
        [BULK_IN_PROGRESS] = "InProgress",
        [BULK_JOB_COMPLETE] = "Completed",
        [BULK_FAILED] = "Failed",
        [BULK_ABORTED] = "Not Processed",
    };
    json_t *info = json_pack("{s:s, s:s, s:s}", "id", batch->id.text, "jobId", job->id.text,
                             "state", states[batch->state]);

    if (batch->error_message != NULL)
        json_object_set_new(info, "stateMessage", errors_text_to_json(batch->error_message));
    json_t *rest = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:i}", "createdDate",
        async_info_moment(call->arena, batch->created_s), "systemModstamp",
        async_info_moment(call->arena, batch->modified_s), "numberRecordsProcessed",
        (json_int_t)batch->processed_count, "numberRecordsFailed", (json_int_t)batch->failed_count,
        "totalProcessingTime", (json_int_t)batch->work_ms, "apiActiveProcessingTime",
        (json_int_t)batch->work_ms, "apexProcessingTime", 0);
    json_object_update(info, rest);
    json_decref(rest);
    return info;
}

/* The body is rows, or, for a query, its statement. NULL after answering in the 2.0 API's words. */
static struct bulk_job *make_batch(struct call *call, const struct async_job *job)
{
    const char *operation = json_string_value(json_object_get(job->parameters, "operation"));

    if (strncmp(operation, "query", 5) != 0)
        return bulk_ingest_make_batch(call, job->parameters);
    json_t *parameters =
        json_pack("{s:s, s:s?}", "operation", operation, "query", call->request->body);
    struct bulk_job *batch = parameters != NULL ? bulk_query_make(call, parameters) : NULL;
    json_decref(parameters);
    return batch;
}

void async_jobs_add_batch(struct call *call)
{
    struct async_job *job = find_job(call);

    if (job == NULL)
        return;
    if (strcmp(job->state, "Open") != 0 || job->batch_count == MAX_BATCHES) {
        async_info_refuse(call, "InvalidJobState", "the job takes no more batches");
        return;
    }
    struct bulk_job *batch = make_batch(call, job);
    if (batch == NULL) {
        async_info_rewrite(call, "InvalidBatch");
        return;
    }
    batch->is_batch = true;
    bulk_jobs_add(call, batch);
    batch->id = bulk_jobs_next_id(call->org->bulk, "751");
    job->batches[job->batch_count++] = batch;
    job->is_changed = true;
    async_info_answer(call, 201, "batchInfo", describe_batch(call, job, batch));
}

void async_jobs_get_batch(struct call *call)
{
    struct async_job *job = NULL;
    const struct bulk_job *batch = find_batch(call, &job);

    if (batch != NULL)
        async_info_answer(call, 200, "batchInfo", describe_batch(call, job, batch));
}

void async_jobs_list_batches(struct call *call)
{
    const struct async_job *job = find_job(call);
    json_t *list = json_array();

    for (size_t i = 0; job != NULL && i < job->batch_count; i++)
        json_array_append_new(list, describe_batch(call, job, job->batches[i]));
    if (job != NULL)
        async_info_answer(call, 200, "batchInfoList", json_pack("{s:O}", "batchInfo", list));
    json_decref(list);
}

/* ---- what went in, what came out ---- */

static void answer_spool(struct call *call, struct spool *spool)
{
    struct error err = {0};

    call_header(call, "Content-Type", "text/csv; charset=UTF-8");
    if (spool != NULL && !spool_send(spool, 0, spool_size(spool), call->response, &err))
        call_failed(call, &err);
}

void async_jobs_get_request(struct call *call)
{
    struct async_job *job = NULL;
    struct bulk_job *batch = find_batch(call, &job);

    if (batch != NULL && batch->is_query)
        call_text(call, 200, "text/csv; charset=UTF-8", batch->soql);
    else if (batch != NULL)
        answer_spool(call, batch->upload);
}

/* A query has one result; its id is the batch's with another prefix. */
static const char *result_id(struct call *call, const struct bulk_job *batch)
{
    struct ids_text id;
    char text[IDS_SHORT + 1];

    memcpy(text, batch->id.text, IDS_SHORT);
    text[IDS_SHORT] = '\0';
    memcpy(text, "752", 3);
    ids_normalize(text, &id);
    return arena_strdup(call->arena, id.text);
}

void async_jobs_get_result(struct call *call)
{
    struct bulk_job *batch = find_ended_batch(call);

    if (batch == NULL)
        return;
    if (batch->is_query)
        async_info_answer(call, 200, "result-list",
                          json_pack("{s:[s]}", "result", result_id(call, batch)));
    else
        answer_spool(call, batch->successes);
}

void async_jobs_get_query_result(struct call *call)
{
    struct bulk_job *batch = find_ended_batch(call);
    struct error err = {0};

    if (batch == NULL)
        return;
    if (!batch->is_query || strcmp(call->arguments[3], result_id(call, batch)) != 0) {
        async_info_refuse(call, "InvalidBatch", "Unable to find the result");
        return;
    }
    call_header(call, "Content-Type", "text/csv; charset=UTF-8");
    if (!bulk_pages_send(batch->pages, 0, bulk_pages_count(batch->pages), call->response, &err))
        call_failed(call, &err);
}

/* ---- in the store ---- */

bool async_jobs_open(struct org *org, struct error *err)
{
    return store_run(org->store,
                     "create table if not exists sandbox_async ("
                     " id text primary key, info text not null) without rowid",
                     err);
}

bool async_jobs_has_changed(const struct async *async)
{
    for (size_t i = 0; i < MAX_JOBS; i++)
        if (async->jobs[i] != NULL && async->jobs[i]->is_changed)
            return true;
    return false;
}

static bool save_job(struct org *org, struct async_job *job, struct error *err)
{
    json_t *batches = json_array();

    for (size_t i = 0; i < job->batch_count; i++)
        json_array_append_new(batches, json_string(job->batches[i]->id.text));
    json_t *info = json_pack("{s:O, s:s, s:I, s:I, s:o}", "parameters", job->parameters, "state",
                             job->state, "created", (json_int_t)job->created_s, "number",
                             (json_int_t)*bulk_jobs_number(org->bulk), "batches", batches);
    char *text = json_dumps(info, JSON_COMPACT);
    struct value values[] = {value_text(job->id.text), value_text(text)};
    job->is_changed = !store_change(
        org->store, "insert or replace into sandbox_async values (?, ?)", values, 2, err);
    free(text);
    json_decref(info);
    return !job->is_changed;
}

bool async_jobs_save(struct org *org, struct error *err)
{
    for (size_t i = 0; i < MAX_JOBS; i++)
        if (org->async->jobs[i] != NULL && org->async->jobs[i]->is_changed &&
            !save_job(org, org->async->jobs[i], err))
            return false;
    return true;
}

static void find_batches(struct org *org, struct async_job *job, const json_t *ids)
{
    size_t index;
    const json_t *id;

    json_array_foreach(ids, index, id)
    {
        const char *text = json_string_value(id);
        struct bulk_job *each = text != NULL ? bulk_jobs_first(org->bulk) : NULL;

        while (each != NULL && strcmp(each->id.text, text) != 0)
            each = each->next;
        if (each != NULL && job->batch_count < MAX_BATCHES)
            job->batches[job->batch_count++] = each;
    }
}

static void load_job(struct org *org, const char *id, const json_t *info)
{
    static const char *const states[] = {"Open", "Closed", "Aborted"};
    const char *state = json_string_value(json_object_get(info, "state"));
    struct async_job *job = memory_alloc(sizeof(*job));

    ids_normalize(id, &job->id);
    job->parameters = json_incref(json_object_get(info, "parameters"));
    job->created_s = json_integer_value(json_object_get(info, "created"));
    int64_t number = json_integer_value(json_object_get(info, "number"));
    if (*bulk_jobs_number(org->bulk) < number)
        *bulk_jobs_number(org->bulk) = number;
    job->state = states[0];
    for (size_t i = 0; state != NULL && i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i], state) == 0)
            job->state = states[i];
    find_batches(org, job, json_object_get(info, "batches"));
    free_job(org->async->jobs[org->async->next % MAX_JOBS]);
    org->async->jobs[org->async->next++ % MAX_JOBS] = job;
}

static bool load_row(void *context, sqlite3_stmt *row, struct error *err)
{
    json_t *info = json_loads((const char *)sqlite3_column_text(row, 1), 0, NULL);

    (void)err;
    if (info != NULL)
        load_job(context, (const char *)sqlite3_column_text(row, 0), info);
    json_decref(info);
    return true;
}

bool async_jobs_load(struct org *org, struct error *err)
{
    return store_each(org->store, "select id, info from sandbox_async order by id", load_row, org,
                      err);
}
