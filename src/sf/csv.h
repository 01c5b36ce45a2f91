/*
 * Reads CSV as Bulk queries answer it, from pieces cut anywhere: quotes are doubled inside quotes,
 * line ends may stand inside them, nothing is trimmed, rows end in LF or CRLF.
 *
 * Pure: bytes in, rows out. Holds one row and what has been fed behind it, in one copy; cells are
 * unquoted in place. It does not know what columns mean.
 * Source: Bulk API 2.0 Developer Guide, "Prepare CSV Files"; RFC 4180.
 */
#ifndef PGFORCE_SF_CSV_H
#define PGFORCE_SF_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* Salesforce's largest row has 400,000 characters, its widest object some 800 fields. */
enum { SF_CSV_ROW_BYTES = 16 * 1024 * 1024, SF_CSV_CELLS = 5000 };

struct sf_csv;

/* Cells end with a zero byte, and may hold some. Valid until the next call; may be written to. */
struct sf_csv_row {
    char **cells;
    const size_t *sizes;
    size_t count;
};

enum sf_csv_result {
    SF_CSV_ROW,
    SF_CSV_MORE, /* the row goes on in what has not been fed yet; after sf_csv_end: no row left */
    SF_CSV_BAD,  /* for good: sf_csv_problem says why */
};

struct sf_csv *sf_csv_new(void);
void sf_csv_free(struct sf_csv *csv);

/* Only after SF_CSV_MORE, or at the beginning. */
void sf_csv_feed(struct sf_csv *csv, const char *data, size_t size_bytes);

/* Nothing more will be fed: the last row may lack its line end. */
void sf_csv_end(struct sf_csv *csv);

/* Empty lines are passed over. */
enum sf_csv_result sf_csv_next(struct sf_csv *csv, struct sf_csv_row *row);

const char *sf_csv_problem(const struct sf_csv *csv);

static inline void sf_csv_done(struct sf_csv **csv)
{
    sf_csv_free(*csv);
}

#define SF_CSV_AUTO __attribute__((cleanup(sf_csv_done)))

#endif
