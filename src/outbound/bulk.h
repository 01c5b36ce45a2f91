/*
 * Long runs of one action on one object, as Bulk API 2.0 jobs.
 *
 * The job's name is stored before anything is uploaded, so that after a crash the job is asked, not
 * repeated. While it works its entries are PENDING and others go on. When it has ended, each row is
 * judged as in a request of 200; a row that no result names is in doubt. What Bulk does not take
 * goes by requests.
 */
#ifndef PGFORCE_OUTBOUND_BULK_H
#define PGFORCE_OUTBOUND_BULK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "outbound/plan.h"
#include "outbound/settle.h"
#include "pg/pg.h"
#include "sf/session.h"
#include "sync/order.h"

struct bulk_world {
    struct pg *pg;
    struct sf_session *session;
    const char *schema_name;
    struct arena *arena;
    struct settle *settle;
    const struct mapping_list *mappings;
    bool *are_refused; /* by mapping: Bulk does not take it */
};

struct bulk_report {
    size_t sent; /* rows of the jobs begun */
    size_t failed;
    size_t resolved; /* rows of jobs that ended */
};

/* Batches of one mapping and action. */
struct bulk_run {
    const struct plan *plan;
    const struct order_batch *batches; /* of the plan's round */
    size_t count;
    bool is_taken; /* answered; false: they must go by requests */
};

/* Begins a job with the run, if all of it fits one. What it settles is stored. */
bool bulk_begin(const struct bulk_world *world, struct bulk_run *run, struct bulk_report *report,
                struct error *err);

/* Asks after the jobs whose time it is, and stores what came of those that have ended. A job that
 * cannot be asked is asked again later. */
bool bulk_follow(const struct bulk_world *world, struct bulk_report *report, struct error *err);

#endif
