/*
 * Waiting for a browser to come back with a code: a listener on a loopback port, for one visit.
 *
 * What does not carry the state that was given out is turned away and waited on; it opens no
 * browser. Source: RFC 8252, section 7.3.
 */
#ifndef PGFORCE_CLI_LOOPBACK_H
#define PGFORCE_CLI_LOOPBACK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct loopback;

/* port 0: any free one. NULL, with ERROR_CONFIG, when it is taken. */
struct loopback *loopback_open(int port, struct error *err);
void loopback_close(struct loopback *loopback);

/* "http://localhost:PORT/OauthRedirect"; lives as long as the listener. */
const char *loopback_redirect_uri(const struct loopback *loopback);

/* Appends the code. ERROR_CONFIG when Salesforce refused or nobody came in time; ERROR_RETRY when
 * the process was told to stop. */
bool loopback_wait(struct loopback *loopback, const char *state, struct buf *code,
                   struct error *err);

#endif
