/*
 * Transactions that go to Salesforce all or none: prepared, sent, judged, each in one call.
 *
 * Which they are and what their parts' outcomes make together is src/sync's (unit.h). The intents
 * of all entries of a unit are committed together before it is sent, and their outcomes together
 * after; so an answer that is lost leaves the whole unit in doubt.
 */
#ifndef PGFORCE_OUTBOUND_UNITS_H
#define PGFORCE_OUTBOUND_UNITS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "outbound/deliver.h"
#include "outbound/plan.h"
#include "outbound/settle.h"
#include "sync/unit.h"

struct units {
    struct deliver_world world;
    struct plan *plan;
    struct settle *settle;
    size_t parallel; /* requests in flight at once */
    struct unit_plan choice;
};

struct units_report {
    size_t sent; /* entries */
    size_t failed;
    size_t unsettled; /* to be sent again, or to be read back */
    size_t resolved;  /* without a call */
    size_t calls;
};

/* Which units can go; their entries and those that wait with them are marked as held. */
void units_choose(struct units *units, bool is_cut);

/* The units' UPDATEs after the round's batches, for check.h to look at, too: a record once, its
 * later UPDATEs linked to the first (plan's next_in_unit). */
void units_show_updates(const struct units *units);

/* False when what stands could not be stored, or the organisation takes no writes (ERROR_CONFIG).
 */
bool units_send(const struct units *units, struct units_report *report, struct error *err);

#endif
