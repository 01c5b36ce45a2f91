/*
 * API requests used, as all roles know them: the organisation's of the last 24 hours, from its own
 * answers, and those that we count by mapping. Stores and reads; what follows from them is
 * sync/budget.h's.
 */
#ifndef PGFORCE_MAPPING_USAGE_H
#define PGFORCE_MAPPING_USAGE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "mapping/mapping.h"
#include "pg/pg.h"
#include "sf/session.h"

/* What the session heard last; nothing heard yet changes nothing. */
bool usage_note(struct pg *pg, const char *schema_name, const struct sf_session *session,
                struct error *err);

/* What any role heard last; 0 and 0 when nothing was. */
bool usage_read(struct pg *pg, const char *schema_name, struct sf_limits *limits,
                struct error *err);

/* Adds calls to a mapping's of this hour. */
bool usage_count(struct pg *pg, int64_t mapping_id, int64_t calls, struct error *err);

/* Those of the last 24 hours, in the list's order. */
bool usage_read_counts(struct pg *pg, const struct mapping_list *mappings, struct arena *arena,
                       int64_t **calls, struct error *err);

#endif
