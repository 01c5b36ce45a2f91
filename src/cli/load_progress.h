/*
 * What a mapping's reading has still to do. Watched until everything has been read: rows, rate and
 * estimate, on one line of a terminal, elsewhere a line every few seconds, to standard error. Or
 * printed once.
 */
#ifndef PGFORCE_CLI_LOAD_PROGRESS_H
#define PGFORCE_CLI_LOAD_PROGRESS_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/* False with the reason when it was aborted, failed or deleted. */
bool load_progress_watch(struct pg *pg, const char *schema_name, const char *object_name,
                         struct error *err);

/* To standard output, a line each: the load under way, deletions that wait to be confirmed, records
 * that the table does not take. Of all mappings, or of object_name alone; mostly nothing. */
bool load_progress_print(struct pg *pg, const char *schema_name, const char *object_name,
                         struct error *err);

#endif
