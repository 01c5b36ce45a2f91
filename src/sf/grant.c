#include "sf/grant.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "sf/jwt.h"

enum { ASSERTION_SECONDS = 180 };

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static bool miss(struct error *err, const char *grant, const char *settings)
{
    return error_set(err, ERROR_CONFIG, "to sign in to Salesforce %s, set %s", grant, settings);
}

bool sf_grant_choose(const struct sf_credentials *credentials, enum sf_grant *out,
                     struct error *err)
{
    bool has_id = is_given(credentials->client_id);
    bool has_secret = is_given(credentials->client_secret);

    if (is_given(credentials->code)) {
        *out = SF_GRANT_CODE;
        return has_id || miss(err, "with a code", "PGFORCE_SF_CLIENT_ID");
    }
    if (is_given(credentials->jwt_key_file)) {
        *out = SF_GRANT_JWT;
        return (has_id && is_given(credentials->username)) ||
               miss(err, "with a key file", "PGFORCE_SF_CLIENT_ID and PGFORCE_SF_USERNAME");
    }
    if (is_given(credentials->refresh_token)) {
        *out = SF_GRANT_REFRESH;
        return has_id || miss(err, "with a refresh token", "PGFORCE_SF_CLIENT_ID");
    }
    if (is_given(credentials->username) && is_given(credentials->password)) {
        *out = SF_GRANT_PASSWORD;
        return (has_id && has_secret) ||
               miss(err, "with a password", "PGFORCE_SF_CLIENT_ID and PGFORCE_SF_CLIENT_SECRET");
    }
    if (has_id && has_secret) {
        *out = SF_GRANT_CLIENT;
        return true;
    }
    *out = SF_GRANT_TOKEN;
    if (is_given(credentials->access_token))
        return is_given(credentials->instance_url) ||
               miss(err, "with an access token", "PGFORCE_SF_INSTANCE_URL");
    return error_set(err, ERROR_CONFIG,
                     "no credentials for Salesforce: set PGFORCE_SF_CLIENT_ID and "
                     "PGFORCE_SF_CLIENT_SECRET, or one of the other ways to sign in");
}

static void append_field(struct buf *out, const char *name, const char *value)
{
    if (!is_given(value))
        return;
    buf_printf(out, "&%s=", name);
    http_url_encode(out, value);
}

static bool append_assertion(const struct sf_credentials *credentials, int64_t now_s,
                             struct buf *out, struct error *err)
{
    struct sf_jwt_claims claims = {
        .issuer = credentials->client_id,
        .subject = credentials->username,
        .audience = credentials->login_url,
        .expires_s = now_s + ASSERTION_SECONDS,
    };

    buf_text(out, "&assertion=");
    return sf_jwt_sign(&claims, credentials->jwt_key_file, out, err);
}

bool sf_grant_form(enum sf_grant grant, const struct sf_credentials *credentials, int64_t now_s,
                   struct buf *out, struct error *err)
{
    static const char *const names[] = {
        [SF_GRANT_CODE] = "authorization_code",
        [SF_GRANT_JWT] = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
        [SF_GRANT_REFRESH] = "refresh_token",
        [SF_GRANT_PASSWORD] = "password",
        [SF_GRANT_CLIENT] = "client_credentials",
        [SF_GRANT_TOKEN] = "",
    };

    buf_printf(out, "grant_type=%s", names[grant]);
    if (grant == SF_GRANT_JWT)
        return append_assertion(credentials, now_s, out, err);
    append_field(out, "client_id", credentials->client_id);
    append_field(out, "client_secret", credentials->client_secret);
    if (grant == SF_GRANT_CODE) {
        append_field(out, "code", credentials->code);
        append_field(out, "code_verifier", credentials->code_verifier);
        append_field(out, "redirect_uri", credentials->redirect_uri);
    }
    if (grant == SF_GRANT_REFRESH)
        append_field(out, "refresh_token", credentials->refresh_token);
    if (grant == SF_GRANT_PASSWORD) {
        append_field(out, "username", credentials->username);
        append_field(out, "password", credentials->password);
    }
    return true;
}

struct refusal {
    const char *code;
    enum error_kind kind;
    const char *remedy;
};

static const struct refusal refusals[] = {
    {"invalid_client_id", ERROR_CONFIG, "check PGFORCE_SF_CLIENT_ID"},
    {"invalid_client", ERROR_CONFIG, "check PGFORCE_SF_CLIENT_ID and PGFORCE_SF_CLIENT_SECRET"},
    {"redirect_uri_mismatch", ERROR_CONFIG, "add this address to the app's callback URLs"},
    {"invalid_app_access", ERROR_CONFIG, "let an administrator approve the user for the app"},
    {"unsupported_grant_type", ERROR_CONFIG, "allow this way to sign in in the app's settings"},
    {"inactive_user", ERROR_CONFIG, "activate the user in Salesforce"},
    {"inactive_org", ERROR_CONFIG, "is PGFORCE_SF_LOGIN_URL the right organisation?"},
    {"rate_limit_exceeded", ERROR_RETRY, "too many sign-ins; waiting helps"},
    {"unknown_error", ERROR_RETRY, "waiting may help"},
    {"server_error", ERROR_RETRY, "waiting may help"},
    {"temporarily_unavailable", ERROR_RETRY, "waiting may help"},
};

/* invalid_grant says only that something given is wrong; what was given follows from the grant. */
static const char *remedy_of_grant(enum sf_grant grant)
{
    switch (grant) {
    case SF_GRANT_JWT:
        return "check PGFORCE_SF_USERNAME, PGFORCE_SF_JWT_KEY_FILE, PGFORCE_SF_LOGIN_URL, and that "
               "the app is approved for the user";
    case SF_GRANT_CODE: return "start `pgforce login` again";
    case SF_GRANT_REFRESH:
        return "connect again with `pgforce login`: the refresh token is no longer accepted";
    case SF_GRANT_PASSWORD:
        return "check PGFORCE_SF_USERNAME and PGFORCE_SF_PASSWORD (with the security token)";
    case SF_GRANT_CLIENT:
        return "check PGFORCE_SF_CLIENT_ID and PGFORCE_SF_CLIENT_SECRET, that PGFORCE_SF_LOGIN_URL "
               "is the organisation's own address, and that the app has a user to run as";
    default: return "give a new PGFORCE_SF_ACCESS_TOKEN";
    }
}

static struct refusal find_refusal(enum sf_grant grant, long status, const char *code)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (strcmp(refusals[i].code, code) == 0)
            return refusals[i];
    }
    if (status == 429 || status >= 500)
        return (struct refusal){code, ERROR_RETRY, "waiting may help"};
    return (struct refusal){code, ERROR_CONFIG, remedy_of_grant(grant)};
}

static bool refuse(enum sf_grant grant, const struct http_exchange *exchange, const json_t *json,
                   struct error *err)
{
    const char *code = json_string_value(json_object_get(json, "error"));
    const char *description = json_string_value(json_object_get(json, "error_description"));
    struct refusal refusal = find_refusal(grant, exchange->status, code);

    return error_set(err, refusal.kind, "signing in at %s was refused: %s (%s): %s", exchange->url,
                     code, description != NULL ? description : "no reason given", refusal.remedy);
}

/* Also a page with status 200 may be for a while only: an organisation in maintenance, a proxy on
 * the way. */
static bool refuse_other(const struct http_exchange *exchange, struct error *err)
{
    bool may_pass = exchange->status == 200 || exchange->status >= 500 || exchange->status == 429;

    return error_set(err, may_pass ? ERROR_RETRY : ERROR_CONFIG,
                     "signing in at %s: the answer (status %ld) is none of Salesforce's: is "
                     "PGFORCE_SF_LOGIN_URL the right address?",
                     exchange->url, exchange->status);
}

void sf_grant_identity(const char *identity_url, struct sf_token *out)
{
    const char *user = strrchr(identity_url, '/');
    const char *organisation = user;

    if (user == NULL)
        return;
    while (organisation > identity_url && organisation[-1] != '/')
        organisation--;
    sf_id_from(organisation, (size_t)(user - organisation), out->organisation_id);
    sf_id_to_18(user + 1, out->user_id);
}

bool sf_grant_read(enum sf_grant grant, const struct http_exchange *exchange, struct sf_token *out,
                   struct error *err)
{
    *out = (struct sf_token){0};
    if (exchange->fate != HTTP_ANSWERED) {
        error_set(err, ERROR_RETRY, "cannot sign in at %s: %s (is PGFORCE_SF_LOGIN_URL right?)",
                  exchange->url, exchange->problem);
        return error_because(err, ERROR_CAUSE_UNREACHABLE);
    }
    json_t *json SF_JSON_AUTO =
        json_loadb(exchange->received.data, exchange->received.size_bytes, 0, NULL);
    if (exchange->status != 200 && json_is_string(json_object_get(json, "error")))
        return refuse(grant, exchange, json, err);
    out->access_token = json_string_value(json_object_get(json, "access_token"));
    out->instance_url = json_string_value(json_object_get(json, "instance_url"));
    out->refresh_token = json_string_value(json_object_get(json, "refresh_token"));
    if (exchange->status != 200 || !is_given(out->access_token) || !is_given(out->instance_url))
        return refuse_other(exchange, err);
    const char *identity = json_string_value(json_object_get(json, "id"));
    if (identity != NULL)
        sf_grant_identity(identity, out);
    out->json = json_incref(json);
    return true;
}

bool sf_grant_url_is_fit(const char *url, bool is_local)
{
    static const char allowed[] = SF_ID_CHARACTERS ".-:[]";
    bool is_secure = strncmp(url, "https://", 8) == 0;

    if (!is_secure && strncmp(url, "http://", 7) != 0)
        return false;
    if (!is_secure && !(is_local && http_url_is_loopback(url)))
        return false;
    const char *host = url + (is_secure ? 8 : 7);
    return host[0] != '\0' && host[strspn(host, allowed)] == '\0';
}

static bool ends_with(const char *host, size_t length, const char *suffix, size_t suffix_length)
{
    return suffix_length > 0 && length > suffix_length &&
           strncasecmp(host + length - suffix_length, suffix, suffix_length) == 0;
}

static bool is_listed(const char *host, size_t length, const char *list)
{
    while (list != NULL && *list != '\0') {
        size_t name = strcspn(list, ", ");

        if (ends_with(host, length, list, name))
            return true;
        list += name + strspn(list + name, ", ");
    }
    return false;
}

/* Source: Salesforce Help, "Allow the Required Domains". */
static const char salesforce_suffixes[] =
    ".salesforce.com,.force.com,.cloudforce.com,.salesforce.mil,.crmforce.mil,.sfcrmproducts.cn,"
    ".sfcrmapps.cn";

bool sf_grant_is_trusted(const char *instance_url, const char *login_url, const char *suffixes)
{
    const char *scheme = strstr(instance_url, "://");

    if (scheme == NULL)
        return false;
    const char *host = scheme + 3;
    size_t length = strcspn(host, ":/?#");
    return strcasecmp(instance_url, login_url) == 0 ||
           (http_url_is_loopback(instance_url) && http_url_is_loopback(login_url)) ||
           is_listed(host, length, salesforce_suffixes) || is_listed(host, length, suffixes);
}
