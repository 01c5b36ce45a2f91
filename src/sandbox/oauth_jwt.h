/*
 * JWT bearer assertions: their claims, and, once the organisation has been given a certificate,
 * their signature. Without one every signature is accepted.
 */
#ifndef PGFORCE_SANDBOX_OAUTH_JWT_H
#define PGFORCE_SANDBOX_OAUTH_JWT_H

#include "sandbox/call.h"

/* A certificate or a public key in PEM; NULL text: any signature will do again. */
bool oauth_jwt_set_key(struct org *org, const char *pem, struct error *err);
bool oauth_jwt_load_key(struct org *org, const char *path, struct error *err);

/* NULL when the assertion is acceptable: the call is then its subject's; else the OAuth error and
 * its description. */
struct oauth_refusal {
    const char *error;
    const char *description;
};

const struct oauth_refusal *oauth_jwt_check(struct call *call, const char *assertion);

#endif
