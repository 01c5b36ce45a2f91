/*
 * Locks that another transaction holds, on request: who changes a locked record, or saves a record
 * that refers to it, is told UNABLE_TO_LOCK_ROW, until so many calls have met the lock or its time
 * is over.
 */
#ifndef PGFORCE_SANDBOX_LOCKS_H
#define PGFORCE_SANDBOX_LOCKS_H

#include "sandbox/call.h"
#include "sandbox/save.h"

struct locks *locks_new(void);
void locks_free(struct locks *locks);
void locks_forget(struct locks *locks);

/* An error is added when the record, or one that it refers to, is locked. values NULL: it is to be
 * deleted. */
void locks_check(struct save *save, const struct value *values);

/* A call is over, or a chunk of a bulk job: the locks it met have been met once more. */
void locks_end_call(struct locks *locks);

/* GET, POST and DELETE /_sandbox/locks. */
void locks_door_list(struct call *call);
void locks_door_hold(struct call *call);
void locks_door_release(struct call *call);

#endif
