#include "base/seal.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* form (1) | nonce (12) | ciphertext | tag (16) */
enum { FORM = 1, NONCE_BYTES = 12, TAG_BYTES = 16, EXTRA_BYTES = 1 + NONCE_BYTES + TAG_BYTES };

static void free_context(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context);
}

#define CONTEXT_AUTO __attribute__((cleanup(free_context)))

static int digit_of(char character)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, tolower((unsigned char)character));

    return character != '\0' && found != NULL ? (int)(found - digits) : -1;
}

/* count bytes of 2 * count digits. */
static bool read_hex(const char *text, unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(text[2 * i]);
        int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);

        if (low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static void write_hint(struct seal_key *key)
{
    unsigned char hash[EVP_MAX_MD_SIZE];

    if (EVP_Digest(key->bytes, SEAL_KEY_BYTES, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    snprintf(key->hint, SEAL_HINT_BYTES, "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
}

bool seal_read_key(const char *text, struct seal_key *key, struct error *err)
{
    const char *start = text + strspn(text, " \t\r\n");
    size_t length = strcspn(start, " \t\r\n");
    bool is_key = length == 2 * SEAL_KEY_BYTES &&
                  start[length + strspn(start + length, " \t\r\n")] == '\0' &&
                  read_hex(start, key->bytes, SEAL_KEY_BYTES);

    if (!is_key)
        return error_set(err, ERROR_CONFIG,
                         "the secret key must be 64 hexadecimal digits: `openssl rand -hex 32`"
                         " makes one");
    write_hint(key);
    return true;
}

static void start_cipher(EVP_CIPHER_CTX *context, const struct seal_key *key,
                         const unsigned char *nonce, const char *associated, bool seals)
{
    int size;

    if (EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), key->bytes, nonce, seals, NULL) != 1 ||
        EVP_CipherUpdate(context, NULL, &size, (const unsigned char *)associated,
                         (int)strlen(associated)) != 1)
        abort();
}

void seal_put(const struct seal_key *key, const char *associated, const char *text, struct buf *out)
{
    EVP_CIPHER_CTX *context CONTEXT_AUTO = EVP_CIPHER_CTX_new();
    size_t length = strlen(text);
    unsigned char *sealed = memory_alloc(length + EXTRA_BYTES);
    unsigned char *tag = sealed + 1 + NONCE_BYTES + length;
    int size;

    sealed[0] = FORM;
    if (context == NULL || RAND_bytes(sealed + 1, NONCE_BYTES) != 1)
        abort();
    start_cipher(context, key, sealed + 1, associated, true);
    if (EVP_CipherUpdate(context, sealed + 1 + NONCE_BYTES, &size, (const unsigned char *)text,
                         (int)length) != 1 ||
        EVP_CipherFinal_ex(context, tag, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1)
        abort();
    for (size_t i = 0; i < length + EXTRA_BYTES; i++)
        buf_printf(out, "%02x", sealed[i]);
    free(sealed);
}

static bool decipher(const struct seal_key *key, const char *associated, unsigned char *sealed,
                     size_t length, unsigned char *text)
{
    EVP_CIPHER_CTX *context CONTEXT_AUTO = EVP_CIPHER_CTX_new();
    unsigned char *tag = sealed + 1 + NONCE_BYTES + length;
    int size;

    if (context == NULL)
        abort();
    start_cipher(context, key, sealed + 1, associated, false);
    return EVP_CipherUpdate(context, text, &size, sealed + 1 + NONCE_BYTES, (int)length) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_CipherFinal_ex(context, text + size, &size) == 1;
}

bool seal_open(const struct seal_key *key, const char *associated, const char *sealed,
               struct buf *out, struct error *err)
{
    size_t size_bytes = strlen(sealed) / 2;
    unsigned char *bytes = memory_alloc(size_bytes + 1);
    unsigned char *text = memory_alloc(size_bytes + 1);
    bool is_ok = strlen(sealed) % 2 == 0 && size_bytes >= EXTRA_BYTES &&
                 read_hex(sealed, bytes, size_bytes) && bytes[0] == FORM &&
                 decipher(key, associated, bytes, size_bytes - EXTRA_BYTES, text);

    if (is_ok)
        buf_append(out, text, size_bytes - EXTRA_BYTES);
    OPENSSL_cleanse(text, size_bytes);
    free(text);
    free(bytes);
    return is_ok || error_set(err, ERROR_CONFIG,
                              "what is stored does not open with this secret key (%s): it was"
                              " sealed with another one, or was changed",
                              key->hint);
}

void seal_wipe(struct buf *secret)
{
    if (secret->data != NULL)
        OPENSSL_cleanse(secret->data, secret->size_bytes);
    buf_done(secret);
}

void seal_random_text(char *text, int length)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    if (RAND_bytes((unsigned char *)text, length) != 1)
        abort();
    for (int i = 0; i < length; i++)
        text[i] = letters[(unsigned char)text[i] % 64];
    text[length] = '\0';
}
