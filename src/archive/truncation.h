/*
 * TRUNCATEs of mapped tables, and what becomes of them by the mapping's policy.
 *
 * ignore: the records stay in Salesforce; the TRUNCATE is counted. fail: nothing of the mapping is
 * sent any more until an operator dismisses it. delete: the records that were in the table get
 * DELETE entries; more than TRUNCATION_GUARD of them only on an operator's word. It runs in the
 * caller's transaction and sends nothing.
 */
#ifndef PGFORCE_ARCHIVE_TRUNCATION_H
#define PGFORCE_ARCHIVE_TRUNCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "pg/pg.h"

/* A TRUNCATE takes all of a table, so of a limit of rows and of a share only the rows count. */
enum { TRUNCATION_GUARD = 100 };

struct truncation {
    const char *schema_name;
    const char *table_name;
    const char *xid; /* with its epoch */
    lsn_t commit_lsn;
    uint32_t seq;
    int64_t commit_time_us;
};

/* Once the transaction can be seen. */
bool truncation_store(struct pg *pg, const struct truncation *truncation, struct error *err);

/* Those that wait for an operator: id, table_name, policy, state, record_count, truncated_at. */
PGresult *truncation_list(struct pg *pg, const char *schema_name, struct error *err);

enum truncation_answer {
    TRUNCATION_DELETE,  /* the records go too */
    TRUNCATION_DISMISS, /* they stay; the mapping goes on */
};

/* ERROR_USAGE where it does not wait, or where nobody knows the records. */
bool truncation_answer(struct pg *pg, const char *schema_name, int64_t id,
                       enum truncation_answer answer, struct error *err);

#endif
