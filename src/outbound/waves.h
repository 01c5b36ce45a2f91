/*
 * A round's batches on their way, wave after wave.
 *
 * A wave is batches of one action, on mappings of which none refers to another, as many as may be
 * in flight. While Salesforce works on one, what came of the last is stored and the next is
 * prepared, its intents committed in the same transaction; so nothing leaves before its intent
 * stands.
 */
#ifndef PGFORCE_OUTBOUND_WAVES_H
#define PGFORCE_OUTBOUND_WAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "outbound/deliver.h"
#include "outbound/settle.h"

struct waves {
    struct deliver_world world;
    const uint32_t *ranks; /* of the mappings */
    struct settle *settle;
    size_t parallel;                   /* requests in flight at once */
    const struct order_batch *batches; /* of the plan's round */
    size_t batch_count;
};

struct waves_report {
    size_t sent;
    size_t unsent; /* settled, or changed, without a request */
    size_t failed;
    size_t put_off;
};

/* False when an answer or an intent could not be stored, or the organisation takes no writes
 * (ERROR_CONFIG). All that was sent is in settle then, if it is not stored. */
bool waves_send(const struct waves *waves, const struct plan *plan, struct waves_report *report,
                struct error *err);

#endif
