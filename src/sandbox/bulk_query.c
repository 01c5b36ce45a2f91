#include "sandbox/bulk_query.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/limits.h"
#include "sandbox/query.h"

enum {
    PIECE_ROWS = 20000, /* of the table, at a time */
    PAGE_ROWS = 250000, /* when the client names no number */
    MAX_PARALLEL_PAGES = 5,
    LOCATOR_BYTES = 64,
};

/* ---- creating ---- */

static bool refuse(struct call *call, const char *code, const char *message)
{
    call_error(call, code, "%s", message);
    return false;
}

/* What a bulk query cannot do that a query can. */
static bool check_plan(struct call *call, const struct soql_plan *plan)
{
    if (plan->is_count || plan->is_aggregate)
        return refuse(call, "API_ERROR", "Aggregate Relationships not supported in Bulk Query");
    if (plan->has_children)
        return refuse(call, "API_ERROR", "Foreign Key Relationships not supported in Bulk Query");
    if (plan->has_compound)
        return refuse(call, "FUNCTIONALITY_NOT_ENABLED",
                      "Selecting compound data not supported in Bulk Query");
    if (plan->has_offset)
        return refuse(call, "API_ERROR", "OFFSET is not supported in Bulk Query");
    if (plan->has_type_of)
        return refuse(call, "API_ERROR", "TYPEOF is not supported in Bulk Query");
    return true;
}

bool bulk_query_plan(struct call *call, struct bulk_job *job)
{
    bool is_all = strcmp(job->operation, "queryAll") == 0;

    job->plan = query_plan_pieces(call, job->arena, job->soql, is_all,
                                  bulk_jobs_switches(call->org->bulk)->is_shuffled);
    if (job->plan == NULL || !check_plan(call, job->plan))
        return false;
    job->object = job->plan->object;
    job->pages = bulk_pages_new(&job->format, job->plan->columns);
    return true;
}

struct bulk_job *bulk_query_make(struct call *call, const json_t *parameters)
{
    const char *soql = json_string_value(json_object_get(parameters, "query"));
    struct bulk_job *job = bulk_jobs_make(call, parameters, true);

    if (job == NULL)
        return NULL;
    bool is_made =
        soql != NULL || refuse(call, "MALFORMED_QUERY", "SOQL statements cannot be empty or null");
    if (is_made) {
        job->soql = arena_strdup(job->arena, soql);
        is_made = bulk_query_plan(call, job);
    }
    if (is_made)
        return job;
    bulk_jobs_drop(job);
    return NULL;
}

/* Takes over what was rendered for the same question. */
static void use_prepared(struct call *call, struct bulk_job *job)
{
    const struct bulk_job *each = *bulk_jobs_prepared(call->org->bulk);

    while (each != NULL &&
           (strcmp(each->soql, job->soql) != 0 || strcmp(each->operation, job->operation) != 0 ||
            strcmp(each->user_id.text, job->user_id.text) != 0 ||
            !bulk_pages_is_like(each->pages, job->pages)))
        each = each->next;
    if (each == NULL)
        return;
    bulk_pages_free(job->pages);
    job->pages = bulk_pages_share(each->pages);
    job->processed_count = bulk_pages_count(job->pages);
    job->next_row = -1;
}

void bulk_query_create(struct call *call)
{
    json_t *body = call_body(call);
    struct bulk_job *job = body != NULL ? bulk_query_make(call, body) : NULL;

    if (job == NULL)
        return;
    if (!limits_use(call->org->limits, "DailyBulkV2QueryJobs")) {
        bulk_jobs_drop(job);
        refuse(call, "LIMIT_EXCEEDED", "The daily limit of query jobs is exceeded");
        return;
    }
    use_prepared(call, job);
    bulk_jobs_add(call, job);
    call_json(call, 200, bulk_jobs_describe(job, true));
}

/* ---- running ---- */

static bool find_last_row(struct store *store, const struct bulk_job *job, int64_t *last,
                          struct error *err)
{
    const char *sql =
        arena_printf(job->arena, "select max(\"_row\") from \"%s\"", job->plan->object->name);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(store, sql, &statement, err) || !store_step(store, statement, &has_row, err))
        return false;
    *last = has_row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

static bool write_rows(struct store *store, struct bulk_job *job, sqlite3_stmt *statement,
                       struct error *err)
{
    int result;

    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        if (!bulk_pages_write(job->pages, statement, err))
            return false;
    if (result != SQLITE_DONE)
        return error_set(err, ERROR_BUG, "%s", sqlite3_errmsg(store_database(store)));
    return bulk_pages_settle(job->pages, err);
}

static bool run_piece(struct call *call, struct bulk_job *job, struct error *err)
{
    struct soql_plan *plan = job->plan;
    sqlite3_stmt *statement = NULL;

    if (plan->piece_index > 0) {
        plan->values[plan->piece_index - 1] = value_integer(job->next_row);
        plan->values[plan->piece_index] = value_integer(job->next_row + PIECE_ROWS);
    }
    if (!query_prepare(call, plan, plan->sql, &statement, err))
        return false;
    bool is_written = write_rows(call->org->store, job, statement, err);
    sqlite3_finalize(statement);
    job->next_row += PIECE_ROWS;
    job->processed_count = bulk_pages_count(job->pages);
    return is_written;
}

bool bulk_query_work(struct call *call, struct bulk_job *job, struct error *err)
{
    int64_t last = 0;
    bool is_rendered = job->next_row < 0;

    if (!is_rendered && !run_piece(call, job, err))
        return false;
    if (!is_rendered && job->plan->piece_index > 0 &&
        !find_last_row(call->org->store, job, &last, err))
        return false;
    if (is_rendered || job->next_row >= last)
        bulk_jobs_set_state(call->org, job, BULK_JOB_COMPLETE);
    return true;
}

/* ---- results ---- */

/* A locator is the number of the page's first row, in base 64. */
static const char *make_locator(struct call *call, int64_t row)
{
    const char *number = arena_printf(call->arena, "%" PRId64, row);
    unsigned char *text = arena_alloc(call->arena, LOCATOR_BYTES);

    EVP_EncodeBlock(text, (const unsigned char *)number, (int)strlen(number));
    text[strcspn((char *)text, "=")] = '\0';
    return (const char *)text;
}

static bool read_locator(struct call *call, const struct bulk_job *job, int64_t *row)
{
    const char *text = http_server_param(call->request, "locator");
    unsigned char padded[LOCATOR_BYTES + 1] = "";
    unsigned char number[LOCATOR_BYTES] = "";
    size_t length = text != NULL ? strcspn(text, "=") : 0;

    *row = 0;
    if (length == 0)
        return true;
    if (length < LOCATOR_BYTES / 2) {
        memset(padded, '=', (length + 3) / 4 * 4);
        memcpy(padded, text, length);
        EVP_DecodeBlock(number, padded, (int)((length + 3) / 4 * 4));
        *row = strtoll((char *)number, NULL, 10);
    }
    if (*row > 0 && *row < bulk_pages_count(job->pages) &&
        strncmp(make_locator(call, *row), text, length) == 0)
        return true;
    return refuse(call, "INVALID_QUERY_LOCATOR", "invalid query locator");
}

static int64_t page_size(struct call *call)
{
    const char *text = http_server_param(call->request, "maxRecords");
    int64_t bound = bulk_jobs_switches(call->org->bulk)->page_rows;
    int64_t size = text != NULL ? strtoll(text, NULL, 10) : 0;

    if (size <= 0)
        size = PAGE_ROWS;
    return bound > 0 && size > bound ? bound : size;
}

/* The finished job whose results are asked for, or NULL after answering. */
static struct bulk_job *find_finished(struct call *call)
{
    struct bulk_job *job = bulk_jobs_find(call, true);

    if (job == NULL)
        return NULL;
    if (strcmp(job->version, call->version) != 0) {
        call_error(call, "API_VERSION_MISMATCH",
                   "Use API version %s, with which the job was created", job->version);
        return NULL;
    }
    if (job->state != BULK_JOB_COMPLETE) {
        refuse(call, "INVALIDJOBSTATE", "The results of the query job are not ready");
        return NULL;
    }
    return job;
}

void bulk_query_results(struct call *call)
{
    struct bulk_job *job = find_finished(call);
    int64_t first = 0;
    struct error err = {0};

    if (job == NULL || !read_locator(call, job, &first))
        return;
    int64_t left = bulk_pages_count(job->pages) - first;
    int64_t count = page_size(call);
    bool is_last = count >= left;
    if (is_last)
        count = left;
    call_header(call, "Content-Type", "text/csv; charset=UTF-8");
    call_header(call, "Sforce-Locator", is_last ? "null" : make_locator(call, first + count));
    call_header(call, "Sforce-NumberOfRecords", arena_printf(call->arena, "%" PRId64, count));
    call->record_count = (size_t)count;
    if (!bulk_pages_send(job->pages, first, count, call->response, &err))
        call_failed(call, &err);
}

/* Up to five pages that may be fetched side by side. */
void bulk_query_result_pages(struct call *call)
{
    struct bulk_job *job = find_finished(call);
    int64_t row = 0;

    if (job == NULL || !read_locator(call, job, &row))
        return;
    int64_t total = bulk_pages_count(job->pages);
    int64_t size = page_size(call);
    const char *url = call_url(call, "/jobs/query/%s", job->id.text);
    json_t *pages = json_array();
    do {
        const char *locator =
            row > 0 ? arena_printf(call->arena, "locator=%s&", make_locator(call, row)) : "";

        json_array_append_new(
            pages, json_pack("{s:o}", "resultUrl",
                             json_sprintf("%s/results?%smaxRecords=%" PRId64, url, locator, size)));
        row += size;
    } while (row < total && json_array_size(pages) < MAX_PARALLEL_PAGES);
    json_t *answer = json_pack("{s:o, s:b}", "resultPages", pages, "done", row >= total);
    if (row < total)
        json_object_set_new(
            answer, "nextRecordsUrl",
            json_sprintf("%s/resultPages?locator=%s", url, make_locator(call, row)));
    call_json(call, 200, answer);
}
