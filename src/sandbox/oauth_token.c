#include "sandbox/oauth_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <strings.h>

#include "sandbox/base64.h"
#include "sandbox/oauth.h"
#include "sandbox/oauth_code.h"
#include "sandbox/oauth_jwt.h"
#include "sandbox/users.h"

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
    call_header(call, "Cache-Control", "no-cache, no-store");
    call_json(call, 400, json_pack("{s:s, s:s}", "error", error, "error_description", description));
    return false;
}

static bool accept(struct call *call, const struct oauth_refusal *refusal)
{
    return refusal == NULL || refuse(call, refusal->error, refusal->description);
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
    size_t size = 0;
    char *pair = base64_decode(arena, header + 6, strcspn(header + 6, " "), &size);
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

    if (!oauth_code_is_client(grant->call->org, grant->client_id))
        return refuse(grant->call, "invalid_client_id", "client identifier invalid");
    if (!needs_secret && oauth_code_is_public(grant->client_id))
        return true;
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
    struct org *org = grant->call->org;
    struct user *user = users_find(org, get(grant, "username"));

    if (!check_client(grant, true))
        return false;
    if (user == NULL || !users_has_password(user, get(grant, "password")))
        return refuse(grant->call, "invalid_grant", "authentication failure");
    users_become(org, user);
    return true;
}

static bool grant_refresh(const struct grant *grant)
{
    if (!check_client(grant, false))
        return false;
    struct user *user = oauth_find_refresh_token(grant->call->org, get(grant, "refresh_token"));
    if (user == NULL)
        return refuse(grant->call, "invalid_grant", "expired access/refresh token");
    users_become(grant->call->org, user);
    if (grant->call->org->options.rotates_refresh_tokens)
        oauth_revoke_refresh_token(grant->call->org, get(grant, "refresh_token"));
    return true;
}

static bool grant_jwt(const struct grant *grant)
{
    return accept(grant->call, oauth_jwt_check(grant->call, get(grant, "assertion")));
}

static bool grant_code(const struct grant *grant)
{
    struct oauth_code_claim claim = {
        .code = get(grant, "code"),
        .redirect_uri = get(grant, "redirect_uri"),
        .verifier = get(grant, "code_verifier"),
        .has_secret = *grant->client_secret != '\0',
    };

    return check_client(grant, false) && accept(grant->call, oauth_code_use(grant->call, &claim));
}

static const struct {
    const char *type;
    bool (*check)(const struct grant *grant);
    const char *scope;
    bool has_refresh_token;
} grants[] = {
    {"client_credentials", grant_client_credentials, "api", false},
    {"password", grant_password, NULL, false},
    {"refresh_token", grant_refresh, "refresh_token api", false},
    {"authorization_code", grant_code, "refresh_token api", true},
    {"urn:ietf:params:oauth:grant-type:jwt-bearer", grant_jwt, "api", false},
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

/* A refresh token is given for a code, and where tokens rotate in place of the one just used. */
static const char *next_refresh_token(struct call *call, const char *grant_type, bool is_first)
{
    bool rotates = call->org->options.rotates_refresh_tokens;

    return is_first || (rotates && strcmp(grant_type, "refresh_token") == 0)
               ? oauth_make_refresh_token(call->org)
               : NULL;
}

static void answer_token(struct call *call, const char *scope, const char *refresh_token)
{
    struct org *org = call->org;
    const char *id =
        arena_printf(call->arena, "%s/id/%s/%s", org->base_url, org->org_id, org->user_id);
    const char *issued_at = arena_printf(call->arena, "%lld", (long long)org_now(org) * 1000);
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "access_token", oauth_open_session(org),
                  "signature", sign(call, id, issued_at), "instance_url", org->base_url, "id", id,
                  "token_type", "Bearer", "issued_at", issued_at);

    if (scope != NULL)
        json_object_set_new(answer, "scope", json_string(scope));
    if (refresh_token != NULL)
        json_object_set_new(answer, "refresh_token", json_string(refresh_token));
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
            if (!grants[i].check(&grant))
                return;
            if (users_count_login(call->org))
                answer_token(call, grants[i].scope,
                             next_refresh_token(call, grants[i].type, grants[i].has_refresh_token));
            else
                refuse(call, "rate_limit_exceeded", "login rate exceeded");
            return;
        }
    refuse(call, "unsupported_grant_type", "grant type not supported");
}
