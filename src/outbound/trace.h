/*
 * What creates without a unique identifier leave in Salesforce, to be found by when their answer is
 * lost: the key of a receipt, or the value of a marker field (mapping/lost_create.h).
 *
 * Makes them, and tidies up after them: a receipt that nothing waits for is removed, and a marker
 * that was sent twice is looked for once more, for the first attempt may have been done after all.
 * Records of the mapped objects are never touched.
 */
#ifndef PGFORCE_OUTBOUND_TRACE_H
#define PGFORCE_OUTBOUND_TRACE_H

#include "base/arena.h"

/* Known to nobody else. */
const char *trace_new(struct arena *arena);

#endif
