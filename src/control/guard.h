/*
 * Who may ask what: tokens, browser sessions, Host headers, and what a browser must not be tricked
 * into.
 *
 * A token is 32 random bytes or more, so its SHA-256 is enough to store; hashes are compared in
 * constant time. A browser's session is a cookie that lives in this process alone and at most
 * twelve hours. A Host header not on the list is refused before anything else, which is what stops
 * DNS rebinding. Failed logins are slowed per address. No CORS header is ever sent.
 *
 * Sources: OWASP Cheat Sheets on session management and CSRF; RFC 6265bis.
 */
#ifndef PGFORCE_CONTROL_GUARD_H
#define PGFORCE_CONTROL_GUARD_H

#include <stdbool.h>

#include "base/error.h"
#include "control/request.h"

struct guard *guard_new(void);
void guard_free(struct guard *guard);

/* Host, Origin and Sec-Fetch-Site; false after refusing. Adds the security headers to any answer.
 */
bool guard_admit(struct request *request);

/* Fills in role and actor; false after refusing (401, 429, 503 when tokens cannot be read). What
 * needs nobody is let through without a look at the database. */
bool guard_identify(struct request *request, enum request_role needed);

/* Whether who asks has a token or a session, for a call that needs none: without refusing. */
bool guard_is_known(struct request *request);

/* The same of an answer that goes on: whether its token or session has not ended meanwhile. One
 * that cannot be judged, for the tokens cannot be read, goes on. */
bool guard_is_still_known(struct request *request);

/* Whether that role is enough, and, for a browser that changes something, whether the call is its
 * own: JSON and a custom header. False after refusing with 403. */
bool guard_authorize(struct request *request, enum request_role needed);

/* POST /login {"token": ...} and POST /logout: the browser's session. */
void guard_login(struct request *request);
void guard_logout(struct request *request);

/* GET /session: who asks, as /login answers it. */
void guard_session(struct request *request);

#endif
