/*
 * PostgreSQL as a client: a connection whose session we control, and queries with parameters.
 *
 * Every session gets the same settings (UTC, ISO dates, UTF-8, a search_path of pg_catalog alone,
 * synchronous_commit on, a lock time-out), because what we write must not depend on how a role or a
 * database happens to be configured. Parameters and results are text. Errors carry a kind chosen by
 * SQLSTATE, so that callers never look at messages. It knows nothing of our tables.
 */
#ifndef PGFORCE_PG_PG_H
#define PGFORCE_PG_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/lsn.h"

struct pg;

/*
 * url is anything libpq accepts (URI or key=value). application_name shows in pg_stat_activity.
 * Answers NULL with ERROR_CONFIG where the operator must act (password, no such database), else
 * ERROR_RETRY.
 */
struct pg *pg_open(const char *url, const char *application_name, struct error *err);

/* The same in replication mode (replication=database): a walsender that also takes SQL. */
struct pg *pg_open_replication(const char *url, const char *application_name, struct error *err);

void pg_close(struct pg *pg);

/* Every session's, to come back to after a shorter one of a transaction's. */
#define PG_LOCK_TIMEOUT "'10s'"

/* For LISTEN's socket and the COPY and replication protocols of this folder. */
PGconn *pg_conn(struct pg *pg);

/* SQLSTATE of the last failed query, five characters; "" if none. Valid until the next query. */
const char *pg_sqlstate(const struct pg *pg);

struct pg_params {
    const char *const *values; /* NULL is null */
    int count;
};

/* PG_PARAMS(a, b): parameters $1, $2 as text; PG_PARAMS() none. */
#define PG_PARAMS(...)                                                                             \
    (struct pg_params)                                                                             \
    {                                                                                              \
        .values = (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL},                          \
        .count = (int)(sizeof((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}) /            \
                       sizeof(char *)) -                                                           \
                 1                                                                                 \
    }

/* One statement. NULL on failure; else the result, to be cleared by the caller (PG_RESULT_AUTO). */
PGresult *pg_query(struct pg *pg, const char *sql, struct pg_params params, struct error *err);

/*
 * The same for a statement that is run again and again: it is prepared once, under this name, which
 * no other statement of the session has. name stays for as long as pg.
 */
PGresult *pg_query_prepared(struct pg *pg, const char *name, const char *sql,
                            struct pg_params params, struct error *err);

/* pg_query in two halves: what is done between them is done beside the server's work. After
 * pg_send, pg_receive is the connection's next call, or pg_rollback, which waits for the end. */
bool pg_send(struct pg *pg, const char *sql, struct pg_params params, struct error *err);
PGresult *pg_receive(struct pg *pg, struct error *err);

/* pg_query for a statement whose result does not matter. */
bool pg_run(struct pg *pg, const char *sql, struct pg_params params, struct error *err);

/* Statements by the simple protocol: several of them, or replication commands. The last one's
 * result. */
PGresult *pg_simple(struct pg *pg, const char *sql, struct error *err);

/* What to do while the server takes its time: tell is called about twice a second. */
struct pg_patience {
    void (*tell)(void *context);
    void *context;
};

/* From now on, for whatever this connection waits. Told to stop or not, it waits for the answer. */
void pg_set_patience(struct pg *pg, const struct pg_patience *patience);

/* Who waits for the connection's socket in poll's place, half a second at most each time, and may
 * wait for something else as well. */
struct pg_waiter {
    void (*wait)(void *context, int fd, short events);
    void *context;
};

/* The same, instead of a patience. NULL: nobody any more. */
void pg_set_waiter(struct pg *pg, const struct pg_waiter *waiter);

/* PQgetResult and PQputCopyData, with that patience. */
PGresult *pg_next_result(struct pg *pg);
bool pg_put_copy(struct pg *pg, const char *data, size_t size_bytes, struct error *err);

/* pg_simple for a statement that may take long, also for a lock: being told to stop cancels it
 * (ERROR_RETRY). */
PGresult *pg_simple_patiently(struct pg *pg, const char *sql, const struct pg_patience *patience,
                              struct error *err);

/* Several statements without parameters, as one implicit transaction unless they say otherwise. */
bool pg_script(struct pg *pg, const char *sql, struct error *err);

/* Rolls back whatever is open; for error paths, so it reports nothing. */
void pg_rollback(struct pg *pg);

/* Row counts of INSERT, UPDATE, DELETE, COPY. */
int64_t pg_affected(const PGresult *result);

/* Field access; NULL for null. The column must exist. */
const char *pg_field(const PGresult *result, int row, int column);
int64_t pg_field_int64(const PGresult *result, int row, int column); /* 0 for null */
bool pg_field_bool(const PGresult *result, int row, int column);     /* false for null */
lsn_t pg_field_lsn(const PGresult *result, int row, int column);     /* 0 for null */

/* SQL for a timestamptz as RFC 3339 in UTC, to the second: what every client's parser takes. */
#define PG_RFC3339(expression)                                                                     \
    "to_char(" expression " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

/* Appends "name", quoted always: unlike quote_ident, the answer does not depend on the server. */
void pg_append_identifier(struct buf *buf, const char *name);

/* Appends "schema"."name". */
void pg_append_qualified(struct buf *buf, const char *schema_name, const char *name);

/* Appends 'text' as a literal that does not depend on standard_conforming_strings. */
void pg_append_literal(struct buf *buf, const char *text);

/* Appends an element, quoted always, to the text of an array ($1::text[]): an empty buffer is one
 * without elements. What has passed the buffer's limit lacks its end, and no server takes it. */
void pg_append_element(struct buf *array, const char *text);
void pg_end_array(struct buf *array);

/* Sets *err from a failed result of this connection (also COPY's and replication's). */
bool pg_set_error(struct pg *pg, const PGresult *result, struct error *err);

/* A number as text, for parameters: pg_number(7).text. */
struct pg_number {
    char text[24];
};
struct pg_number pg_number(int64_t number);

static inline void pg_clear_result(PGresult **result)
{
    PQclear(*result);
}
#define PG_RESULT_AUTO __attribute__((cleanup(pg_clear_result)))

#endif
