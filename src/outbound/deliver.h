/*
 * One batch on its way: prepared, begun, judged.
 *
 * Preparing gives the intents and judging the outcomes to settle; the caller commits the intents
 * before it begins. What cannot be sent at all (a value that Salesforce has no form for, an update
 * of a record that never came to be) is settled without a call. A batch goes by several requests
 * where some records want another way than the rest, or where one record may be why all were
 * refused.
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

/* What the organisation as a whole answered. */
struct deliver_report {
    size_t sent;
    size_t unsent; /* settled, or changed, without a request */
    size_t failed;
    size_t unsettled; /* of those sent: to be sent again, or to be read back */
    size_t put_off;   /* has lost since the look: see recheck.h */
    bool must_stop;   /* it takes no writes: the operator must act; message says why */
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

/* Lives in the world's arena; to be judged or dropped, or its records leak. NULL when the database
 * failed. batch is of the plan's round. */
struct delivery *deliver_prepare(const struct deliver_world *world, const struct plan *plan,
                                 const struct order_batch *batch, struct settle *settle,
                                 struct error *err);

/* Only once the intents are committed. */
void deliver_begin(struct delivery *delivery);

/* All that is on its way has come back (sf_request_go_on). Then it is to be taken: false when some
 * of it went again, in halves or with another token. */
bool deliver_is_answered(const struct delivery *delivery);
bool deliver_take(struct delivery *delivery);

/* All that was prepared gets its outcome; what was not sent is to be sent again. */
struct deliver_report deliver_judge(struct delivery *delivery);

/* As if it had not been prepared: its intents were not stored. */
void deliver_drop(struct delivery *delivery);

#endif
