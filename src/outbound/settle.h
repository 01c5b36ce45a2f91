/*
 * What came of a round of writes, and what is to be sent next, gathered and then stored in one
 * transaction: the log's states, the deliveries, and the mapped rows' sfid, _hc_lastop and _hc_err.
 *
 * Until it is stored, an answer exists only in memory: storing is therefore tried again while the
 * database is away or a row is locked, and a crash before it leaves the entries in doubt.
 */
#ifndef PGFORCE_OUTBOUND_SETTLE_H
#define PGFORCE_OUTBOUND_SETTLE_H

#include <jansson.h>
#include <stdbool.h>

#include "archive/queue.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "sync/delivery.h"

struct settle;

/* state_directory: where each storing of intents is kept too (archive/sent.h); NULL: nowhere. */
struct settle *settle_new(const char *state_directory);
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

/* Copies what it needs. The row is updated for SUCCESS and FAILED, and where NEW comes with an
 * sfid; with mapping NULL it is left alone. */
void settle_add(struct settle *settle, const struct mapping *mapping,
                const struct queue_entry *entry, const struct settle_outcome *outcome);

/* What is about to be sent (queue_store_intents's form); takes the reference. */
void settle_intend(struct settle *settle, json_t *intent);

/* None of those that are not stored will be sent. */
void settle_forget_intents(struct settle *settle);

/* One try, in a transaction of its own; the gathered outcomes stay until settle_clear. */
bool settle_store(struct settle *settle, struct pg *pg, const char *schema_name, struct error *err);

/* An answer that is not stored is lost: tries until it is, and clears settle, or until the process
 * is told to stop. */
bool settle_store_patiently(struct settle *settle, struct pg *pg, const char *schema_name,
                            struct error *err);

#endif
