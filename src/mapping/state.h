/*
 * The states of a mapping and of a connection: one table of states, one of the ways between them.
 *
 * Names and meanings are Heroku Connect's. A way belongs to an event, so what the daemon does on
 * its own cannot undo what an operator asked for, and a reload cannot borrow an edit's way.
 * Whoever changes a state asks here which states it may come from (move.h is the only one that
 * writes it); nothing else decides it. States that only tell what is being done at the moment are
 * told from that (pgforce.told_state), never stored, so that no killed process leaves one behind.
 * Knows no database; docs/mappings.md has what state_print prints.
 *
 * Source: Heroku Dev Center, "Mapping States Reference", "Managing Heroku Connect Sync and
 * Connections".
 */
#ifndef PGFORCE_MAPPING_STATE_H
#define PGFORCE_MAPPING_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

/* Why a mapping's state changes. */
enum state_event {
    STATE_CREATE, /* create, import: from nothing */
    STATE_ADOPT,
    STATE_EDIT, /* import and refresh too */
    STATE_RELOAD,
    STATE_RELINK,
    STATE_ABORT,
    STATE_RESUME,
    STATE_DELETE, /* to nothing */
    STATE_APPEAR, /* what it lacked is in the organisation by now */
    STATE_LOAD,
    STATE_READ,
    STATE_RETURN, /* a field is in the organisation again */
    STATE_FAIL,
};

struct state {
    const char *name;
    const char *meaning;
    const char *way_out;
};

/* NULL when there is no such state of a mapping. */
const struct state *state_find(const char *name);

/* Of a connection. */
const struct state *state_find_connection(const char *name);

/* Whether this event leads from one state to the other; "" is not being there. */
bool state_may_change(enum state_event event, const char *from, const char *to);

/* The states that it leads to this one, as the text of a PostgreSQL array: "{INITIAL,RESYNC}". */
const char *state_sources(enum state_event event, const char *to, struct arena *arena);

/* One of those in which Heroku Connect wants an abort before anything else. */
bool state_is_loading(const char *name);

/* The i-th of those that are stored; NULL after the last. For tests. */
const struct state *state_at(size_t i);

/* All tables, in Markdown. */
void state_print(FILE *out);

/* The mapping's, to be owned by the caller: "states" and "ways". */
json_t *state_json(void);

#endif
