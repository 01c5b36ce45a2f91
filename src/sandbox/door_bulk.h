/*
 * /_sandbox/bulk: what bulk jobs do that is hard to see with a real organisation, and results
 * rendered before the clock of a measurement starts.
 *
 *     POST /_sandbox/bulk {"stuck": true, "shuffle": true, "fail_after": 500, "page_rows": 1000,
 *                          "hard_delete": false}
 *     POST /_sandbox/bulk/prepare {"operation": "query", "query": "SELECT ..."}
 *
 * What is not named stays as it is; null puts it back.
 */
#ifndef PGFORCE_SANDBOX_DOOR_BULK_H
#define PGFORCE_SANDBOX_DOOR_BULK_H

#include "sandbox/call.h"

void door_bulk_read(struct call *call);
void door_bulk_set(struct call *call);
void door_bulk_prepare(struct call *call);

#endif
