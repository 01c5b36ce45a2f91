/*
 * Which rows have no record any more: all ids of the object are read and compared with the table's.
 *
 * For when deletions can no longer be asked for: after a reload, or a pause longer than Salesforce
 * remembers them. What is absent is inferred to be deleted (deletions.h).
 */
#ifndef PGFORCE_INBOUND_SWEEP_H
#define PGFORCE_INBOUND_SWEEP_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/poll.h"

bool sweep_run(const struct poll *poll, struct apply_report *report, struct error *err);

#endif
