/*
 * One call of the REST API, asked and answered, and several at once.
 *
 * It knows nothing of tokens: sending is the session's.
 */
#ifndef PGFORCE_SF_REQUEST_H
#define PGFORCE_SF_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/http_client.h"
#include "sf/outcome.h"

struct arena;
struct sf_session;

struct sf_call {
    /* Asked; owned by the caller. */
    const char *method;
    const char *path; /* after /services/data/vNN.0 ("/limits"), or from "/services/" or "/cometd/"
                       * on */
    const char *const *headers; /* more of them, "Name: value", ended by NULL; or NULL */
    const void *body;
    size_t body_bytes;
    const char *content_type; /* of the body; "application/json" when NULL */
    int timeout_ms;           /* 0: the session's */
    bool is_held;             /* see http_client.h */

    /* Answered; owned by the call, freed by sf_call_done. */
    enum sf_fate fate;
    enum sf_outcome outcome; /* of the request as a whole; SUCCESS is any 2xx of the kind due */
    const char *code;        /* Salesforce's error code, or "" */
    char *message;           /* what went wrong, complete; NULL on success */
    int retry_after_s;       /* what the answer asked to wait, or 0 */
    json_t *json;            /* the body when it is JSON; else NULL, see exchange.received. Texts
                              * of rows may hold zero bytes: json_string_length */
    bool is_wrong_address;   /* a page for people was answered, not the API */
    bool was_right_before;   /* the session has had answers of the API: a page is an outage */
    int64_t tokens;          /* how many the session had had when it was begun */
    bool is_again;           /* it was refused for its token and begun once more */
    struct arena *arena;     /* what it needs while it is on its way */
    struct http_exchange exchange;
};

/*
 * Sends all calls in parallel. False only for what concerns them all: told to stop, or signing in
 * again failed; each call's fate holds even then.
 */
bool sf_request(struct sf_session *session, struct sf_call *calls, size_t count, struct error *err);

/* One call that must succeed: false also when its outcome is not success. */
bool sf_request_one(struct sf_session *session, struct sf_call *call, struct error *err);

/* Waits for a call that was begun (sf_request_begin). False as sf_request_one. */
bool sf_request_finish(struct sf_session *session, struct sf_call *call, struct error *err);

/* Whether sf_request_end has something to read; and until it has. */
bool sf_request_is_answered(const struct sf_call *call);
bool sf_request_await(struct sf_session *session, const struct sf_call *call, struct error *err);

/* Turns a call that did not succeed into an error of the right kind; answers false. */
bool sf_call_error(const struct sf_call *call, struct error *err);

/* Frees the answer; accepts a zeroed call, and leaves it ready to be sent again. */
void sf_call_done(struct sf_call *call);

#define SF_CALL_AUTO __attribute__((cleanup(sf_call_done)))

/* json_decref as a cleanup attribute. */
static inline void sf_json_done(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

#define SF_JSON_AUTO __attribute__((cleanup(sf_json_done)))

#endif
