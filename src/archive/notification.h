/*
 * What an operator should know, stored: once per cause, with its end.
 *
 * A cause that lasts has one row however often it is seen; when it is gone the row is resolved, and
 * the next time is a new row. Who tells the operator (by webhook, by command) is not decided here.
 */
#ifndef PGFORCE_ARCHIVE_NOTIFICATION_H
#define PGFORCE_ARCHIVE_NOTIFICATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "pg/pg.h"

struct notification {
    const char *cause;      /* "mapping Account", "slot": what makes it the same again */
    const char *event_type; /* Heroku Connect's "mapping-error", "postgres-connection", or ours */
    const char *message;
};

/*
 * Makes the stored ones agree with what is the case now: new causes are stored, those no longer
 * there are resolved, the others get their newest message. One transaction.
 */
bool notification_agree(struct pg *pg, const char *schema_name, const struct notification *items,
                        size_t count, struct error *err);

/* Which of them; NULL and 0 leave a condition out. */
struct notification_filter {
    const char *after; /* timestamps as PostgreSQL reads them */
    const char *before;
    const char *event_type;
    int limit;
};

/* The newest first: columns id, created_at, resolved_at, acknowledged_at (RFC 3339), event_type,
 * message, cause. To be cleared by the caller. A timestamp that cannot be read is ERROR_RECORD. */
PGresult *notification_list(struct pg *pg, const char *schema_name,
                            const struct notification_filter *filter, struct error *err);

/* Marks them as seen; its limit does not count. */
bool notification_acknowledge(struct pg *pg, const char *schema_name,
                              const struct notification_filter *filter, struct error *err);

#endif
