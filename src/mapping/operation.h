/*
 * What an operator asks of one mapping that exists: abort, reload, resume, delete.
 *
 * Most of it is a request in the mapping's row; the pull role carries it out and is woken. A
 * deletion is done here and now, as one transaction. Every request obeys the ways of state.h. An
 * object's name is not case sensitive. Nothing is printed, so the command line and the HTTP API do
 * the same.
 */
#ifndef PGFORCE_MAPPING_OPERATION_H
#define PGFORCE_MAPPING_OPERATION_H

#include <stdbool.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* Stops whatever runs on it, within a second, and keeps what is stored: ABORTED. */
bool operation_abort(struct pg *pg, const char *schema_name, const char *object_name,
                     struct error *err);

/*
 * Reads all records again. In place, rows keep their id and pending writes stay; destructive is
 * Heroku Connect's: the table is emptied and pending writes are lost.
 */
bool operation_reload(struct pg *pg, const char *schema_name, const char *object_name,
                      bool is_destructive, struct error *err);

/* From ABORTED or SYSTEM_ERROR on where it was. */
bool operation_resume(struct pg *pg, const char *schema_name, const char *object_name,
                      struct error *err);

/* The same for all that are in SYSTEM_ERROR. */
bool operation_resume_failed(struct pg *pg, const char *schema_name, int *resumed,
                             struct error *err);

/* Forgets the mapping with its pending entries, and drops the table unless it is to be kept. */
bool operation_delete(struct pg *pg, const char *schema_name, const char *object_name,
                      bool keeps_table, struct error *err);

/* The same inside the caller's transaction. */
bool operation_forget(struct pg *pg, const char *schema_name, const char *object_name,
                      bool keeps_table, struct error *err);

/*
 * For the pull role: carries out what was asked before the load begins. The watermark is set to the
 * beginning; a destructive reload empties the table, under the session's origin. mapping is as it
 * was loaded, *is_taken says whether it has to be loaded anew.
 */
bool operation_take(struct pg *pg, const struct mapping *mapping, bool *is_taken,
                    struct error *err);

#endif
