/*
 * The relations of one stream, by id: what a row's values mean. A new Relation replaces the old one
 * of the same id. Their number and their columns are bounded, as a stream is not to be trusted.
 * Only the reader (change.c) uses this.
 */
#ifndef PGFORCE_CHANGE_RELATIONS_H
#define PGFORCE_CHANGE_RELATIONS_H

#include "change/change.h"
#include "change/wire.h"

struct known;

/* Zero is empty. */
struct relations {
    struct known **known; /* by ascending id */
    size_t count;
    size_t room;
    struct known *last; /* the last one found: most rows ask for it again */
};

void relations_done(struct relations *relations);

/* Reads a Relation message and keeps it until it is replaced. NULL if it is malformed. */
const struct relation *relations_read(struct relations *relations, struct wire bytes);

/* NULL if no such Relation was sent. */
const struct relation *relations_find(struct relations *relations, uint64_t id);

#endif
