/*
 * Sessions: the check before every call, identity, revoking and introspection.
 *
 * How a session comes to be is seen to elsewhere: oauth_token.h, oauth_code.h, oauth_soap.h.
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

/* The same question, without an answer to the call. */
bool oauth_has_session(const struct call *call);

/* Whether the token is of a living session, which then lives on; the call is its user's. */
bool oauth_enter(struct org *org, const char *token);

/* The token of a new session of the present user. */
const char *oauth_open_session(struct org *org);

const char *oauth_make_refresh_token(struct org *org);

/* Whose it is; NULL when it is none, or revoked. */
struct user *oauth_find_refresh_token(struct org *org, const char *token);

/* It is good no more; false when it was not before. */
bool oauth_revoke_refresh_token(struct org *org, const char *token);

void oauth_revoke(struct call *call);
void oauth_introspect(struct call *call);
void oauth_identity(struct call *call);

/* The address by which a browser would come in; there are no pages behind it. */
void oauth_single_access(struct call *call);

#endif
