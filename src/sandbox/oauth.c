#include "sandbox/oauth.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "sandbox/oauth_code.h"
#include "sandbox/times.h"
#include "sandbox/users.h"

enum {
    MAX_SESSIONS = 1000,
    MAX_REFRESH_TOKENS = 100,
    TOKEN_RANDOM_BYTES = 32,
    TOKEN_BYTES = 128,
    MAX_URL_BYTES = 64 * 1024,
    IDLE_S = 2 * 3600, /* Salesforce's default session timeout */
};

struct session {
    char token[TOKEN_BYTES];
    struct ids_text user_id;
    int64_t last_used_s;
};

struct sessions {
    struct session list[MAX_SESSIONS]; /* a ring: the oldest gives way */
    size_t next;
    struct session refresh_tokens[MAX_REFRESH_TOKENS]; /* a ring too */
    size_t next_refresh;
    bool has_revoked_given; /* the one of the options */
};

struct sessions *oauth_new_sessions(void)
{
    return memory_alloc(sizeof(struct sessions));
}

void oauth_free_sessions(struct sessions *sessions)
{
    free(sessions);
}

void oauth_expire_sessions(struct sessions *sessions)
{
    memset(sessions->list, 0, sizeof(sessions->list));
}

static struct session *find_session(struct org *org, const char *token)
{
    for (size_t i = 0; i < MAX_SESSIONS; i++) {
        struct session *session = &org->sessions->list[i];

        if (session->token[0] != '\0' && strcmp(session->token, token) == 0 &&
            org_now(org) - session->last_used_s <= IDLE_S)
            return session;
    }
    return NULL;
}

static void append_random(char *text, size_t room)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    unsigned char random[TOKEN_RANDOM_BYTES];
    size_t used = strlen(text);

    if (RAND_bytes(random, sizeof(random)) != 1)
        abort();
    for (size_t i = 0; i < sizeof(random) && used + 1 < room; i++)
        text[used++] = letters[random[i] % 64];
    text[used] = '\0';
}

/* "00DdL0000000000!AQ..." : the short organisation id, then letters, digits, dots, underscores. */
const char *oauth_open_session(struct org *org)
{
    struct session *session = &org->sessions->list[org->sessions->next++ % MAX_SESSIONS];

    snprintf(session->token, sizeof(session->token), "%.15s!AQ", org->org_id);
    append_random(session->token, sizeof(session->token));
    session->user_id = org->user->id;
    session->last_used_s = org_now(org);
    return session->token;
}

/* Whose session it is, which then lives on; NULL when it lives no more. */
static struct user *find_user(struct org *org, const char *token)
{
    struct session *session = find_session(org, token);

    if (session == NULL)
        return users_find_token(org, token);
    session->last_used_s = org_now(org);
    return users_find_id(org, session->user_id.text);
}

bool oauth_enter(struct org *org, const char *token)
{
    struct user *user = find_user(org, token);

    if (user != NULL)
        users_become(org, user);
    return user != NULL;
}

/* The token of "Bearer x" or "OAuth x"; NULL when the header is something else. */
static const char *read_token(const struct call *call)
{
    const char *header = http_server_header(call->request, "Authorization");

    if (header == NULL)
        return NULL;
    if (strncasecmp(header, "Bearer ", 7) == 0)
        return header + 7;
    if (strncasecmp(header, "OAuth ", 6) == 0)
        return header + 6;
    return NULL;
}

bool oauth_has_session(const struct call *call)
{
    const char *token = read_token(call);

    return token != NULL && oauth_enter(call->org, token);
}

bool oauth_check_session(struct call *call)
{
    const char *token = read_token(call);

    if (token == NULL) {
        call_error(call, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE");
        return false;
    }
    if (!oauth_enter(call->org, token)) {
        call_error(call, "INVALID_SESSION_ID", "Session expired or invalid");
        return false;
    }
    return true;
}

/* ---- refresh tokens ---- */

const char *oauth_make_refresh_token(struct org *org)
{
    struct sessions *sessions = org->sessions;
    struct session *given =
        &sessions->refresh_tokens[sessions->next_refresh++ % MAX_REFRESH_TOKENS];

    snprintf(given->token, TOKEN_BYTES, "5Aep861");
    append_random(given->token, TOKEN_BYTES);
    given->user_id = org->user->id;
    return given->token;
}

static struct session *find_refresh_token(struct org *org, const char *token)
{
    for (size_t i = 0; i < MAX_REFRESH_TOKENS; i++) {
        struct session *each = &org->sessions->refresh_tokens[i];

        if (each->token[0] != '\0' && strcmp(each->token, token) == 0)
            return each;
    }
    return NULL;
}

struct user *oauth_find_refresh_token(struct org *org, const char *token)
{
    if (strcmp(token, org->options.refresh_token) == 0)
        return org->sessions->has_revoked_given ? NULL : users_find(org, org->options.username);
    const struct session *given = find_refresh_token(org, token);
    return given != NULL ? users_find_id(org, given->user_id.text) : NULL;
}

bool oauth_revoke_refresh_token(struct org *org, const char *token)
{
    struct session *given = find_refresh_token(org, token);

    if (given != NULL)
        given->token[0] = '\0';
    if (given != NULL)
        return true;
    if (strcmp(token, org->options.refresh_token) != 0 || org->sessions->has_revoked_given)
        return false;
    org->sessions->has_revoked_given = true;
    return true;
}

/* ---- revoking and asking ---- */

/* A parameter of the form, or of the URL. */
static const char *find_parameter(struct call *call, const char *name)
{
    size_t count = 0;
    const struct http_server_pair *params =
        http_server_parse_form(call->arena, call->request->body, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(params[i].name, name) == 0)
            return params[i].value;
    return http_server_param(call->request, name);
}

static bool revoke(struct org *org, const char *token)
{
    struct session *session = find_session(org, token);

    if (session != NULL)
        session->token[0] = '\0';
    return oauth_revoke_refresh_token(org, token) || session != NULL;
}

/* Its errors are forms, not JSON. */
void oauth_revoke(struct call *call)
{
    const char *token = find_parameter(call, "token");

    if (token != NULL && revoke(call->org, token))
        call_text(call, 200, "text/plain;charset=UTF-8", "");
    else
        call_text(call, 400, "application/x-www-form-urlencoded",
                  "error=unsupported_token_type&error_description=this%20token%20type%20is%20not"
                  "%20supported");
}

void oauth_introspect(struct call *call)
{
    struct org *org = call->org;
    const char *token = find_parameter(call, "token");
    const char *client = find_parameter(call, "client_id");
    const char *secret = find_parameter(call, "client_secret");

    if (read_token(call) == NULL &&
        (client == NULL || strcmp(client, org->options.client_id) != 0 || secret == NULL ||
         strcmp(secret, org->options.client_secret) != 0)) {
        call_json(call, 401,
                  json_pack("{s:s, s:s}", "error", "invalid_client", "error_description",
                            "invalid client credentials"));
        return;
    }
    const struct user *refreshed = token != NULL ? oauth_find_refresh_token(org, token) : NULL;
    const struct user *user =
        refreshed != NULL || token == NULL ? refreshed : find_user(org, token);
    if (user == NULL) {
        call_json(call, 200, json_pack("{s:b}", "active", 0));
        return;
    }
    call_json(call, 200,
              json_pack("{s:b, s:s, s:s, s:s, s:o, s:s, s:I, s:I}", "active", 1, "scope",
                        "refresh_token api", "client_id", org->options.client_id, "username",
                        users_text(user, "username"), "sub",
                        json_sprintf("%s/id/%s/%s", org->base_url, org->org_id, user->id.text),
                        "token_type", refreshed != NULL ? "refresh_token" : "access_token", "exp",
                        (json_int_t)(org_now(org) + IDLE_S), "iat", (json_int_t)org_now(org)));
}

/* ---- who am I ---- */

static json_t *list_urls(struct call *call)
{
    static const struct {
        const char *name;
        const char *path;
    } urls[] = {
        {"enterprise", "/services/Soap/c/{version}/"},
        {"metadata", "/services/Soap/m/{version}/"},
        {"partner", "/services/Soap/u/{version}/"},
        {"rest", "/services/data/v{version}/"},
        {"sobjects", "/services/data/v{version}/sobjects/"},
        {"search", "/services/data/v{version}/search/"},
        {"query", "/services/data/v{version}/query/"},
        {"recent", "/services/data/v{version}/recent/"},
    };
    json_t *list = json_object();

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        json_object_set_new(list, urls[i].name,
                            json_sprintf("%s%s", call->org->base_url, urls[i].path));
    return list;
}

void oauth_identity(struct call *call)
{
    struct org *org = call->org;
    const char *token = read_token(call);

    if (token == NULL)
        token = http_server_param(call->request, "oauth_token");
    if (token == NULL || !oauth_enter(org, token)) {
        call_text(call, 403, "text/plain;charset=UTF-8", "Bad_OAuth_Token");
        return;
    }
    const char *name = users_text(org->user, "username");
    const char *full_name = users_full_name(call->arena, org->user);
    json_t *identity = json_pack(
        "{s:o, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s}",
        "id", json_sprintf("%s/id/%s/%s", org->base_url, org->org_id, org->user_id),
        "asserted_user", 1, "user_id", org->user_id, "organization_id", org->org_id, "username",
        name, "preferred_username", name, "nick_name", "admin", "display_name", full_name,
        "email_verified", 1, "email", name, "first_name", users_text(org->user, "first_name"),
        "last_name", users_text(org->user, "last_name"), "timezone", "GMT", "user_type", "STANDARD",
        "active", 1, "language", "en_US", "locale", "en_US");
    json_object_set_new(identity, "sub", json_incref(json_object_get(identity, "id")));
    json_object_set_new(identity, "name", json_string(full_name));
    json_object_set_new(identity, "utcOffset", json_integer(0));
    json_object_set_new(identity, "last_modified_date",
                        json_string(times_format_datetime(org_now(org)).text));
    json_object_set_new(identity, "urls", list_urls(call));
    call_json(call, 200, identity);
}

void oauth_single_access(struct call *call)
{
    const char *target = http_server_param(call->request, "redirect_uri");
    struct buf url BUF_AUTO = {0};

    buf_init(&url, MAX_URL_BYTES);
    buf_printf(&url, "%s/secur/frontdoor.jsp?otp=%s&startURL=", call->org->base_url,
               oauth_open_session(call->org));
    oauth_code_write_encoded(&url, target != NULL ? target : "/");
    call_json(call, 200, json_pack("{s:s}", "frontdoor_uri", url.data));
}
