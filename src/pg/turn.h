/*
 * Whose turn it is: of several processes that could do one role's work for a schema, one does it
 * and the others stand by.
 *
 * The turn is an advisory lock of the session, so it ends with the session, however that ends, and
 * everybody can see in pg_locks who has it. Who stands by asks once a second in a statement of its
 * own: nothing is held open that would keep a vacuum or a new slot waiting.
 */
#ifndef PGFORCE_PG_TURN_H
#define PGFORCE_PG_TURN_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

/* Waits for the turn until the process is told to stop (ERROR_RETRY), and says once in the log for
 * whom. */
bool turn_take(struct pg *pg, const char *role, const char *schema_name, struct error *err);

/* The same without keeping it: there was a moment when nobody had it. */
bool turn_await(struct pg *pg, const char *role, const char *schema_name, struct error *err);

/* SQL: the condition under which the row l of pg_locks is the turn of a role; both arguments are
 * SQL expressions. */
#define TURN_CLASS "1885824356"
#define TURN_IS(role, schema_name)                                                                 \
    "l.locktype = 'advisory' and l.granted and l.classid = " TURN_CLASS " and l.objsubid = 2"      \
    " and l.database = (select d.oid from pg_database d where d.datname = current_database())"     \
    " and l.objid::bigint = hashtext(" role " || ' of ' || " schema_name ")::bigint & 4294967295"

#endif
