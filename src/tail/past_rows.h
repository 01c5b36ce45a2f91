/*
 * Log entries read from a cursor, turned back into the row events they were made from.
 *
 * The cursor's columns are commit_lsn, seq, txid, commit time (µs), origin, action, table_name, old
 * and values, in commit order. Columns are described as the table is now; one that has been dropped
 * since is text. What an entry does not tell of a column is absent.
 */
#ifndef PGFORCE_TAIL_PAST_ROWS_H
#define PGFORCE_TAIL_PAST_ROWS_H

#include "base/error.h"
#include "change/change.h"
#include "pg/pg.h"

struct past_rows;

/* All that is pointed at outlives it. */
struct past_rows *past_rows_new(struct pg *pg, const char *schema_name, const char *cursor_name);
void past_rows_free(struct past_rows *rows);

/* Goes to the next entry. */
bool past_rows_next(struct past_rows *rows, bool *has_row, struct error *err);

/* Whether the entry belongs to another transaction than the one that is open. */
bool past_rows_is_next_transaction(const struct past_rows *rows);

/* Opens the entry's transaction; answers it. It stays until the next one is opened. */
const struct transaction *past_rows_begin_transaction(struct past_rows *rows);
const struct transaction *past_rows_transaction(const struct past_rows *rows); /* NULL if none */
void past_rows_end_transaction(struct past_rows *rows);

/* The entry as an event, valid until the next call. */
bool past_rows_read(struct past_rows *rows, struct event *event, struct error *err);

/* Whether the event's relation has not been there before, or not so. */
bool past_rows_is_news(struct past_rows *rows);

#endif
