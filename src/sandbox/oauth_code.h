/*
 * The web server flow: a login page, authorization codes, PKCE.
 *
 * There is one connected app beside the CLI's; every redirect URI is a good one. Source: Salesforce
 * Help, "OAuth 2.0 Web Server Flow".
 */
#ifndef PGFORCE_SANDBOX_OAUTH_CODE_H
#define PGFORCE_SANDBOX_OAUTH_CODE_H

#include "sandbox/oauth_jwt.h"

struct oauth_codes;

struct oauth_codes *oauth_code_new(void);
void oauth_code_free(struct oauth_codes *codes);

/* The app of the options, or the one that every organisation has for the CLI, without a secret. */
bool oauth_code_is_client(const struct org *org, const char *client_id);
bool oauth_code_is_public(const char *client_id);

/* Appends text as it may stand in a URL's parameter. */
void oauth_code_write_encoded(struct buf *out, const char *text);

void oauth_code_page(struct call *call);
void oauth_code_login(struct call *call);

/* What the client sends to turn a code into a session. */
struct oauth_code_claim {
    const char *code;
    const char *redirect_uri;
    const char *verifier;
    bool has_secret;
};

/* NULL when the code is good: the call is then of who signed in. It is used up in any case. */
const struct oauth_refusal *oauth_code_use(struct call *call, const struct oauth_code_claim *claim);

#endif
