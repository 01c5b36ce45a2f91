/*
 * What creates without a unique identifier leave in Salesforce, to be found by when their answer is
 * lost: the key of a receipt, or the value of a marker field (mapping/lost_create.h).
 *
 * Makes them, and tidies up after them: a receipt that nothing waits for is removed, and a marker
 * that was sent twice is looked for once more, for the first attempt may have been done after all;
 * records it finds beside the row's own are noted, for an operator. Records of the mapped objects
 * are never touched.
 */
#ifndef PGFORCE_OUTBOUND_TRACE_H
#define PGFORCE_OUTBOUND_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"
#include "sf/session.h"

/* Known to nobody else. */
const char *trace_new(struct arena *arena);

struct trace_world {
    struct pg *pg;
    struct sf_session *session;
    const char *schema_name;
    struct arena *arena;
    int64_t quarantine_ms; /* before a marker is looked for once more */
};

/* What is due, up to some thousands. What Salesforce does not let it do is tried again in an hour:
 * false only when the database fails. */
bool trace_tidy(const struct trace_world *world, struct error *err);

#endif
