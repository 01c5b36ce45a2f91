#include "pg/copy.h"

#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, ROW_MAX_BYTES = 1 << 30 };

bool copy_begin(struct copy *copy, struct pg *pg, const char *sql, struct error *err)
{
    if (!pg_run(pg, sql, PG_PARAMS(), err))
        return false;
    *copy = (struct copy){.pg = pg};
    buf_init(&copy->block, (size_t)ROW_MAX_BYTES + BLOCK_BYTES);
    return true;
}

/* COPY's text format: backslash, tab, line feed and carriage return are escaped; null is \N. */
static void append_escaped(struct buf *block, const char *text, size_t size_bytes)
{
    static const char escapes[256] = {['\\'] = '\\', ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};
    size_t plain_from = 0;

    for (size_t i = 0; i < size_bytes; i++) {
        char escape = escapes[(unsigned char)text[i]];

        if (escape == '\0')
            continue;
        buf_append(block, text + plain_from, i - plain_from);
        buf_char(block, '\\');
        buf_char(block, escape);
        plain_from = i + 1;
    }
    buf_append(block, text + plain_from, size_bytes - plain_from);
}

void copy_field(struct copy *copy, const char *text, size_t size_bytes)
{
    if (copy->field_count++ > 0)
        buf_char(&copy->block, '\t');
    if (text == NULL)
        buf_text(&copy->block, "\\N");
    else
        append_escaped(&copy->block, text, size_bytes);
}

static bool send_block(struct copy *copy, struct error *err)
{
    if (buf_is_full(&copy->block))
        return error_set(err, ERROR_RECORD, "a row of over 1 GB cannot be written by COPY");
    if (!pg_put_copy(copy->pg, copy->block.data, copy->block.size_bytes, err))
        return false;
    buf_clear(&copy->block);
    return true;
}

bool copy_end_row(struct copy *copy, struct error *err)
{
    buf_char(&copy->block, '\n');
    copy->field_count = 0;
    copy->row_count++;
    return copy->block.size_bytes < BLOCK_BYTES || send_block(copy, err);
}

/* Reads every result that the COPY left on the connection; the first failure is the one told. */
static bool read_results(struct copy *copy, struct error *err)
{
    bool is_ok = true;
    PGresult *result;

    while ((result = pg_next_result(copy->pg)) != NULL) {
        if (is_ok && PQresultStatus(result) != PGRES_COMMAND_OK)
            is_ok = pg_set_error(copy->pg, result, err);
        PQclear(result);
    }
    return is_ok;
}

bool copy_end(struct copy *copy, struct error *err)
{
    bool is_sent = send_block(copy, err);

    if (PQputCopyEnd(pg_conn(copy->pg), is_sent ? NULL : "given up") != 1)
        is_sent = is_sent && pg_set_error(copy->pg, NULL, err);
    bool is_ok = is_sent ? read_results(copy, err) : read_results(copy, &(struct error){0});
    buf_done(&copy->block);
    return is_sent && is_ok;
}

void copy_abort(struct copy *copy)
{
    struct error ignored;

    PQputCopyEnd(pg_conn(copy->pg), "given up");
    read_results(copy, &ignored);
    buf_done(&copy->block);
}
