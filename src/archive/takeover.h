/*
 * Heroku Connect's log in a schema that is to be ours: its rows are kept, its machinery goes.
 *
 * Everything in the caller's transaction, in two steps around install.h, because both want the same
 * names: what is there is set aside, and its rows are taken into the tables that were made
 * meanwhile. Triggers and functions are told by Heroku Connect's names; what users made stays.
 *
 * Source: dumps of live schemas.
 */
#ifndef PGFORCE_ARCHIVE_TAKEOVER_H
#define PGFORCE_ARCHIVE_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

/* Whether the schema has a log that is not ours yet, and whether we may change what is in it: what
 * is missing is ERROR_CONFIG with the statement that mends it. Changes nothing. */
bool takeover_check(struct pg *pg, const char *schema_name, struct error *err);

struct takeover {
    int64_t triggers; /* dropped */
    int64_t entries;  /* kept in the log */
    int64_t archived; /* kept in the archive */
    int64_t doubtful; /* of the entries: were under way, and are FAILED now */
};

bool takeover_set_aside(struct pg *pg, const char *schema_name, struct takeover *takeover,
                        struct error *err);
bool takeover_take_in(struct pg *pg, const char *schema_name, struct takeover *takeover,
                      struct error *err);

#endif
