#include "control/explorer.h"

#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "base/clock.h"
#include "control/connections.h"
#include "control/guard.h"

enum {
    SQL_MAX_BYTES = 1024 * 1024, /* a table has at most 1600 columns */
    DEFAULT_LIMIT = 50,
    MAX_LIMIT = 200,
    MAX_TAILS = 16,
    TAIL_INTERVAL_MS = 1000,
    TAIL_SILENCE_MS = 15 * 1000,
};

#define QUERY_CANCELED "57014"

static const char *read_filter(const struct request *request, const char *name)
{
    const char *value = http_server_param(request->http, name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static struct pg_number read_limit(const struct request *request)
{
    const char *text = read_filter(request, "limit");
    int limit = text != NULL ? atoi(text) : DEFAULT_LIMIT;

    return pg_number(limit > 0 && limit < MAX_LIMIT ? limit : MAX_LIMIT);
}

/* ---- reading, for a bounded time: others wait for it ---- */

static PGresult *query_page(struct pg *pg, const char *sql, struct pg_params params,
                            struct error *err)
{
    PGresult *result = NULL;

    if (pg_script(pg, "begin read only; set local statement_timeout = '3s'", err))
        result = pg_query(pg, sql, params, err);
    if (result == NULL && strcmp(pg_sqlstate(pg), QUERY_CANCELED) == 0)
        error_set(err, ERROR_RETRY,
                  "finding that took longer than 3 seconds: choose a table or a time");
    pg_rollback(pg);
    return result;
}

/* NULL after answering. */
static PGresult *read_page(struct request *request, const char *sql, struct pg_params params)
{
    struct error err = {0};
    PGresult *result = query_page(request->serve->pg, sql, params, &err);

    if (result == NULL)
        request_fail(request, &err);
    return result;
}

/* The last row's key, where another page may follow. */
static json_t *next_key(const PGresult *page, int column, const struct pg_number *limit)
{
    int count = PQntuples(page);

    return count == atoi(limit->text) ? json_integer(pg_field_int64(page, count - 1, column))
                                      : json_null();
}

/* ---- rows ---- */

/* The columns of a mapped table, in their order; NULL after answering. */
static PGresult *read_columns(struct request *request, const char *table_name)
{
    PGresult *columns = read_page(request,
                                  "select a.attname"
                                  " from pgforce.mapping m"
                                  " join pg_namespace n on n.nspname = m.schema_name"
                                  " join pg_class c on c.relnamespace = n.oid"
                                  " and c.relname = m.table_name and c.relkind = 'r'"
                                  " join pg_attribute a on a.attrelid = c.oid"
                                  " and a.attnum > 0 and not a.attisdropped"
                                  " where m.schema_name = $1 and m.table_name = $2"
                                  " order by a.attnum",
                                  PG_PARAMS(request->serve->options->schema_name, table_name));

    if (columns == NULL || PQntuples(columns) > 0)
        return columns;
    PQclear(columns);
    request_refuse(request, 404, "not_found", "there is no mapped table %s", table_name);
    return NULL;
}

/* Each column as text of bounded length, then the key. */
static void append_rows_sql(struct buf *sql, const struct request *request, const PGresult *columns)
{
    buf_text(sql, "select ");
    for (int i = 0; i < PQntuples(columns); i++) {
        buf_text(sql, "left(");
        pg_append_identifier(sql, PQgetvalue(columns, i, 0));
        buf_text(sql, "::text, 500) || case when length(");
        pg_append_identifier(sql, PQgetvalue(columns, i, 0));
        buf_text(sql, "::text) > 500 then '…' else '' end, ");
    }
    buf_text(sql, "id from ");
    pg_append_qualified(sql, request->serve->options->schema_name, request->arguments[1]);
    buf_text(sql, " where id > coalesce($1::integer, 0)"
                  " and ($2::text is null or _hc_lastop = $2)"
                  " and ($3::integer is null or id = $3::integer)"
                  " and ($4::text is null or sfid = $4)"
                  " order by id"
                  " limit $5");
}

static json_t *make_row(const PGresult *columns, const PGresult *page, int row)
{
    json_t *values = json_object();

    for (int i = 0; i < PQntuples(columns); i++) {
        const char *value = pg_field(page, row, i);

        json_object_set_new(values, PQgetvalue(columns, i, 0),
                            value != NULL ? json_string(value) : json_null());
    }
    return values;
}

static void answer_rows(struct request *request, const PGresult *columns)
{
    struct pg_number limit = read_limit(request);
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    append_rows_sql(&sql, request, columns);
    PGresult *page PG_RESULT_AUTO =
        read_page(request, sql.data,
                  PG_PARAMS(read_filter(request, "after"), read_filter(request, "status"),
                            read_filter(request, "id"), read_filter(request, "sfid"), limit.text));
    if (page == NULL)
        return;
    json_t *names = json_array();
    for (int i = 0; i < PQntuples(columns); i++)
        json_array_append_new(names, json_string(PQgetvalue(columns, i, 0)));
    json_t *rows = json_array();
    for (int i = 0; i < PQntuples(page); i++)
        json_array_append_new(rows, make_row(columns, page, i));
    request_answer(request, 200,
                   json_pack("{s:s, s:o, s:o, s:o}", "table", request->arguments[1], "columns",
                             names, "results", rows, "next",
                             next_key(page, PQntuples(columns), &limit)));
}

void explorer_rows(struct request *request)
{
    if (!connections_is_ours(request))
        return;
    PGresult *columns PG_RESULT_AUTO = read_columns(request, request->arguments[1]);
    if (columns != NULL)
        answer_rows(request, columns);
}

/* ---- the log ---- */

/* What an entry is told of; of very large ones not their values. */
#define ENTRY_COLUMNS                                                                              \
    "id, " PG_RFC3339("created_at") ", " PG_RFC3339(                                               \
        "processed_at") ", state, action, table_name,"                                             \
                        " record_id, sfid, sf_message, origin,"                                    \
                        " case when octet_length(\"values\") <= 65536 then \"values\" end,"        \
                        " case when octet_length(old) <= 65536 then old end,"                      \
                        " coalesce(octet_length(\"values\") > 65536 or octet_length(old) > "       \
                        "65536, false)"

/* hstore's text as an object; null for none and for what is no hstore. */
static json_t *make_values(struct request *request, const char *text)
{
    struct hstore_pair *pairs;
    struct error ignored = {0};
    size_t count;

    if (text == NULL || !hstore_parse(text, request->arena, &pairs, &count, &ignored))
        return json_null();
    json_t *values = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(values, pairs[i].key,
                            pairs[i].value != NULL ? json_string(pairs[i].value) : json_null());
    return values;
}

static json_t *make_entry(struct request *request, const PGresult *page, int row)
{
    static const char *const names[] = {NULL,         "created_at", "processed_at", "state",
                                        "action",     "table_name", "record_id",    "sfid",
                                        "sf_message", "origin"};
    json_t *entry = json_object();

    json_object_set_new(entry, "id", json_integer(pg_field_int64(page, row, 0)));
    for (int i = 1; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        const char *value = pg_field(page, row, i);

        json_object_set_new(entry, names[i], value != NULL ? json_string(value) : json_null());
    }
    json_object_set_new(entry, "values", make_values(request, pg_field(page, row, 10)));
    json_object_set_new(entry, "old", make_values(request, pg_field(page, row, 11)));
    json_object_set_new(entry, "is_large", json_boolean(pg_field_bool(page, row, 12)));
    return entry;
}

static void answer_entries(struct request *request, const PGresult *page, json_t *next)
{
    json_t *entries = json_array();

    for (int i = 0; i < PQntuples(page); i++)
        json_array_append_new(entries, make_entry(request, page, i));
    request_answer(request, 200, json_pack("{s:o, s:o}", "results", entries, "next", next));
}

static void append_log(struct buf *sql, const struct request *request, bool is_archive)
{
    pg_append_qualified(sql, request->serve->options->schema_name,
                        is_archive ? "_trigger_log_archive" : "_trigger_log");
}

void explorer_log(struct request *request)
{
    struct pg_number limit = read_limit(request);
    struct buf sql BUF_AUTO = {0};

    if (!connections_is_ours(request))
        return;
    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select " ENTRY_COLUMNS " from ");
    append_log(&sql, request, request_flag(request, "archive"));
    buf_text(&sql, " where ($1::integer is null or id < $1::integer)"
                   " and ($2::text is null or table_name = $2)"
                   " and ($3::text is null or state = $3)"
                   " and ($4::integer is null or record_id = $4::integer)"
                   " and ($5::text is null or sfid = $5)"
                   " and ($6::timestamptz is null or created_at >= $6::timestamptz)"
                   " and ($7::timestamptz is null or created_at < $7::timestamptz)"
                   " order by id desc"
                   " limit $8");
    PGresult *page PG_RESULT_AUTO =
        read_page(request, sql.data,
                  PG_PARAMS(read_filter(request, "before"), read_filter(request, "table"),
                            read_filter(request, "state"), read_filter(request, "record"),
                            read_filter(request, "sfid"), read_filter(request, "since"),
                            read_filter(request, "until"), limit.text));
    if (page != NULL)
        answer_entries(request, page, next_key(page, 0, &limit));
}

/* ---- the tail ---- */

/* How a client wants to hear of more: a page, or a stream of either form. */
enum tail_form { TAIL_PAGE, TAIL_EVENTS, TAIL_LINES };

/* A stream of the log's entries, for as long as its client reads. */
struct tail {
    struct request request; /* as it was; its arena is the tail's */
    struct buf sql;
    const char *table;
    enum tail_form form;
    struct pg_number after;
    int64_t said_at_ms;
};

/* Where an EventSource goes on counts more than where it began. */
static const char *find_after(const struct request *request)
{
    const char *last = http_server_header(request->http, "Last-Event-ID");

    return last != NULL ? last : read_filter(request, "after");
}

static enum tail_form find_form(const struct request *request)
{
    const char *accepted = http_server_header(request->http, "Accept");

    if (accepted != NULL && strstr(accepted, "text/event-stream") != NULL)
        return TAIL_EVENTS;
    return accepted != NULL && strstr(accepted, "application/x-ndjson") != NULL ? TAIL_LINES
                                                                                : TAIL_PAGE;
}

static void append_tail_sql(struct buf *sql, const struct request *request, bool is_newest)
{
    buf_text(sql, "select * from (select " ENTRY_COLUMNS " from ");
    append_log(sql, request, false);
    buf_printf(sql,
               " where ($1::integer is null or id > $1::integer)"
               " and ($2::text is null or table_name = $2)"
               " order by id%s"
               " limit $3) e order by id",
               is_newest ? " desc" : "");
}

/* Server-sent events (WHATWG HTML, 9.2) or JSON lines; JSON has its line ends escaped, so an entry
 * is one line. */
static void append_entries(struct tail *tail, const PGresult *page, struct buf *out)
{
    for (int i = 0; i < PQntuples(page); i++) {
        json_t *entry = make_entry(&tail->request, page, i);
        char *text = json_dumps(entry, JSON_COMPACT);

        if (tail->form == TAIL_EVENTS)
            buf_printf(out, "id: %s\ndata: %s\n\n", PQgetvalue(page, i, 0), text);
        else
            buf_printf(out, "%s\n", text);
        tail->after = pg_number(pg_field_int64(page, i, 0));
        free(text);
        json_decref(entry);
    }
}

/* A blank before a JSON value means nothing, nor does an empty comment; that it cannot be sent is
 * how a client that has vanished is noticed. */
static void keep_alive(struct tail *tail, struct buf *out)
{
    int64_t now_ms = clock_monotonic_ms();

    if (out->size_bytes == 0 && now_ms - tail->said_at_ms >= TAIL_SILENCE_MS)
        buf_text(out, tail->form == TAIL_EVENTS ? ":\n\n" : " ");
    if (out->size_bytes > 0)
        tail->said_at_ms = now_ms;
}

/* Ends when who asked may not any more. A database that is away for a moment is no end. */
static bool add_entries(void *context, struct buf *out)
{
    struct tail *tail = context;
    struct request *request = &tail->request;
    struct error err = {0};

    arena_reset(request->arena);
    if (!guard_is_still_known(request))
        return false;
    struct pg *pg = serve_pg(request->serve, &err);
    PGresult *page PG_RESULT_AUTO =
        pg != NULL
            ? query_page(pg, tail->sql.data,
                         PG_PARAMS(tail->after.text, tail->table, pg_number(MAX_LIMIT).text), &err)
            : NULL;
    if (page != NULL)
        append_entries(tail, page, out);
    keep_alive(tail, out);
    return true;
}

static void end_tail(void *context)
{
    struct tail *tail = context;

    tail->request.serve->tail_count--;
    buf_done(&tail->sql);
    arena_free(tail->request.arena);
    free(tail);
}

static struct tail *start_tail(struct request *request, enum tail_form form)
{
    struct tail *tail = memory_alloc(sizeof(*tail));

    *tail = (struct tail){.request = *request,
                          .form = form,
                          .table = read_filter(request, "table"),
                          .said_at_ms = clock_monotonic_ms()};
    tail->request.arena = arena_new();
    tail->request.body = NULL;
    buf_init(&tail->sql, SQL_MAX_BYTES);
    append_tail_sql(&tail->sql, request, false);
    request->serve->tail_count++;
    return tail;
}

/* page is what the stream begins with. */
static void answer_stream(struct request *request, enum tail_form form, const PGresult *page,
                          const char *after)
{
    struct http_server_response *response = request->response;

    if (request->serve->tail_count >= MAX_TAILS) {
        request_refuse(request, 503, "busy", "%d tails are being read already", MAX_TAILS);
        return;
    }
    struct tail *tail = start_tail(request, form);
    tail->after = pg_number(after != NULL ? atoll(after) : 0);
    response->flow = (struct http_server_flow){
        .more = add_entries, .end = end_tail, .context = tail, .interval_ms = TAIL_INTERVAL_MS};
    http_server_add_header(response, "Content-Type",
                           form == TAIL_EVENTS ? "text/event-stream;charset=UTF-8"
                                               : "application/x-ndjson;charset=UTF-8");
    if (form == TAIL_EVENTS)
        buf_text(&response->body, "retry: 2000\n\n");
    append_entries(tail, page, &response->body);
}

/* "next" is where to go on, whether there was anything or not. */
void explorer_tail(struct request *request)
{
    const char *after = find_after(request);
    struct pg_number limit = read_limit(request);
    enum tail_form form = find_form(request);
    struct buf sql BUF_AUTO = {0};

    if (!connections_is_ours(request))
        return;
    buf_init(&sql, SQL_MAX_BYTES);
    append_tail_sql(&sql, request, after == NULL);
    PGresult *page PG_RESULT_AUTO =
        read_page(request, sql.data, PG_PARAMS(after, read_filter(request, "table"), limit.text));
    if (page == NULL)
        return;
    if (form != TAIL_PAGE) {
        answer_stream(request, form, page, after);
        return;
    }
    int count = PQntuples(page);
    answer_entries(request, page,
                   json_integer(count > 0 ? pg_field_int64(page, count - 1, 0)
                                          : atoll(after != NULL ? after : "0")));
}
