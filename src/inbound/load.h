/*
 * The first load of a mapping, or the reading of all its records anew (RESYNC).
 *
 * By REST for small objects, in the order of Id; by a Bulk query for larger ones. Where it is going
 * on is stored with each page's rows, so that a load that was killed goes on there and no page is
 * loaded twice. The watermark is stored before the first page: what changes meanwhile is read by
 * the first poll. Into an empty table the pages go by COPY as they are, and the indexes are built
 * at the end.
 */
#ifndef PGFORCE_INBOUND_LOAD_H
#define PGFORCE_INBOUND_LOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/poll.h"

/* poll->world.pg carries the load origin. Sets the mapping's states on the way. */
bool load_run(const struct poll *poll, const struct mark *mark, struct apply_report *report,
              struct error *err);

#endif
