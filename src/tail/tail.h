/*
 * pgforce tail: the changes of a database, as they are committed, to a file descriptor.
 *
 * By a temporary slot, so that a forgotten terminal retains nothing, or by a kept one. Before the
 * stream, past changes from the log and its archive, joined to it without a seam: the slot is made,
 * the log is waited for until it has come to where the slot begins, what it holds up to there is
 * printed, then what comes from the slot. Whatever may have been missed is a gap in the output.
 */
#ifndef PGFORCE_TAIL_TAIL_H
#define PGFORCE_TAIL_TAIL_H

#include "base/error.h"
#include "tail/filter.h"
#include "tail/sink_stdout.h"

struct tail_options {
    const char *url;         /* NULL: what libpq finds in its environment */
    const char *schema_name; /* of the log */
    const char *slot_name;   /* NULL: a temporary slot */
    const char *since;       /* from the log; see history.h */
    const char *until;
    bool creates_slot;
    bool accepts_slot; /* create it only if it is not there */
    bool drops_slot;   /* do just that */
    bool follows;      /* go on after the log, or with another temporary slot */
    bool gives_up;     /* do not connect again */
    struct filter filter;
    struct sink_stdout_options output; /* filter, begin and context are tail's */
};

/* Until told to stop, the end that was asked for, or a failure. Once per process. */
bool tail_run(struct tail_options *options, struct error *err);

#endif
