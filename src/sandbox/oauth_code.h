/*
 * The web server flow: a login page, authorization codes, PKCE.
 *
 * There is one connected app; every redirect URI is a good one. Source: Salesforce
 * Help, "OAuth 2.0 Web Server Flow".
 */
#ifndef PGFORCE_SANDBOX_OAUTH_CODE_H
#define PGFORCE_SANDBOX_OAUTH_CODE_H

#include "sandbox/oauth_jwt.h"

struct oauth_codes;

struct oauth_codes *oauth_code_new(void);
void oauth_code_free(struct oauth_codes *codes);

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
