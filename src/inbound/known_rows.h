/*
 * The cheap way of most changes: records whose rows are here, differ, and have no local changes on
 * their way. They are written by one UPDATE, which is also their lock, and judged afterwards: once
 * the archive has passed the moment, the log tells whether a local change came first.
 *
 * What it does not settle it leaves in the staging table as it was, for apply.c's careful way,
 * which locks before it looks. It waits for no row for longer than a moment. Why it may write
 * before it knows: docs/decisions/0012-known-rows-are-written-first-and-judged-afterwards.md.
 */
#ifndef PGFORCE_INBOUND_KNOWN_ROWS_H
#define PGFORCE_INBOUND_KNOWN_ROWS_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/apply.h"

/* Once the page is staged: sends the UPDATE. A failure is not of the rows, and ends the
 * transaction.
 */
bool known_rows_begin(struct apply_work *work, struct error *err);

/* Waits for it and judges it. False of *is_all when something is left to do. Adds to report. */
bool known_rows_end(const struct apply_work *work, struct apply_report *report, bool *is_all,
                    struct error *err);

#endif
