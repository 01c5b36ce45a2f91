/*
 * A round's batches on their way, one after the other, as many at once as may be.
 *
 * While Salesforce works on some, what came of others is stored and the next are prepared, their
 * intents committed in the same transaction; so nothing leaves before its intent stands. While
 * PostgreSQL works, answers come in and what is ready leaves. Batches of another action, or of
 * mappings that refer to those on their way, wait until all before them are answered.
 */
#ifndef PGFORCE_OUTBOUND_FLOW_H
#define PGFORCE_OUTBOUND_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "outbound/deliver.h"
#include "outbound/settle.h"

struct flow {
    struct deliver_world world;
    const uint32_t *ranks; /* of the mappings */
    struct settle *settle;
    size_t parallel;                   /* batches on their way at once */
    const struct order_batch *batches; /* of the plan's round */
    size_t batch_count;
};

struct flow_report {
    size_t sent;
    size_t unsent; /* settled, or changed, without a request */
    size_t failed;
    size_t put_off;
};

/* False when an answer or an intent could not be stored, or the organisation takes no writes
 * (ERROR_CONFIG). All that was sent is in settle then, if it is not stored. */
bool flow_send(const struct flow *flow, const struct plan *plan, struct flow_report *report,
               struct error *err);

#endif
