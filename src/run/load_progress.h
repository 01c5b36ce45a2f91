/*
 * Watching a mapping until everything has been read: rows, rate and estimate, on one line of a
 * terminal, elsewhere a line every few seconds. To standard error.
 */
#ifndef PGFORCE_RUN_LOAD_PROGRESS_H
#define PGFORCE_RUN_LOAD_PROGRESS_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/* False with the reason when it was aborted, failed or deleted. */
bool load_progress_watch(struct pg *pg, const char *schema_name, const char *object_name,
                         struct error *err);

#endif
