/*
 * The tables that pgforce owns: made and brought up to date by numbered SQL files.
 *
 * Two sets: the database's (schema pgforce, one for all connections) and each connection's (the
 * mapped schema: _trigger_log and its kin). Every step runs in one transaction and is recorded;
 * running it again changes nothing; a database newer than this binary is refused.
 */
#ifndef PGFORCE_ARCHIVE_INSTALL_H
#define PGFORCE_ARCHIVE_INSTALL_H

#include "base/error.h"
#include "pg/pg.h"

/* Inside the caller's transaction. */
bool install_tables(struct pg *pg, const char *schema_name, struct error *err);

/* The database's tables, and the connection without any: its schema holds something that is to be
 * taken over first. Inside the caller's transaction. */
bool install_reserve(struct pg *pg, const char *schema_name, struct error *err);

/* Whether what the database holds is of this version: others are ERROR_CONFIG with the remedy. */
bool install_check_version(struct pg *pg, const char *schema_name, struct error *err);

/*
 * Heroku Connect's hc_capture_insert_from_row and hc_capture_update_from_row. They take an hstore:
 * the extension is made where the server has it, and without it there are no such functions. Inside
 * the caller's transaction.
 */
bool install_capture_functions(struct pg *pg, const char *schema_name, bool *is_installed,
                               struct error *err);

/* The application's role, that has what Heroku Connect's credential has; and one that only reads.
 */
enum install_role { INSTALL_WRITER, INSTALL_READER };

bool install_grants(struct pg *pg, const char *schema_name, enum install_role kind,
                    const char *role, struct error *err);

/* The i-th of its statements, with %schema and %role; NULL after the last. For showing them. */
const char *install_grant(enum install_role kind, size_t i);
void install_append_grant(struct buf *sql, const char *grant, const char *schema_name,
                          const char *role);

#endif
