/*
 * Looking before writing: what an UPDATE is about to overwrite in Salesforce, or a DELETE to take
 * with it.
 *
 * The records are read, and each field that an entry carries is merged (src/sync) with what is
 * there: the base is the entry's `old`. What Salesforce has already is not sent again; where both
 * sides changed a field, the mapping's conflict policy decides, and the loser goes to the ledger. A
 * mapping with the policy "postgres" is not read, for nothing there would change what is sent; nor
 * is an entry without `old`, which somebody made by hand. A DELETE goes, whatever the look finds;
 * where the later writer wins, what was changed over there since is kept in the ledger. Between
 * this look and the write lies a moment in which a change over there is overwritten unseen. Where
 * that is likely the write carries a condition (sync/merge.h, merge_choose_care): a request of its
 * own, for Salesforce has no conditional write of many records.
 */
#ifndef PGFORCE_OUTBOUND_CHECK_H
#define PGFORCE_OUTBOUND_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "mapping/mapping.h"
#include "outbound/deliver.h"
#include "outbound/plan.h"

struct check_report {
    size_t put_off; /* could not be read for now */
    size_t over;    /* nothing is left of them to be sent */
};

/*
 * Takes out of the plan's entries what is not to be sent, and marks those of which nothing remains.
 * No row is changed: the next poll brings Salesforce's values.
 */
bool check_updates(const struct deliver_world *world, const struct mapping_list *mappings,
                   struct plan *plan, struct check_report *report, struct error *err);

#endif
