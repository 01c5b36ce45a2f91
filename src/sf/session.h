/*
 * A session with one Salesforce organisation: signs in, sends REST calls, signs in again when the
 * token is no longer accepted, and keeps what the organisation says of itself.
 *
 * Promises: an access token is sent to no host but the one it was issued for; a call that was
 * refused for its token, or met a host that the organisation has left, is sent once more with a new
 * one, never in a loop; secrets appear in no
 * message and are wiped at close. It does not know what the calls are for, and it does not wait and
 * try again: that is the caller's decision, made from fate and outcome.
 *
 * Source: REST API Developer Guide; Salesforce Help, "OAuth Authorization Flows".
 */
#ifndef PGFORCE_SF_SESSION_H
#define PGFORCE_SF_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/http_client.h"
#include "net/http_stream.h"
#include "sf/outcome.h"
#include "sf/request.h"

struct sf_session;

/*
 * Which grant is used follows from what is given, in this order: code (with client_id; once, and
 * from then on the refresh token that it brings), jwt_key_file (with client_id and
 * username), refresh_token (with client_id), username and password (with client_id and
 * client_secret), client_id and client_secret alone, access_token (with instance_url).
 * NULL and "" mean not given.
 */
struct sf_credentials {
    const char *login_url; /* "https://login.salesforce.com" when not given */
    const char *client_id;
    const char *client_secret;
    const char *username;
    const char *password; /* the security token appended, where the organisation asks for one */
    const char *refresh_token;
    const char *access_token;
    const char *instance_url;
    const char *jwt_key_file; /* RSA private key, PEM */
    const char *code; /* of the web flow, with the verifier and the address it was sent to */
    const char *code_verifier;
    const char *redirect_uri;
};

/* What is shared by all sessions of one authorisation; texts are secrets, or NULL. */
struct sf_kept {
    const char *refresh_token;
    const char *access_token; /* with the instance it is for: NULL when it is not fresh */
    const char *instance_url;
};

/*
 * Where a refresh token is kept, for several processes at once: Salesforce may give a new one at
 * each use and then takes the old one no more, so who renews must be alone, must start from what is
 * stored, and must store what comes back before using it.
 */
struct sf_vault {
    /* Locks it and reads; the texts live until leave. */
    bool (*enter)(void *context, struct sf_kept *kept, struct error *err);
    /* Stores, unless kept is NULL, durably; unlocks in any case. */
    bool (*leave)(void *context, const struct sf_kept *kept, struct error *err);
    void (*done)(void *context); /* called by sf_session_close */
    void *context;
};

/* Zero or NULL means the default. Plain http is accepted only when login_url is on this machine. */
struct sf_session_options {
    const char *api_version;       /* "60.0"; at least 45.0 */
    const char *client_name;       /* "pgforce": lands in change events as their origin */
    const char *instance_suffixes; /* more hosts to trust, ".example.com,.example.org" (grant.h) */
    struct sf_vault vault;         /* of the refresh token; zeroed: it is the credentials' alone */
    struct http_client_options http;
};

/* Signs in. ERROR_CONFIG names the setting at fault; ERROR_RETRY when nobody answers. */
bool sf_session_open(const struct sf_credentials *credentials,
                     const struct sf_session_options *options, struct sf_session **out,
                     struct error *err);
void sf_session_close(struct sf_session *session);

/* Valid until close, the instance's address until the next sf_request. The organisation and user
 * are "" when Salesforce did not name them; ids have 18 characters. */
const char *sf_session_organisation_id(const struct sf_session *session);
const char *sf_session_user_id(const struct sf_session *session);
const char *sf_session_instance_url(const struct sf_session *session);
const char *sf_session_api_version(const struct sf_session *session);

/* The name under which our writes are told in change events. */
const char *sf_session_client_name(const struct sf_session *session);

/* The refresh token to use next time: Salesforce may have given a new one in place of the one it
 * was opened with, which then is dead: store it before anything else. NULL when there is none. A
 * secret. */
const char *sf_session_refresh_token(const struct sf_session *session);

/* For a client of another protocol on the same session (change events). A secret; valid until the
 * next sf_request. */
const char *sf_session_access_token(const struct sf_session *session);

/* Whether writes run the organisation's assignment rules; they do unless told otherwise here. Jobs
 * of the Bulk API never do. Source: REST API Developer Guide, "Assignment Rule Header". */
void sf_session_use_assignment_rules(struct sf_session *session, bool is_used);

/* Gets a new access token now. */
bool sf_session_renew(struct sf_session *session, struct error *err);

/* Requests of the last 24 hours, from the latest answer that said so; 0 and 0 before. */
struct sf_limits {
    int64_t used;
    int64_t max;
};

struct sf_limits sf_session_limits(const struct sf_session *session);

/* Salesforce's clock, as its last answer told it, to the second; 0 before. */
int64_t sf_session_now_us(const struct sf_session *session);

/* How many HTTP requests this session has sent, signing in included. */
int64_t sf_session_requests(const struct sf_session *session);

/*
 * sf_request for calls that do not wait for each other: begun, gone on with (http_go_on), also
 * while something else is waited for, and each ended once it is answered. Until then it stays where
 * it is, with its body. is_over is false when it was refused for its token, or sent to a host that
 * the organisation has left, and sent again with another one; false is answered when signing in
 * again failed, and then the call's fate holds.
 */
void sf_request_begin(struct sf_session *session, struct sf_call *call);
bool sf_request_end(struct sf_session *session, struct sf_call *call, bool *is_over,
                    struct error *err);
bool sf_request_go_on(struct sf_session *session, int fd, short events, int timeout_ms,
                      struct error *err);

/* A GET whose answer is read piece by piece, under the token of now: when the answer's head refuses
 * it, renew and ask again. */
struct http_stream *sf_session_stream(struct sf_session *session, const char *path,
                                      const char *const *headers);

#endif
