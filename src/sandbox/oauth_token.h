/*
 * The token endpoint: every grant by which a client may get a session, as a table.
 *
 * Source: Salesforce Help, "OAuth Authorization Flows" and "OAuth 2.0 error codes".
 */
#ifndef PGFORCE_SANDBOX_OAUTH_TOKEN_H
#define PGFORCE_SANDBOX_OAUTH_TOKEN_H

#include "sandbox/call.h"

void oauth_token(struct call *call);

#endif
