/*
 * What has lost a conflict between the look (check.h) and the write: another record's answer may
 * have taken seconds, and a poll may have met the record meanwhile. Such an update waits for
 * another look. What no poll has met cannot be known here.
 */
#ifndef PGFORCE_OUTBOUND_RECHECK_H
#define PGFORCE_OUTBOUND_RECHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "outbound/deliver.h"

/* Puts those updates of a batch off, and counts them. */
bool recheck_updates(const struct deliver_world *world, const struct plan *plan,
                     const struct order_batch *batch, size_t *put_off, struct error *err);

#endif
