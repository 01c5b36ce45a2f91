/*
 * Sessions: OAuth 2.0 token flows, identity, and the check before every call.
 *
 * Flows: client credentials, username-password, refresh token, JWT bearer (the signature is not
 * checked: this organisation has no certificates). Source: Salesforce Help, "OAuth Authorization
 * Flows" and "OAuth 2.0 error codes".
 */
#ifndef PGFORCE_SANDBOX_OAUTH_H
#define PGFORCE_SANDBOX_OAUTH_H

#include "sandbox/call.h"

struct sessions *oauth_new_sessions(void);
void oauth_free_sessions(struct sessions *sessions);

/* Every session ends but the fixed token's. */
void oauth_expire_sessions(struct sessions *sessions);

/* True when the call has a living session; else it has been answered 401. */
bool oauth_check_session(struct call *call);

void oauth_token(struct call *call);
void oauth_revoke(struct call *call);
void oauth_identity(struct call *call);

#endif
