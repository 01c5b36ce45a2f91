/*
 * How careful the update of a record must be after a look at it: reads from the record who changed
 * it last and when, and lets src/sync decide (merge_choose_care).
 */
#ifndef PGFORCE_OUTBOUND_CARE_H
#define PGFORCE_OUTBOUND_CARE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/queue.h"
#include "outbound/plan.h"

/* The fields of a record that it reads. */
#define CARE_DATE "LastModifiedDate"
#define CARE_USER "LastModifiedById"

/* Each condition costs a request: so many of a mapping in a round have one, and the rest go as they
 * come. */
enum { CARE_CONDITIONS_MAX = 50 };

struct care {
    const char *user_id; /* ours; "" when not known */
    int64_t looked_s;    /* Salesforce's clock at the look; 0: not known */
    size_t conditions;   /* so far */
};

/* Puts the entry off for this round, or lays down the condition on which it is sent. */
void care_take(struct care *care, const json_t *record, const struct queue_entry *entry,
               struct plan_entry *planned);

#endif
