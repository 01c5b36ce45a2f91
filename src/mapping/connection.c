#include "mapping/connection.h"

#include <string.h>

#include "mapping/operation.h"
#include "mapping/state.h"
#include "mapping/transaction.h"

static PGresult *read_stored(struct pg *pg, const char *schema_name, struct error *err)
{
    PGresult *result = pg_query(pg,
                                "select state, exists (select from pgforce.delivery"
                                " where schema_name = $1 and state = 'SENDING')"
                                " from pgforce.connection where schema_name = $1",
                                PG_PARAMS(schema_name), err);

    if (result == NULL) {
        error_prefix(err, "is this database set up? (`pgforce setup`)");
        return NULL;
    }
    if (PQntuples(result) > 0)
        return result;
    PQclear(result);
    error_set(err, ERROR_CONFIG,
              "there is no connection for the schema %s: run `pgforce setup` for it", schema_name);
    return NULL;
}

bool connection_state(struct pg *pg, const char *schema_name, const char **state, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = read_stored(pg, schema_name, err);
    bool is_importing;

    if (result == NULL || !transaction_is_running(pg, schema_name, &is_importing, err))
        return false;
    const char *stored = pg_field(result, 0, 0);
    if (is_importing)
        stored = "IMPORT_CONFIGURATION";
    else if (strcmp(stored, "IDLE") == 0 && pg_field_bool(result, 0, 1))
        stored = "POLLING_DB_CHANGES";
    const struct state *found = state_find_connection(stored);
    if (found == NULL)
        return error_set(err, ERROR_BUG, "the connection's state %s is unknown", stored);
    *state = found->name;
    return true;
}

bool connection_is_paused(struct pg *pg, const char *schema_name, bool *is_paused,
                          struct error *err)
{
    PGresult *result PG_RESULT_AUTO = read_stored(pg, schema_name, err);

    *is_paused = result != NULL && strcmp(pg_field(result, 0, 0), "PAUSED") == 0;
    return result != NULL;
}

/* The pull role listens for the one, the push role for the other. */
static bool wake_roles(struct pg *pg, const char *schema_name, const char *why, struct error *err)
{
    return pg_run(pg,
                  "select pg_notify($1 || '.pgforce_mapping', $2),"
                  " pg_notify($1 || '.hc_trigger_log', 'ping')",
                  PG_PARAMS(schema_name, why), err);
}

bool connection_pause(struct pg *pg, const char *schema_name, struct error *err)
{
    bool is_paused;

    return connection_is_paused(pg, schema_name, &is_paused, err) &&
           pg_run(pg, "update pgforce.connection set state = 'PAUSED' where schema_name = $1",
                  PG_PARAMS(schema_name), err) &&
           wake_roles(pg, schema_name, "pause", err);
}

bool connection_resume(struct pg *pg, const char *schema_name, int *resumed, struct error *err)
{
    bool is_paused;

    return connection_is_paused(pg, schema_name, &is_paused, err) &&
           operation_resume_failed(pg, schema_name, resumed, err) &&
           pg_run(pg,
                  "update pgforce.connection"
                  " set state = case when organization_id is null then 'NEW' else 'IDLE' end"
                  " where schema_name = $1 and state = 'PAUSED'",
                  PG_PARAMS(schema_name), err) &&
           wake_roles(pg, schema_name, "resume", err);
}

bool connection_note_sign_in(struct pg *pg, const char *schema_name, bool is_authorized,
                             struct error *err)
{
    return pg_run(pg,
                  "update pgforce.connection set state = $2"
                  " where schema_name = $1 and state not in ('PAUSED', $2)"
                  " and ($2 = 'UNAUTHORIZED' or organization_id is not null)",
                  PG_PARAMS(schema_name, is_authorized ? "IDLE" : "UNAUTHORIZED"), err);
}

bool connection_is_new_version(const char *said)
{
    return strcmp(said, CONNECTION_NEW_VERSION) == 0;
}

bool connection_ask_restart(struct error *err)
{
    return error_set(err, ERROR_RETRY, "the API version has changed: starting again with it");
}
