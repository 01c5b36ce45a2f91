#include "sf/bulk_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "sf/answer.h"
#include "sf/bulk_job.h"
#include "sf/datetime.h"

enum {
    PATH_BYTES = 4096,
    HEADER_BYTES = 1024,
    REFUSAL_BYTES = 64 * 1024,
    PAGES_IN_FLIGHT = 4,
    FIRST_PAGE_ROWS = 2000, /* how wide the rows are is seen with it */
    FEWEST_ROWS = 200,      /* each page is a call */
};

/* ---- the job ---- */

bool sf_bulk_create(struct sf_session *session, const char *soql, bool with_deleted,
                    struct sf_bulk_job *out, struct error *err)
{
    json_t *fields =
        json_pack("{s:s, s:s}", "operation", with_deleted ? "queryAll" : "query", "query", soql);
    struct sf_call call SF_CALL_AUTO = {.path = "/jobs/query"};

    *out = (struct sf_bulk_job){0};
    if (!sf_bulk_job_create(session, fields, &call, out->id, err))
        return error_prefix(err, "making a Bulk query");
    out->server_time_s = sf_answer_time_s(&call.exchange);
    return true;
}

static void lose(struct sf_bulk_progress *progress, const char *state, const char *message)
{
    progress->state = SF_BULK_LOST;
    snprintf(progress->message, sizeof(progress->message), "%s%s%s", state,
             message != NULL ? ": " : "", message != NULL ? message : "");
}

static bool read_progress(const struct sf_call *call, struct sf_bulk_progress *out,
                          struct error *err)
{
    const char *state = json_string_value(json_object_get(call->json, "state"));

    if (state == NULL)
        return error_set(err, ERROR_RETRY, "the answer about a Bulk job has no state");
    out->records = json_integer_value(json_object_get(call->json, "numberRecordsProcessed"));
    if (strcmp(state, "JobComplete") == 0)
        out->state = SF_BULK_COMPLETE;
    else if (strcmp(state, "Failed") == 0 || strcmp(state, "Aborted") == 0)
        lose(out, state, json_string_value(json_object_get(call->json, "errorMessage")));
    return true;
}

bool sf_bulk_ask(struct sf_session *session, const char *job_id, struct sf_bulk_progress *out,
                 struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {0};
    bool is_known;

    *out = (struct sf_bulk_progress){0};
    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "/jobs/query/%s", job_id);
    call.path = path.data;
    if (!sf_bulk_job_ask(session, &call, &is_known, err))
        return false;
    if (is_known)
        return read_progress(&call, out, err);
    lose(out, "Salesforce no longer has the job", NULL);
    return true;
}

void sf_bulk_drop(struct sf_session *session, const char *job_id)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {.method = "DELETE"};
    struct error ignored;

    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "/jobs/query/%s", job_id);
    call.path = path.data;
    sf_request(session, &call, 1, &ignored);
}

/* ---- its result ---- */

/* A page that was asked for. */
struct page {
    struct http_stream *stream;
    char *path;
    char *next_locator; /* once the head is there; NULL for the last page */
    int64_t announced;  /* how many rows the head says */
    bool is_known;      /* the two above are */
    bool was_renewed;   /* asked for twice, the second time with a new token */
};

struct sf_bulk_result {
    struct sf_session *session;
    char *job_id;
    int64_t page_rows;
    int64_t page_bytes;
    int64_t read_rows;                  /* of all pages that are over */
    int64_t read_bytes;                 /* likewise */
    struct page pages[PAGES_IN_FLIGHT]; /* the first is being read */
    size_t count;
    struct sf_csv *csv; /* of the first page */
    int64_t rows;       /* read of it */
    int64_t bytes;      /* likewise */
    bool has_begun;
    bool is_page_over;
};

static const char *const page_headers[] = {"Accept: text/csv", NULL};

static int64_t rows_to_ask_for(const struct sf_bulk_result *result)
{
    int64_t rows = FIRST_PAGE_ROWS;

    if (result->page_bytes == 0)
        return result->page_rows;
    if (result->read_rows > 0)
        rows = result->page_bytes / (result->read_bytes / result->read_rows + 1);
    if (rows < FEWEST_ROWS)
        rows = FEWEST_ROWS;
    return rows < result->page_rows ? rows : result->page_rows;
}

static void ask_for_page(struct sf_bulk_result *result, const char *locator)
{
    int64_t rows = rows_to_ask_for(result);
    struct buf path BUF_AUTO = {0};

    buf_init(&path, PATH_BYTES);
    buf_printf(&path, "/jobs/query/%s/results?", result->job_id);
    if (rows > 0)
        buf_printf(&path, "maxRecords=%" PRId64 "&", rows);
    if (locator != NULL && locator[0] != '\0') {
        buf_text(&path, "locator=");
        http_url_encode(&path, locator);
    }
    result->pages[result->count++] =
        (struct page){.path = memory_strdup(path.data),
                      .stream = sf_session_stream(result->session, path.data, page_headers)};
}

struct sf_bulk_result *sf_bulk_result_open(struct sf_session *session,
                                           const struct sf_bulk_place *place)
{
    struct sf_bulk_result *result = memory_alloc(sizeof(*result));

    *result = (struct sf_bulk_result){.session = session,
                                      .job_id = memory_strdup(place->job_id),
                                      .page_rows = place->page_rows,
                                      .page_bytes = place->page_bytes};
    ask_for_page(result, place->locator);
    return result;
}

static void drop_page(struct page *page)
{
    http_stream_close(page->stream);
    free(page->path);
    free(page->next_locator);
}

void sf_bulk_result_close(struct sf_bulk_result *result)
{
    if (result == NULL)
        return;
    for (size_t i = 0; i < result->count; i++)
        drop_page(&result->pages[i]);
    sf_csv_free(result->csv);
    free(result->job_id);
    free(result);
}

/* What a refused page says, as of any other call. */
static bool read_refusal(struct page *page, struct sf_call *call, struct error *err)
{
    const struct http_exchange *exchange = http_stream_exchange(page->stream);
    const char *data;
    size_t size_bytes;

    buf_init(&call->exchange.received, REFUSAL_BYTES);
    buf_init(&call->exchange.received_headers, REFUSAL_BYTES);
    buf_text(&call->exchange.received_headers, exchange->received_headers.data);
    do {
        if (!http_stream_read(page->stream, &data, &size_bytes, err))
            return false;
        buf_append(&call->exchange.received, data, size_bytes);
    } while (size_bytes > 0);
    call->method = "GET";
    call->path = call->exchange.url = page->path;
    call->exchange.status = exchange->status;
    call->exchange.fate = HTTP_ANSWERED;
    sf_answer_read(call);
    return true;
}

/* A token that ends while pages are in flight is renewed once for each of them. */
static bool mend_page(struct sf_bulk_result *result, struct page *page, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {0};

    if (!read_refusal(page, &call, err))
        return false;
    if (call.outcome == SF_OUTCOME_SUCCESS)
        return error_set(err, ERROR_RETRY, "a page of the result is no CSV");
    if (!sf_answer_wants_sign_in(&call) || page->was_renewed)
        return sf_call_error(&call, err);
    page->was_renewed = true;
    http_stream_close(page->stream);
    page->stream = NULL;
    if (!sf_session_renew(result->session, err))
        return false;
    page->stream = sf_session_stream(result->session, page->path, page_headers);
    return http_stream_head(page->stream, err) &&
           (http_stream_exchange(page->stream)->status == 200 || mend_page(result, page, err));
}

static bool read_head(struct sf_bulk_result *result, struct page *page, struct error *err)
{
    struct buf value BUF_AUTO = {0};

    if (!http_stream_head(page->stream, err))
        return false;
    if (http_stream_exchange(page->stream)->status != 200 && !mend_page(result, page, err))
        return false;
    const struct http_exchange *exchange = http_stream_exchange(page->stream);
    buf_init(&value, HEADER_BYTES);
    const char *number = http_header(exchange, "Sforce-NumberOfRecords", &value);
    if (number == NULL || number[0] < '0' || number[0] > '9')
        return error_set(err, ERROR_RETRY,
                         "a page of the result does not say how many rows it has");
    page->announced = strtoll(number, NULL, 10);
    const char *locator = http_header(exchange, "Sforce-Locator", &value);
    if (locator == NULL)
        return error_set(err, ERROR_RETRY, "a page of the result does not say what follows it");
    if (strcmp(locator, "null") != 0)
        page->next_locator = memory_strdup(locator);
    page->is_known = true;
    return true;
}

/* Whether it is known what follows the page, as far as that can be told without waiting. */
static bool knows_next(struct sf_bulk_result *result, struct page *page)
{
    struct error ignored;

    if (page->is_known)
        return true;
    return page->stream != NULL && http_stream_has_head(page->stream) &&
           http_stream_head(page->stream, &ignored) &&
           http_stream_exchange(page->stream)->status == 200 && read_head(result, page, &ignored);
}

/* Asks for the page behind the last one asked for, as soon as that has said where it is. Trouble
 * with it is told when it is its turn. */
static void look_ahead(struct sf_bulk_result *result)
{
    struct page *last = &result->pages[result->count - 1];
    bool is_first = result->read_rows == 0;

    if (is_first && result->page_bytes > 0 && !result->is_page_over)
        return;
    if (result->count < PAGES_IN_FLIGHT && knows_next(result, last) && last->next_locator != NULL)
        ask_for_page(result, last->next_locator);
}

static void leave_page(struct sf_bulk_result *result)
{
    drop_page(&result->pages[0]);
    result->count--;
    memmove(&result->pages[0], &result->pages[1], result->count * sizeof(result->pages[0]));
}

static bool refill(struct sf_bulk_result *result, bool *is_end, struct error *err)
{
    const char *data;
    size_t size_bytes;

    look_ahead(result);
    if (!http_stream_read(result->pages[0].stream, &data, &size_bytes, err))
        return false;
    *is_end = size_bytes == 0;
    if (*is_end)
        sf_csv_end(result->csv);
    else
        sf_csv_feed(result->csv, data, size_bytes);
    result->bytes += (int64_t)size_bytes;
    return true;
}

/* The next row of the page's text, its header included. */
static bool read_row(struct sf_bulk_result *result, bool *is_row, struct sf_csv_row *row,
                     struct error *err)
{
    bool is_end = false;

    for (;;) {
        enum sf_csv_result found = sf_csv_next(result->csv, row);

        *is_row = found == SF_CSV_ROW;
        if (found == SF_CSV_BAD)
            return error_set(err, ERROR_RETRY, "a page of the result is not readable as CSV: %s",
                             sf_csv_problem(result->csv));
        if (*is_row || is_end)
            return true;
        if (!refill(result, &is_end, err))
            return false;
    }
}

static bool begin_page(struct sf_bulk_result *result, struct sf_csv_row *header, struct error *err)
{
    bool is_row;

    sf_csv_free(result->csv);
    result->csv = sf_csv_new();
    result->rows = 0;
    result->bytes = 0;
    result->is_page_over = false;
    if (!result->pages[0].is_known && !read_head(result, &result->pages[0], err))
        return false;
    if (!read_row(result, &is_row, header, err))
        return false;
    return is_row || error_set(err, ERROR_RETRY, "a page of the result is empty");
}

bool sf_bulk_result_page(struct sf_bulk_result *result, bool *is_page, struct sf_csv_row *header,
                         struct error *err)
{
    *is_page = true;
    if (!result->has_begun) {
        result->has_begun = true;
        return begin_page(result, header, err);
    }
    if (!result->is_page_over)
        return error_set(err, ERROR_BUG, "a page of the result was left before its end");
    look_ahead(result);
    leave_page(result);
    *is_page = result->count > 0;
    return !*is_page || begin_page(result, header, err);
}

bool sf_bulk_result_row(struct sf_bulk_result *result, bool *is_row, struct sf_csv_row *row,
                        struct error *err)
{
    const struct page *page = &result->pages[0];

    if (!read_row(result, is_row, row, err))
        return false;
    if (*is_row) {
        result->rows++;
        return true;
    }
    result->is_page_over = true;
    result->read_rows += result->rows;
    result->read_bytes += result->bytes;
    if (result->rows != page->announced)
        return error_set(err, ERROR_RETRY,
                         "a page of the result has %" PRId64 " rows where %" PRId64
                         " were announced",
                         result->rows, page->announced);
    return true;
}

const char *sf_bulk_result_locator(const struct sf_bulk_result *result)
{
    return result->pages[0].next_locator;
}
