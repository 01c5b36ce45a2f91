/*
 * The ways to get an access token: which one the credentials are for, what is posted to the token
 * address, and what its answer means for the operator.
 *
 * Pure but for the key file of the JWT grant. Sends nothing.
 * Source: Salesforce Help, "OAuth Authorization Flows", "OAuth 2.0 Error Codes".
 */
#ifndef PGFORCE_SF_GRANT_H
#define PGFORCE_SF_GRANT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/http_client.h"
#include "sf/id.h"
#include "sf/session.h"

enum sf_grant {
    SF_GRANT_CODE, /* once; what comes back is renewed by SF_GRANT_REFRESH */
    SF_GRANT_JWT,
    SF_GRANT_REFRESH,
    SF_GRANT_PASSWORD,
    SF_GRANT_CLIENT,
    SF_GRANT_TOKEN, /* nothing to ask: the token was given, and cannot be renewed */
};

/* ERROR_CONFIG when the credentials are for none, naming what is missing. */
bool sf_grant_choose(const struct sf_credentials *credentials, enum sf_grant *out,
                     struct error *err);

/* Appends the form to post; it holds secrets. now_s: seconds since 1970. */
bool sf_grant_form(enum sf_grant grant, const struct sf_credentials *credentials, int64_t now_s,
                   struct buf *out, struct error *err);

/* The texts point into the answer's JSON, or are NULL. */
struct sf_token {
    json_t *json; /* json_decref */
    const char *access_token;
    const char *instance_url;
    const char *refresh_token;
    char organisation_id[SF_ID_BYTES];
    char user_id[SF_ID_BYTES];
};

/* Reads the answer of the token address; the caller releases out->json. */
bool sf_grant_read(enum sf_grant grant, const struct http_exchange *exchange, struct sf_token *out,
                   struct error *err);

/* ".../id/00D.../005...": "" for an id that is none. */
void sf_grant_identity(const char *identity_url, struct sf_token *out);

/* Whether a token may be sent to the instance that the token address named: a host of Salesforce's,
 * the sign-in address itself, or one that ends as the list says (separated by commas; may be NULL).
 * A token address that was tampered with must not choose who gets the token. */
bool sf_grant_is_trusted(const char *instance_url, const char *login_url, const char *suffixes);

/* Whether url is what a host of Salesforce may be: https, or http on this machine when is_local;
 * a host and perhaps a port, nothing more. */
bool sf_grant_url_is_fit(const char *url, bool is_local);

#endif
