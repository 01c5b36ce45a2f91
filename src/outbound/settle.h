/*
 * What came of a round of writes, gathered and then stored in one transaction: the log's states,
 * the deliveries, and the mapped rows' sfid, _hc_lastop and _hc_err.
 *
 * Until it is stored, an answer exists only in memory: storing is therefore tried again while the
 * database is away or a row is locked, and a crash before it leaves the entries in doubt.
 */
#ifndef PGFORCE_OUTBOUND_SETTLE_H
#define PGFORCE_OUTBOUND_SETTLE_H

#include <stdbool.h>

#include "archive/queue.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "sync/delivery.h"

struct settle;

struct settle *settle_new(void);
void settle_free(struct settle *settle);
void settle_clear(struct settle *settle);
bool settle_is_empty(const struct settle *settle);

struct settle_outcome {
    struct delivery_verdict verdict;
    const char *sfid;    /* the record's, where the verdict binds it; or NULL */
    const char *message; /* Salesforce's words or ours; NULL on success */
    bool is_from_salesforce;
    bool may_be_done; /* no readable refusal of this attempt came back */
    int64_t wait_ms;  /* before the next try, or the next reading back */
};

/* Copies what it needs. */
void settle_add(struct settle *settle, const struct mapping *mapping,
                const struct queue_entry *entry, const struct settle_outcome *outcome);

/* One try, in a transaction of its own; the gathered outcomes stay until settle_clear. */
bool settle_store(struct settle *settle, struct pg *pg, const char *schema_name, struct error *err);

#endif
