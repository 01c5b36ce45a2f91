/*
 * Deleting, restoring and purging records, with what hangs on them.
 *
 * A delete cascades through the reference fields that say so, is refused by those that restrict it,
 * and clears the others. What went together comes back together. Deleted rows stay in the table
 * (the recycle bin) until they are purged. Transactions are the caller's.
 */
#ifndef PGFORCE_SANDBOX_REMOVAL_H
#define PGFORCE_SANDBOX_REMOVAL_H

#include "sandbox/save.h"

bool removal_delete(struct save *save, const char *id, struct error *err);
bool removal_undelete(struct save *save, const char *id, struct error *err);

/* A hard delete: the row is gone, deleted before or not. */
bool removal_purge(struct save *save, const char *id, struct error *err);

#endif
