/*
 * What `pgforce login` has stored of one connection: how to sign in, its secrets sealed.
 *
 * Promises: a secret is sealed (base/seal.h) before it reaches the database, and sealed for this
 * schema. It signs in nowhere: run/salesforce.h does, and says when the environment goes before
 * what is stored.
 */
#ifndef PGFORCE_RUN_CREDENTIAL_H
#define PGFORCE_RUN_CREDENTIAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/seal.h"
#include "pg/pg.h"
#include "run/config.h"
#include "sf/session.h"

/* One JSON object: grant_name, login_url, client_id, username, jwt_key_file, is_fresh, and, once it
 * was opened, the secrets client_secret, refresh_token, access_token, instance_url. NULL: nothing
 * is stored. */
struct credential {
    json_t *fields;
};

/* NULL when there is no such text. */
const char *credential_text(const struct credential *credential, const char *name);

/* Overwrites and frees. */
void credential_done(struct credential *credential);
#define CREDENTIAL_AUTO __attribute__((cleanup(credential_done)))

/* The key, or ERROR_CONFIG that says how to make one. */
bool credential_read_key(const struct config *config, struct seal_key *key, struct error *err);

/* Without the secrets, so that no key is needed to see what there is. locks: nobody else reads it
 * so until the transaction ends. */
bool credential_load(struct pg *pg, const struct config *config, bool locks,
                     struct credential *credential, struct error *err);

/* The secrets too. Nothing stored, or nothing sealed, is no error. */
bool credential_open(const struct config *config, struct credential *credential, struct error *err);

/* In place of what was stored. */
bool credential_store(struct pg *pg, const struct config *config,
                      const struct credential *credential, struct error *err);

/* *was_there says whether anything was. */
bool credential_delete(struct pg *pg, const char *schema_name, bool *was_there, struct error *err);

/* For a session that renews by what is stored here; freed by the session. */
struct sf_vault credential_vault(const struct config *config);

#endif
