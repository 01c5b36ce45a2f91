/*
 * One reading of one mapping for what has changed since the watermark.
 *
 * By the modification stamp, the last minutes again (sync/watermark.h), deleted records included;
 * then what was deleted by getDeleted, which also says how far Salesforce's own sight reaches. More
 * than some thousand changes are read by Bulk. The watermark is stored last, when all has been
 * applied.
 */
#ifndef PGFORCE_INBOUND_POLL_H
#define PGFORCE_INBOUND_POLL_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/apply.h"
#include "inbound/mark.h"
#include "mapping/mapping.h"
#include "sf/bulk_query.h"
#include "sf/session.h"

/* Kept from poll to poll, lost with the process. Zeroed at first. */
struct poll_memory {
    bool has_no_deletions; /* getDeleted does not know the object */
    bool has_no_bulk;      /* Bulk does not take its query */
    bool goes_alone;       /* the last reading by Bulk failed: one page at a time */
};

struct writers;

struct poll {
    struct apply_world world;
    const struct writers *writers; /* NULL: no second page is written beside the first */
    struct sf_session *session;
    const struct mapping *mapping;
    struct poll_memory *memory;
    int64_t bulk_above; /* more records than this are read by Bulk */
    /* Between pages of something long: others' work. */
    void (*tend)(void *context);
    void *context;
};

/* mark is what mark_read answered. */
bool poll_changes(const struct poll *poll, const struct mark *mark, struct apply_report *report,
                  struct error *err);

/* Asks less and less often until the Bulk job is complete or lost. ERROR_RETRY when told to stop.
 */
bool poll_wait_for_job(const struct poll *poll, const char *job_id,
                       struct sf_bulk_progress *progress, struct error *err);

/* What stands behind the select: " where (filter)", or nothing; with more to come " where (filter)
 * and " or " where ". */
void poll_append_where(const struct poll *poll, bool has_more, struct buf *soql);

/* "select ... from ..." of all the mapping's fields. */
bool poll_append_select(const struct poll *poll, struct buf *soql, struct error *err);

#endif
