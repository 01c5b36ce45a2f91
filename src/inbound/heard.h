/*
 * Change events between the listen role, which hears them, and the pull role, which reads the
 * records they tell of: the rows of pgforce.heard.
 *
 * A record is read whole, as it is now, so the order of events, and how old they are, is of no
 * consequence, and what an event lacks (formulas, a parent's key) is there. Events of our own
 * writes lead to nothing. What an event does not name, a poll finds.
 */
#ifndef PGFORCE_INBOUND_HEARD_H
#define PGFORCE_INBOUND_HEARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "inbound/poll.h"
#include "pg/pg.h"

/* Of the listen role, in its transaction. payload is an event's; one by our own client is passed
 * over, one that is not understood asks for a poll. */
bool heard_add(struct pg *pg, int64_t mapping_id, const char *client_name, const json_t *payload,
               struct error *err);
bool heard_add_poll(struct pg *pg, int64_t mapping_id, struct error *err);

/* What has waited too long to be read one by one becomes one poll. */
bool heard_bound(struct pg *pg, int64_t mapping_id, struct error *err);
bool heard_wake(struct pg *pg, const char *schema_name, struct error *err);

/* Of the pull role. */
bool heard_listen(struct pg *pg, const char *schema_name, struct error *err);

/* Whether the notification is heard_wake's. */
bool heard_is_wake(const char *channel);

/* Whether the mapping's calls of a day allow another reading now; if so it is counted. *until_ms is
 * kept by the caller, 0 at first. */
bool heard_take_call(const struct mapping *mapping, int64_t *until_ms);

/* Which mappings have something waiting: their ids, in the arena. */
struct heard_mappings {
    int64_t *ids;
    size_t count;
};

bool heard_waiting(struct pg *pg, const char *schema_name, struct arena *arena,
                   struct heard_mappings *waiting, struct error *err);

/* Reads and applies the records that wait, and forgets them in the same transaction. *must_poll:
 * something is left that only a poll finds. */
bool heard_apply(const struct poll *poll, bool *must_poll, struct apply_report *report,
                 struct error *err);

/* Around a poll: what had been heard before it began is done with when it has succeeded. */
bool heard_reach(struct pg *pg, const struct mapping *mapping, int64_t *reach, struct error *err);
bool heard_forget(struct pg *pg, const struct mapping *mapping, int64_t reach, struct error *err);

#endif
