/*
 * A signed assertion for the JWT bearer grant: RS256 over three claims and an expiry.
 *
 * Reads the key file, keeps nothing of it. Time comes from the caller.
 * Source: RFC 7523; Salesforce Help, "OAuth 2.0 JWT Bearer Flow".
 */
#ifndef PGFORCE_SF_JWT_H
#define PGFORCE_SF_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct sf_jwt_claims {
    const char *issuer;   /* the client id */
    const char *subject;  /* the user name */
    const char *audience; /* the login URL */
    int64_t expires_s;    /* seconds since 1970 */
};

/* Appends header.claims.signature. ERROR_CONFIG when the file holds no usable RSA key. */
bool sf_jwt_sign(const struct sf_jwt_claims *claims, const char *key_file, struct buf *out,
                 struct error *err);

/* Base64 with "-" and "_", without padding (RFC 7515, section 2). */
void sf_jwt_append_base64url(struct buf *out, const unsigned char *data, size_t size_bytes);

#endif
