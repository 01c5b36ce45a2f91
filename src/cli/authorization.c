#include "cli/authorization.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "control/tokens.h"
#include "run/credential.h"

enum { SEALED_MAX_BYTES = 64 * 1024 };

struct hash {
    char hex[TOKENS_HASH_BYTES];
};

static struct hash hash_state(const char *state)
{
    struct hash hash;

    tokens_hash(state, strlen(state), hash.hex);
    return hash;
}

bool authorization_put(struct pg *pg, const struct config *config, const char *state,
                       const json_t *texts, struct error *err)
{
    struct buf sealed BUF_AUTO = {0};
    struct seal_key key;

    if (!credential_read_key(config, &key, err))
        return false;
    buf_init(&sealed, SEALED_MAX_BYTES);
    char *text = json_dumps(texts, JSON_COMPACT);
    seal_put(&key, config->schema_name, text, &sealed);
    OPENSSL_cleanse(&key, sizeof(key));
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    if (buf_is_full(&sealed))
        return error_set(err, ERROR_USAGE, "the addresses are too long");
    return pg_run(pg,
                  "with old as (delete from pgforce.authorization_attempt"
                  "     where created_at < now() - interval '1 hour')"
                  " insert into pgforce.authorization_attempt (state_sha256, schema_name, sealed)"
                  " values ($1, $2, $3)",
                  PG_PARAMS(hash_state(state).hex, config->schema_name, sealed.data), err);
}

static bool open_sealed(const struct config *config, const char *sealed, json_t **texts,
                        struct error *err)
{
    struct buf text SEAL_BUF_AUTO = {0};
    struct seal_key key;

    buf_init(&text, SEALED_MAX_BYTES);
    bool is_ok = credential_read_key(config, &key, err) &&
                 seal_open(&key, config->schema_name, sealed, &text, err);
    OPENSSL_cleanse(&key, sizeof(key));
    *texts = is_ok ? json_loadb(text.data, text.size_bytes, 0, NULL) : NULL;
    return is_ok;
}

bool authorization_take(struct pg *pg, const struct config *config, const char *state,
                        json_t **texts, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "delete from pgforce.authorization_attempt"
                 " where state_sha256 = $1 and schema_name = $2"
                 " returning sealed, created_at > now() - interval '15 minutes'",
                 PG_PARAMS(hash_state(state).hex, config->schema_name), err);

    if (result == NULL)
        return false;
    if (PQntuples(result) == 0 || !pg_field_bool(result, 0, 1))
        return error_set(err, ERROR_CONFIG, "this login has ended or is too old: begin it again");
    return open_sealed(config, pg_field(result, 0, 0), texts, err);
}
