/*
 * The push role within its allowance of API requests: waits where the organisation's is near its
 * end, and leaves out the mappings whose own share of the day (sf_max_daily_api_calls) is used up.
 *
 * What is known is stored, so that all roles and the operator see it.
 */
#ifndef PGFORCE_OUTBOUND_ALLOWANCE_H
#define PGFORCE_OUTBOUND_ALLOWANCE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "outbound/plan.h"
#include "pg/pg.h"
#include "sf/session.h"
#include "sync/budget.h"

struct allowance {
    struct pg *pg;
    struct sf_session *session;
    const char *schema_name;
    enum budget_band band; /* as it was said last */
    int64_t noted;         /* how many requests the session had made when that was stored */
};

/* Returns when requests may be sent, at once where there are plenty, or when told to stop. */
bool allowance_wait(struct allowance *allowance, struct error *err);

/* Takes the entries of mappings that have used their share out of a plan not yet ordered. */
bool allowance_hold(const struct allowance *allowance, const struct mapping_list *mappings,
                    struct plan *plan, struct arena *arena, struct error *err);

/* A round is over: stores what the organisation said, if it was asked anything. */
bool allowance_note(struct allowance *allowance, struct error *err);

#endif
