/*
 * The API's stored tokens: made, listed, revoked. A token is shown once; only its hash is kept.
 */
#ifndef PGFORCE_CONTROL_TOKENS_H
#define PGFORCE_CONTROL_TOKENS_H

#include "base/error.h"
#include "pg/pg.h"

enum { TOKENS_TEXT_BYTES = 80 };

/* "pgf_" and 64 hex digits, of 32 random bytes. */
void tokens_make(char text[TOKENS_TEXT_BYTES]);

struct tokens_owner {
    const char *schema_name;
    const char *name;
    const char *role_name; /* "viewer", "operator" or "admin" */
};

/* A new one in text. A name that is taken is ERROR_CONFIG. */
bool tokens_create(struct pg *pg, const struct tokens_owner *owner, char text[TOKENS_TEXT_BYTES],
                   struct error *err);

/* ERROR_CONFIG when there is none of that name. Works at once. */
bool tokens_revoke(struct pg *pg, const char *schema_name, const char *name, struct error *err);

/* Columns name, role, created_at (RFC 3339), in the order of names; to be cleared by the caller. */
PGresult *tokens_list(struct pg *pg, const char *schema_name, struct error *err);

/* The SHA-256 of a token in hex: what is stored. */
enum { TOKENS_HASH_BYTES = 65 };
void tokens_hash(const char *text, size_t size_bytes, char hex[TOKENS_HASH_BYTES]);

#endif
