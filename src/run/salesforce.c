#include "run/salesforce.h"

#include <string.h>
#include <strings.h>

#include "run/credential.h"

/* What is in flight when we are told to stop may end: an answer heard is a doubt less. */
enum { STOP_GRACE_MS = 5000 };

/* Of pgforce.connection, and what signing in said. */
static bool refuse_other(const struct config *config, const char *stored,
                         const struct sf_session *session, struct error *err)
{
    const char *ours = sf_session_organisation_id(session);

    if (stored == NULL || ours[0] == '\0' || strcmp(stored, ours) == 0)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "the schema \"%s\" belongs to organisation %s, these credentials to %s: check"
                     " PGFORCE_SF_LOGIN_URL and PGFORCE_SCHEMA; after a refresh of the sandbox run"
                     " `pgforce relink`",
                     config->schema_name, stored, ours);
}

/* ---- the environment or what is stored ---- */

static bool is_same_url(const char *left, const char *right)
{
    size_t left_length = strlen(left);
    size_t right_length = strlen(right);

    while (left_length > 0 && left[left_length - 1] == '/')
        left_length--;
    while (right_length > 0 && right[right_length - 1] == '/')
        right_length--;
    return left_length == right_length && strncasecmp(left, right, left_length) == 0;
}

/* The variables are enough to sign in by themselves, or name another app or organisation than the
 * login that is stored. An app's key and secret are what a login needs too, so they are not. */
static bool is_by_environment(const struct sf_credentials *given,
                              const struct credential *credential)
{
    const char *client_id = credential_text(credential, "client_id");
    const char *login_url = credential_text(credential, "login_url");
    bool has_proof = (given->jwt_key_file != NULL && given->username != NULL) ||
                     given->refresh_token != NULL ||
                     (given->password != NULL && given->username != NULL);

    return client_id == NULL || login_url == NULL || given->access_token != NULL ||
           (given->client_id != NULL && has_proof) ||
           (given->client_id != NULL && strcmp(given->client_id, client_id) != 0) ||
           (given->login_url != NULL && !is_same_url(given->login_url, login_url));
}

static const char *either(const char *first, const char *second)
{
    return first != NULL ? first : second;
}

/* The texts are the credential's. */
static struct sf_credentials use_stored(const struct sf_credentials *given,
                                        const struct credential *credential)
{
    return (struct sf_credentials){
        .login_url = credential_text(credential, "login_url"),
        .client_id = credential_text(credential, "client_id"),
        .client_secret = either(given->client_secret, credential_text(credential, "client_secret")),
        .username = either(given->username, credential_text(credential, "username")),
        .jwt_key_file = either(given->jwt_key_file, credential_text(credential, "jwt_key_file")),
        .refresh_token = credential_text(credential, "refresh_token"),
    };
}

/* ---- signing in ---- */

static struct sf_session_options make_options(const struct config *config)
{
    return (struct sf_session_options){
        .api_version = config->api_version,
        .instance_suffixes = config->instance_suffixes,
        .http = {.stop_grace_ms = STOP_GRACE_MS, .max_parallel = (size_t)config->push_parallel}};
}

/* With the credentials of the environment, or with those that are stored. The texts of options live
 * until it returns. */
static struct sf_session *sign_in(const struct config *config, struct pg *pg,
                                  struct sf_session_options *options, struct error *err)
{
    struct credential credential CREDENTIAL_AUTO = {0};
    struct sf_credentials credentials = config->salesforce;
    struct sf_session *session = NULL;

    if (!credential_load(pg, config, false, &credential, err))
        return NULL;
    if (!is_by_environment(&config->salesforce, &credential)) {
        if (!credential_open(config, &credential, err))
            return NULL;
        credentials = use_stored(&config->salesforce, &credential);
        if (credentials.refresh_token != NULL)
            options->vault = credential_vault(config);
    }
    sf_session_open(&credentials, options, &session, err);
    return session;
}

/* organization_id and api_version; NULL on failure. */
static PGresult *read_connection(const struct config *config, struct pg *pg, struct error *err)
{
    PGresult *result = pg_query(pg,
                                "select organization_id, api_version from pgforce.connection"
                                " where schema_name = $1",
                                PG_PARAMS(config->schema_name), err);

    if (result == NULL)
        error_prefix(err, "is this database set up? (`pgforce setup`)");
    else if (PQntuples(result) == 0)
        error_set(err, ERROR_CONFIG, "the schema \"%s\" is not set up: run `pgforce setup`",
                  config->schema_name);
    else
        return result;
    PQclear(result);
    return NULL;
}

struct sf_session *salesforce_open_as(const struct config *config, struct pg *pg,
                                      const struct salesforce_wish *wish, struct error *err)
{
    struct sf_session_options options = make_options(config);
    PGresult *result PG_RESULT_AUTO = read_connection(config, pg, err);

    if (result == NULL)
        return NULL;
    if (options.api_version == NULL)
        options.api_version = pg_field(result, 0, 1);
    if (wish->api_version != NULL)
        options.api_version = wish->api_version;
    struct sf_session *session = NULL;
    if (wish->credentials != NULL)
        sf_session_open(wish->credentials, &options, &session, err);
    else
        session = sign_in(config, pg, &options, err);
    if (session == NULL || wish->takes_any_organisation ||
        refuse_other(config, pg_field(result, 0, 0), session, err))
        return session;
    sf_session_close(session);
    return NULL;
}

struct sf_session *salesforce_open(const struct config *config, struct pg *pg, struct error *err)
{
    return salesforce_open_as(config, pg, &(struct salesforce_wish){0}, err);
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
