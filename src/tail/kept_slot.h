/*
 * The slot that a reader keeps between its runs: made, checked, dropped.
 *
 * What the slot has lost, or has been moved past, is written to the sink as a gap before anything
 * else. The archive's own slot is refused: a reader would take its changes away.
 */
#ifndef PGFORCE_TAIL_KEPT_SLOT_H
#define PGFORCE_TAIL_KEPT_SLOT_H

#include "base/error.h"
#include "base/lsn.h"
#include "stream/sink.h"

struct kept_slot {
    const char *url;
    const char *name;
    bool creates;    /* make it */
    bool accepts;    /* if it is not there */
    lsn_t start_lsn; /* where the reader wants to begin; 0: wherever it is */
    lsn_t reached;   /* what the reader has had in this process; 0: nothing yet */
};

/* sink is a sink_stdout. */
bool kept_slot_prepare(const struct kept_slot *kept, struct sink *sink, struct error *err);

bool kept_slot_drop(const char *url, const char *name, struct error *err);

#endif
