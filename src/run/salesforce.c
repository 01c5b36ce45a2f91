#include "run/salesforce.h"

#include <string.h>

/* What is in flight when we are told to stop may end: an answer heard is a doubt less. */
enum { STOP_GRACE_MS = 5000 };

static bool refuse_other(const struct config *config, struct sf_session *session, struct pg *pg,
                         struct error *err)
{
    const char *ours = sf_session_organisation_id(session);
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select organization_id from pgforce.connection where schema_name = $1",
                 PG_PARAMS(config->schema_name), err);

    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    const char *stored = PQntuples(result) > 0 ? pg_field(result, 0, 0) : NULL;
    if (stored == NULL || ours[0] == '\0' || strcmp(stored, ours) == 0)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the schema \"%s\" belongs to organisation %s, these credentials to %s: check"
                     " PGFORCE_SF_LOGIN_URL and PGFORCE_SCHEMA",
                     config->schema_name, stored, ours);
}

struct sf_session *salesforce_open(const struct config *config, struct pg *pg, struct error *err)
{
    struct sf_session_options options = {
        .api_version = config->api_version,
        .http = {.stop_grace_ms = STOP_GRACE_MS, .max_parallel = (size_t)config->push_parallel}};
    struct sf_session *session = NULL;

    if (!sf_session_open(&config->salesforce, &options, &session, err))
        return NULL;
    if (refuse_other(config, session, pg, err))
        return session;
    sf_session_close(session);
    return NULL;
}

bool salesforce_bind(const struct config *config, struct sf_session *session, struct pg *pg,
                     struct error *err)
{
    const char *id = sf_session_organisation_id(session);

    return pg_run(pg,
                  "update pgforce.connection"
                  " set organization_id = coalesce($2, organization_id), instance_url = $3,"
                  " api_version = $4, state = case when state = 'NEW' then 'IDLE' else state end"
                  " where schema_name = $1",
                  PG_PARAMS(config->schema_name, id[0] != '\0' ? id : NULL,
                            sf_session_instance_url(session), sf_session_api_version(session)),
                  err);
}
