/*
 * /composite and /composite/batch: several calls in one.
 */
#ifndef PGFORCE_SANDBOX_COMPOSITE_H
#define PGFORCE_SANDBOX_COMPOSITE_H

#include "sandbox/call.h"

void composite_run(struct call *call);
void composite_batch(struct call *call);

#endif
