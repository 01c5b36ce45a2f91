/*
 * /composite, /composite/graph and /composite/batch: several calls in one.
 */
#ifndef PGFORCE_SANDBOX_COMPOSITE_H
#define PGFORCE_SANDBOX_COMPOSITE_H

#include "sandbox/call.h"

void composite_run(struct call *call);

/* Graphs are kept or undone each by itself. */
void composite_graph(struct call *call);
void composite_batch(struct call *call);

#endif
