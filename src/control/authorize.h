/*
 * Connecting to an organisation by a browser: the address to send it to, and where it comes back.
 *
 * The second is called without a token, by whoever holds the state that the first gave out: it was
 * asked for by an administrator, is good once, and for a quarter of an hour. A state that is
 * unknown starts nothing.
 */
#ifndef PGFORCE_CONTROL_AUTHORIZE_H
#define PGFORCE_CONTROL_AUTHORIZE_H

#include "control/request.h"

/* POST .../authorize_url {"environment", "next"[, "domain"]} -> 201 {"redirect": URL} */
void authorize_begin(struct request *request);

/* GET /oauth/callback?code=...&state=... */
void authorize_finish(struct request *request);

#endif
