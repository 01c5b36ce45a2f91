/*
 * The web flow's two ends that are no session: where to send the browser, and revoking what was
 * given. The code that comes back is exchanged by opening a session with it (session.h).
 *
 * Sources: RFC 6749, section 4.1; RFC 7636 (PKCE); RFC 7009; Salesforce Help, "OAuth 2.0 Web Server
 * Flow", "Revoke OAuth Tokens".
 */
#ifndef PGFORCE_SF_AUTHORIZE_H
#define PGFORCE_SF_AUTHORIZE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum { SF_AUTHORIZE_VERIFIER_LENGTH = 64, SF_AUTHORIZE_STATE_LENGTH = 43 };

struct sf_authorize {
    const char *login_url;
    const char *client_id;
    const char *redirect_uri;
    const char *state;    /* comes back with the code */
    const char *verifier; /* only its hash is sent */
};

/* Appends the address to open. */
void sf_authorize_url(const struct sf_authorize *authorize, struct buf *out);

/* Makes a refresh token, and every session that it gave, worthless. One that is so already is no
 * error. */
bool sf_authorize_revoke(const char *login_url, const char *token, struct error *err);

/*
 * Where to sign in. environment: "production", "sandbox" or "custom", NULL for production; domain:
 * an https URL, a host, or the name of a My Domain; NULL for none. False with ERROR_USAGE for what
 * is none of them.
 */
bool sf_authorize_login_url(const char *environment, const char *domain, struct buf *out,
                            struct error *err);

#endif
