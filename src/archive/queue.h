/*
 * The log as a queue: what is to be sent, what is being sent, what came of it.
 *
 * An entry on its way has a row in pgforce.delivery, committed before the first byte leaves:
 * SENDING while the request may be under way, IN_DOUBT when no verdict came back, RETRY when it was
 * certainly not executed and waits for its time. All functions run in the caller's transaction, if
 * one is open. It decides nothing.
 */
#ifndef PGFORCE_ARCHIVE_QUEUE_H
#define PGFORCE_ARCHIVE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

struct queue_entry {
    int64_t log_id;
    const char *table_name; /* "" where the entry has none, as has action */
    int32_t record_id;
    const char *action;
    const char *state;  /* NEW, PENDING or FAILED */
    const char *sfid;   /* the entry's own, else the one its INSERT was given; NULL if unknown */
    const char *values; /* hstore text; NULL for DELETE */
    const char *old;    /* likewise, of what sets the mapping's unique identifier free */
    bool was_settled;   /* and is NEW again: a user set it back */
    /* Of an UPDATE that goes again, set back or after a doubt: the values, one hstore text after
     * the other, of the record's later UPDATEs that Salesforce has taken or that wait; NULL if
     * none. Of one made by hand, which may be a copy of an old one: those that Salesforce has taken
     * of what was made after it. */
    const char *later_values;
    /* From pgforce.delivery; phase is "" where the entry has none. */
    const char *phase;
    int attempt;
    bool was_in_doubt;        /* an earlier attempt may have been executed */
    bool is_held;             /* RETRY or IN_DOUBT, and its time has not come */
    const char *external_id;  /* the unique identifier it was sent with; NULL if none */
    const char *trace;        /* of its receipt or marker; NULL if none */
    const char *marker_field; /* NULL: it is a receipt's */
    const char *body;         /* the record as it was sent, JSON; NULL for DELETE */
    int64_t sent_at_us;       /* by PostgreSQL's clock, as is the next */
    int64_t waited_us;        /* since then; negative where the clock was set back */
    uint64_t commit_lsn;      /* the transaction's that it was captured in; 0: none, made by hand */
    bool is_unit;             /* was sent together with its transaction, all or none */
};

struct queue {
    struct arena *arena;         /* given: where the entries and their texts live */
    int limit;                   /* given: how many that wait for their time, and how many others */
    bool is_whole;               /* given: leave nothing out */
    struct queue_entry *entries; /* by ascending log_id */
    size_t count;
};

/* Reads the entries that are NEW or PENDING, and the FAILED INSERTs of their records. What stands
 * behind a held entry of its record is left out but what sets a unique identifier free, unless
 * is_whole, and so is a table whose writing has stopped: it could not be sent, and would fill the
 * queue. With is_whole all of that is held.
 */
bool queue_take(struct pg *pg, const char *schema_name, struct queue *queue, struct error *err);

/* SQL after asked_at in pgforce.bulk_job: a job is asked less and less often. */
#define QUEUE_BULK_PAUSE                                                                           \
    " + least(greatest((asked_at - created_at) / 4, interval '250 ms'), interval '30 s')"

/* Also where the clock was set back since it was asked. */
#define QUEUE_BULK_IS_DUE                                                                          \
    " (asked_at is null or clock_timestamp() >= asked_at" QUEUE_BULK_PAUSE                         \
    " or clock_timestamp() < asked_at)"

/* The entries that go with a Bulk job (our number for it). */
bool queue_take_job(struct pg *pg, const char *schema_name, int64_t bulk_job, struct queue *queue,
                    struct error *err);

/* A crash while SENDING is doubt, but in a Bulk job, which can be asked. For the start of the one
 * process that sends. */
bool queue_doubt_unfinished(struct pg *pg, const char *schema_name, int64_t *count,
                            struct error *err);

/*
 * intents: a JSON array of {"log_id", "mapping_id", "record_id", "action", "external_id", "trace",
 * "marker_field", "sfid", "body"}, for a Bulk job "bulk_job", which gets its row, and "is_unit".
 * The entries become PENDING, their deliveries SENDING with one attempt more.
 */
bool queue_store_intents(struct pg *pg, const char *schema_name, const char *intents,
                         struct error *err);

/*
 * outcomes: a JSON array of {"log_id", "state", "sfid", "message"} with, for what is not settled,
 * "phase", "wait_ms" and "may_be_done". What is settled loses its delivery.
 */
bool queue_store_outcomes(struct pg *pg, const char *schema_name, const char *outcomes,
                          struct error *err);

/* What an operator has marked REQUEUE becomes NEW; answers how many. */
bool queue_take_marked(struct pg *pg, const char *schema_name, int64_t *count, struct error *err);

/* How many milliseconds until the first held entry's time comes, or a Bulk job is to be asked; -1
 * if there is neither. */
bool queue_next_due_ms(struct pg *pg, const char *schema_name, int64_t *wait_ms, struct error *err);

#endif
