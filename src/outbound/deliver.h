/*
 * One wave of batches, all of one action, sent at the same time: prepared, sent, judged.
 *
 * Preparing gives the intents and judging the outcomes to settle; the caller commits the intents
 * before it sends. What cannot be sent at all (a value that
 * Salesforce has no form for, an update of a record that never came to be) is settled without a
 * call.
 */
#ifndef PGFORCE_OUTBOUND_DELIVER_H
#define PGFORCE_OUTBOUND_DELIVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "outbound/parcel.h"
#include "outbound/plan.h"
#include "outbound/settle.h"
#include "pg/pg.h"
#include "sf/collections.h"
#include "sf/session.h"

struct deliver_world {
    struct pg *pg;
    struct sf_session *session;
    const char *schema_name;
    struct arena *arena;
};

struct deliver_wave {
    enum delivery_action action;
    const struct plan *plan;
    const struct order_batch *batches; /* of the plan's round */
    size_t batch_count;
};

/* What the organisation as a whole answered. */
struct deliver_report {
    size_t sent;
    size_t unsent; /* settled, or changed, without a request */
    size_t failed;
    size_t put_off; /* has lost since the look: see recheck.h */
    bool must_stop; /* it takes no writes: the operator must act; message says why */
    const char *message;
};

/* One record's part in what came of a request or a job. */
struct deliver_facts {
    const struct queue_entry *entry;
    enum delivery_action action; /* as sent */
    bool has_unique_key;
    enum sf_fate fate;       /* of the whole; without a row */
    enum sf_outcome outcome; /* likewise */
    const char *code;
    const char *message;
    int retry_after_s;
    const struct sf_row_result *row; /* NULL: none was answered */
};

struct settle_outcome deliver_outcome(const struct deliver_facts *facts, struct arena *arena);

/* What queue_store_intents wants; job 0: no Bulk job. */
json_t *deliver_intent(const struct parcel *parcel, int64_t job);

struct delivery;

/* Lives in the world's arena; to be judged, sent or not, or its records leak. NULL when the
 * database failed. */
struct delivery *deliver_prepare(const struct deliver_world *world, const struct deliver_wave *wave,
                                 struct settle *settle, struct error *err);

/* Only once the intents are committed. */
void deliver_send(struct delivery *delivery);

/* All that was prepared gets its outcome; what was not sent is to be sent again. */
struct deliver_report deliver_judge(struct delivery *delivery);

#endif
