/*
 * What is over leaves the log: settled entries move to _trigger_log_archive, and of that the oldest
 * days are dropped.
 *
 * The archive has a partition for each day (UTC) of created_at, in the schema pgforce. Days are
 * made apart and then attached, and taken off without a lock that readers or the mover would wait
 * for. An entry that is not settled never moves, nor an INSERT of whose record something is still
 * to be sent. Rows that others hold are left for the next time: moving waits for nobody, and
 * capture never for it. Any process may be killed at any point: what was begun is found and
 * finished.
 */
#ifndef PGFORCE_ARCHIVE_RETENTION_H
#define PGFORCE_ARCHIVE_RETENTION_H

#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

struct retention {
    const char *schema_name;
    int64_t settled_s; /* how long an entry stays in the log after it was settled */
    int keep_days;     /* how long it is kept in the archive */
};

/* The days from yesterday to a week ahead, so that a row copied by hand finds its partition. */
bool retention_make_days(struct pg *pg, const char *schema_name, struct error *err);

/* The days of a table's created_at; table is quoted as SQL wants it. */
bool retention_make_days_of(struct pg *pg, const char *schema_name, const char *table,
                            struct error *err);

/* Moves all that is due, piece by piece, each in a transaction of its own; stops when told to. */
bool retention_move(struct pg *pg, const struct retention *retention, int64_t *moved,
                    struct error *err);

/* A day goes when it is too old and nothing in it was settled later. Outside a transaction. What is
 * locked for the moment stays for the next time. */
bool retention_drop_days(struct pg *pg, const struct retention *retention, int64_t *dropped,
                         struct error *err);

#endif
