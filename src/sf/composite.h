/*
 * Writing to Salesforce in one call of several steps, of which all take effect or none.
 *
 * A step is a request of collections.h; one with a single record is a call on that record. Steps
 * are done in their order, and a later one may name a record that an earlier one creates
 * (sf_composite_reference). Promises: nothing is sent twice (but a request refused for its token);
 * when any record is refused, no result says success, whatever the answer said of it; an answer
 * that does not fit the steps makes the whole call in doubt. Decides nothing.
 * Source: REST API Developer Guide, "Composite", "sObject Collections".
 */
#ifndef PGFORCE_SF_COMPOSITE_H
#define PGFORCE_SF_COMPOSITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "sf/collections.h"
#include "sf/session.h"

struct sf_composite {
    /* Asked; owned by the caller. No upserts; object is needed where a step deletes one record. */
    struct sf_batch *steps;
    size_t count;

    /* Answered, as of one struct sf_batch; the results are in the steps, and where there are some,
     * outcome: of the step as a whole. */
    enum sf_fate fate;
    enum sf_outcome outcome;
    const char *code;
    const char *message;
    int retry_after_s;

    struct sf_call *call; /* on its way; NULL: it is not */
};

/* In place of the id of a record that an earlier step creates: "@{r0.id}", "@{r0[7].id}". */
const char *sf_composite_reference(size_t step, size_t record, bool is_only, struct arena *arena);

/* One by itself, as a batch of collections.h; end is called once more where is_over is false. */
void sf_composite_begin(struct sf_session *session, struct sf_composite *composite);
bool sf_composite_is_answered(const struct sf_composite *composite);
bool sf_composite_end(struct sf_session *session, struct sf_composite *composite,
                      struct arena *arena, bool *is_over, struct error *err);

/* Sends all of them, at the same time; false only for what concerns them all. */
bool sf_composite_write(struct sf_session *session, struct sf_composite *composites, size_t count,
                        struct arena *arena, struct error *err);

#endif
