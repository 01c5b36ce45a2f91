#include "control/guard.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/tokens.h"

enum {
    MAX_TOKEN_BYTES = 4096,
    MAX_SESSIONS = 32,
    MAX_PEERS = 64,
    PEER_BYTES = 48,
    ACTOR_BYTES = 64,
    FAILURES_ALLOWED = 10, /* per address, within FAILURES_FORGOTTEN_MS */
    FAILURES_FORGOTTEN_MS = 60 * 1000,
    SESSION_MS = 12 * 60 * 60 * 1000,
};

struct hash {
    char hex[TOKENS_HASH_BYTES];
};

struct browser_session {
    struct hash hash;  /* of the cookie */
    struct hash token; /* whose it stands for: it is worth as much as that is now */
    int64_t ends_ms;   /* 0: free */
    enum request_role role;
    char actor[ACTOR_BYTES];
};

/* Failed logins from one address. */
struct peer {
    char address[PEER_BYTES];
    int failures;
    int64_t since_ms;
};

struct guard {
    struct browser_session sessions[MAX_SESSIONS];
    struct peer peers[MAX_PEERS];
};

static const char *const role_names[] = {
    [REQUEST_VIEWER] = "viewer", [REQUEST_OPERATOR] = "operator", [REQUEST_ADMIN] = "admin"};

struct guard *guard_new(void)
{
    return memory_alloc(sizeof(struct guard));
}

void guard_free(struct guard *guard)
{
    if (guard != NULL)
        OPENSSL_cleanse(guard, sizeof(*guard));
    free(guard);
}

/* ---- hashes ---- */

static struct hash hash_text(const char *text, size_t size_bytes)
{
    struct hash hash;

    tokens_hash(text, size_bytes, hash.hex);
    return hash;
}

static bool is_same(const char *left, const struct hash *right)
{
    return strlen(left) == TOKENS_HASH_BYTES - 1 &&
           CRYPTO_memcmp(left, right->hex, TOKENS_HASH_BYTES - 1) == 0;
}

/* ---- where a call comes from ---- */

static bool is_listed(const char *list, const char *host)
{
    size_t length = strlen(host);

    while (list != NULL && *list != '\0') {
        size_t name = strcspn(list, ", ");

        if (name == length && strncasecmp(list, host, length) == 0)
            return true;
        list += name + strspn(list + name, ", ");
    }
    return false;
}

/* "https://host:port/" names its host. */
static bool is_host_of(const char *url, const char *host)
{
    const char *start = url != NULL ? strstr(url, "://") : NULL;

    if (start == NULL)
        return false;
    size_t length = strcspn(start + 3, "/");
    return strlen(host) == length && strncasecmp(start + 3, host, length) == 0;
}

static bool is_our_host(const struct request *request, const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const struct serve_options *options = request->serve->options;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(host,
                       arena_printf(request->arena, "%s:%d", names[i], request->serve->port)) == 0)
            return true;
    return strcasecmp(host, options->address) == 0 || is_host_of(options->public_url, host) ||
           is_listed(options->hosts, host);
}

static size_t count_headers(const struct request *request, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < request->http->header_count; i++)
        count += strcasecmp(request->http->headers[i].name, name) == 0;
    return count;
}

static void add_security_headers(struct request *request)
{
    static const struct http_server_pair headers[] = {
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "
                                    "img-src 'self'; connect-src 'self'; form-action 'self'; "
                                    "base-uri 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        http_server_add_header(request->response, headers[i].name, headers[i].value);
}

/* Addresses in our answers are made of it: request_base_url. */
static bool is_forwarded_well(const struct request *request)
{
    const char *host = http_server_header(request->http, "X-Forwarded-Host");

    return !request->serve->options->is_behind_proxy || host == NULL || is_our_host(request, host);
}

bool guard_admit(struct request *request)
{
    const char *host = http_server_header(request->http, "Host");

    add_security_headers(request);
    if (host != NULL && count_headers(request, "Host") == 1 && is_our_host(request, host) &&
        is_forwarded_well(request))
        return true;
    request_refuse(request, 421, "misdirected",
                   "this server does not answer for that Host: add it to PGFORCE_API_HOSTS");
    return false;
}

/* Browsers say where a call comes from; other programs send neither header. */
static bool is_same_site(struct request *request)
{
    const char *origin = http_server_header(request->http, "Origin");
    const char *site = http_server_header(request->http, "Sec-Fetch-Site");

    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    return origin == NULL || strcasecmp(origin, request_base_url(request)) == 0;
}

/* ---- failed logins ---- */

static struct peer *find_peer(struct guard *guard, const char *address, int64_t now_ms)
{
    struct peer *oldest = &guard->peers[0];

    for (size_t i = 0; i < MAX_PEERS; i++) {
        struct peer *peer = &guard->peers[i];

        if (now_ms - peer->since_ms > FAILURES_FORGOTTEN_MS)
            *peer = (struct peer){0};
        if (strcmp(peer->address, address) == 0)
            return peer;
        if (peer->since_ms < oldest->since_ms)
            oldest = peer;
    }
    *oldest = (struct peer){.since_ms = now_ms};
    strncpy(oldest->address, address, PEER_BYTES - 1);
    return oldest;
}

static void note_failure(const struct request *request, struct peer *peer)
{
    peer->failures++;
    log_warning("refused a token", log_text("from", request->http->peer),
                log_text("path", request->http->path));
}

static bool refuse_nobody(struct request *request)
{
    http_server_add_header(request->response, "WWW-Authenticate", "Bearer");
    request_refuse(request, 401, "unauthorized",
                   "a valid token is needed: Authorization: Bearer TOKEN (`pgforce token create`"
                   " makes one)");
    return false;
}

static bool is_slowed(struct request *request, const struct peer *peer)
{
    if (peer->failures < FAILURES_ALLOWED)
        return false;
    http_server_add_header(request->response, "Retry-After", "60");
    request_refuse(request, 429, "too_many_failures",
                   "too many wrong tokens from this address: wait a minute");
    return true;
}

/* ---- tokens ---- */

static enum request_role find_role(const char *name)
{
    for (size_t i = REQUEST_VIEWER; i <= REQUEST_ADMIN; i++)
        if (strcmp(role_names[i], name) == 0)
            return (enum request_role)i;
    return REQUEST_NOBODY;
}

/* Every stored token is compared, so the time tells nothing of where it was found. */
static void match_stored(struct request *request, const PGresult *tokens, const struct hash *hash)
{
    for (int i = 0; i < PQntuples(tokens); i++) {
        if (!is_same(PQgetvalue(tokens, i, 2), hash))
            continue;
        request->actor = arena_strdup(request->arena, PQgetvalue(tokens, i, 0));
        request->role = find_role(PQgetvalue(tokens, i, 1));
    }
}

static bool look_up(struct request *request, const struct hash *hash, struct error *err)
{
    struct pg *pg = serve_pg(request->serve, err);

    if (pg == NULL)
        return false;
    PGresult *tokens PG_RESULT_AUTO =
        pg_query(pg,
                 "select name, role, sha256"
                 " from pgforce.api_token"
                 " where schema_name = $1",
                 PG_PARAMS(request->serve->options->schema_name), err);
    if (tokens == NULL)
        return false;
    match_stored(request, tokens, hash);
    return true;
}

/* Fills in role and actor, or leaves them when the token is none of ours; false when the stored
 * ones cannot be read. */
static bool match_hash(struct request *request, const struct hash *hash, struct error *err)
{
    const char *configured = request->serve->options->token;

    if (configured != NULL) {
        struct hash known = hash_text(configured, strlen(configured));

        if (is_same(hash->hex, &known)) {
            request->role = REQUEST_ADMIN;
            request->actor = "PGFORCE_API_TOKEN";
            return true;
        }
    }
    return look_up(request, hash, err);
}

static bool match_token(struct request *request, const char *token, struct error *err)
{
    size_t length = strlen(token);

    if (length == 0 || length > MAX_TOKEN_BYTES)
        return true;
    struct hash hash = hash_text(token, length);
    return match_hash(request, &hash, err);
}

/* A token that cannot be judged, one that is wrong, one too many: false after refusing. */
static bool accept_token(struct request *request, const char *token)
{
    struct peer *peer = find_peer(request->serve->guard, request->http->peer, clock_monotonic_ms());
    struct error err = {0};

    if (is_slowed(request, peer))
        return false;
    if (token != NULL && !match_token(request, token, &err)) {
        log_warning("cannot read the tokens", log_text("reason", err.message));
        request_refuse(request, 503, "database_unavailable",
                       "the tokens cannot be read; the log says why");
        return false;
    }
    if (request->role != REQUEST_NOBODY)
        return true;
    /* Who brings no token has not guessed. */
    if (token != NULL)
        note_failure(request, peer);
    return refuse_nobody(request);
}

/* ---- browser sessions ---- */

static const char *cookie_name(const struct request *request)
{
    return request_is_https(request) ? "__Host-pgforce" : "pgforce";
}

/* The cookie's value in the Cookie header: hex digits. */
static const char *find_cookie(const struct request *request)
{
    const char *name = cookie_name(request);
    const char *text = http_server_header(request->http, "Cookie");
    size_t length = strlen(name);

    while (text != NULL) {
        text += strspn(text, "; ");
        if (strncmp(text, name, length) == 0 && text[length] == '=')
            return arena_strndup(request->arena, text + length + 1,
                                 strcspn(text + length + 1, "; "));
        text = strchr(text, ';');
    }
    return NULL;
}

static struct browser_session *find_session(const struct request *request)
{
    struct guard *guard = request->serve->guard;
    const char *cookie = find_cookie(request);
    struct browser_session *found = NULL;

    if (cookie == NULL)
        return NULL;
    struct hash hash = hash_text(cookie, strlen(cookie));
    for (size_t i = 0; i < MAX_SESSIONS; i++) {
        struct browser_session *session = &guard->sessions[i];

        if (session->ends_ms > clock_monotonic_ms() && is_same(session->hash.hex, &hash))
            found = session;
    }
    return found;
}

/* A free place, or the one that ends first. */
static struct browser_session *take_place(struct guard *guard)
{
    struct browser_session *first = &guard->sessions[0];

    for (size_t i = 1; i < MAX_SESSIONS; i++)
        if (guard->sessions[i].ends_ms < first->ends_ms)
            first = &guard->sessions[i];
    return first;
}

static void set_cookie(struct request *request, const char *value, int age_s)
{
    http_server_add_header(request->response, "Set-Cookie",
                           arena_printf(request->arena,
                                        "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                                        cookie_name(request), value, age_s,
                                        request_is_https(request) ? "; Secure" : ""));
}

static void start_session(struct request *request, const char *token)
{
    struct browser_session *session = take_place(request->serve->guard);
    char cookie[TOKENS_TEXT_BYTES];

    tokens_make(cookie);
    *session = (struct browser_session){.hash = hash_text(cookie, strlen(cookie)),
                                        .token = hash_text(token, strlen(token)),
                                        .ends_ms = clock_monotonic_ms() + SESSION_MS,
                                        .role = request->role};
    strncpy(session->actor, request->actor, ACTOR_BYTES - 1);
    set_cookie(request, cookie, SESSION_MS / 1000);
}

/* What a page may do without us asking again whose call it is: read. */
static bool is_reading(const struct request *request)
{
    return strcmp(request->http->method, "GET") == 0 || strcmp(request->http->method, "HEAD") == 0;
}

static bool is_json(const struct request *request)
{
    const char *type = http_server_header(request->http, "Content-Type");

    return type != NULL && strncasecmp(type, "application/json", 16) == 0;
}

static void answer_who(struct request *request)
{
    request_answer(
        request, 200,
        json_pack("{s:s, s:s}", "name", request->actor, "role", role_names[request->role]));
}

void guard_login(struct request *request)
{
    json_t *body = request_body(request);

    if (body == NULL)
        return;
    if (!is_json(request) || !is_same_site(request)) {
        request_refuse(request, 403, "forbidden", "log in from the dashboard's own page");
        return;
    }
    const char *token = json_string_value(json_object_get(body, "token"));
    if (!accept_token(request, token != NULL ? token : ""))
        return;
    start_session(request, token);
    answer_who(request);
}

void guard_session(struct request *request)
{
    answer_who(request);
}

void guard_logout(struct request *request)
{
    struct browser_session *session = find_session(request);

    if (session != NULL)
        OPENSSL_cleanse(session, sizeof(*session));
    set_cookie(request, "", 0);
    request_answer_empty(request, 204);
}

/* ---- one call ---- */

static const char *find_bearer(const struct request *request)
{
    const char *header = http_server_header(request->http, "Authorization");

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    return header + 7 + strspn(header + 7, " ");
}

/* A session ends with its token. Where the tokens cannot be read it goes on: whatever it asks for
 * needs the same database. */
static bool use_session(struct request *request)
{
    struct browser_session *session = find_session(request);
    struct error ignored = {0};

    if (session == NULL)
        return false;
    request->is_by_cookie = true;
    if (match_hash(request, &session->token, &ignored)) {
        if (request->role == REQUEST_NOBODY)
            OPENSSL_cleanse(session, sizeof(*session));
        return request->role != REQUEST_NOBODY;
    }
    request->role = session->role;
    request->actor = session->actor;
    return true;
}

bool guard_is_known(struct request *request)
{
    const char *token = find_bearer(request);
    struct peer *peer = find_peer(request->serve->guard, request->http->peer, clock_monotonic_ms());
    struct error ignored = {0};

    if (token == NULL)
        return use_session(request);
    if (peer->failures >= FAILURES_ALLOWED || !match_token(request, token, &ignored))
        return false;
    if (request->role == REQUEST_NOBODY)
        note_failure(request, peer);
    return request->role != REQUEST_NOBODY;
}

bool guard_is_still_known(struct request *request)
{
    const char *token = find_bearer(request);
    struct error ignored = {0};

    request->role = REQUEST_NOBODY;
    if (token == NULL)
        return use_session(request);
    return !match_token(request, token, &ignored) || request->role != REQUEST_NOBODY;
}

bool guard_identify(struct request *request, enum request_role needed)
{
    const char *token = find_bearer(request);

    if (needed == REQUEST_NOBODY || (token == NULL && use_session(request)))
        return true;
    return accept_token(request, token);
}

bool guard_authorize(struct request *request, enum request_role needed)
{
    if (needed == REQUEST_NOBODY)
        return true;
    if (!is_same_site(request)) {
        request_refuse(request, 403, "forbidden", "calls from other sites are refused");
        return false;
    }
    if (request->is_by_cookie && !is_reading(request) &&
        (!is_json(request) || http_server_header(request->http, "X-Pgforce") == NULL)) {
        request_refuse(request, 403, "forbidden",
                       "a browser's call needs Content-Type: application/json and X-Pgforce");
        return false;
    }
    if (request->role >= needed)
        return true;
    request_refuse(request, 403, "forbidden", "this needs a token of the role %s; yours is %s",
                   role_names[needed], role_names[request->role]);
    return false;
}
