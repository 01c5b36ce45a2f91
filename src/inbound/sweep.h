/*
 * Rows that should not be here though nobody reports them deleted: the organisation does not have
 * them any more, or their record has left the mapping's filter.
 *
 * Finds them by asking for ids alone; whether they may go is decided by deletions.h, which asks
 * once more. Nothing is ever deleted in Salesforce.
 */
#ifndef PGFORCE_INBOUND_SWEEP_H
#define PGFORCE_INBOUND_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "inbound/poll.h"

/* All rows, at the end of a reload in place. Afterwards it is noted as done. */
bool sweep_run(const struct poll *poll, struct apply_report *report, struct error *err);

/* What a mapping's object has had of changes, whatever its filter takes. */
struct sweep_changed {
    int64_t count;          /* 0: nor has what the filter takes */
    int64_t server_time_us; /* Salesforce's clock when it was asked; 0 unknown */
};

/* Those of records that have changed since from_us, of a mapping with a filter. */
bool sweep_leavers(const struct poll *poll, int64_t from_us, struct sweep_changed *changed,
                   struct apply_report *report, struct error *err);

#endif
