/*
 * One change of the mappings: a transaction of its own, at most one at a time per schema, that
 * waits for the application's locks briefly and often instead of long.
 *
 * ALTER TABLE and DROP TABLE need every reader out, and while they wait all who come later wait
 * behind them. So each attempt gives up soon and lets them pass, and the whole is tried again until
 * a deadline; then the error says who held the lock. Readers and the roles are never kept out.
 */
#ifndef PGFORCE_MAPPING_TRANSACTION_H
#define PGFORCE_MAPPING_TRANSACTION_H

#include <stdbool.h>

#include "base/error.h"
#include "pg/pg.h"

struct transaction {
    const char *schema_name;
    bool (*body)(void *context, struct error *err); /* may be called again after a rollback */
    void *context;
    const char *reason; /* said to the roles when it is done; NULL rolls back at the end instead */
};

bool transaction_run(struct pg *pg, const struct transaction *transaction, struct error *err);

/* Whether one is under way for the schema, in whatever process. */
bool transaction_is_running(struct pg *pg, const char *schema_name, bool *is_running,
                            struct error *err);

#endif
