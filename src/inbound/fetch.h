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

struct fetch {
    const char *const *ids;
    size_t count;           /* at most FETCH_AT_ONCE */
    struct apply_page page; /* what is to be stored with the records; the rest is filled in */
    size_t answered;        /* how many there are, those in the recycle bin too */
};

/* Each use resets poll's arena. */
bool fetch_apply(const struct poll *poll, struct fetch *fetch, struct apply_report *report,
                 struct error *err);

#endif
