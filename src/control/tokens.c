#include "control/tokens.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_BYTES = 32, HASH_BYTES = 32 };

static void write_hex(const unsigned char *bytes, size_t count, char *hex)
{
    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

void tokens_hash(const char *text, size_t size_bytes, char hex[TOKENS_HASH_BYTES])
{
    unsigned char hash[HASH_BYTES];

    if (EVP_Digest(text, size_bytes, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    write_hex(hash, HASH_BYTES, hex);
}

void tokens_make(char text[TOKENS_TEXT_BYTES])
{
    unsigned char secret[SECRET_BYTES];

    if (RAND_bytes(secret, SECRET_BYTES) != 1)
        abort();
    strcpy(text, "pgf_");
    write_hex(secret, SECRET_BYTES, text + strlen(text));
}

static bool check_role(const char *role_name, struct error *err)
{
    static const char *const names[] = {"viewer", "operator", "admin"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], role_name) == 0)
            return true;
    return error_set(err, ERROR_USAGE, "the role \"%s\" is none of viewer, operator, admin",
                     role_name);
}

bool tokens_create(struct pg *pg, const struct tokens_owner *owner, char text[TOKENS_TEXT_BYTES],
                   struct error *err)
{
    char hex[TOKENS_HASH_BYTES];

    if (!check_role(owner->role_name, err))
        return false;
    tokens_make(text);
    tokens_hash(text, strlen(text), hex);
    if (pg_run(pg,
               "insert into pgforce.api_token (schema_name, name, role, sha256)"
               " values ($1, $2, $3, $4)",
               PG_PARAMS(owner->schema_name, owner->name, owner->role_name, hex), err))
        return true;
    if (strcmp(pg_sqlstate(pg), "23505") == 0)
        return error_set(err, ERROR_CONFIG,
                         "there is a token \"%s\" already: revoke it first, or choose another name",
                         owner->name);
    if (strcmp(pg_sqlstate(pg), "23503") == 0)
        return error_set(err, ERROR_CONFIG,
                         "the schema \"%s\" is not set up: run `pgforce setup` first",
                         owner->schema_name);
    return false;
}

bool tokens_revoke(struct pg *pg, const char *schema_name, const char *name, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "delete from pgforce.api_token where schema_name = $1 and name = $2",
                 PG_PARAMS(schema_name, name), err);

    if (result == NULL)
        return false;
    return pg_affected(result) > 0 ||
           error_set(err, ERROR_CONFIG, "there is no token \"%s\" (`pgforce token list`)", name);
}

PGresult *tokens_list(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_query(
        pg,
        "select name, role," PG_RFC3339(" created_at") " as created_at from pgforce.api_token"
                                                       " where schema_name = $1"
                                                       " order by name",
        PG_PARAMS(schema_name), err);
}
