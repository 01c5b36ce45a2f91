/*
 * Reads the answer to a call: JSON or not, an error or not, executed or not.
 *
 * Pure: from an exchange to the answer part of a struct sf_call.
 * Source: REST API Developer Guide, "Status Codes and Error Responses", "Limit Info Header".
 */
#ifndef PGFORCE_SF_ANSWER_H
#define PGFORCE_SF_ANSWER_H

#include <stdbool.h>

#include "sf/session.h"

/* Fills everything answered in call from call->exchange. */
void sf_answer_read(struct sf_call *call);

/* Whether signing in again may help: the token is refused, not the app or the user. */
bool sf_answer_wants_sign_in(const struct sf_call *call);

/* Whether the host has nothing of the organisation's, or nobody is there: it may have moved to
 * another instance. Nothing was done then. */
bool sf_answer_may_be_elsewhere(const struct sf_call *call);

/* "api-usage=18/5000; per-app-api-usage=17/250(appName=x)": false when it says nothing. */
bool sf_answer_limits(const char *limit_info, struct sf_limits *out);

/* Salesforce's clock when it answered, in seconds since 1970; 0: it did not say. */
int64_t sf_answer_time_s(const struct http_exchange *exchange);

#endif
