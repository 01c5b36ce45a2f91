/*
 * Reads the one message that a stream is full of, the Row, without an allocation per row or value:
 * text points into the stream's bytes, and what was sent natively is rendered into room that the
 * next row uses again. Only the reader (change.c) uses this.
 */
#ifndef PGFORCE_CHANGE_ROWS_H
#define PGFORCE_CHANGE_ROWS_H

#include "change/change.h"
#include "change/relations.h"
#include "change/wire.h"

/* Zero is empty. */
struct rows {
    struct value *values; /* two sides of column_room each */
    char *texts;          /* NATIVE_BYTES for each value */
    size_t column_room;
};

void rows_done(struct rows *rows);

/* Fills event's row and subxid; NULL, or why the bytes are no Row. */
const char *rows_read(struct rows *rows, struct relations *relations, struct wire bytes,
                      struct event *event);

#endif
