#include "sandbox/oauth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "sandbox/times.h"

enum {
    MAX_SESSIONS = 1000,
    TOKEN_RANDOM_BYTES = 32,
    TOKEN_BYTES = 128,
    IDLE_S = 2 * 3600, /* Salesforce's default session timeout */
};

struct session {
    char token[TOKEN_BYTES];
    int64_t last_used_s;
};

struct sessions {
    struct session list[MAX_SESSIONS]; /* a ring: the oldest gives way */
    size_t next;
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

/* "00DdL0000000000!AQ..." : the short organisation id, then letters, digits, dots, underscores. */
static const char *open_session(struct org *org)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    struct session *session = &org->sessions->list[org->sessions->next++ % MAX_SESSIONS];
    unsigned char random[TOKEN_RANDOM_BYTES];
    char secret[TOKEN_RANDOM_BYTES + 1] = "";

    if (RAND_bytes(random, sizeof(random)) != 1)
        abort();
    for (size_t i = 0; i < sizeof(random); i++)
        secret[i] = letters[random[i] % 64];
    snprintf(session->token, sizeof(session->token), "%.15s!AQ%s", org->org_id, secret);
    session->last_used_s = org_now(org);
    return session->token;
}

static bool is_alive(struct org *org, const char *token)
{
    if (org->options.access_token != NULL && strcmp(org->options.access_token, token) == 0)
        return true;
    struct session *session = find_session(org, token);
    if (session == NULL)
        return false;
    session->last_used_s = org_now(org);
    return true;
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

bool oauth_check_session(struct call *call)
{
    const char *token = read_token(call);

    if (token == NULL) {
        call_error(call, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE");
        return false;
    }
    if (!is_alive(call->org, token)) {
        call_error(call, "INVALID_SESSION_ID", "Session expired or invalid");
        return false;
    }
    return true;
}

/* ---- the token endpoint ---- */

struct grant {
    struct call *call;
    const struct http_server_pair *params;
    size_t param_count;
    const char *client_id;
    const char *client_secret;
};

static const char *get(const struct grant *grant, const char *name)
{
    for (size_t i = 0; i < grant->param_count; i++)
        if (strcmp(grant->params[i].name, name) == 0)
            return grant->params[i].value;
    return "";
}

static bool refuse(struct call *call, const char *error, const char *description)
{
    call_json(call, 400, json_pack("{s:s, s:s}", "error", error, "error_description", description));
    return false;
}

/* Base64, with - and _ taken as + and /; NULL when it is not. */
static char *decode_base64(struct arena *arena, const char *text, size_t length)
{
    size_t padded = (length + 3) / 4 * 4;
    char *copy = arena_alloc(arena, padded + 1);
    char *out = arena_alloc(arena, padded + 1);

    memset(copy, '=', padded);
    for (size_t i = 0; i < length; i++)
        copy[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    int size = EVP_DecodeBlock((unsigned char *)out, (unsigned char *)copy, (int)padded);
    if (size < 0)
        return NULL;
    out[(size_t)size - (padded - length < (size_t)size ? padded - length : 0)] = '\0';
    return out;
}

/* Client id and secret come in the body, or by HTTP Basic. */
static void read_client(struct grant *grant)
{
    struct arena *arena = grant->call->arena;
    const char *header = http_server_header(grant->call->request, "Authorization");

    grant->client_id = get(grant, "client_id");
    grant->client_secret = get(grant, "client_secret");
    if (header == NULL || strncasecmp(header, "Basic ", 6) != 0)
        return;
    char *pair = decode_base64(arena, header + 6, strcspn(header + 6, "= "));
    char *colon = pair != NULL ? strchr(pair, ':') : NULL;
    if (colon == NULL)
        return;
    *colon = '\0';
    grant->client_id = pair;
    grant->client_secret = colon + 1;
}

static bool check_client(const struct grant *grant, bool needs_secret)
{
    const struct org_options *options = &grant->call->org->options;

    if (strcmp(grant->client_id, options->client_id) != 0)
        return refuse(grant->call, "invalid_client_id", "client identifier invalid");
    if ((needs_secret || *grant->client_secret != '\0') &&
        strcmp(grant->client_secret, options->client_secret) != 0)
        return refuse(grant->call, "invalid_client", "invalid client credentials");
    return true;
}

static bool grant_client_credentials(const struct grant *grant)
{
    return check_client(grant, true);
}

/* A security token may follow the password. */
static bool grant_password(const struct grant *grant)
{
    const struct org_options *options = &grant->call->org->options;
    const char *password = get(grant, "password");

    if (!check_client(grant, true))
        return false;
    if (strcasecmp(get(grant, "username"), options->username) != 0 ||
        strncmp(password, options->password, strlen(options->password)) != 0)
        return refuse(grant->call, "invalid_grant", "authentication failure");
    return true;
}

static bool grant_refresh(const struct grant *grant)
{
    if (!check_client(grant, false))
        return false;
    if (strcmp(get(grant, "refresh_token"), grant->call->org->options.refresh_token) != 0)
        return refuse(grant->call, "invalid_grant", "expired access/refresh token");
    return true;
}

static json_t *read_claims(const struct grant *grant)
{
    const char *assertion = get(grant, "assertion");
    const char *dot = strchr(assertion, '.');
    const char *end = dot != NULL ? strchr(dot + 1, '.') : NULL;

    if (end == NULL)
        return NULL;
    char *text = decode_base64(grant->call->arena, dot + 1, (size_t)(end - dot - 1));
    return text != NULL ? json_loads(text, 0, NULL) : NULL;
}

static bool is_audience(const struct org *org, const char *audience)
{
    size_t length = strlen(audience);

    while (length > 0 && audience[length - 1] == '/')
        length--;
    const char *accepted[] = {org->base_url, "https://login.salesforce.com",
                              "https://test.salesforce.com"};
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
        if (strlen(accepted[i]) == length && strncmp(accepted[i], audience, length) == 0)
            return true;
    return false;
}

static bool check_claims(const struct grant *grant, const json_t *claims)
{
    struct org *org = grant->call->org;
    const char *issuer = json_string_value(json_object_get(claims, "iss"));
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    const char *audience = json_string_value(json_object_get(claims, "aud"));
    double expiry = json_number_value(json_object_get(claims, "exp"));

    if (issuer == NULL || subject == NULL || audience == NULL)
        return refuse(grant->call, "invalid_grant", "invalid assertion");
    if (strcmp(issuer, org->options.client_id) != 0)
        return refuse(grant->call, "invalid_client_id", "client identifier invalid");
    if (!is_audience(org, audience))
        return refuse(grant->call, "invalid_grant", "audience is invalid");
    if (expiry < (double)org_now(org))
        return refuse(grant->call, "invalid_grant", "expired authorization code");
    if (strcasecmp(subject, org->options.username) != 0)
        return refuse(grant->call, "invalid_grant", "user hasn't approved this consumer");
    return true;
}

static bool grant_jwt(const struct grant *grant)
{
    json_t *claims = read_claims(grant);

    if (claims == NULL)
        return refuse(grant->call, "invalid_grant", "invalid assertion");
    bool is_granted = check_claims(grant, claims);
    json_decref(claims);
    return is_granted;
}

static const struct {
    const char *type;
    bool (*check)(const struct grant *grant);
    bool has_scope;
} grants[] = {
    {"client_credentials", grant_client_credentials, true},
    {"password", grant_password, false},
    {"refresh_token", grant_refresh, true},
    {"urn:ietf:params:oauth:grant-type:jwt-bearer", grant_jwt, true},
};

/* base64(HMAC-SHA256(client secret, id + issued_at)) */
static const char *sign(struct call *call, const char *id, const char *issued_at)
{
    const char *secret = call->org->options.client_secret;
    const char *text = arena_printf(call->arena, "%s%s", id, issued_at);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    unsigned char *out = arena_alloc(call->arena, EVP_MAX_MD_SIZE * 2);

    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, strlen(text),
         digest, &size);
    EVP_EncodeBlock(out, digest, (int)size);
    return (const char *)out;
}

static void answer_token(struct call *call, bool has_scope)
{
    struct org *org = call->org;
    const char *id =
        arena_printf(call->arena, "%s/id/%s/%s", org->base_url, org->org_id, org->user_id);
    const char *issued_at = arena_printf(call->arena, "%lld", (long long)org_now(org) * 1000);
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "access_token", open_session(org), "signature",
                  sign(call, id, issued_at), "instance_url", org->base_url, "id", id, "token_type",
                  "Bearer", "issued_at", issued_at);

    if (has_scope)
        json_object_set_new(answer, "scope", json_string("api"));
    call_header(call, "Cache-Control", "no-cache, no-store");
    call_json(call, 200, answer);
}

void oauth_token(struct call *call)
{
    struct grant grant = {.call = call};

    grant.params = http_server_parse_form(call->arena, call->request->body, &grant.param_count);
    read_client(&grant);
    for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
        if (strcmp(grants[i].type, get(&grant, "grant_type")) == 0) {
            if (grants[i].check(&grant))
                answer_token(call, grants[i].has_scope);
            return;
        }
    refuse(call, "unsupported_grant_type", "grant type not supported");
}

void oauth_revoke(struct call *call)
{
    size_t count = 0;
    const struct http_server_pair *params =
        http_server_parse_form(call->arena, call->request->body, &count);
    const char *token = http_server_param(call->request, "token");

    for (size_t i = 0; i < count; i++)
        if (strcmp(params[i].name, "token") == 0)
            token = params[i].value;
    struct session *session = token != NULL ? find_session(call->org, token) : NULL;
    if (session == NULL) {
        call_text(call, 400, "application/x-www-form-urlencoded",
                  "error=unsupported_token_type&error_description=this%20token%20type%20is%20not"
                  "%20supported");
        return;
    }
    session->token[0] = '\0';
    call_text(call, 200, "text/plain;charset=UTF-8", "");
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
    const char *name = org->options.username;

    if (token == NULL)
        token = http_server_param(call->request, "oauth_token");
    if (token == NULL || !is_alive(org, token)) {
        call_text(call, 403, "text/plain;charset=UTF-8", "Bad_OAuth_Token");
        return;
    }
    json_t *identity = json_pack(
        "{s:o, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s}",
        "id", json_sprintf("%s/id/%s/%s", org->base_url, org->org_id, org->user_id),
        "asserted_user", 1, "user_id", org->user_id, "organization_id", org->org_id, "username",
        name, "preferred_username", name, "nick_name", "admin", "display_name", "Ada Admin",
        "email_verified", 1, "email", name, "first_name", "Ada", "last_name", "Admin", "timezone",
        "GMT", "user_type", "STANDARD", "active", 1, "language", "en_US", "locale", "en_US");
    json_object_set_new(identity, "sub", json_incref(json_object_get(identity, "id")));
    json_object_set_new(identity, "name", json_string("Ada Admin"));
    json_object_set_new(identity, "utcOffset", json_integer(0));
    json_object_set_new(identity, "last_modified_date",
                        json_string(times_format_datetime(org_now(org)).text));
    json_object_set_new(identity, "urls", list_urls(call));
    call_json(call, 200, identity);
}
