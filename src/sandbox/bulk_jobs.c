#include "sandbox/bulk_jobs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/bulk_load.h"
#include "sandbox/bulk_query.h"
#include "sandbox/bulk_store.h"
#include "sandbox/routes.h"
#include "sandbox/rules.h"
#include "sandbox/times.h"
#include "sandbox/users.h"

enum {
    MAX_JOBS = 5000,
    KEPT_S = 7 * 24 * 3600,
    SLICE_MS = 20,
    LIST_ROWS = 1000,
};

struct bulk {
    struct bulk_job *first; /* the oldest */
    struct bulk_job *prepared;
    struct bulk_switches switches;
    size_t job_count;
    int64_t next_number;
    int64_t query_count;
    int64_t ingest_count;
};

static const char *const state_names[] = {
    [BULK_OPEN] = "Open",
    [BULK_UPLOAD_COMPLETE] = "UploadComplete",
    [BULK_IN_PROGRESS] = "InProgress",
    [BULK_JOB_COMPLETE] = "JobComplete",
    [BULK_FAILED] = "Failed",
    [BULK_ABORTED] = "Aborted",
};

/* Every job may hold some files open. */
static void allow_many_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct bulk *bulk_jobs_new(void)
{
    struct bulk *bulk = memory_alloc(sizeof(*bulk));

    bulk->switches.fail_after = -1;
    allow_many_files();
    return bulk;
}

void bulk_jobs_drop(struct bulk_job *job)
{
    bulk_load_free(job->load);
    bulk_pages_free(job->pages);
    spool_free(job->upload);
    spool_free(job->successes);
    spool_free(job->failures);
    spool_free(job->unprocessed);
    arena_free(job->arena);
    free(job);
}

static void drop_list(struct bulk_job **list)
{
    while (*list != NULL) {
        struct bulk_job *job = *list;

        *list = job->next;
        bulk_jobs_drop(job);
    }
}

void bulk_jobs_forget(struct bulk *bulk)
{
    drop_list(&bulk->first);
    drop_list(&bulk->prepared);
    bulk->switches = (struct bulk_switches){.fail_after = -1};
    bulk->job_count = 0;
    bulk->query_count = 0;
    bulk->ingest_count = 0;
}

void bulk_jobs_free(struct bulk *bulk)
{
    if (bulk == NULL)
        return;
    bulk_jobs_forget(bulk);
    free(bulk);
}

struct bulk_switches *bulk_jobs_switches(struct bulk *bulk)
{
    return &bulk->switches;
}

struct bulk_job **bulk_jobs_prepared(struct bulk *bulk)
{
    return &bulk->prepared;
}

int64_t bulk_jobs_query_count(const struct bulk *bulk)
{
    return bulk->query_count;
}

int64_t bulk_jobs_ingest_count(const struct bulk *bulk)
{
    return bulk->ingest_count;
}

/* ---- states ---- */

static bool is_ended(const struct bulk_job *job)
{
    return job->state >= BULK_JOB_COMPLETE;
}

void bulk_jobs_set_state(const struct org *org, struct bulk_job *job, enum bulk_state state)
{
    job->state = state;
    job->is_changed = true;
    job->modified_s = org_now(org);
}

void bulk_jobs_fail(const struct org *org, struct bulk_job *job, const char *message)
{
    job->error_message = arena_strdup(job->arena, message);
    bulk_jobs_set_state(org, job, BULK_FAILED);
}

/* Where jobs are kept, the rows and how far the job is with them are one unit of work. */
static bool work_and_keep(struct call *call, struct bulk_job *job, struct error *err)
{
    struct store *store = call->org->store;
    struct error ignored = {0};
    bool is_kept = bulk_store_is_kept(call->org);
    int64_t kept_bytes[BULK_KINDS];

    memcpy(kept_bytes, job->kept_bytes, sizeof(kept_bytes));
    job->is_changed = true;
    if (is_kept && !store_begin(store, err))
        return false;
    int64_t started_ms = clock_monotonic_ms();
    bool is_done = job->is_query ? bulk_query_work(call, job, err) : bulk_load_work(call, job, err);
    job->work_ms += clock_monotonic_ms() - started_ms;
    if (!is_kept)
        return is_done;
    if (is_done && bulk_store_save(call->org, job, err))
        return store_commit(store, err);
    memcpy(job->kept_bytes, kept_bytes, sizeof(kept_bytes));
    store_rollback(store, &ignored);
    return false;
}

static void work_on(struct call *call, struct bulk_job *job)
{
    struct error err = {0};

    if (work_and_keep(call, job, &err))
        return;
    log_error("failed a job", log_text("job", job->id.text), log_text("error", err.message));
    bulk_jobs_fail(call->org, job, "InternalServerError : An unexpected error occurred");
}

/* The call that made the job goes on: what the work does has the same origin. */
static void work_slice(struct org *org, struct bulk_job *job)
{
    int64_t end_ms = clock_monotonic_ms() + SLICE_MS;
    struct http_server_pair header = {.name = "Sforce-Call-Options", .value = job->client};
    struct http_server_response response = {.status = 200};
    struct http_server_request request = {
        .method = "PUT", .headers = &header, .header_count = 1, .body = "", .arena = arena_new()};
    struct call call = {.org = org,
                        .arena = request.arena,
                        .request = &request,
                        .response = &response,
                        .method = "PUT"};

    request.path = arena_printf(request.arena, "/services/data/v%s/jobs/ingest/%s/batches",
                                job->version, job->id.text);
    request.target = request.path;
    buf_init(&response.body, ERROR_MESSAGE_BYTES);
    if (routes_split(&call, request.path))
        call.version = job->version;
    users_become(org, users_find_id(org, job->user_id.text));
    rules_read_header(&call);
    do
        work_on(&call, job);
    while (job->state == BULK_IN_PROGRESS && clock_monotonic_ms() < end_ms);
    buf_done(&response.body);
    arena_free(request.arena);
}

bool bulk_jobs_work(struct org *org)
{
    for (struct bulk_job *job = org->bulk->first; job != NULL; job = job->next) {
        if (job->state == BULK_UPLOAD_COMPLETE)
            bulk_jobs_set_state(org, job, BULK_IN_PROGRESS);
        if (job->state != BULK_IN_PROGRESS || org->bulk->switches.is_stuck)
            continue;
        work_slice(org, job);
        return true;
    }
    return false;
}

/* ---- making ---- */

static const char *get_text(const json_t *parameters, const char *key)
{
    return json_string_value(json_object_get(parameters, key));
}

static bool is_operation(const char *operation, bool is_query)
{
    static const char *const queries[] = {"query", "queryAll", NULL};
    static const char *const ingests[] = {"insert", "update",     "upsert",
                                          "delete", "hardDelete", NULL};

    for (const char *const *each = is_query ? queries : ingests; *each != NULL; each++)
        if (operation != NULL && strcmp(*each, operation) == 0)
            return true;
    return false;
}

static const char *read_client(const struct call *call, struct arena *arena)
{
    const char *options = http_server_header(call->request, "Sforce-Call-Options");

    return arena_strdup(arena, options != NULL ? options : "");
}

struct bulk_job *bulk_jobs_make(struct call *call, const json_t *parameters, bool is_query)
{
    const char *operation = get_text(parameters, "operation");
    const char *content = get_text(parameters, "contentType");
    struct csv_format format;

    if (!is_operation(operation, is_query)) {
        call_error(call, "INVALIDJOB", "InvalidJob : Unknown operation: %s",
                   operation != NULL ? operation : "null");
        return NULL;
    }
    if (content != NULL && strcmp(content, "CSV") != 0) {
        call_error(call, "INVALIDJOB", "InvalidJob : Unsupported content type: %s", content);
        return NULL;
    }
    if (!csv_find_format(get_text(parameters, "columnDelimiter"),
                         get_text(parameters, "lineEnding"), &format)) {
        call_error(call, "INVALIDJOB", "InvalidJob : Unknown columnDelimiter or lineEnding");
        return NULL;
    }
    struct bulk_job *job = memory_alloc(sizeof(*job));
    job->arena = arena_new();
    job->is_query = is_query;
    job->state = is_query ? BULK_UPLOAD_COMPLETE : BULK_OPEN;
    job->operation = arena_strdup(job->arena, operation);
    job->version = arena_strdup(job->arena, call->version != NULL ? call->version : "60.0");
    job->client = read_client(call, job->arena);
    job->user_id = call->org->user->id;
    job->format = format;
    job->created_s = org_now(call->org);
    job->modified_s = job->created_s;
    return job;
}

static void unlink_job(struct org *org, struct bulk_job **link)
{
    struct bulk_job *job = *link;

    *link = job->next;
    org->bulk->job_count--;
    bulk_store_drop(org, job->id.text);
    bulk_jobs_drop(job);
}

void bulk_jobs_remove(struct org *org, struct bulk_job *job)
{
    struct bulk_job **link = &org->bulk->first;

    while (*link != job)
        link = &(*link)->next;
    unlink_job(org, link);
}

int64_t *bulk_jobs_number(struct bulk *bulk)
{
    return &bulk->next_number;
}

struct bulk_job *bulk_jobs_first(struct bulk *bulk)
{
    return bulk->first;
}

bool bulk_jobs_has_changed(const struct bulk *bulk)
{
    for (const struct bulk_job *job = bulk->first; job != NULL; job = job->next)
        if (job->is_changed)
            return true;
    return false;
}

/* Jobs past their time go, and the oldest that has ended when there are too many. */
static void forget_old(struct org *org)
{
    struct bulk *bulk = org->bulk;
    struct bulk_job **link = &bulk->first;
    int64_t limit_s = org_now(org) - KEPT_S;

    while (*link != NULL) {
        bool is_old = (*link)->created_s < limit_s || bulk->job_count >= MAX_JOBS;

        /* Batches belong to their jobs. */
        if (is_old && is_ended(*link) && !(*link)->is_batch)
            unlink_job(org, link);
        else
            link = &(*link)->next;
    }
}

struct ids_text bulk_jobs_next_id(struct bulk *bulk, const char *prefix)
{
    return ids_make(prefix, ++bulk->next_number);
}

static void append(struct bulk *bulk, struct bulk_job *job)
{
    struct bulk_job **link = &bulk->first;

    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
    bulk->job_count++;
    bulk->query_count += job->is_query;
    bulk->ingest_count += !job->is_query;
}

void bulk_jobs_add(struct call *call, struct bulk_job *job)
{
    struct bulk *bulk = call->org->bulk;

    forget_old(call->org);
    append(bulk, job);
    job->id = bulk_jobs_next_id(bulk, "750");
    job->number = bulk->next_number;
    job->is_changed = true;
}

/* A batch has had the id after its number too. */
void bulk_jobs_adopt(struct bulk *bulk, struct bulk_job *job)
{
    append(bulk, job);
    if (bulk->next_number <= job->number)
        bulk->next_number = job->number + 1;
}

/* ---- telling ---- */

static void set_counts(json_t *json, const struct bulk_job *job)
{
    json_object_set_new(json, "numberRecordsProcessed", json_integer(job->processed_count));
    if (!job->is_query)
        json_object_set_new(json, "numberRecordsFailed", json_integer(job->failed_count));
    json_object_set_new(json, "retries", json_integer(0));
    json_object_set_new(json, "totalProcessingTime", json_integer(job->work_ms));
    if (job->is_query) {
        json_object_set_new(json, "isPkChunkingSupported", json_true());
        return;
    }
    json_object_set_new(json, "apiActiveProcessingTime", json_integer(job->work_ms));
    json_object_set_new(json, "apexProcessingTime", json_integer(0));
}

json_t *bulk_jobs_describe(const struct bulk_job *job, bool is_new)
{
    json_t *json = json_pack("{s:s, s:s, s:s}", "id", job->id.text, "operation", job->operation,
                             "object", job->object->name);

    json_object_set_new(json, "createdById", json_string(job->user_id.text));
    json_object_set_new(json, "createdDate",
                        json_string(times_format_datetime(job->created_s).text));
    json_object_set_new(json, "systemModstamp",
                        json_string(times_format_datetime(job->modified_s).text));
    json_object_set_new(json, "state", json_string(state_names[job->state]));
    json_object_set_new(json, "concurrencyMode", json_string("Parallel"));
    json_object_set_new(json, "contentType", json_string("CSV"));
    json_object_set_new(json, "apiVersion", json_real(strtod(job->version, NULL)));
    if (!is_new)
        json_object_set_new(json, "jobType", json_string(job->is_query ? "V2Query" : "V2Ingest"));
    if (!job->is_query)
        json_object_set_new(
            json, "contentUrl",
            json_sprintf("services/data/v%s/jobs/ingest/%s/batches", job->version, job->id.text));
    json_object_set_new(json, "lineEnding", json_string(csv_line_ending_name(&job->format)));
    json_object_set_new(json, "columnDelimiter", json_string(csv_delimiter_name(&job->format)));
    if (job->key != NULL)
        json_object_set_new(json, "externalIdFieldName", json_string(job->key->name));
    if (!is_new)
        set_counts(json, job);
    if (job->error_message != NULL)
        json_object_set_new(json, "errorMessage", errors_text_to_json(job->error_message));
    return json;
}

static void answer_job(struct call *call, const struct bulk_job *job, bool is_new)
{
    call_json(call, 200, bulk_jobs_describe(job, is_new));
}

/* ---- one job ---- */

struct bulk_job *bulk_jobs_find(struct call *call, bool is_query)
{
    struct ids_text id;

    if (ids_normalize(call->arguments[0], &id))
        for (struct bulk_job *job = call->org->bulk->first; job != NULL; job = job->next)
            if (job->is_query == is_query && !job->is_batch && strcmp(job->id.text, id.text) == 0)
                return job;
    call_error(call, "NOT_FOUND", "The requested resource does not exist");
    return NULL;
}

static void get_job(struct call *call, bool is_query)
{
    const struct bulk_job *job = bulk_jobs_find(call, is_query);

    if (job != NULL)
        answer_job(call, job, false);
}

void bulk_jobs_get_query(struct call *call)
{
    get_job(call, true);
}

void bulk_jobs_get_ingest(struct call *call)
{
    get_job(call, false);
}

static void abort_job(struct call *call, struct bulk_job *job)
{
    if (is_ended(job)) {
        call_error(call, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed");
        return;
    }
    bulk_jobs_set_state(call->org, job, BULK_ABORTED);
    answer_job(call, job, true);
}

static void complete_upload(struct call *call, struct bulk_job *job)
{
    if (job->is_query || job->state != BULK_OPEN) {
        call_error(call, "INVALIDJOBSTATE",
                   "InvalidJobState : Invalid state transition from %s to "
                   "UploadComplete",
                   state_names[job->state]);
        return;
    }
    bulk_jobs_set_state(call->org, job, BULK_UPLOAD_COMPLETE);
    answer_job(call, job, true);
}

static void change_job(struct call *call, bool is_query)
{
    struct bulk_job *job = bulk_jobs_find(call, is_query);
    json_t *body = job != NULL ? call_body(call) : NULL;
    const char *state = get_text(body, "state");

    if (body == NULL)
        return;
    if (state != NULL && strcmp(state, "Aborted") == 0)
        abort_job(call, job);
    else if (state != NULL && strcmp(state, "UploadComplete") == 0)
        complete_upload(call, job);
    else
        call_error(call, "INVALIDJOBSTATE",
                   "InvalidJobState : state must be UploadComplete or "
                   "Aborted");
}

void bulk_jobs_change_query(struct call *call)
{
    change_job(call, true);
}

void bulk_jobs_change_ingest(struct call *call)
{
    change_job(call, false);
}

static void delete_job(struct call *call, bool is_query)
{
    struct bulk_job *job = bulk_jobs_find(call, is_query);

    if (job == NULL)
        return;
    if (job->state == BULK_OPEN || job->state == BULK_IN_PROGRESS) {
        call_error(call, "INVALIDJOBSTATE", "InvalidJobState : a job that is %s cannot be deleted",
                   state_names[job->state]);
        return;
    }
    bulk_jobs_remove(call->org, job);
    call_no_content(call);
}

void bulk_jobs_delete_query(struct call *call)
{
    delete_job(call, true);
}

void bulk_jobs_delete_ingest(struct call *call)
{
    delete_job(call, false);
}

/* ---- all jobs ---- */

static void list_jobs(struct call *call, bool is_query)
{
    const char *type = http_server_param(call->request, "jobType");
    const char *start = http_server_param(call->request, "queryLocator");
    const char *own = is_query ? "V2Query" : "V2Ingest";
    int64_t position = 0;
    int64_t first = start != NULL ? strtoll(start, NULL, 10) : 0;
    json_t *records = json_array();
    json_t *next = json_null();

    for (const struct bulk_job *job = call->org->bulk->first; job != NULL; job = job->next) {
        if (job->is_query != is_query || job->is_batch ||
            (type != NULL && strcmp(type, own) != 0) || position++ < first)
            continue;
        if (json_array_size(records) == LIST_ROWS) {
            next = json_sprintf("/services/data/v%s/jobs/%s?queryLocator=%" PRId64, call->version,
                                is_query ? "query" : "ingest", position - 1);
            break;
        }
        json_array_append_new(records, bulk_jobs_describe(job, false));
    }
    call_json(call, 200,
              json_pack("{s:b, s:o, s:o}", "done", json_is_null(next), "records", records,
                        "nextRecordsUrl", next));
}

void bulk_jobs_list_queries(struct call *call)
{
    list_jobs(call, true);
}

void bulk_jobs_list_ingests(struct call *call)
{
    list_jobs(call, false);
}
