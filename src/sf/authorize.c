#include "sf/authorize.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_client.h"
#include "sf/id.h"
#include "sf/jwt.h"

enum { FORM_BYTES = 64 * 1024 };

static void append_challenge(struct buf *out, const char *verifier)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size = 0;

    if (EVP_Digest(verifier, strlen(verifier), hash, &size, EVP_sha256(), NULL) != 1)
        abort();
    sf_jwt_append_base64url(out, hash, size);
}

static void append_parameter(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "&%s=", name);
    http_url_encode(out, value);
}

void sf_authorize_url(const struct sf_authorize *authorize, struct buf *out)
{
    buf_printf(out, "%s/services/oauth2/authorize?response_type=code", authorize->login_url);
    append_parameter(out, "client_id", authorize->client_id);
    append_parameter(out, "redirect_uri", authorize->redirect_uri);
    append_parameter(out, "scope", "api refresh_token");
    append_parameter(out, "state", authorize->state);
    buf_text(out, "&code_challenge_method=S256&code_challenge=");
    append_challenge(out, authorize->verifier);
}

bool sf_authorize_revoke(const char *login_url, const char *token, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    struct http_client_options options = {.is_plain_http_allowed = http_url_is_loopback(login_url)};
    struct http_client *client = http_client_new(&options, err);
    struct buf url BUF_AUTO = {0};
    struct buf form BUF_AUTO = {0};

    if (client == NULL)
        return false;
    buf_init(&url, FORM_BYTES);
    buf_init(&form, FORM_BYTES);
    buf_printf(&url, "%s/services/oauth2/revoke", login_url);
    buf_text(&form, "token=");
    http_url_encode(&form, token);
    struct http_exchange exchange = {.method = "POST",
                                     .url = url.data,
                                     .headers = headers,
                                     .body = form.data,
                                     .body_bytes = form.size_bytes};
    bool is_ok = http_send(client, &exchange, 1, err);
    if (is_ok && exchange.fate != HTTP_ANSWERED)
        is_ok = error_set(err, ERROR_RETRY, "cannot reach %s: %s", login_url, exchange.problem);
    else if (is_ok && exchange.status != 200 && exchange.status != 400)
        is_ok = error_set(err, ERROR_RETRY, "%s answered %ld", url.data, exchange.status);
    explicit_bzero(form.data, form.size_bytes);
    http_exchange_done(&exchange);
    http_client_free(client);
    return is_ok;
}

/* ---- where to sign in ---- */

static const struct {
    const char *name;
    const char *url; /* NULL: the domain says */
} environments[] = {
    {"production", "https://login.salesforce.com"},
    {"sandbox", "https://test.salesforce.com"},
    {"custom", NULL},
};

enum { ENVIRONMENT_COUNT = sizeof(environments) / sizeof(environments[0]) };

static bool append_domain(const char *domain, struct buf *out, struct error *err)
{
    if (strstr(domain, "://") != NULL)
        buf_text(out, domain);
    else if (domain[strspn(domain, SF_ID_CHARACTERS "-.")] != '\0')
        return error_set(err, ERROR_USAGE,
                         "\"%s\" is no domain: give the name of your My Domain, a host, or a URL",
                         domain);
    else if (strchr(domain, '.') != NULL)
        buf_printf(out, "https://%s", domain);
    else
        buf_printf(out, "https://%s.my.salesforce.com", domain);
    return true;
}

bool sf_authorize_login_url(const char *environment, const char *domain, struct buf *out,
                            struct error *err)
{
    if (domain != NULL && *domain != '\0')
        return append_domain(domain, out, err);
    for (size_t i = 0; i < ENVIRONMENT_COUNT; i++) {
        if (strcmp(environments[i].name, environment != NULL ? environment : "production") != 0)
            continue;
        if (environments[i].url == NULL)
            return error_set(err, ERROR_USAGE, "a custom environment needs its domain");
        buf_text(out, environments[i].url);
        return true;
    }
    return error_set(err, ERROR_USAGE,
                     "\"%s\" is no environment: there are production, sandbox and custom",
                     environment);
}
