/*
 * COPY ... FROM STDIN in text format: rows in, one escaping rule, bounded memory.
 *
 * Between copy_begin and copy_end the connection does nothing else. A row is started, given its
 * fields in column order, and ended; rows leave in blocks of 64 KB.
 */
#ifndef PGFORCE_PG_COPY_H
#define PGFORCE_PG_COPY_H

#include "base/buf.h"
#include "pg/pg.h"

struct copy {
    struct pg *pg;
    struct buf block;
    int field_count; /* of the row being written */
    int64_t row_count;
};

/* sql is a whole `copy ... from stdin` statement. After false, copy must not be used. */
bool copy_begin(struct copy *copy, struct pg *pg, const char *sql, struct error *err);

/* text NULL is null; size_bytes of it, which must not contain a zero byte. */
void copy_field(struct copy *copy, const char *text, size_t size_bytes);
bool copy_end_row(struct copy *copy, struct error *err);

/* Ends the COPY and says what the server thought of it. Frees copy either way. */
bool copy_end(struct copy *copy, struct error *err);

/* Gives up: the server rolls the COPY back. Frees copy. */
void copy_abort(struct copy *copy);

#endif
