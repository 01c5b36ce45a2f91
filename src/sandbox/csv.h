/*
 * CSV as the Bulk API reads and writes it. Pure: text in, cells out, and back.
 *
 * Quotes are doubled inside quotes, line ends may stand inside them, nothing is trimmed, and
 * a blank next to a quote is a mistake. Every row ends in the line end that was declared. The
 * messages are Salesforce's. Source: Bulk API 2.0 Developer Guide, "Prepare CSV Files".
 */
#ifndef PGFORCE_SANDBOX_CSV_H
#define PGFORCE_SANDBOX_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
    CSV_MAX_CELL_BYTES = 131072 * 4, /* 131,072 characters */
    CSV_MAX_ROW_BYTES = 400000 * 4,
    CSV_MAX_CELLS = 5000,
};

struct csv_format {
    char delimiter;
    bool is_crlf;
    bool takes_any_end; /* reads LF and CRLF alike */
};

/* By Salesforce's names: COMMA, TAB, ...; LF and CRLF. NULL means the default. False for others. */
bool csv_find_format(const char *delimiter, const char *line_ending, struct csv_format *format);
const char *csv_delimiter_name(const struct csv_format *format);
const char *csv_line_ending_name(const struct csv_format *format);

enum csv_result { CSV_ROW, CSV_END, CSV_BAD };

struct csv_reader {
    struct csv_format format;
    const char *data;
    size_t size_bytes;
    size_t position;
    const char *problem; /* what is bad */
};

/* Cells end with a zero byte; they live in the arena. start and end are the row's place in the
 * data, without its line end. */
struct csv_row {
    const char **cells;
    size_t count;
    size_t start;
    size_t end;
};

/* Empty lines are passed over. After CSV_BAD nothing more can be read. */
enum csv_result csv_read(struct csv_reader *reader, struct arena *arena, struct csv_row *row);

/* Appends the text between quotes. */
void csv_write(struct buf *out, const char *text, size_t size_bytes);
void csv_write_end(struct buf *out, const struct csv_format *format);

#endif
