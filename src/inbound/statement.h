/*
 * Statements over a mapped table and its staging table, written with words in place of names:
 *
 *     @t the mapped table   @s the staging table   @r what is put off while it is worked through
 *     @log the log   @n the table's name as a literal
 *     @cols columns of both, bare   @scols the same after s.   @tcols after t.
 *     @stamp the staged row's modification stamp   @newer the staged row is not older than t
 *     @set "column" = s."column" for all   @key t.key = s.key, or false without a unique identifier
 *     @skey s.key as text, or null
 *     @id the mapping's id
 *     @gone a row of t that is kept although its record is deleted
 *     @since behind a time: it lies in the reading, which began at $1, apply_world.began_us
 */
#ifndef PGFORCE_INBOUND_STATEMENT_H
#define PGFORCE_INBOUND_STATEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"

/* The INSERTs that have left a trace and are to be sent again: a first attempt may be done at any
 * time, and until its trace has been read no unknown record can be told from the one it makes. */
#define STATEMENT_LATE_INSERT                                                                      \
    "(select from pgforce.delivery d"                                                              \
    " cross join lateral (select * from @log where id = d.log_id offset 0) l"                      \
    " where d.mapping_id = @id"                                                                    \
    " and d.action = 'INSERT'"                                                                     \
    " and d.was_in_doubt"                                                                          \
    " and d.trace is not null"                                                                     \
    " and l.table_name = @n"                                                                       \
    " and l.state = 'NEW')"

/* The ids of rows of which an entry was settled since the reading began. */
#define STATEMENT_ANSWERED                                                                         \
    "select l.record_id from @log l"                                                               \
    " where l.table_name = @n and l.state in ('SUCCESS', 'MERGED') and l.processed_at @since"

/* NULL on failure; the caller clears the result. */
PGresult *statement_query(struct pg *pg, const struct mapping *mapping, const char *format,
                          struct pg_params params, struct error *err);

/* pg_send of it, without parameters. */
bool statement_send(struct pg *pg, const struct mapping *mapping, const char *format,
                    struct error *err);

/* Adds the rows it touched to *count. */
bool statement_run(struct pg *pg, const struct mapping *mapping, const char *format, int64_t *count,
                   struct error *err);

#endif
