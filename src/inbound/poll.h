/*
 * One reading of one mapping: the initial load, or a poll for what changed since the watermark.
 *
 * Both ask with queryAll, so that a deletion is a record like any other, and both store the
 * watermark with the rows. A load goes by Id and continues after a crash where it was; a poll goes
 * by the modification stamp and reads the last minutes again (sync/watermark.h).
 */
#ifndef PGFORCE_INBOUND_POLL_H
#define PGFORCE_INBOUND_POLL_H

#include <stdbool.h>

#include "base/error.h"
#include "inbound/apply.h"
#include "mapping/mapping.h"
#include "sf/session.h"

struct poll {
    struct apply_world world;
    struct sf_session *session;
    const struct mapping *mapping;
};

/* Whether the initial load is over. */
bool poll_is_loaded(const struct poll *poll, bool *is_loaded, struct error *err);

/* The initial load, or the rest of it: sets the mapping's states on the way. */
bool poll_load(const struct poll *poll, struct apply_report *report, struct error *err);

bool poll_changes(const struct poll *poll, struct apply_report *report, struct error *err);

#endif
