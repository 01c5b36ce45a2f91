#include "cli/login_command.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/seal.h"
#include "base/wait.h"
#include "cli/arguments.h"
#include "cli/authorization.h"
#include "cli/loopback.h"
#include "cli/org_call.h"
#include "mapping/connection.h"
#include "run/credential.h"
#include "run/salesforce.h"
#include "sf/authorize.h"

enum { DEFAULT_PORT = 1717, URL_MAX_BYTES = 16 * 1024, INPUT_MAX_BYTES = 64 * 1024 };

struct login {
    const struct config *config;
    struct pg *pg;
    struct arguments_read read;
    struct buf login_url;
    struct sf_credentials credentials; /* to be tried */
    const char *grant_name;            /* "jwt", "client" or "web" */
    bool is_json;
    const char *next; /* where the browser goes afterwards; NULL for nowhere */
};

static const char *option(const struct login *login, const char *name, const char *otherwise)
{
    const char *value = arguments_value(&login->read, name, 0);

    return value != NULL ? value : otherwise;
}

static bool need(const char *value, const char *what, struct error *err)
{
    return (value != NULL && *value != '\0') ||
           error_set(err, ERROR_CONFIG, "to log in, set %s", what);
}

/* ---- what came of it ---- */

static json_t *ask_username(struct sf_session *session)
{
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .path = "/services/oauth2/userinfo"};
    struct error ignored = {0};

    if (!sf_request_one(session, &call, &ignored))
        return NULL;
    return json_incref(json_object_get(call.json, "preferred_username"));
}

static bool describe(const struct login *login, struct sf_session *session,
                     struct credential *credential, struct error *err)
{
    const struct sf_credentials *given = &login->credentials;
    bool is_web = strcmp(login->grant_name, "web") == 0;
    const char *refresh_token = is_web ? sf_session_refresh_token(session) : NULL;

    if (is_web && refresh_token == NULL)
        return error_set(err, ERROR_CONFIG,
                         "Salesforce gave no refresh token: add \"Perform requests at any time\""
                         " (refresh_token) to the app's scopes");
    credential->fields = json_pack(
        "{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*}", "grant_name", login->grant_name,
        "login_url", given->login_url, "client_id", given->client_id, "username", given->username,
        "jwt_key_file", given->jwt_key_file, "client_secret", given->client_secret, "refresh_token",
        refresh_token, "instance_url", is_web ? sf_session_instance_url(session) : NULL);
    json_t *username = given->username == NULL ? ask_username(session) : NULL;
    if (username != NULL)
        json_object_set_new(credential->fields, "username", username);
    if (is_web)
        json_object_set_new(credential->fields, "access_token",
                            json_string(sf_session_access_token(session)));
    return true;
}

static bool store(struct login *login, struct sf_session *session,
                  const struct credential *credential, struct error *err)
{
    const char *schema_name = login->config->schema_name;

    return pg_run(login->pg, "begin", PG_PARAMS(), err) &&
           credential_store(login->pg, login->config, credential, err) &&
           (arguments_has(&login->read, "relink") ||
            salesforce_bind(login->config, session, login->pg, err)) &&
           connection_note_sign_in(login->pg, schema_name, true, err) &&
           pg_run(login->pg, "commit", PG_PARAMS(), err);
}

static void report(const struct login *login, struct sf_session *session,
                   const struct credential *credential)
{
    const char *username = credential_text(credential, "username");

    if (login->is_json) {
        json_t *json ORG_CALL_JSON_AUTO = json_pack(
            "{s:s, s:s, s:s, s:s, s:s?, s:s*}", "grant", login->grant_name, "organization_id",
            sf_session_organisation_id(session), "instance_url", sf_session_instance_url(session),
            "login_url", login->credentials.login_url, "username", username, "next", login->next);
        org_call_print_json(json);
        return;
    }
    printf("connected to organisation %s at %s%s%s\n", sf_session_organisation_id(session),
           sf_session_instance_url(session), username != NULL ? " as " : "",
           username != NULL ? username : "");
}

/* Signs in with what was given, and keeps it. */
static bool try_and_store(struct login *login, struct error *err)
{
    struct salesforce_wish wish = {.credentials = &login->credentials,
                                   .takes_any_organisation = arguments_has(&login->read, "relink")};
    struct credential credential CREDENTIAL_AUTO = {0};
    struct seal_key key;

    /* Before a code is used up, or a token made that cannot be kept. */
    if (strcmp(login->grant_name, "jwt") != 0 && !credential_read_key(login->config, &key, err))
        return false;
    struct sf_session *session = salesforce_open_as(login->config, login->pg, &wish, err);
    bool is_ok = session != NULL && describe(login, session, &credential, err) &&
                 store(login, session, &credential, err);
    if (is_ok)
        report(login, session, &credential);
    sf_session_close(session);
    return is_ok;
}

/* ---- the ways to log in ---- */

/* --domain and --environment go before the variable. */
static bool find_login_url(struct login *login, struct error *err)
{
    const char *environment = option(login, "environment", NULL);
    const char *domain = option(login, "domain", NULL);

    buf_init(&login->login_url, URL_MAX_BYTES);
    if (environment == NULL && domain == NULL)
        domain = login->config->salesforce.login_url;
    if (!sf_authorize_login_url(environment, domain, &login->login_url, err))
        return false;
    while (login->login_url.size_bytes > 0 &&
           login->login_url.data[login->login_url.size_bytes - 1] == '/')
        login->login_url.data[--login->login_url.size_bytes] = '\0';
    login->credentials.login_url = login->login_url.data;
    return true;
}

static bool log_in_by_jwt(struct login *login, struct error *err)
{
    struct sf_credentials *credentials = &login->credentials;

    login->grant_name = "jwt";
    credentials->jwt_key_file = option(login, "key-file", login->config->salesforce.jwt_key_file);
    credentials->username = option(login, "username", login->config->salesforce.username);
    if (!need(credentials->jwt_key_file, "--key-file or PGFORCE_SF_JWT_KEY_FILE", err) ||
        !need(credentials->username, "--username or PGFORCE_SF_USERNAME", err))
        return false;
    /* The roles run in another folder. What cannot be found is said when it is read. */
    char *path = realpath(credentials->jwt_key_file, NULL);
    if (path != NULL)
        credentials->jwt_key_file = path;
    bool is_ok = try_and_store(login, err);
    free(path);
    return is_ok;
}

static bool log_in_by_client(struct login *login, struct error *err)
{
    login->grant_name = "client";
    login->credentials.client_secret = login->config->salesforce.client_secret;
    return need(login->credentials.client_secret,
                "PGFORCE_SF_CLIENT_SECRET_FILE (or PGFORCE_SF_CLIENT_SECRET)", err) &&
           try_and_store(login, err);
}

static void show_address(const struct login *login, const char *url)
{
    if (login->is_json) {
        json_t *json ORG_CALL_JSON_AUTO = json_pack("{s:s}", "authorize_url", url);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        return;
    }
    fprintf(stderr,
            "open this address in a browser on this machine (the app's callback URL must"
            " be the one it names):\n\n%s\n\n",
            url);
}

static bool wait_for_browser(struct login *login, struct loopback *loopback, struct error *err)
{
    char verifier[SF_AUTHORIZE_VERIFIER_LENGTH + 1];
    char state[SF_AUTHORIZE_STATE_LENGTH + 1];
    struct buf url BUF_AUTO = {0};
    struct buf code SEAL_BUF_AUTO = {0};

    buf_init(&url, URL_MAX_BYTES);
    buf_init(&code, URL_MAX_BYTES);
    seal_random_text(verifier, SF_AUTHORIZE_VERIFIER_LENGTH);
    seal_random_text(state, SF_AUTHORIZE_STATE_LENGTH);
    login->credentials.redirect_uri = loopback_redirect_uri(loopback);
    sf_authorize_url(&(struct sf_authorize){login->credentials.login_url,
                                            login->credentials.client_id,
                                            login->credentials.redirect_uri, state, verifier},
                     &url);
    show_address(login, url.data);
    if (!loopback_wait(loopback, state, &code, err))
        return false;
    login->credentials.code = code.data;
    login->credentials.code_verifier = verifier;
    return try_and_store(login, err);
}

static bool read_port(const char *text, int *port, struct error *err)
{
    char *end;
    long number = strtol(text, &end, 10);

    *port = (int)number;
    return (end != text && *end == '\0' && number >= 0 && number <= 65535) ||
           error_set(err, ERROR_USAGE, "\"%s\" is no port", text);
}

static bool log_in_by_web(struct login *login, struct error *err)
{
    const char *port_text = option(login, "port", NULL);
    struct seal_key key;
    int port = DEFAULT_PORT;

    login->grant_name = "web";
    login->credentials.client_secret = login->config->salesforce.client_secret;
    if (!credential_read_key(login->config, &key, err) ||
        (port_text != NULL && !read_port(port_text, &port, err)) || !wait_init(err))
        return false;
    struct loopback *loopback = loopback_open(port, err);
    bool is_ok = loopback != NULL && wait_for_browser(login, loopback, err);
    loopback_close(loopback);
    return is_ok;
}

/* ---- for the HTTP API: the web login in two halves ---- */

static bool begin(struct login *login, struct error *err)
{
    char verifier[SF_AUTHORIZE_VERIFIER_LENGTH + 1];
    char state[SF_AUTHORIZE_STATE_LENGTH + 1];
    const char *redirect_uri = option(login, "redirect-uri", NULL);
    const char *next = option(login, "next", NULL);
    struct buf url BUF_AUTO = {0};

    if (redirect_uri == NULL)
        return error_set(err, ERROR_USAGE, "--begin needs --redirect-uri");
    if (next != NULL && ((strncmp(next, "https://", 8) != 0 && strncmp(next, "http://", 7) != 0) ||
                         strpbrk(next, " \r\n\t") != NULL))
        return error_set(err, ERROR_USAGE, "\"next\" must be an http or https URL");
    buf_init(&url, URL_MAX_BYTES);
    seal_random_text(verifier, SF_AUTHORIZE_VERIFIER_LENGTH);
    seal_random_text(state, SF_AUTHORIZE_STATE_LENGTH);
    sf_authorize_url(&(struct sf_authorize){login->credentials.login_url,
                                            login->credentials.client_id, redirect_uri, state,
                                            verifier},
                     &url);
    json_t *texts ORG_CALL_JSON_AUTO =
        json_pack("{s:s, s:s, s:s, s:s, s:s*}", "login_url", login->credentials.login_url,
                  "client_id", login->credentials.client_id, "redirect_uri", redirect_uri,
                  "verifier", verifier, "next", next);
    if (!authorization_put(login->pg, login->config, state, texts, err))
        return false;
    json_t *json ORG_CALL_JSON_AUTO = json_pack("{s:s}", "redirect", url.data);
    org_call_print_json(json);
    return true;
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool finish_with(struct login *login, const char *code, const json_t *texts,
                        struct error *err)
{
    login->grant_name = "web";
    login->is_json = true;
    login->next = member(texts, "next");
    login->credentials =
        (struct sf_credentials){.login_url = member(texts, "login_url"),
                                .client_id = member(texts, "client_id"),
                                .client_secret = login->config->salesforce.client_secret,
                                .code = code,
                                .code_verifier = member(texts, "verifier"),
                                .redirect_uri = member(texts, "redirect_uri")};
    return try_and_store(login, err);
}

/* {"code": ..., "state": ...} on standard input: neither is for a command line. */
static bool finish(struct login *login, struct error *err)
{
    char *text = memory_alloc(INPUT_MAX_BYTES);
    size_t length = fread(text, 1, INPUT_MAX_BYTES, stdin);
    json_t *input ORG_CALL_JSON_AUTO = json_loadb(text, length, 0, NULL);
    json_t *texts ORG_CALL_JSON_AUTO = NULL;
    const char *code = member(input, "code");
    const char *state = member(input, "state");

    explicit_bzero(text, length);
    free(text);
    if (code == NULL || state == NULL)
        return error_set(err, ERROR_USAGE, "--finish wants {\"code\": ..., \"state\": ...}");
    return authorization_take(login->pg, login->config, state, &texts, err) &&
           finish_with(login, code, texts, err);
}

/* ---- the commands ---- */

static bool choose(struct login *login, struct error *err)
{
    const struct arguments_read *read = &login->read;

    if (arguments_has(read, "finish"))
        return finish(login, err);
    login->credentials.client_id = option(login, "client-id", login->config->salesforce.client_id);
    if (!find_login_url(login, err) ||
        !need(login->credentials.client_id, "--client-id or PGFORCE_SF_CLIENT_ID", err))
        return false;
    if (arguments_has(read, "begin"))
        return begin(login, err);
    if (arguments_has(read, "client-credentials"))
        return log_in_by_client(login, err);
    return arguments_has(read, "jwt") ? log_in_by_jwt(login, err) : log_in_by_web(login, err);
}

bool login_command_login(const struct config *config, int count, char **texts, struct error *err)
{
    static const char known[] =
        "jwt client-credentials web environment= domain= client-id="
        " username= key-file= port= begin finish redirect-uri= next= relink json";
    struct login login = {.config = config};

    if (!arguments_read(count, texts, known, &login.read, err))
        return false;
    if (login.read.rest_count > 0 || arguments_has(&login.read, "jwt") +
                                             arguments_has(&login.read, "client-credentials") +
                                             arguments_has(&login.read, "web") >
                                         1)
        return error_set(err, ERROR_USAGE,
                         "one of --web, --jwt and --client-credentials, and"
                         " options alone");
    login.is_json = arguments_has(&login.read, "json");
    login.pg = pg_open(config->database_url, "pgforce login", err);
    bool is_ok = login.pg != NULL && choose(&login, err);
    pg_close(login.pg);
    buf_done(&login.login_url);
    return is_ok;
}

/* What cannot be revoked is deleted all the same, and said. */
static bool log_out(struct login *login, struct error *err)
{
    struct credential credential CREDENTIAL_AUTO = {0};
    struct error problem = {0};
    bool was_there;

    bool is_read = credential_load(login->pg, login->config, false, &credential, &problem) &&
                   credential_open(login->config, &credential, &problem);
    const char *token = is_read ? credential_text(&credential, "refresh_token") : NULL;
    bool is_revoked =
        token != NULL &&
        sf_authorize_revoke(credential_text(&credential, "login_url"), token, &problem);
    if (problem.kind != ERROR_NONE)
        fprintf(stderr, "pgforce: warning: not revoked at Salesforce: %s\n", problem.message);
    if (!credential_delete(login->pg, login->config->schema_name, &was_there, err))
        return false;
    if (login->is_json) {
        json_t *json ORG_CALL_JSON_AUTO =
            json_pack("{s:b, s:b}", "was_logged_in", was_there, "is_revoked", is_revoked);
        org_call_print_json(json);
    } else {
        puts(!was_there   ? "nothing was stored"
             : is_revoked ? "logged out, and revoked at Salesforce"
                          : "logged out");
    }
    return true;
}

bool login_command_logout(const struct config *config, int count, char **texts, struct error *err)
{
    struct login login = {.config = config};

    if (!arguments_read_options(count, texts, "json", &login.read, err))
        return false;
    login.is_json = arguments_has(&login.read, "json");
    login.pg = pg_open(config->database_url, "pgforce logout", err);
    bool is_ok = login.pg != NULL && log_out(&login, err);
    pg_close(login.pg);
    return is_ok;
}
