#include "sandbox/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/ids.h"
#include "sandbox/query_columns.h"
#include "sandbox/schema_rows.h"
#include "sandbox/users.h"
#include "sandbox/values.h"

enum {
    MAX_CURSORS = 100,
    DEFAULT_PAGE = 2000,
    MIN_PAGE = 200,
    PAGE_BYTES = 16 * 1024 * 1024, /* wide rows make shorter pages */
};

/* A long result: the temporary table cursor_N and how to write its rows. */
struct cursor {
    int64_t number;
    struct arena *arena;
    struct soql_plan *plan;
    int64_t total;
};

struct cursors {
    struct cursor list[MAX_CURSORS]; /* a ring: the oldest gives way */
    size_t next;
    int64_t next_number;
};

struct cursors *query_new_cursors(void)
{
    return memory_alloc(sizeof(struct cursors));
}

static void forget_cursor(struct cursor *cursor, struct store *store)
{
    struct error err = {0};
    char sql[80];

    if (cursor->arena == NULL)
        return;
    snprintf(sql, sizeof(sql), "drop table if exists temp.cursor_%" PRId64, cursor->number);
    if (store != NULL)
        store_run(store, sql, &err);
    arena_free(cursor->arena);
    *cursor = (struct cursor){0};
}

void query_forget_cursors(struct cursors *cursors, struct store *store)
{
    for (size_t i = 0; i < MAX_CURSORS; i++)
        forget_cursor(&cursors->list[i], store);
}

void query_free_cursors(struct cursors *cursors)
{
    if (cursors == NULL)
        return;
    query_forget_cursors(cursors, NULL);
    free(cursors);
}

/* ---- writing rows ---- */

static void write_attributes(struct call *call, const struct object *object, const char *id,
                             struct buf *out)
{
    if (object == NULL)
        buf_text(out, "{\"attributes\":{\"type\":\"AggregateResult\"}");
    else
        buf_printf(
            out, "{\"attributes\":{\"type\":\"%s\",\"url\":\"/services/data/v%s/sobjects/%s/%s\"}",
            object->name, call->version, object->name, id);
}

/* Every address has these, a definition's own parts or not. */
static void write_geocode(const struct soql_shape *parts, struct buf *out)
{
    static const char *const names[] = {"geocodeAccuracy", "latitude", "longitude"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct soql_shape_item *part = parts->items;

        while (part != NULL && strcmp(part->name, names[i]) != 0)
            part = part->next;
        if (part == NULL)
            buf_printf(out, ",\"%s\":null", names[i]);
    }
}

static void write_compound(const struct soql_shape *parts, sqlite3_stmt *statement, struct buf *out)
{
    bool is_empty = true;

    for (const struct soql_shape_item *part = parts->items; part != NULL; part = part->next)
        is_empty = is_empty && sqlite3_column_type(statement, part->column) == SQLITE_NULL;
    if (is_empty) {
        buf_text(out, "null");
        return;
    }
    char separator = '{';
    for (const struct soql_shape_item *part = parts->items; part != NULL; part = part->next) {
        struct value value = values_peek(statement, part->column);

        buf_char(out, separator);
        separator = ',';
        values_write_text(out, part->name);
        buf_char(out, ':');
        values_write(out, part->field, &value);
    }
    write_geocode(parts, out);
    buf_char(out, '}');
}

static void write_aggregate(const struct soql_shape_item *item, sqlite3_stmt *statement,
                            struct buf *out)
{
    struct value value = values_peek(statement, item->column);

    /* A field that a ROLLUP left out is null, a boolean too. */
    if (item->field != NULL && value.kind != VALUE_NULL)
        values_write(out, item->field, &value);
    else if (value.kind == VALUE_REAL)
        values_write_number(out, value.real);
    else if (value.kind == VALUE_INTEGER)
        buf_printf(out, "%" PRId64, value.integer);
    else
        buf_text(out, "null");
}

static bool write_children(struct call *call, const struct soql_plan *plan, const char *parent_id,
                           struct buf *out, struct error *err)
{
    struct buf rows BUF_AUTO = {0};
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    bool is_written = true;

    buf_init(&rows, out->max_bytes);
    plan->values[0] = value_text(parent_id);
    if (!query_prepare(call, plan, plan->sql, &statement, err))
        return false;
    while (is_written && sqlite3_step(statement) == SQLITE_ROW) {
        buf_text(&rows, count++ > 0 ? "," : "");
        is_written = query_write_row(call, plan, statement, &rows, err);
    }
    sqlite3_finalize(statement);
    if (count == 0)
        buf_text(out, "null");
    else
        buf_printf(out, "{\"totalSize\":%" PRId64 ",\"done\":true,\"records\":[%s]}", count,
                   rows.data);
    return is_written;
}

static bool write_record(struct call *call, const struct soql_shape *shape, sqlite3_stmt *statement,
                         struct buf *out, struct error *err);

static bool write_item(struct call *call, const struct soql_shape *shape,
                       const struct soql_shape_item *item, sqlite3_stmt *statement, struct buf *out)
{
    struct error err = {0};

    if (item->parent != NULL)
        return write_record(call, item->parent, statement, out, &err);
    if (item->children != NULL)
        return write_children(call, item->children,
                              (const char *)sqlite3_column_text(statement, shape->id_column), out,
                              &err);
    if (item->parts != NULL) {
        write_compound(item->parts, statement, out);
    } else if (item->is_aggregate) {
        write_aggregate(item, statement, out);
    } else {
        struct value value = values_peek(statement, item->column);
        values_write(out, item->field, &value);
    }
    return true;
}

/* The shape that has an id in this row, and that id; NULL when none has. */
static const struct soql_shape *find_shape(const struct soql_shape *shape, sqlite3_stmt *statement,
                                           const char **id)
{
    *id = "";
    if (shape->object == NULL && !shape->is_polymorphic)
        return shape;
    for (; shape != NULL; shape = shape->other) {
        *id = (const char *)sqlite3_column_text(statement, shape->id_column);
        if (*id != NULL)
            return shape;
    }
    return NULL;
}

static bool write_record(struct call *call, const struct soql_shape *shape, sqlite3_stmt *statement,
                         struct buf *out, struct error *err)
{
    const char *id = NULL;

    shape = find_shape(shape, statement, &id);
    if (shape == NULL) {
        buf_text(out, "null");
        return true;
    }
    const struct object *object =
        shape->is_polymorphic ? schema_find_prefix(call->org->schema, id) : shape->object;
    write_attributes(call, object, id, out);
    for (const struct soql_shape_item *item = shape->items; item != NULL; item = item->next) {
        buf_printf(out, ",\"%s\":", item->name);
        if (!write_item(call, shape, item, statement, out))
            return error_set(err, ERROR_BUG, "cannot write %s", item->name);
    }
    buf_char(out, '}');
    return true;
}

bool query_write_row(struct call *call, const struct soql_plan *plan, sqlite3_stmt *statement,
                     struct buf *out, struct error *err)
{
    return write_record(call, plan->shape, statement, out, err);
}

/* ---- running ---- */

bool query_prepare(struct call *call, const struct soql_plan *plan, const char *sql,
                   sqlite3_stmt **statement, struct error *err)
{
    sqlite3 *database = store_database(call->org->store);

    if (sqlite3_prepare_v2(database, sql, -1, statement, NULL) != SQLITE_OK)
        return error_set(err, ERROR_BUG, "%s: %s", sqlite3_errmsg(database), sql);
    for (size_t i = 0; i < plan->value_count; i++)
        store_bind(*statement, (int)i + 1, &plan->values[i]);
    return true;
}

/* Whether the database takes the statement: deep conditions overflow its parser. */
static bool is_simple_enough(struct call *call, const struct soql_plan *plan)
{
    sqlite3_stmt *statement = NULL;
    bool is_taken = sqlite3_prepare_v2(store_database(call->org->store), plan->sql, -1, &statement,
                                       NULL) == SQLITE_OK;

    sqlite3_finalize(statement);
    for (const struct soql_plan *each = plan->children; is_taken && each != NULL; each = each->next)
        is_taken = is_simple_enough(call, each);
    return is_taken;
}

static struct soql_plan *make_plan(struct call *call, struct arena *arena, const char *soql,
                                   struct soql_context *context)
{
    struct record_errors errors = {.arena = arena};
    struct soql_query *query = soql_parse(arena_strdup(arena, soql), &errors);

    context->schema = call->org->schema;
    context->errors = &errors;
    context->now_s = org_now(call->org);
    context->version = call->version;
    context->masks_secrets = call->org->masks_secrets || call->org->user->is_masked;
    context->user_id = call->org->user_id;
    struct soql_plan *plan = query != NULL ? soql_plan(context, query) : NULL;
    struct error err = {0};
    if (plan == NULL)
        call_error(call, errors.first->code, "%s", errors.first->message);
    if (plan != NULL && plan->object->lists_schema && !schema_rows_fill(call->org, &err)) {
        call_failed(call, &err);
        return NULL;
    }
    if (plan != NULL && !is_simple_enough(call, plan)) {
        call_error(call, "QUERY_TOO_COMPLICATED",
                   "The query is either selecting too many fields or the filter conditions are too "
                   "complicated.");
        return NULL;
    }
    return plan;
}

struct soql_plan *query_plan(struct call *call, struct arena *arena, const char *soql,
                             bool includes_deleted)
{
    struct soql_context context = {.includes_deleted = includes_deleted};

    return make_plan(call, arena, soql, &context);
}

struct soql_plan *query_plan_pieces(struct call *call, struct arena *arena, const char *soql,
                                    bool includes_deleted, bool is_shuffled)
{
    struct soql_context context = {
        .includes_deleted = includes_deleted, .is_in_pieces = true, .is_shuffled = is_shuffled};

    return make_plan(call, arena, soql, &context);
}

/* Sforce-Query-Options: batchSize=N */
static int64_t read_page_size(const struct call *call)
{
    const char *options = http_server_header(call->request, "Sforce-Query-Options");
    const char *found = options != NULL ? strcasestr(options, "batchSize=") : NULL;
    int64_t size = found != NULL ? strtoll(found + strlen("batchSize="), NULL, 10) : DEFAULT_PAGE;

    if (call->org->page_rows > 0)
        return call->org->page_rows;
    if (size > DEFAULT_PAGE)
        return DEFAULT_PAGE;
    return size < MIN_PAGE ? MIN_PAGE : size;
}

struct page {
    struct buf rows;
    int64_t count;
    bool has_more;
};

static bool read_page(struct call *call, const struct soql_plan *plan, sqlite3_stmt *statement,
                      struct page *page, struct error *err)
{
    int64_t size = read_page_size(call);
    int result;

    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        if (page->count == size || page->rows.size_bytes > PAGE_BYTES) {
            page->has_more = true;
            return true;
        }
        buf_text(&page->rows, page->count++ > 0 ? "," : "");
        if (!query_write_row(call, plan, statement, &page->rows, err))
            return false;
    }
    if (result != SQLITE_DONE)
        return error_set(err, ERROR_BUG, "%s", sqlite3_errmsg(store_database(call->org->store)));
    return true;
}

static void answer_page(struct call *call, const struct page *page, int64_t total,
                        const char *locator)
{
    struct buf *body = &call->response->body;

    call_header(call, "Content-Type", "application/json;charset=UTF-8");
    buf_printf(body, "{\"totalSize\":%" PRId64 ",\"done\":%s", total,
               locator == NULL ? "true" : "false");
    if (locator != NULL)
        buf_printf(body, ",\"nextRecordsUrl\":\"%s\"", call_url(call, "/query/%s", locator));
    buf_text(body, ",\"records\":[");
    buf_append(body, page->rows.data, page->rows.size_bytes);
    buf_text(body, "]}");
}

static const char *make_locator(struct call *call, const struct cursor *cursor, int64_t offset)
{
    return arena_printf(call->arena, "%s-%" PRId64, ids_make("0r8", cursor->number).text, offset);
}

/* Copies the whole result into a table of its own and counts it. */
static bool fill_cursor(struct call *call, struct cursor *cursor, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = arena_printf(call->arena, "create temp table cursor_%" PRId64 " as %s",
                                   cursor->number, cursor->plan->sql);

    if (!query_prepare(call, cursor->plan, sql, &statement, err))
        return false;
    int result = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (result != SQLITE_DONE)
        return error_set(err, ERROR_BUG, "%s", sqlite3_errmsg(store_database(call->org->store)));
    sql = arena_printf(call->arena, "select count(*) from temp.cursor_%" PRId64, cursor->number);
    if (sqlite3_prepare_v2(store_database(call->org->store), sql, -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        cursor->total = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return true;
}

static struct cursor *open_cursor(struct call *call, const char *soql, bool includes_deleted,
                                  struct error *err)
{
    struct cursors *cursors = call->org->cursors;
    struct cursor *cursor = &cursors->list[cursors->next++ % MAX_CURSORS];

    forget_cursor(cursor, call->org->store);
    cursor->number = ++cursors->next_number;
    cursor->arena = arena_new();
    cursor->plan = query_plan(call, cursor->arena, soql, includes_deleted);
    return fill_cursor(call, cursor, err) ? cursor : NULL;
}

static void answer_count(struct call *call, sqlite3_stmt *statement)
{
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;

    call_json(call, 200,
              json_pack("{s:I, s:b, s:[]}", "totalSize", (json_int_t)count, "done", 1, "records"));
}

/* A statement on its way to an answer. */
struct run {
    struct call *call;
    const char *soql;
    bool includes_deleted;
    const struct soql_plan *plan;
    sqlite3_stmt *statement;
};

static bool run_plan(const struct run *run, struct error *err)
{
    struct call *call = run->call;
    struct page page = {0};
    struct cursor *cursor = NULL;

    buf_init(&page.rows, call->response->body.max_bytes);
    bool is_read = read_page(call, run->plan, run->statement, &page, err);
    sqlite3_reset(run->statement);
    if (is_read && page.has_more) {
        cursor = open_cursor(call, run->soql, run->includes_deleted, err);
        is_read = cursor != NULL;
    }
    if (is_read)
        answer_page(call, &page, cursor != NULL ? cursor->total : page.count,
                    cursor != NULL ? make_locator(call, cursor, page.count) : NULL);
    buf_done(&page.rows);
    return is_read;
}

/* ?explain=SOQL: every statement reads the whole table, as far as anyone can tell. */
static void explain(struct call *call, const char *soql)
{
    const struct soql_plan *plan = query_plan(call, call->arena, soql, false);

    if (plan == NULL)
        return;
    call_json(call, 200,
              json_pack("{s:[{s:i, s:[], s:s, s:[], s:f, s:i, s:s}], s:s}", "plans", "cardinality",
                        1, "fields", "leadingOperationType", "TableScan", "notes", "relativeCost",
                        1.0, "sobjectCardinality", 1, "sobjectType", plan->object->name,
                        "sourceQuery", soql));
}

void query_answer(struct call *call, const char *soql, bool includes_deleted)
{
    struct run run = {.call = call, .soql = soql, .includes_deleted = includes_deleted};
    const char *columns = http_server_param(call->request, "columns");
    struct error err = {0};

    run.plan = query_plan(call, call->arena, soql, includes_deleted);
    if (run.plan == NULL)
        return;
    if (columns != NULL && strcmp(columns, "true") == 0) {
        query_columns(call, run.plan);
        return;
    }
    if (!query_prepare(call, run.plan, run.plan->sql, &run.statement, &err)) {
        call_failed(call, &err);
        return;
    }
    if (run.plan->is_count)
        answer_count(call, run.statement);
    else if (!run_plan(&run, &err))
        call_failed(call, &err);
    sqlite3_finalize(run.statement);
}

static void run_request(struct call *call, bool includes_deleted)
{
    const char *soql = http_server_param(call->request, "q");
    const char *explained = http_server_param(call->request, "explain");

    if (explained != NULL)
        explain(call, explained);
    else if (soql != NULL)
        query_answer(call, soql, includes_deleted);
    else
        call_error(call, "MALFORMED_QUERY", "SOQL statements cannot be empty or null");
}

void query_get(struct call *call)
{
    run_request(call, false);
}

void query_get_all(struct call *call)
{
    run_request(call, true);
}

/* ---- the next page ---- */

static struct cursor *find_cursor(struct call *call, const char *locator, int64_t *offset)
{
    const char *dash = strchr(locator, '-');
    char *end = NULL;

    if (dash == NULL || dash - locator != IDS_LONG)
        return NULL;
    *offset = strtoll(dash + 1, &end, 10);
    if (*end != '\0' || *offset < 0)
        return NULL;
    for (size_t i = 0; i < MAX_CURSORS; i++) {
        struct cursor *cursor = &call->org->cursors->list[i];

        if (cursor->arena != NULL &&
            strncmp(ids_make("0r8", cursor->number).text, locator, IDS_LONG) == 0)
            return *offset < cursor->total ? cursor : NULL;
    }
    return NULL;
}

static bool read_cursor(struct call *call, const struct cursor *cursor, int64_t offset,
                        struct page *page, struct error *err)
{
    const char *sql = arena_printf(call->arena,
                                   "select * from temp.cursor_%" PRId64 " where rowid > %" PRId64
                                   " order by rowid",
                                   cursor->number, offset);
    const struct soql_plan unbound = {.shape = cursor->plan->shape};
    sqlite3_stmt *statement = NULL;

    if (!query_prepare(call, &unbound, sql, &statement, err))
        return false;
    bool is_read = read_page(call, &unbound, statement, page, err);
    sqlite3_finalize(statement);
    return is_read;
}

void query_more(struct call *call)
{
    int64_t offset = 0;
    struct cursor *cursor = find_cursor(call, call->arguments[0], &offset);
    struct page page = {0};
    struct error err = {0};

    if (cursor == NULL) {
        call_error(call, "INVALID_QUERY_LOCATOR", "invalid query locator");
        return;
    }
    buf_init(&page.rows, call->response->body.max_bytes);
    if (read_cursor(call, cursor, offset, &page, &err))
        answer_page(call, &page, cursor->total,
                    page.has_more ? make_locator(call, cursor, offset + page.count) : NULL);
    else
        call_failed(call, &err);
    buf_done(&page.rows);
}
