/*
 * The states of a mapping and of a connection: one table of states, one of the ways between them.
 *
 * Names and meanings are Heroku Connect's. What the daemon does on its own and what an operator
 * asks for are different ways: so a role that has not yet heard of an abort cannot undo it. Whoever
 * changes a state asks here which states it may come from; nothing else decides it. Knows no
 * database; docs/mappings.md has what state_print prints.
 *
 * Source: Heroku Dev Center, "Mapping States Reference", "Managing Heroku Connect Sync and
 * Connections".
 */
#ifndef PGFORCE_MAPPING_STATE_H
#define PGFORCE_MAPPING_STATE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

enum state_actor { STATE_BY_DAEMON, STATE_BY_OPERATOR };

struct state {
    const char *name;
    const char *meaning;
    const char *way_out;
};

/* NULL when there is no such state of a mapping. */
const struct state *state_find(const char *name);

/* Of a connection. */
const struct state *state_find_connection(const char *name);

/* Whether somebody may lead a mapping from one state to the other. To "" is to be deleted. */
bool state_may_change(const char *from, const char *to, enum state_actor actor);

/* The states that may become this one, as the text of a PostgreSQL array: "{INITIAL,RESYNC}". */
const char *state_sources(const char *to, enum state_actor actor, struct arena *arena);

/* One of those in which Heroku Connect wants an abort before anything else. */
bool state_is_loading(const char *name);

/* The i-th of each table; NULL after the last. For tests. */
const struct state *state_at(size_t i);

/* Both tables and the ways, in Markdown. */
void state_print(FILE *out);

#endif
