#include "sandbox/oauth_jwt.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/base64.h"
#include "sandbox/users.h"

enum { MAX_PEM_BYTES = 64 * 1024 };

static const struct oauth_refusal invalid_assertion = {"invalid_grant", "invalid assertion"};
static const struct oauth_refusal unknown_client = {"invalid_client_id",
                                                    "client identifier invalid"};
static const struct oauth_refusal wrong_audience = {"invalid_grant", "audience is invalid"};
static const struct oauth_refusal expired = {"invalid_grant", "expired authorization code"};
static const struct oauth_refusal not_approved = {"invalid_grant",
                                                  "user hasn't approved this consumer"};

/* ---- the key ---- */

static EVP_PKEY *read_key(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(in, NULL, NULL, NULL);
    EVP_PKEY *key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;

    X509_free(certificate);
    if (key == NULL && BIO_reset(in) == 1)
        key = PEM_read_bio_PUBKEY(in, NULL, NULL, NULL);
    BIO_free(in);
    return key;
}

bool oauth_jwt_set_key(struct org *org, const char *pem, struct error *err)
{
    EVP_PKEY *key = pem != NULL ? read_key(pem) : NULL;

    if (pem != NULL && key == NULL)
        return error_set(err, ERROR_CONFIG, "give a certificate or a public key in PEM");
    EVP_PKEY_free(org->jwt_key);
    org->jwt_key = key;
    return true;
}

bool oauth_jwt_load_key(struct org *org, const char *path, struct error *err)
{
    char pem[MAX_PEM_BYTES];
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return error_set(err, ERROR_CONFIG, "cannot read the certificate %s: %s", path,
                         strerror(errno));
    size_t size = fread(pem, 1, sizeof(pem) - 1, file);
    fclose(file);
    pem[size] = '\0';
    return oauth_jwt_set_key(org, pem, err) || error_prefix(err, "%s", path);
}

/* ---- an assertion ---- */

/* The three parts between the dots. */
struct assertion {
    struct arena *arena;
    const char *text;
    size_t header_bytes;
    size_t signed_bytes; /* header, dot and claims */
    const char *signature;
};

static bool split(struct assertion *assertion)
{
    const char *first = strchr(assertion->text, '.');
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;

    if (second == NULL)
        return false;
    assertion->header_bytes = (size_t)(first - assertion->text);
    assertion->signed_bytes = (size_t)(second - assertion->text);
    assertion->signature = second + 1;
    return true;
}

static json_t *read_part(struct arena *arena, const char *text, size_t length)
{
    size_t size = 0;
    const char *json = base64_decode(arena, text, length, &size);

    return json != NULL ? json_loadb(json, size, 0, NULL) : NULL;
}

static bool names_rs256(const struct assertion *assertion)
{
    json_t *header = read_part(assertion->arena, assertion->text, assertion->header_bytes);
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    bool is_named = algorithm != NULL && strcmp(algorithm, "RS256") == 0;

    json_decref(header);
    return is_named;
}

static bool is_signed_by(const struct assertion *assertion, EVP_PKEY *key)
{
    size_t size = 0;
    const char *signature =
        base64_decode(assertion->arena, assertion->signature, strlen(assertion->signature), &size);
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    bool is_good =
        signature != NULL && context != NULL && names_rs256(assertion) &&
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(context, (const unsigned char *)signature, size,
                         (const unsigned char *)assertion->text, assertion->signed_bytes) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
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

static const struct oauth_refusal *check_claims(struct org *org, const json_t *claims)
{
    const char *issuer = json_string_value(json_object_get(claims, "iss"));
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    const char *audience = json_string_value(json_object_get(claims, "aud"));

    if (issuer == NULL || subject == NULL || audience == NULL)
        return &invalid_assertion;
    if (strcmp(issuer, org->options.client_id) != 0)
        return &unknown_client;
    if (!is_audience(org, audience))
        return &wrong_audience;
    if (json_number_value(json_object_get(claims, "exp")) < (double)org_now(org))
        return &expired;
    struct user *user = users_find(org, subject);
    if (user == NULL)
        return &not_approved;
    users_become(org, user);
    return NULL;
}

const struct oauth_refusal *oauth_jwt_check(struct call *call, const char *text)
{
    struct assertion assertion = {.arena = call->arena, .text = text};
    struct org *org = call->org;

    if (!split(&assertion) || (org->jwt_key != NULL && !is_signed_by(&assertion, org->jwt_key)))
        return &invalid_assertion;
    json_t *claims = read_part(call->arena, text + assertion.header_bytes + 1,
                               assertion.signed_bytes - assertion.header_bytes - 1);
    const struct oauth_refusal *refusal =
        claims != NULL ? check_claims(org, claims) : &invalid_assertion;
    json_decref(claims);
    return refusal;
}
