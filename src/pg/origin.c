#include "pg/origin.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/wait.h"
#include "pg/turn.h"

enum { RETRY_MS = 200, WAIT_MS = 30 * 1000 };

const char *origin_role(size_t index)
{
    static const char *const roles[] = {"archive", "push", "pull", "load", "housekeeper", "echo"};

    return index < sizeof(roles) / sizeof(roles[0]) ? roles[index] : NULL;
}

struct origin_name origin_name(const char *role, const char *schema_name)
{
    struct origin_name name;

    snprintf(name.text, sizeof(name.text), "pgforce_%s_%s", role, schema_name);
    return name;
}

bool origin_take(struct pg *pg, const char *role, const char *schema_name, struct error *err)
{
    struct origin_name name = origin_name(role, schema_name);

    /* Another of the same role is waited for, however long; what else may hold the origin, is not.
     */
    if (!turn_take(pg, role, schema_name, err))
        return false;
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (
        !pg_run(pg, "select pg_replication_origin_session_setup($1)", PG_PARAMS(name.text), err)) {
        if (err->kind == ERROR_CONFIG)
            return error_prefix(err,
                                "taking the replication origin \"%s\" (has `pgforce setup` been"
                                " run?)",
                                name.text);
        if (err->kind != ERROR_RETRY || clock_monotonic_ms() >= deadline_ms)
            return error_prefix(err, "taking the replication origin \"%s\" (who else uses it?)",
                                name.text);
        if (wait_for(-1, 0, RETRY_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop");
    }
    return true;
}

bool origin_begin(struct pg *pg, struct error *err)
{
    return pg_script(pg,
                     "begin;"
                     "select pg_replication_origin_xact_setup('0/0', clock_timestamp())",
                     err);
}
