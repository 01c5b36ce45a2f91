#include "sf/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/seal.h"
#include "sf/answer.h"
#include "sf/grant.h"
#include "sf/secret.h"

#define BEARER       "Authorization: Bearer "
#define CALL_OPTIONS "Sforce-Call-Options: client="

enum {
    GZIP_OVER_BYTES = 2048,
    FORM_BYTES = 128 * 1024,
    URL_BYTES = 128 * 1024,
    HEADER_BYTES = 1024,
    SCRUB_FROM_LENGTH = 4,
    LOOK_AGAIN_MS = 60 * 1000,
};

struct sf_session {
    struct http_client *http;
    struct sf_credentials credentials; /* copies, wiped at close */
    enum sf_grant grant;
    char *authorization; /* the whole header; NULL before signing in */
    char *call_options;  /* the whole header */
    char *api_version;
    const char *instance_url;
    char organisation_id[SF_ID_BYTES];
    char user_id[SF_ID_BYTES];
    bool is_local;
    struct sf_limits limits;
    int64_t ahead_ms; /* Salesforce's clock of our monotonic one; 0: unknown */
    int64_t requests;
    int64_t tokens;          /* asked for because one was refused */
    int64_t look_at_ms;      /* not before: find_instance */
    char *instance_suffixes; /* may be NULL */
    struct sf_vault vault;
    bool is_unassigned; /* writes run no assignment rules */
    bool has_answered;  /* something of the API: the address was right */
    bool has_unstored;  /* what the vault holds is older than ours: it could not be written */
};

/* A field of struct sf_credentials, by its place: they are copied, scrubbed and wiped alike. */
struct credential {
    size_t place;
    bool is_secret;
};

static const struct credential credential_fields[] = {
    {offsetof(struct sf_credentials, login_url), false},
    {offsetof(struct sf_credentials, client_id), false},
    {offsetof(struct sf_credentials, client_secret), true},
    {offsetof(struct sf_credentials, username), false},
    {offsetof(struct sf_credentials, password), true},
    {offsetof(struct sf_credentials, refresh_token), true},
    {offsetof(struct sf_credentials, access_token), true},
    {offsetof(struct sf_credentials, instance_url), false},
    {offsetof(struct sf_credentials, jwt_key_file), false},
    {offsetof(struct sf_credentials, code), true},
    {offsetof(struct sf_credentials, code_verifier), true},
    {offsetof(struct sf_credentials, redirect_uri), false},
};

enum { CREDENTIAL_COUNT = sizeof(credential_fields) / sizeof(credential_fields[0]) };

static const char **credential_at(const struct sf_credentials *credentials, size_t index)
{
    return (const char **)((char *)(uintptr_t)credentials + credential_fields[index].place);
}

static void trim_slashes(const char *text)
{
    char *end = (char *)(uintptr_t)text + strlen(text);

    while (end > text && end[-1] == '/')
        *--end = '\0';
}

/* Whatever a server puts into its error description, a secret of ours stays out of the message. */
static void scrub(const struct sf_session *session, struct error *err)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        const char *secret = *credential_at(&session->credentials, i);
        char *found;

        if (!credential_fields[i].is_secret || secret == NULL || strlen(secret) < SCRUB_FROM_LENGTH)
            continue;
        while ((found = strstr(err->message, secret)) != NULL)
            memset(found, '*', strlen(secret));
    }
}

static bool check_version(const char *version, struct error *err)
{
    char *end;
    long number = strtol(version, &end, 10);

    if (number < 45 || number > 999 || strcmp(end, ".0") != 0)
        return error_set(err, ERROR_CONFIG,
                         "\"%s\" is no usable API version: give one like 60.0, at least 45.0",
                         version);
    return true;
}

static bool check_client_name(const char *name, struct error *err)
{
    if (name[0] == '\0' || name[strspn(name, SF_ID_CHARACTERS "-_.")] != '\0')
        return error_set(err, ERROR_CONFIG,
                         "\"%s\" is no usable client name: use letters, digits, \"-\" and \"_\"",
                         name);
    return true;
}

static bool check_address(const struct sf_session *session, const char *setting, const char *url,
                          struct error *err)
{
    if (sf_grant_url_is_fit(url, session->is_local))
        return true;
    return error_set(err, ERROR_CONFIG,
                     "%s must be https:// and a host, without a path (http:// only for this "
                     "machine)",
                     setting);
}

static void set_authorization(struct sf_session *session, const char *token)
{
    size_t room_bytes = sizeof(BEARER) + strlen(token);
    char *header = memory_alloc(room_bytes);

    snprintf(header, room_bytes, "%s%s", BEARER, token);
    sf_secret_wipe(session->authorization);
    session->authorization = header;
}

/* One session is one organisation: a sandbox that was refreshed has another id and other records,
 * and must not be written to before the operator has said so. */
static bool take_identity(struct sf_session *session, const struct sf_token *token,
                          struct error *err)
{
    if (token->organisation_id[0] == '\0')
        return true;
    if (session->organisation_id[0] != '\0' &&
        strcmp(session->organisation_id, token->organisation_id) != 0)
        return error_set(err, ERROR_CONFIG,
                         "the organisation has changed from %s to %s: is this another one?",
                         session->organisation_id, token->organisation_id);
    memcpy(session->organisation_id, token->organisation_id, SF_ID_BYTES);
    memcpy(session->user_id, token->user_id, SF_ID_BYTES);
    return true;
}

/* Nothing of a token is taken before all of it is found fit. */
static bool take_token(struct sf_session *session, const struct sf_token *token, struct error *err)
{
    const char *instance_url = memory_strdup(token->instance_url);

    trim_slashes(instance_url);
    bool is_fit = sf_grant_url_is_fit(instance_url, session->is_local);
    if (!is_fit)
        error_set(err, ERROR_CONFIG,
                  "the token address names an instance that is not an https host: is "
                  "PGFORCE_SF_LOGIN_URL right?");
    else if (session->grant != SF_GRANT_TOKEN &&
             !sf_grant_is_trusted(instance_url, session->credentials.login_url,
                                  session->instance_suffixes))
        is_fit = error_set(err, ERROR_CONFIG,
                           "the token address names an instance that is not Salesforce's: %.200s;"
                           " PGFORCE_SF_INSTANCE_SUFFIXES can allow it",
                           instance_url);
    else if (strpbrk(token->access_token, "\r\n") != NULL)
        is_fit = error_set(err, ERROR_CONFIG, "the access token is none: it holds a line end");
    if (!is_fit || !take_identity(session, token, err)) {
        sf_secret_wipe(instance_url);
        return false;
    }
    sf_secret_replace(&session->instance_url, instance_url);
    sf_secret_wipe(instance_url);
    set_authorization(session, token->access_token);
    if (token->refresh_token != NULL)
        sf_secret_replace(&session->credentials.refresh_token, token->refresh_token);
    return true;
}

static void note_time(struct sf_session *session, int64_t time_s)
{
    session->ahead_ms = time_s != 0 ? time_s * 1000 - clock_monotonic_ms() : session->ahead_ms;
}

static bool post_form(struct sf_session *session, const char *url, const struct buf *form,
                      struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    struct http_exchange exchange = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = form->data,
        .body_bytes = form->size_bytes,
    };
    struct sf_token token = {0};

    session->requests++;
    bool is_ok = http_send(session->http, &exchange, 1, err);
    note_time(session, sf_answer_time_s(&exchange));
    is_ok = is_ok && sf_grant_read(session->grant, &exchange, &token, err) &&
            take_token(session, &token, err);
    sf_secret_wipe_json(token.json);
    seal_wipe(&exchange.received);
    http_exchange_done(&exchange);
    return is_ok;
}

static bool ask_token_at(struct sf_session *session, int64_t now_s, struct error *err)
{
    struct buf form;
    struct buf url BUF_AUTO = {0};

    buf_init(&url, URL_BYTES);
    buf_printf(&url, "%s/services/oauth2/token", session->credentials.login_url);
    buf_init(&form, FORM_BYTES);
    bool is_ok =
        sf_grant_form(session->grant, &session->credentials, now_s, &form, err) &&
        (!buf_is_full(&form) || error_set(err, ERROR_CONFIG, "the credentials are too long")) &&
        post_form(session, url.data, &form, err);
    seal_wipe(&form);
    return is_ok;
}

/* Asks for a new token; a code is good once, and then its refresh token takes over. An assertion
 * that our clock has spoiled is made again by Salesforce's, which the refusal tells. */
static bool ask_token(struct sf_session *session, struct error *err)
{
    int64_t now_s = clock_wall_us() / 1000000;
    bool is_ok = ask_token_at(session, now_s, err);
    int64_t true_s = sf_session_now_us(session) / 1000000;

    if (!is_ok && session->grant == SF_GRANT_JWT && true_s != 0 && llabs(true_s - now_s) > 60)
        is_ok = ask_token_at(session, true_s, err);
    if (!is_ok)
        scrub(session, err);
    else if (session->grant == SF_GRANT_CODE)
        session->grant = SF_GRANT_REFRESH;
    return is_ok;
}

/* Another session of the same authorisation has renewed meanwhile: its token is ours too. */
static bool has_newer(const struct sf_session *session, const struct sf_kept *kept)
{
    return kept->access_token != NULL && kept->instance_url != NULL && !session->has_unstored &&
           session->authorization != NULL &&
           strcmp(kept->access_token, sf_session_access_token(session)) != 0;
}

static bool adopt_newer(struct sf_session *session, const struct sf_kept *kept, struct error *err)
{
    return take_token(session,
                      &(struct sf_token){.access_token = kept->access_token,
                                         .instance_url = kept->instance_url,
                                         .refresh_token = kept->refresh_token},
                      err);
}

static bool renew_shared(struct sf_session *session, struct error *err)
{
    struct sf_kept kept = {0};
    struct error ignored = {0};

    if (!session->vault.enter(session->vault.context, &kept, err))
        return false;
    if (has_newer(session, &kept)) {
        bool is_taken = adopt_newer(session, &kept, err);
        return session->vault.leave(session->vault.context, NULL, &ignored) && is_taken;
    }
    if (!session->has_unstored && kept.refresh_token != NULL)
        sf_secret_replace(&session->credentials.refresh_token, kept.refresh_token);
    if (!ask_token(session, err)) {
        session->vault.leave(session->vault.context, NULL, &ignored);
        return false;
    }
    const struct sf_kept now = {session->credentials.refresh_token,
                                sf_session_access_token(session), session->instance_url};
    session->has_unstored = !session->vault.leave(session->vault.context, &now, err);
    return !session->has_unstored;
}

bool sf_session_renew(struct sf_session *session, struct error *err)
{
    if (session->grant == SF_GRANT_TOKEN)
        return error_set(err, ERROR_CONFIG,
                         "the access token is no longer accepted: give a new "
                         "PGFORCE_SF_ACCESS_TOKEN, or other credentials, which can be renewed");
    if (session->grant == SF_GRANT_REFRESH && session->vault.enter != NULL)
        return renew_shared(session, err);
    return ask_token(session, err);
}

/* A token given as such brings no identity: ask, which also tells whether it is accepted. */
static bool adopt_token(struct sf_session *session, struct error *err)
{
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .path = ""};
    struct sf_token token = {
        .access_token = session->credentials.access_token,
        .instance_url = session->credentials.instance_url,
    };

    if (!check_address(session, "PGFORCE_SF_INSTANCE_URL", token.instance_url, err) ||
        !take_token(session, &token, err) || !sf_request_one(session, &call, err))
        return false;
    const char *identity = json_string_value(json_object_get(call.json, "identity"));
    if (identity != NULL)
        sf_grant_identity(identity, &token);
    return take_identity(session, &token, err);
}

static void copy_credentials(struct sf_session *session, const struct sf_credentials *credentials)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
        sf_secret_replace(credential_at(&session->credentials, i), *credential_at(credentials, i));
    if (session->credentials.login_url == NULL)
        session->credentials.login_url = memory_strdup("https://login.salesforce.com");
    trim_slashes(session->credentials.login_url);
    if (session->credentials.instance_url != NULL)
        trim_slashes(session->credentials.instance_url);
}

static bool set_up(struct sf_session *session, const struct sf_session_options *options,
                   struct error *err)
{
    struct http_client_options http = options->http;
    const char *version = options->api_version != NULL ? options->api_version : "60.0";
    const char *name = options->client_name != NULL ? options->client_name : "pgforce";
    struct buf header BUF_AUTO = {0};

    buf_init(&header, HEADER_BYTES);
    if (!check_version(version, err) || !check_client_name(name, err) ||
        !sf_grant_choose(&session->credentials, &session->grant, err))
        return false;
    session->is_local =
        http_url_is_loopback(session->grant == SF_GRANT_TOKEN ? session->credentials.instance_url
                                                              : session->credentials.login_url);
    session->api_version = memory_strdup(version);
    session->instance_suffixes =
        options->instance_suffixes != NULL ? memory_strdup(options->instance_suffixes) : NULL;
    buf_printf(&header, CALL_OPTIONS "%s", name);
    session->call_options = memory_strdup(header.data);
    http.is_plain_http_allowed = session->is_local;
    session->http = http_client_new(&http, err);
    return session->http != NULL;
}

static bool sign_in(struct sf_session *session, struct error *err)
{
    if (session->grant == SF_GRANT_TOKEN)
        return adopt_token(session, err);
    return check_address(session, "PGFORCE_SF_LOGIN_URL", session->credentials.login_url, err) &&
           sf_session_renew(session, err);
}

bool sf_session_open(const struct sf_credentials *credentials,
                     const struct sf_session_options *options, struct sf_session **out,
                     struct error *err)
{
    static const struct sf_session_options defaults;
    struct sf_session *session = memory_alloc(sizeof(*session));

    *out = NULL;
    if (options == NULL)
        options = &defaults;
    session->vault = options->vault;
    copy_credentials(session, credentials);
    if (!set_up(session, options, err) || !sign_in(session, err)) {
        sf_session_close(session);
        return false;
    }
    *out = session;
    return true;
}

void sf_session_close(struct sf_session *session)
{
    if (session == NULL)
        return;
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
        sf_secret_wipe(*credential_at(&session->credentials, i));
    sf_secret_wipe(session->authorization);
    free(session->call_options);
    free(session->api_version);
    free(session->instance_suffixes);
    if (session->vault.done != NULL)
        session->vault.done(session->vault.context);
    sf_secret_wipe(session->instance_url);
    http_client_free(session->http);
    free(session);
}

const char *sf_session_organisation_id(const struct sf_session *session)
{
    return session->organisation_id;
}

const char *sf_session_user_id(const struct sf_session *session)
{
    return session->user_id;
}

const char *sf_session_instance_url(const struct sf_session *session)
{
    return session->instance_url;
}

const char *sf_session_api_version(const struct sf_session *session)
{
    return session->api_version;
}

const char *sf_session_client_name(const struct sf_session *session)
{
    return session->call_options + sizeof(CALL_OPTIONS) - 1;
}

const char *sf_session_refresh_token(const struct sf_session *session)
{
    return session->credentials.refresh_token;
}

const char *sf_session_access_token(const struct sf_session *session)
{
    return session->authorization + sizeof(BEARER) - 1;
}

struct sf_limits sf_session_limits(const struct sf_session *session)
{
    return session->limits;
}

int64_t sf_session_now_us(const struct sf_session *session)
{
    return session->ahead_ms != 0 ? (session->ahead_ms + clock_monotonic_ms()) * 1000 : 0;
}

int64_t sf_session_requests(const struct sf_session *session)
{
    return session->requests;
}

void sf_session_use_assignment_rules(struct sf_session *session, bool is_used)
{
    session->is_unassigned = !is_used;
}

static const char *make_url(const struct sf_session *session, const char *path, struct arena *arena)
{
    if (strncmp(path, "/services/", 10) == 0 || strncmp(path, "/cometd/", 8) == 0)
        return arena_printf(arena, "%s%s", session->instance_url, path);
    return arena_printf(arena, "%s/services/data/v%s%s", session->instance_url,
                        session->api_version, path);
}

static const char *const *make_headers(const struct sf_session *session, const struct sf_call *call,
                                       struct arena *arena)
{
    const char *type = call->content_type != NULL ? call->content_type : "application/json";
    size_t extra = 0, used = 0;

    while (call->headers != NULL && call->headers[extra] != NULL)
        extra++;
    const char **headers = arena_array(arena, const char *, extra + 5);
    headers[used++] = session->authorization;
    headers[used++] = session->call_options;
    if (call->body_bytes > 0)
        headers[used++] = arena_printf(arena, "Content-Type: %s", type);
    if (session->is_unassigned && call->method != NULL && strcmp(call->method, "GET") != 0)
        headers[used++] = "Sforce-Auto-Assign: FALSE";
    for (size_t i = 0; i < extra; i++)
        headers[used++] = call->headers[i];
    return headers;
}

static void note_limits(struct sf_session *session, const struct http_exchange *exchange)
{
    struct buf value BUF_AUTO = {0};

    buf_init(&value, HEADER_BYTES);
    const char *text = http_header(exchange, "Sforce-Limit-Info", &value);
    if (text != NULL)
        sf_answer_limits(text, &session->limits);
}

static void begin_call(struct sf_session *session, struct sf_call *call)
{
    sf_call_done(call);
    call->arena = arena_new();
    call->tokens = session->tokens;
    call->exchange = (struct http_exchange){
        .method = call->method,
        .url = make_url(session, call->path, call->arena),
        .headers = make_headers(session, call, call->arena),
        .body = call->body,
        .body_bytes = call->body_bytes,
        .gzip_over_bytes = GZIP_OVER_BYTES,
        .total_timeout_ms = call->timeout_ms,
        .is_held = call->is_held,
    };
    session->requests++;
    http_begin(session->http, &call->exchange);
    call->exchange.headers = NULL;
}

void sf_request_begin(struct sf_session *session, struct sf_call *call)
{
    call->is_again = false;
    begin_call(session, call);
}

bool sf_request_go_on(struct sf_session *session, int fd, short events, int timeout_ms,
                      struct error *err)
{
    return http_go_on(session->http, fd, events, timeout_ms, err);
}

/* Of calls refused for the same token the first gets a new one; should that fail, none asks again.
 */
static bool renew_for(struct sf_session *session, const struct sf_call *call, struct error *err)
{
    if (session->tokens != call->tokens)
        return true;
    session->tokens++;
    return sf_session_renew(session, err);
}

static bool was_sent_to_instance(const struct sf_session *session, const struct sf_call *call)
{
    return strncmp(call->exchange.url, session->instance_url, strlen(session->instance_url)) == 0;
}

/* Where an organisation is that may have moved to another instance, the token address says. It is
 * asked once a minute, for an outage looks alike. Whether the call is to be sent to another host.
 */
static bool find_instance(struct sf_session *session, const struct sf_call *call)
{
    int64_t now_ms = clock_monotonic_ms();
    struct error err = {0};

    if (session->grant != SF_GRANT_TOKEN && now_ms >= session->look_at_ms &&
        was_sent_to_instance(session, call)) {
        session->look_at_ms = now_ms + LOOK_AGAIN_MS;
        if (!renew_for(session, call, &err))
            log_warning("could not ask where the organisation is", log_text("reason", err.message));
    }
    return !was_sent_to_instance(session, call);
}

bool sf_request_end(struct sf_session *session, struct sf_call *call, bool *is_over,
                    struct error *err)
{
    sf_answer_read(call);
    note_limits(session, &call->exchange);
    note_time(session, sf_answer_time_s(&call->exchange));
    session->has_answered = session->has_answered || call->outcome == SF_OUTCOME_SUCCESS;
    call->was_right_before = session->has_answered;
    bool must_sign_in = !call->is_again && sf_answer_wants_sign_in(call);
    bool has_moved =
        !call->is_again && sf_answer_may_be_elsewhere(call) && find_instance(session, call);
    bool is_ok = !must_sign_in || renew_for(session, call, err);
    call->exchange.url = NULL;
    *is_over = !is_ok || (!must_sign_in && !has_moved);
    if (*is_over)
        return is_ok;
    begin_call(session, call);
    call->is_again = true;
    return true;
}

struct http_stream *sf_session_stream(struct sf_session *session, const char *path,
                                      const char *const *headers)
{
    struct sf_call call = {.headers = headers};
    struct arena *arena = arena_new();
    struct http_stream *stream = http_stream_open(session->http, make_url(session, path, arena),
                                                  make_headers(session, &call, arena));

    session->requests++;
    arena_free(arena);
    return stream;
}
