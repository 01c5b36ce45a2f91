#include "sf/bulk_ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sf/bulk_job.h"

enum { PATH_BYTES = 4096, TRANSFER_TIMEOUT_MS = 10 * 60 * 1000 };

/* ---- its rows ---- */

static bool needs_quotes(const char *text)
{
    return text[strcspn(text, ",\"\r\n")] != '\0' || text[0] == ' ' || text[0] == '\t' ||
           (text[0] != '\0' && strchr(" \t", text[strlen(text) - 1]) != NULL);
}

void sf_ingest_cell(struct buf *csv, const char *text, bool is_first)
{
    if (!is_first)
        buf_char(csv, ',');
    if (text == NULL) {
        buf_text(csv, "#N/A");
        return;
    }
    if (!needs_quotes(text)) {
        buf_text(csv, text);
        return;
    }
    buf_char(csv, '"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"')
            buf_char(csv, '"');
        buf_char(csv, *at);
    }
    buf_char(csv, '"');
}

void sf_ingest_end_row(struct buf *csv)
{
    buf_char(csv, '\n');
}

/* ---- the job ---- */

static void make_path(struct buf *path, const char *id, const char *rest)
{
    buf_init(path, PATH_BYTES);
    buf_printf(path, "/jobs/ingest/%s%s", id, rest);
}

bool sf_ingest_create(struct sf_session *session, const char *object, const char *operation,
                      char id[SF_ID_BYTES], struct error *err)
{
    json_t *fields = json_pack("{s:s, s:s}", "object", object, "operation", operation);
    struct sf_call call SF_CALL_AUTO = {.path = "/jobs/ingest"};

    return sf_bulk_job_create(session, fields, &call, id, err) ||
           error_prefix(err, "making a Bulk job for %s", object);
}

bool sf_ingest_upload(struct sf_session *session, const char *id, const struct buf *csv,
                      struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {.method = "PUT",
                                        .body = csv->data,
                                        .body_bytes = csv->size_bytes,
                                        .content_type = "text/csv; charset=UTF-8",
                                        .timeout_ms = TRANSFER_TIMEOUT_MS};

    make_path(&path, id, "/batches");
    call.path = path.data;
    return sf_request_one(session, &call, err) || error_prefix(err, "uploading to a Bulk job");
}

static bool set_state(struct sf_session *session, const char *id, const char *body,
                      struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {
        .method = "PATCH", .body = body, .body_bytes = strlen(body)};

    make_path(&path, id, "");
    call.path = path.data;
    return sf_request_one(session, &call, err);
}

bool sf_ingest_close(struct sf_session *session, const char *id, struct error *err)
{
    return set_state(session, id, "{\"state\":\"UploadComplete\"}", err) ||
           error_prefix(err, "closing a Bulk job");
}

bool sf_ingest_abort(struct sf_session *session, const char *id, struct error *err)
{
    return set_state(session, id, "{\"state\":\"Aborted\"}", err) ||
           error_prefix(err, "aborting a Bulk job");
}

static bool read_progress(const struct sf_call *call, struct sf_ingest_progress *out,
                          struct error *err)
{
    const char *state = json_string_value(json_object_get(call->json, "state"));
    const char *message = json_string_value(json_object_get(call->json, "errorMessage"));

    if (state == NULL)
        return error_set(err, ERROR_RETRY, "the answer about a Bulk job has no state");
    out->processed = json_integer_value(json_object_get(call->json, "numberRecordsProcessed"));
    out->failed = json_integer_value(json_object_get(call->json, "numberRecordsFailed"));
    snprintf(out->message, sizeof(out->message), "%s", message != NULL ? message : "");
    if (strcmp(state, "Open") == 0)
        out->state = SF_INGEST_OPEN;
    else if (strcmp(state, "JobComplete") == 0 || strcmp(state, "Failed") == 0 ||
             strcmp(state, "Aborted") == 0)
        out->state = SF_INGEST_ENDED;
    else
        out->state = SF_INGEST_WORKING;
    return true;
}

bool sf_ingest_ask(struct sf_session *session, const char *id, struct sf_ingest_progress *out,
                   struct error *err)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {0};
    bool is_known;

    *out = (struct sf_ingest_progress){0};
    make_path(&path, id, "");
    call.path = path.data;
    if (!sf_bulk_job_ask(session, &call, &is_known, err))
        return false;
    if (is_known)
        return read_progress(&call, out, err);
    out->state = SF_INGEST_LOST;
    return true;
}

/* ---- what came of its rows ---- */

/* Cells live in the reader until its next row: a header must be kept. */
static struct sf_csv_row copy_row(const struct sf_csv_row *row, struct arena *arena)
{
    char **cells = arena_array(arena, char *, row->count + 1);

    for (size_t i = 0; i < row->count; i++)
        cells[i] = arena_strdup(arena, row->cells[i]);
    return (struct sf_csv_row){.cells = cells, .count = row->count};
}

/* How the rows of one result are read. */
struct reading {
    struct arena *arena;
    enum sf_ingest_result kind;
    const struct sf_ingest_reader *reader;
};

static bool take_rows(const struct reading *reading, const struct buf *text, struct error *err)
{
    struct sf_csv *csv SF_CSV_AUTO = sf_csv_new();
    struct sf_csv_row header = {0};
    struct sf_csv_row row;
    enum sf_csv_result result;

    sf_csv_feed(csv, text->data, text->size_bytes);
    sf_csv_end(csv);
    while ((result = sf_csv_next(csv, &row)) == SF_CSV_ROW) {
        if (header.count == 0)
            header = copy_row(&row, reading->arena);
        else if (row.count != header.count)
            return error_set(err, ERROR_RETRY, "a row of a Bulk result is not whole");
        else
            reading->reader->take(reading->reader->context, reading->kind, &header, &row);
    }
    if (result == SF_CSV_BAD)
        return error_set(err, ERROR_RETRY, "a Bulk result is no CSV: %s", sf_csv_problem(csv));
    return true;
}

bool sf_ingest_results(struct sf_session *session, const char *id, enum sf_ingest_result kind,
                       const struct sf_ingest_reader *reader, struct error *err)
{
    static const char *const names[] = {
        [SF_INGEST_SUCCESSFUL] = "/successfulResults",
        [SF_INGEST_FAILED] = "/failedResults",
        [SF_INGEST_UNPROCESSED] = "/unprocessedrecords",
    };
    struct reading reading = {arena_new(), kind, reader};
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .timeout_ms = TRANSFER_TIMEOUT_MS};

    make_path(&path, id, names[kind]);
    call.path = path.data;
    bool is_ok =
        sf_request_one(session, &call, err) && take_rows(&reading, &call.exchange.received, err);
    arena_free(reading.arena);
    return is_ok || error_prefix(err, "reading the result of a Bulk job");
}

void sf_ingest_read_error(const char *text, struct arena *arena, const char **code,
                          const char **message)
{
    size_t code_bytes = strcspn(text, ":");
    const char *rest = text[code_bytes] == ':' ? text + code_bytes + 1 : "";
    const char *end = strrchr(rest, ':'); /* the fields, and " --" */

    *code = arena_strndup(arena, text, code_bytes);
    *message = arena_strndup(arena, rest, end != NULL ? (size_t)(end - rest) : strlen(rest));
}

void sf_ingest_drop(struct sf_session *session, const char *id)
{
    struct buf path BUF_AUTO = {0};
    struct sf_call call SF_CALL_AUTO = {.method = "DELETE"};
    struct error ignored;

    make_path(&path, id, "");
    call.path = path.data;
    sf_request(session, &call, 1, &ignored);
}
