#include "sandbox/csv.h"

#include <string.h>

static const struct {
    const char *name;
    char delimiter;
} delimiters[] = {
    {"COMMA", ','}, {"TAB", '\t'},      {"PIPE", '|'},
    {"CARET", '^'}, {"SEMICOLON", ';'}, {"BACKQUOTE", '`'},
};

bool csv_find_format(const char *delimiter, const char *line_ending, struct csv_format *format)
{
    *format = (struct csv_format){.delimiter = ','};
    if (line_ending != NULL && strcmp(line_ending, "CRLF") == 0)
        format->is_crlf = true;
    else if (line_ending != NULL && strcmp(line_ending, "LF") != 0)
        return false;
    if (delimiter == NULL)
        return true;
    for (size_t i = 0; i < sizeof(delimiters) / sizeof(delimiters[0]); i++)
        if (strcmp(delimiters[i].name, delimiter) == 0) {
            format->delimiter = delimiters[i].delimiter;
            return true;
        }
    return false;
}

const char *csv_delimiter_name(const struct csv_format *format)
{
    for (size_t i = 0; i < sizeof(delimiters) / sizeof(delimiters[0]); i++)
        if (delimiters[i].delimiter == format->delimiter)
            return delimiters[i].name;
    return "COMMA";
}

const char *csv_line_ending_name(const struct csv_format *format)
{
    return format->is_crlf ? "CRLF" : "LF";
}

/* ---- reading ---- */

enum { MIN_CELLS = 32 };

static const char unescaped_quote[] = "Failed to parse CSV. Found unescaped quote. A value with "
                                      "quote should be within a quote";

/* One row on its way: where it goes and how much room there is. */
struct scan {
    struct csv_reader *reader;
    struct arena *arena;
    struct csv_row *row;
    size_t room;
};

static bool fail(struct scan *scan, const char *problem)
{
    scan->reader->problem = problem;
    return false;
}

static bool is_at_end(const struct csv_reader *reader)
{
    return reader->position == reader->size_bytes;
}

static bool is_next(const struct csv_reader *reader, char character)
{
    return !is_at_end(reader) && reader->data[reader->position] == character;
}

/* How long the line end at the position is; 0 when there is none. The wrong kind is a problem. */
static bool find_line_end(struct scan *scan, size_t *length)
{
    struct csv_reader *reader = scan->reader;
    bool has_return = is_next(reader, '\r') && reader->position + 1 < reader->size_bytes &&
                      reader->data[reader->position + 1] == '\n';
    bool has_feed = is_next(reader, '\n');

    *length = has_return ? 2 : has_feed ? 1 : 0;
    if (reader->format.takes_any_end)
        return true;
    if (has_return && !reader->format.is_crlf)
        return fail(scan, "LineEnding is invalid on user data. Current LineEnding setting is LF");
    if (has_feed && reader->format.is_crlf)
        return fail(scan, "LineEnding is invalid on user data. Current LineEnding setting is CRLF");
    return true;
}

static bool add_cell(struct scan *scan, const char *text, size_t size_bytes)
{
    struct csv_row *row = scan->row;

    if (row->count == CSV_MAX_CELLS)
        return fail(scan, "Failed to parse CSV. A row has more than 5000 fields");
    if (size_bytes > CSV_MAX_CELL_BYTES)
        return fail(scan, "Failed to parse CSV. A field has more than 131072 characters");
    if (memchr(text, '\0', size_bytes) != NULL)
        return fail(scan, "Failed to parse CSV. Found a character that cannot be in text");
    if (row->count == scan->room) {
        size_t room = scan->room > 0 ? scan->room * 2 : MIN_CELLS;
        const char **grown = arena_array(scan->arena, const char *, room);

        if (row->count > 0)
            memcpy(grown, row->cells, row->count * sizeof(*grown));
        row->cells = grown;
        scan->room = room;
    }
    row->cells[row->count++] = arena_strndup(scan->arena, text, size_bytes);
    return true;
}

static bool read_plain(struct scan *scan)
{
    struct csv_reader *reader = scan->reader;
    const char *start = reader->data + reader->position;
    size_t left = reader->size_bytes - reader->position;
    size_t length = 0;

    while (length < left && start[length] != reader->format.delimiter && start[length] != '\n') {
        if (start[length] == '"')
            return fail(scan, unescaped_quote);
        length++;
    }
    bool is_crlf =
        length > 0 && length < left && start[length] == '\n' && start[length - 1] == '\r';
    length -= is_crlf;
    reader->position += length;
    return add_cell(scan, start, length);
}

/* Takes what stands between the quotes, doubled quotes as one. */
static bool read_quoted(struct scan *scan)
{
    struct csv_reader *reader = scan->reader;
    const char *end = reader->data + reader->size_bytes;
    const char *from = reader->data + reader->position + 1;
    const char *quote = from;

    while ((quote = memchr(quote, '"', (size_t)(end - quote))) != NULL && quote + 1 < end &&
           quote[1] == '"')
        quote += 2;
    if (quote == NULL)
        return fail(scan, "Failed to parse CSV. EOF reached before closing an opened quote");
    reader->position = (size_t)(quote + 1 - reader->data);
    if (quote - from > CSV_MAX_ROW_BYTES)
        return fail(scan, "Failed to parse CSV. A record has more than 400000 characters");
    char *text = arena_alloc(scan->arena, (size_t)(quote - from) + 1);
    size_t used = 0;
    for (; from < quote; from++) {
        text[used++] = *from;
        from += *from == '"';
    }
    return add_cell(scan, text, used);
}

/* A cell and what ends it. */
static bool read_cell(struct scan *scan, bool *is_last)
{
    struct csv_reader *reader = scan->reader;
    size_t length = 0;

    if (!(is_next(reader, '"') ? read_quoted(scan) : read_plain(scan)))
        return false;
    scan->row->end = reader->position;
    *is_last = !is_next(reader, reader->format.delimiter);
    if (!*is_last) {
        reader->position++;
        return true;
    }
    if (is_at_end(reader))
        return true;
    if (!find_line_end(scan, &length))
        return false;
    reader->position += length;
    return length > 0 || fail(scan, unescaped_quote);
}

enum csv_result csv_read(struct csv_reader *reader, struct arena *arena, struct csv_row *row)
{
    struct scan scan = {.reader = reader, .arena = arena, .row = row};
    bool is_last = false;
    size_t length = 1;

    if (reader->problem != NULL)
        return CSV_BAD;
    while (length > 0) {
        if (!find_line_end(&scan, &length))
            return CSV_BAD;
        reader->position += length;
    }
    if (is_at_end(reader))
        return CSV_END;
    *row = (struct csv_row){.start = reader->position};
    while (!is_last)
        if (!read_cell(&scan, &is_last))
            return CSV_BAD;
    if (row->end - row->start > CSV_MAX_ROW_BYTES) {
        fail(&scan, "Failed to parse CSV. A record has more than 400000 characters");
        return CSV_BAD;
    }
    return CSV_ROW;
}

/* ---- writing ---- */

void csv_write(struct buf *out, const char *text, size_t size_bytes)
{
    const char *end = text + size_bytes;
    const char *quote;

    buf_char(out, '"');
    while (text < end && (quote = memchr(text, '"', (size_t)(end - text))) != NULL) {
        buf_append(out, text, (size_t)(quote - text) + 1);
        buf_char(out, '"');
        text = quote + 1;
    }
    buf_append(out, text, (size_t)(end - text));
    buf_char(out, '"');
}

void csv_write_end(struct buf *out, const struct csv_format *format)
{
    if (format->is_crlf)
        buf_char(out, '\r');
    buf_char(out, '\n');
}
