/*
 * How often something was sent, counted in the database and kept in a file beside it.
 *
 * A database that came back from a copy of its whole disk, its slot and its timeline with it, looks
 * as it did when it was copied: nothing in it says that entries which wait have been sent since.
 * The file does, for it was not copied back. It is written after the intents are committed and
 * before the first byte leaves, so the database may be ahead of the file and is never behind it,
 * unless it is an older copy.
 *
 * The file is in PGFORCE_STATE_DIRECTORY, one per schema, a line: the connection's uuid and the
 * count. One of another connection says nothing.
 */
#ifndef PGFORCE_ARCHIVE_SENT_H
#define PGFORCE_ARCHIVE_SENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

/* Text, for the file's line is all that it is for. */
struct sent_count {
    char text[64];
};

/* One more, in the transaction that stores the intents. */
bool sent_add(struct pg *pg, const char *schema_name, struct sent_count *count, struct error *err);

/* Keeps it in the directory, durably. ERROR_CONFIG where that cannot be written. */
bool sent_keep(const char *directory, const char *schema_name, const struct sent_count *count,
               struct error *err);

/* Where the database has counted less than the file: notes it there as restored (restored.h), and
 * counts on from the file. */
bool sent_compare(struct pg *pg, const char *directory, const char *schema_name, struct error *err);

#endif
