#include "mapping/transaction.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"

enum {
    DEADLINE_MS = 30 * 1000,
    PAUSE_MS = 500, /* in which those who waited behind us pass */
};

/* The first key of the advisory lock; the second is the schema. */
#define LOCK_CLASS "1885824630"

static bool say_why_not(struct pg *pg, const char *schema_name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "select from pgforce.connection where schema_name = $1", PG_PARAMS(schema_name), err);

    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(result) > 0)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "there is no connection for the schema %s: run `pgforce setup` for it",
                     schema_name);
}

static bool begin(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_script(pg, "begin; set local lock_timeout = '1s'", err) &&
           say_why_not(pg, schema_name, err) &&
           pg_run(pg, "select pg_advisory_xact_lock(" LOCK_CLASS ", hashtext($1))",
                  PG_PARAMS(schema_name), err);
}

static bool end(struct pg *pg, const struct transaction *transaction, struct error *err)
{
    if (transaction->reason == NULL) {
        pg_rollback(pg);
        return true;
    }
    return pg_run(pg, "select pg_notify($1 || '.pgforce_mapping', $2)",
                  PG_PARAMS(transaction->schema_name, transaction->reason), err) &&
           pg_run(pg, "commit", PG_PARAMS(), err);
}

static bool is_lock_failure(const char *sqlstate)
{
    return strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0;
}

/* Names one of those who keep a table of the schema. */
static bool name_holder(struct pg *pg, const char *schema_name, struct error *err)
{
    struct error ignored;
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg,
        "select c.relname, a.pid, a.usename, a.application_name, a.state"
        " from pg_locks l"
        " join pg_class c on c.oid = l.relation"
        " join pg_namespace n on n.oid = c.relnamespace"
        " join pg_stat_activity a on a.pid = l.pid"
        " where n.nspname = $1 and c.relkind = 'r' and l.granted and a.pid <> pg_backend_pid()"
        " and l.database = (select oid from pg_database where datname = current_database())"
        " order by a.xact_start limit 1",
        PG_PARAMS(schema_name), &ignored);

    err->kind = ERROR_RETRY;
    if (result == NULL || PQntuples(result) == 0)
        return error_prefix(err, "gave up after %d s", DEADLINE_MS / 1000);
    return error_prefix(err,
                        "gave up after %d s, and changed nothing: %s.%s is locked by pid %s (user"
                        " %s, %s, %s): end that transaction and do it again",
                        DEADLINE_MS / 1000, schema_name, pg_field(result, 0, 0),
                        pg_field(result, 0, 1), pg_field(result, 0, 2), pg_field(result, 0, 3),
                        pg_field(result, 0, 4));
}

bool transaction_run(struct pg *pg, const struct transaction *transaction, struct error *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;

    for (;;) {
        if (begin(pg, transaction->schema_name, err) &&
            transaction->body(transaction->context, err) && end(pg, transaction, err))
            return true;
        bool is_locked = is_lock_failure(pg_sqlstate(pg));
        pg_rollback(pg);
        if (!is_locked)
            return false;
        if (clock_monotonic_ms() > deadline_ms)
            return name_holder(pg, transaction->schema_name, err);
        log_debug("waiting for a lock", log_text("reason", err->message));
        if (wait_for(-1, 0, PAUSE_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop");
    }
}

bool transaction_is_running(struct pg *pg, const char *schema_name, bool *is_running,
                            struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select exists (select from pg_locks"
                 " where locktype = 'advisory' and granted and classid = " LOCK_CLASS
                 " and objid = (hashtext($1)::bigint & 4294967295)::oid and objsubid = 2)",
                 PG_PARAMS(schema_name), err);

    *is_running = result != NULL && pg_field_bool(result, 0, 0);
    return result != NULL;
}
