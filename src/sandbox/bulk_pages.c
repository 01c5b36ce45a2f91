#include "sandbox/bulk_pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/values.h"

enum { BLOCK_BYTES = 64 * 1024, MAX_ROW_BYTES = 64 * 1024 * 1024, DATETIME_BYTES = 23 };

struct bulk_pages {
    struct csv_format format;
    const struct soql_column *columns;
    struct buf header;
    struct buf block;   /* rows that are not in the spool yet */
    struct spool *rows; /* all rows, one after the other */
    struct spool *ends; /* where each row ends: int64_t */
    int64_t count;
    int holders;
};

struct bulk_pages *bulk_pages_new(const struct csv_format *format,
                                  const struct soql_column *columns)
{
    struct bulk_pages *pages = memory_alloc(sizeof(*pages));

    *pages = (struct bulk_pages){.format = *format, .columns = columns, .holders = 1};
    pages->rows = spool_new();
    pages->ends = spool_new();
    buf_init(&pages->header, MAX_ROW_BYTES);
    buf_init(&pages->block, MAX_ROW_BYTES + BLOCK_BYTES);
    for (const struct soql_column *each = columns; each != NULL; each = each->next) {
        if (each != columns)
            buf_char(&pages->header, format->delimiter);
        csv_write(&pages->header, each->name, strlen(each->name));
    }
    csv_write_end(&pages->header, format);
    return pages;
}

struct bulk_pages *bulk_pages_share(struct bulk_pages *pages)
{
    pages->holders++;
    return pages;
}

void bulk_pages_free(struct bulk_pages *pages)
{
    if (pages == NULL || --pages->holders > 0)
        return;
    buf_done(&pages->header);
    buf_done(&pages->block);
    spool_free(pages->rows);
    spool_free(pages->ends);
    free(pages);
}

/* ---- rows ---- */

/* Most numbers of an organisation are whole: those need no search for the shortest text. */
static void write_real(struct buf *out, double number)
{
    enum { EXACT = 1000000000 };

    buf_char(out, '"');
    if (number > -EXACT && number < EXACT && number == (double)(int64_t)number)
        buf_printf(out, "%" PRId64 ".0", (int64_t)number);
    else
        values_write_number(out, number);
    buf_char(out, '"');
}

static void write_integer(struct buf *out, const struct field *field, int64_t number)
{
    if (field->type->kind == KIND_BOOLEAN)
        buf_text(out, number != 0 ? "\"true\"" : "\"false\"");
    else if (field->type->kind == KIND_REAL)
        write_real(out, (double)number);
    else
        buf_printf(out, "\"%" PRId64 "\"", number);
}

/* "2026-01-31T10:20:30.000+0000" is "2026-01-31T10:20:30.000Z" here. */
static void write_text(struct buf *out, const struct field *field, const char *text, size_t size)
{
    if (field->type->kind != KIND_DATETIME || size < DATETIME_BYTES) {
        csv_write(out, text, size);
        return;
    }
    buf_char(out, '"');
    buf_append(out, text, DATETIME_BYTES);
    buf_text(out, "Z\"");
}

static void write_value(struct buf *out, const struct soql_column *column, sqlite3_stmt *statement)
{
    int index = column->column;

    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_NULL:
        buf_text(out, column->field->type->kind == KIND_BOOLEAN ? "\"false\"" : "\"\"");
        break;
    case SQLITE_INTEGER:
        write_integer(out, column->field, sqlite3_column_int64(statement, index));
        break;
    case SQLITE_FLOAT: write_real(out, sqlite3_column_double(statement, index)); break;
    default:
        write_text(out, column->field, (const char *)sqlite3_column_text(statement, index),
                   (size_t)sqlite3_column_bytes(statement, index));
    }
}

bool bulk_pages_settle(struct bulk_pages *pages, struct error *err)
{
    if (buf_is_full(&pages->block))
        return error_set(err, ERROR_RECORD, "a row is too large");
    bool is_done = spool_append(pages->rows, pages->block.data, pages->block.size_bytes, err);
    buf_clear(&pages->block);
    return is_done;
}

bool bulk_pages_write(struct bulk_pages *pages, sqlite3_stmt *statement, struct error *err)
{
    struct buf *out = &pages->block;

    for (const struct soql_column *each = pages->columns; each != NULL; each = each->next) {
        if (each != pages->columns)
            buf_char(out, pages->format.delimiter);
        write_value(out, each, statement);
    }
    csv_write_end(out, &pages->format);
    int64_t end = spool_size(pages->rows) + (int64_t)out->size_bytes;
    pages->count++;
    return spool_append(pages->ends, &end, sizeof(end), err) &&
           (out->size_bytes < BLOCK_BYTES || bulk_pages_settle(pages, err));
}

/* ---- pages ---- */

void bulk_pages_spools(struct bulk_pages *pages, struct spool **rows, struct spool **ends)
{
    *rows = pages->rows;
    *ends = pages->ends;
}

void bulk_pages_restore(struct bulk_pages *pages, int64_t count)
{
    pages->count = count;
}

int64_t bulk_pages_count(const struct bulk_pages *pages)
{
    return pages->count;
}

bool bulk_pages_is_like(const struct bulk_pages *pages, const struct bulk_pages *other)
{
    return pages->format.delimiter == other->format.delimiter &&
           pages->format.is_crlf == other->format.is_crlf &&
           strcmp(pages->header.data, other->header.data) == 0;
}

bool bulk_pages_send(struct bulk_pages *pages, int64_t first, int64_t count,
                     struct http_server_response *response, struct error *err)
{
    const char *view = count > 0 ? spool_view(pages->ends, err) : NULL;
    int64_t start = 0;
    int64_t end = 0;

    buf_append(&response->body, pages->header.data, pages->header.size_bytes);
    if (count == 0)
        return true;
    if (view == NULL)
        return false;
    if (first > 0)
        memcpy(&start, view + (first - 1) * (int64_t)sizeof(start), sizeof(start));
    memcpy(&end, view + (first + count - 1) * (int64_t)sizeof(end), sizeof(end));
    return spool_send(pages->rows, start, end, response, err);
}
