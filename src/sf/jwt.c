#include "sf/jwt.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void sf_jwt_append_base64url(struct buf *out, const unsigned char *data, size_t size_bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < size_bytes; i += 3) {
        size_t left = size_bytes - i;
        unsigned int bits = (unsigned int)data[i] << 16;

        bits |= left > 1 ? (unsigned int)data[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned int)data[i + 2] : 0;
        for (size_t digit = 0; digit < (left > 2 ? 4 : left + 1); digit++)
            buf_char(out, alphabet[bits >> (18 - 6 * digit) & 63]);
    }
}

static int refuse_passphrase(char *answer, int size_bytes, int is_writing, void *context)
{
    (void)answer;
    (void)size_bytes;
    (void)is_writing;
    (void)context;
    return -1;
}

static EVP_PKEY *read_key(const char *key_file, struct error *err)
{
    FILE *file = fopen(key_file, "re");

    if (file == NULL) {
        error_set(err, error_kind_of(errno), "cannot read PGFORCE_SF_JWT_KEY_FILE (%s): %s",
                  key_file, strerror(errno));
        return NULL;
    }
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, refuse_passphrase, NULL);
    fclose(file);
    if (key == NULL || !EVP_PKEY_is_a(key, "RSA")) {
        EVP_PKEY_free(key);
        error_set(err, ERROR_CONFIG,
                  "PGFORCE_SF_JWT_KEY_FILE (%s) holds no RSA private key in PEM form without a "
                  "passphrase",
                  key_file);
        return NULL;
    }
    return key;
}

static void append_claims(struct buf *out, const struct sf_jwt_claims *claims)
{
    static const char header[] = "{\"alg\":\"RS256\"}";
    json_t *json = json_pack("{s:s, s:s, s:s, s:I}", "iss", claims->issuer, "sub", claims->subject,
                             "aud", claims->audience, "exp", (json_int_t)claims->expires_s);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

    sf_jwt_append_base64url(out, (const unsigned char *)header, sizeof(header) - 1);
    buf_char(out, '.');
    if (text != NULL)
        sf_jwt_append_base64url(out, (const unsigned char *)text, strlen(text));
    free(text);
    json_decref(json);
}

static bool append_signature(struct buf *out, EVP_PKEY *key, struct error *err)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size_bytes = (size_t)EVP_PKEY_get_size(key);
    unsigned char *signature = memory_alloc(size_bytes);
    bool is_ok = context != NULL &&
                 EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                 EVP_DigestSign(context, signature, &size_bytes, (const unsigned char *)out->data,
                                out->size_bytes) == 1;

    EVP_MD_CTX_free(context);
    if (is_ok) {
        buf_char(out, '.');
        sf_jwt_append_base64url(out, signature, size_bytes);
    }
    free(signature);
    return is_ok || error_set(err, ERROR_CONFIG, "the key of PGFORCE_SF_JWT_KEY_FILE cannot sign");
}

bool sf_jwt_sign(const struct sf_jwt_claims *claims, const char *key_file, struct buf *out,
                 struct error *err)
{
    struct buf assertion BUF_AUTO = {0};
    EVP_PKEY *key = read_key(key_file, err);

    buf_init(&assertion, 64 * 1024);
    if (key == NULL)
        return false;
    append_claims(&assertion, claims);
    bool is_ok = append_signature(&assertion, key, err);
    EVP_PKEY_free(key);
    if (is_ok)
        buf_append(out, assertion.data, assertion.size_bytes);
    return is_ok;
}
