/*
 * Secrets at rest: a text sealed with a key can be read, and be changed, only with the same key.
 *
 * AES-256-GCM with a random nonce. What the text belongs to ("associated") is no secret but is
 * sealed with it: a sealed text copied elsewhere does not open there. It knows no files and no
 * tables.
 *
 * Source: NIST SP 800-38D. At most 2^32 texts per key, which rotated tokens never reach.
 */
#ifndef PGFORCE_BASE_SEAL_H
#define PGFORCE_BASE_SEAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum { SEAL_KEY_BYTES = 32, SEAL_HINT_BYTES = 9 };

struct seal_key {
    unsigned char bytes[SEAL_KEY_BYTES];
    char hint[SEAL_HINT_BYTES]; /* of the key's hash: tells two keys apart, tells nothing of either
                                 */
};

/* 64 hexadecimal digits, blanks around them ignored. False, with ERROR_CONFIG, for anything else.
 */
bool seal_read_key(const char *text, struct seal_key *key, struct error *err);

/* Appends one byte for the form, the nonce, the text and its tag, in hexadecimal. */
void seal_put(const struct seal_key *key, const char *associated, const char *text,
              struct buf *out);

/* Appends the text; ERROR_CONFIG when it was sealed with another key or for something else, or was
 * changed. */
bool seal_open(const struct seal_key *key, const char *associated, const char *sealed,
               struct buf *out, struct error *err);

/* Overwrites what a buffer holds before it is freed. */
void seal_wipe(struct buf *secret);
#define SEAL_BUF_AUTO __attribute__((cleanup(seal_wipe)))

/* length characters at random, 6 bits each, none of which needs escaping in a URL; and a zero byte.
 */
void seal_random_text(char *text, int length);

#endif
