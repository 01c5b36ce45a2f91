#include "pg/turn.h"

#include "base/log.h"
#include "base/service.h"
#include "base/wait.h"

enum { POLL_MS = 1000 };

static bool ask(struct pg *pg, const char *role, const char *schema_name, bool *is_ours,
                struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "select pg_try_advisory_lock(" TURN_CLASS ", hashtext($1::text || ' of ' || $2))",
        PG_PARAMS(role, schema_name), err);

    *is_ours = result != NULL && pg_field_bool(result, 0, 0);
    return result != NULL;
}

/* Who may not read others' activity (pg_read_all_stats) still sees his own role's. */
static void tell_whom(struct pg *pg, const char *role, const char *schema_name)
{
    struct error ignored = {0};
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select format('process %s of the server, client %s port %s', l.pid,"
                 " coalesce(a.client_addr::text, 'local'), coalesce(a.client_port::text, '?'))"
                 " from pg_locks l"
                 " left join pg_stat_activity a on a.pid = l.pid"
                 " where " TURN_IS("$1::text", "$2"),
                 PG_PARAMS(role, schema_name), &ignored);
    bool is_known = result != NULL && PQntuples(result) > 0;

    log_info("stands by: another process has the turn", log_text("role", role),
             log_text("schema", schema_name),
             log_text("who", is_known ? PQgetvalue(result, 0, 0) : "just gone"));
}

bool turn_take(struct pg *pg, const char *role, const char *schema_name, struct error *err)
{
    bool is_ours;

    for (bool is_told = false;; is_told = true) {
        if (!ask(pg, role, schema_name, &is_ours, err))
            return false;
        if (is_ours && is_told)
            log_info("takes over", log_text("role", role), log_text("schema", schema_name));
        if (is_ours)
            return true;
        if (!is_told)
            tell_whom(pg, role, schema_name);
        /* All that is asked of a standby: that it is there. */
        service_tell("READY=1\nSTATUS=stands by\nWATCHDOG=1");
        if (wait_for(-1, 0, POLL_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop while standing by");
    }
}

bool turn_await(struct pg *pg, const char *role, const char *schema_name, struct error *err)
{
    return turn_take(pg, role, schema_name, err) &&
           pg_run(pg,
                  "select pg_advisory_unlock(" TURN_CLASS ", hashtext($1::text || ' of ' || $2))",
                  PG_PARAMS(role, schema_name), err);
}
