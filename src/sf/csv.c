#include "sf/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

enum { FEED_BYTES = 64 * 1024 * 1024, FIRST_CELLS = 32 };

enum place {
    AT_CELL,     /* before a cell's first byte */
    IN_PLAIN,    /* inside a cell without quotes */
    IN_QUOTES,   /* inside a cell with quotes */
    AFTER_QUOTE, /* behind a quote that ends the cell, or is doubled */
    AFTER_CR,    /* behind a quoted cell and a carriage return */
};

struct sf_csv {
    struct buf text;
    size_t row_at;  /* where the row begins; the others lie behind it */
    size_t read_at; /* what has been looked at */
    size_t cell_at;
    size_t write_at; /* where the next byte of the cell goes: quotes leave gaps */
    enum place place;
    size_t *starts; /* of the row's cells, after row_at */
    size_t *sizes;
    char **cells;
    size_t count;
    size_t room;
    bool is_ended;
    const char *problem;
};

struct sf_csv *sf_csv_new(void)
{
    struct sf_csv *csv = memory_alloc(sizeof(*csv));

    *csv = (struct sf_csv){0};
    buf_init(&csv->text, SF_CSV_ROW_BYTES + FEED_BYTES);
    return csv;
}

void sf_csv_free(struct sf_csv *csv)
{
    if (csv == NULL)
        return;
    buf_done(&csv->text);
    free(csv->starts);
    free(csv->sizes);
    free(csv->cells);
    free(csv);
}

void sf_csv_feed(struct sf_csv *csv, const char *data, size_t size_bytes)
{
    size_t kept_bytes = csv->text.size_bytes - csv->row_at;

    if (csv->problem != NULL)
        return;
    memmove(csv->text.data, csv->text.data + csv->row_at, kept_bytes);
    csv->text.size_bytes = kept_bytes;
    csv->read_at -= csv->row_at;
    csv->cell_at -= csv->row_at;
    csv->write_at -= csv->row_at;
    csv->row_at = 0;
    buf_append(&csv->text, data, size_bytes);
    if (kept_bytes > SF_CSV_ROW_BYTES || buf_is_full(&csv->text))
        csv->problem = "a row is too long";
}

void sf_csv_end(struct sf_csv *csv)
{
    csv->is_ended = true;
}

const char *sf_csv_problem(const struct sf_csv *csv)
{
    return csv->problem;
}

static void grow(struct sf_csv *csv)
{
    size_t room = csv->room > 0 ? 2 * csv->room : FIRST_CELLS;

    csv->starts = memory_realloc(csv->starts, room * sizeof(*csv->starts));
    csv->sizes = memory_realloc(csv->sizes, room * sizeof(*csv->sizes));
    csv->cells = memory_realloc(csv->cells, room * sizeof(*csv->cells));
    csv->room = room;
}

/* The zero byte lands on the cell's own quote, delimiter or line end, all of them read. */
static bool end_cell(struct sf_csv *csv)
{
    if (csv->count == SF_CSV_CELLS) {
        csv->problem = "a row has too many cells";
        return false;
    }
    if (csv->count == csv->room)
        grow(csv);
    csv->starts[csv->count] = csv->cell_at - csv->row_at;
    csv->sizes[csv->count] = csv->write_at - csv->cell_at;
    csv->text.data[csv->write_at] = '\0';
    csv->count++;
    csv->place = AT_CELL;
    return true;
}

/* Takes the cell's bytes up to `end`. */
static void take_bytes(struct sf_csv *csv, size_t end)
{
    size_t size_bytes = end - csv->read_at;

    if (csv->write_at != csv->read_at)
        memmove(csv->text.data + csv->write_at, csv->text.data + csv->read_at, size_bytes);
    csv->write_at += size_bytes;
    csv->read_at = end;
}

static bool is_bad(struct sf_csv *csv, const char *problem)
{
    csv->problem = problem;
    return false;
}

/* True at the end of a row. The functions below answer false when they need more, or at the end of
 * a cell, or for something bad; read_at always moves. */
static bool read_cell_start(struct sf_csv *csv)
{
    if (csv->text.data[csv->read_at] == '"') {
        csv->read_at++;
        csv->place = IN_QUOTES;
    } else {
        csv->place = IN_PLAIN;
    }
    csv->cell_at = csv->write_at = csv->read_at;
    return false;
}

static bool read_plain(struct sf_csv *csv)
{
    const char *text = csv->text.data;
    size_t end = csv->read_at;

    while (end < csv->text.size_bytes && text[end] != ',' && text[end] != '\n' && text[end] != '"')
        end++;
    take_bytes(csv, end);
    if (end == csv->text.size_bytes)
        return false;
    if (text[end] == '"')
        return is_bad(csv, "a quote stands inside a cell without quotes");
    bool is_row = text[end] == '\n';
    if (is_row && csv->write_at > csv->cell_at && text[csv->write_at - 1] == '\r')
        csv->write_at--;
    csv->read_at++;
    return end_cell(csv) && is_row;
}

static bool read_quoted(struct sf_csv *csv)
{
    const char *from = csv->text.data + csv->read_at;
    const char *quote = memchr(from, '"', csv->text.size_bytes - csv->read_at);

    take_bytes(csv, quote != NULL ? (size_t)(quote - csv->text.data) : csv->text.size_bytes);
    if (quote == NULL)
        return false;
    csv->read_at++;
    csv->place = AFTER_QUOTE;
    return false;
}

static bool read_after_quote(struct sf_csv *csv)
{
    char next = csv->text.data[csv->read_at++];

    switch (next) {
    case '"':
        csv->text.data[csv->write_at++] = '"';
        csv->place = IN_QUOTES;
        return false;
    case '\r': csv->place = AFTER_CR; return false;
    case ',': end_cell(csv); return false;
    case '\n': return end_cell(csv);
    default: return is_bad(csv, "a quoted cell goes on behind its quote");
    }
}

static bool read_after_cr(struct sf_csv *csv)
{
    if (csv->text.data[csv->read_at++] != '\n')
        return is_bad(csv, "a carriage return stands behind a quoted cell");
    return end_cell(csv);
}

static bool read_on(struct sf_csv *csv)
{
    switch (csv->place) {
    case AT_CELL: return read_cell_start(csv);
    case IN_PLAIN: return read_plain(csv);
    case IN_QUOTES: return read_quoted(csv);
    case AFTER_QUOTE: return read_after_quote(csv);
    case AFTER_CR: return read_after_cr(csv);
    }
    return false;
}

/* What is left when nothing more comes: a row without its line end, or nothing. */
static bool end_last_row(struct sf_csv *csv)
{
    if (!csv->is_ended || csv->read_at == csv->row_at)
        return false;
    if (csv->place == IN_QUOTES)
        return is_bad(csv, "the text ends inside quotes");
    if (csv->place == AFTER_CR)
        return is_bad(csv, "the text ends in a carriage return");
    if (csv->place == AT_CELL)
        csv->cell_at = csv->write_at = csv->read_at;
    return end_cell(csv);
}

static bool is_empty_line(const struct sf_csv *csv)
{
    return csv->count == 1 && csv->sizes[0] == 0 && csv->starts[0] == 0;
}

static void fill_row(struct sf_csv *csv, struct sf_csv_row *row)
{
    for (size_t i = 0; i < csv->count; i++)
        csv->cells[i] = csv->text.data + csv->row_at + csv->starts[i];
    *row = (struct sf_csv_row){.cells = csv->cells, .sizes = csv->sizes, .count = csv->count};
    csv->row_at = csv->read_at;
    csv->count = 0;
}

enum sf_csv_result sf_csv_next(struct sf_csv *csv, struct sf_csv_row *row)
{
    while (csv->problem == NULL) {
        bool has_row = csv->read_at < csv->text.size_bytes ? read_on(csv) : end_last_row(csv);

        if (has_row && !is_empty_line(csv)) {
            fill_row(csv, row);
            return SF_CSV_ROW;
        }
        if (has_row) {
            csv->row_at = csv->read_at;
            csv->count = 0;
        } else if (csv->problem == NULL && csv->read_at == csv->text.size_bytes) {
            bool is_last = csv->is_ended && csv->read_at > csv->row_at;

            if (!is_last)
                return SF_CSV_MORE;
        }
    }
    return SF_CSV_BAD;
}
