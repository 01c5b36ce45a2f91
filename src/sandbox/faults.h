/*
 * Faults to come: what the fault door has prepared for the next calls that match.
 *
 *     {"match": {"method": "POST", "path": "/composite/sobjects"}, "times": 2, "skip": 0,
 *      "status": 503, "body": "...", "content_type": "text/html", "headers": {"Retry-After": "1"},
 *      "delay_ms": 100, "drop": "before" | "after", "rate": 0.1, "seed": 1}
 *
 * path matches any part of the request's path. A fault without status and drop only delays. "after"
 * does the work and then cuts the connection. With a rate, that share of the matching calls meets
 * it, the same ones for the same seed.
 */
#ifndef PGFORCE_SANDBOX_FAULTS_H
#define PGFORCE_SANDBOX_FAULTS_H

#include "sandbox/call.h"

struct faults *faults_new(void);
void faults_free(struct faults *faults);

/* Answers NULL, or what is wrong with the description. Takes a reference to it. */
const char *faults_add(struct faults *faults, json_t *fault);
void faults_clear(struct faults *faults);
json_t *faults_list(const struct faults *faults);

/* The fault that this call meets (one of its times is used up), or NULL. */
json_t *faults_take(struct faults *faults, const struct call *call);

/* Puts it into effect; true when the work must not be done. */
bool faults_apply_before(json_t *fault, struct call *call);

/* "status", "delay", "drop before" or "drop after", for the journal. */
const char *faults_name(const json_t *fault);

#endif
