/*
 * Reads records by their ids, as they are now, and applies them.
 */
#ifndef PGFORCE_INBOUND_FETCH_H
#define PGFORCE_INBOUND_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "inbound/apply.h"
#include "inbound/poll.h"

/* So many ids fit a query that is a part of an address. */
enum { FETCH_AT_ONCE = 200 };

struct fetch_ids {
    const char *const *texts;
    size_t count; /* at most FETCH_AT_ONCE */
};

/* Deleted records are answered too, as long as they are in the recycle bin. page says what is to be
 * stored with them. Each use resets poll's arena. */
bool fetch_apply(const struct poll *poll, const struct fetch_ids *ids, struct apply_page *page,
                 size_t *answered, struct apply_report *report, struct error *err);

#endif
