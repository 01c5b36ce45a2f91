/*
 * Conditional requests: Last-Modified and ETag on the way out, and the four headers by which
 * a client says what must be true of the row or the description before it is answered.
 *
 * Moments have whole seconds. ETags are Account's alone. Source: REST API Developer Guide,
 * "Conditional Requests".
 */
#ifndef PGFORCE_SANDBOX_CONDITIONS_H
#define PGFORCE_SANDBOX_CONDITIONS_H

#include "sandbox/call.h"

/* A row about to be read: sets the headers. False after answering 304 or 412. */
bool conditions_read_row(struct call *call, const struct object *object, const char *id);

/* A row about to be changed. False after answering 412, or 400 for a header that cannot be read. */
bool conditions_change_row(struct call *call, const struct object *object, const char *id);

/* The schema about to be described. False after answering 304. */
bool conditions_describe(struct call *call);

#endif
