#include "run/credential.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "sf/secret.h"

enum { SECRETS_MAX_BYTES = 256 * 1024 };

static const char *const secret_names[] = {"client_secret", "refresh_token", "access_token",
                                           "instance_url"};

enum { SECRET_COUNT = sizeof(secret_names) / sizeof(secret_names[0]) };

const char *credential_text(const struct credential *credential, const char *name)
{
    const char *text = json_string_value(json_object_get(credential->fields, name));

    return text != NULL && *text != '\0' ? text : NULL;
}

void credential_done(struct credential *credential)
{
    sf_secret_wipe_json(credential->fields);
    credential->fields = NULL;
}

bool credential_read_key(const struct config *config, struct seal_key *key, struct error *err)
{
    if (config->secret_key != NULL)
        return seal_read_key(config->secret_key, key, err);
    return error_set(err, ERROR_CONFIG,
                     "there is no key for the secrets that are stored: make one with"
                     " `(umask 077; openssl rand -hex 32 > FILE)` and set PGFORCE_SECRET_KEY_FILE");
}

/* ---- reading ---- */

bool credential_open(const struct config *config, struct credential *credential, struct error *err)
{
    const char *sealed = credential_text(credential, "sealed");
    const char *hint = credential_text(credential, "key_hint");
    struct buf text SEAL_BUF_AUTO = {0};
    struct seal_key key;

    if (sealed == NULL)
        return true;
    buf_init(&text, SECRETS_MAX_BYTES);
    bool is_ok = credential_read_key(config, &key, err);
    if (is_ok && hint != NULL && strcmp(hint, key.hint) != 0)
        is_ok = error_set(err, ERROR_CONFIG,
                          "what `pgforce login` stored was sealed with the key %s, and this is %s:"
                          " give the former, or log in again",
                          hint, key.hint);
    is_ok = is_ok && seal_open(&key, config->schema_name, sealed, &text, err);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!is_ok)
        return false;
    json_t *secrets = json_loadb(text.data, text.size_bytes, 0, NULL);
    json_object_update(credential->fields, secrets);
    json_decref(secrets);
    return true;
}

/* A token that another session has got a moment ago is as good as a new one. */
#define FRESH_SQL "updated_at > now() - interval '10 minutes'"

bool credential_load(struct pg *pg, const struct config *config, bool locks,
                     struct credential *credential, struct error *err)
{
    static const char select[] =
        "select grant_name, login_url, client_id, username, jwt_key_file,"
        " sealed, key_hint, " FRESH_SQL " from pgforce.credential where schema_name = $1";
    static const char select_locked[] =
        "select grant_name, login_url, client_id, username, jwt_key_file, sealed, key_hint,"
        " " FRESH_SQL " from pgforce.credential where schema_name = $1 for update";

    credential->fields = NULL;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, locks ? select_locked : select, PG_PARAMS(config->schema_name), err);
    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(result) == 0)
        return true;
    credential->fields =
        json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:b}", "grant_name",
                  pg_field(result, 0, 0), "login_url", pg_field(result, 0, 1), "client_id",
                  pg_field(result, 0, 2), "username", pg_field(result, 0, 3), "jwt_key_file",
                  pg_field(result, 0, 4), "sealed", pg_field(result, 0, 5), "key_hint",
                  pg_field(result, 0, 6), "is_fresh", pg_field_bool(result, 0, 7));
    return true;
}

/* ---- writing ---- */

/* Nothing secret: nothing is appended, and no key is needed. */
static bool seal_secrets(const struct config *config, const struct credential *credential,
                         struct seal_key *key, struct buf *out, struct error *err)
{
    json_t *secrets = json_object();

    for (size_t i = 0; i < SECRET_COUNT; i++) {
        const char *text = credential_text(credential, secret_names[i]);
        if (text != NULL)
            json_object_set_new(secrets, secret_names[i], json_string(text));
    }
    bool has_secrets = json_object_size(secrets) > 0;
    bool is_ok = !has_secrets || credential_read_key(config, key, err);
    char *text = is_ok && has_secrets ? json_dumps(secrets, JSON_COMPACT) : NULL;
    sf_secret_wipe_json(secrets);
    if (text == NULL)
        return is_ok;
    seal_put(key, config->schema_name, text, out);
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    return !buf_is_full(out) || error_set(err, ERROR_CONFIG, "the credentials are too long");
}

bool credential_store(struct pg *pg, const struct config *config,
                      const struct credential *credential, struct error *err)
{
    struct buf sealed BUF_AUTO = {0};
    struct seal_key key = {0};

    buf_init(&sealed, 2 * SECRETS_MAX_BYTES);
    bool is_ok = seal_secrets(config, credential, &key, &sealed, err);
    OPENSSL_cleanse(key.bytes, sizeof(key.bytes));
    return is_ok &&
           pg_run(pg,
                  "insert into pgforce.credential (schema_name, grant_name, login_url, client_id,"
                  " username, jwt_key_file, sealed, key_hint)"
                  " values ($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8, ''))"
                  " on conflict (schema_name) do update"
                  " set grant_name = excluded.grant_name, login_url = excluded.login_url,"
                  " client_id = excluded.client_id, username = excluded.username,"
                  " jwt_key_file = excluded.jwt_key_file, sealed = excluded.sealed,"
                  " key_hint = excluded.key_hint, updated_at = now()",
                  PG_PARAMS(config->schema_name, credential_text(credential, "grant_name"),
                            credential_text(credential, "login_url"),
                            credential_text(credential, "client_id"),
                            credential_text(credential, "username"),
                            credential_text(credential, "jwt_key_file"), sealed.data, key.hint),
                  err);
}

bool credential_delete(struct pg *pg, const char *schema_name, bool *was_there, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "delete from pgforce.credential where schema_name = $1", PG_PARAMS(schema_name), err);

    *was_there = result != NULL && pg_affected(result) > 0;
    return result != NULL;
}

/* ---- sharing ---- */

/* One renewal is one transaction on a connection of its own. */
struct vault {
    const struct config *config;
    struct pg *pg; /* NULL outside */
    struct credential credential;
};

static void leave_transaction(struct vault *vault)
{
    credential_done(&vault->credential);
    if (vault->pg != NULL)
        pg_rollback(vault->pg);
    pg_close(vault->pg);
    vault->pg = NULL;
}

static bool enter_vault(void *context, struct sf_kept *kept, struct error *err)
{
    struct vault *vault = context;

    vault->pg = pg_open(vault->config->database_url, "pgforce login", err);
    if (vault->pg == NULL || !pg_run(vault->pg, "begin", PG_PARAMS(), err) ||
        !credential_load(vault->pg, vault->config, true, &vault->credential, err) ||
        !credential_open(vault->config, &vault->credential, err)) {
        leave_transaction(vault);
        return false;
    }
    if (vault->credential.fields == NULL) {
        leave_transaction(vault);
        return error_set(err, ERROR_CONFIG, "logged out meanwhile: run `pgforce login`");
    }
    bool is_fresh = json_is_true(json_object_get(vault->credential.fields, "is_fresh"));
    *kept = (struct sf_kept){
        .refresh_token = credential_text(&vault->credential, "refresh_token"),
        .access_token = is_fresh ? credential_text(&vault->credential, "access_token") : NULL,
        .instance_url = credential_text(&vault->credential, "instance_url")};
    return true;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text != NULL)
        json_object_set_new(object, name, json_string(text));
}

static bool leave_vault(void *context, const struct sf_kept *kept, struct error *err)
{
    struct vault *vault = context;
    bool is_ok = true;

    if (kept != NULL) {
        set_text(vault->credential.fields, "refresh_token", kept->refresh_token);
        set_text(vault->credential.fields, "access_token", kept->access_token);
        set_text(vault->credential.fields, "instance_url", kept->instance_url);
        is_ok = credential_store(vault->pg, vault->config, &vault->credential, err) &&
                pg_run(vault->pg, "commit", PG_PARAMS(), err);
    }
    leave_transaction(vault);
    return is_ok;
}

static void free_vault(void *context)
{
    leave_transaction(context);
    free(context);
}

struct sf_vault credential_vault(const struct config *config)
{
    struct vault *vault = memory_alloc(sizeof(*vault));

    vault->config = config;
    return (struct sf_vault){enter_vault, leave_vault, free_vault, vault};
}
