/*
 * The forms in which changes are printed, one row each in a table.
 *
 * A form turns one event into bytes that stand for themselves: nothing is remembered between
 * events. Which events are printed, and when they are written out, is the sink's business.
 */
#ifndef PGFORCE_TAIL_FORMAT_H
#define PGFORCE_TAIL_FORMAT_H

#include "base/buf.h"
#include "change/change.h"

struct format_options {
    bool with_colour;          /* text only */
    bool with_transactions;    /* begin and commit as lines of their own */
    const char *database_name; /* debezium only; NULL where it is not known */
};

struct format {
    const char *name;
    const char *help;
    bool is_binary; /* not for a terminal, and of no use when it is cut inside a transaction */
    void (*print)(struct buf *out, const struct event *event, const struct format_options *options);
};

/* NULL if there is none of that name. */
const struct format *format_find(const char *name);

/* The table's rows; NULL behind the last. */
const struct format *format_at(size_t index);

#endif
