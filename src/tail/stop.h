/*
 * Being told to stop while something whole is being written: the first SIGTERM or SIGINT waits for
 * its end, at most STOP_GRACE_S seconds; a second one ends the process at once.
 *
 * Stands on base/wait: where nothing is held, and when the grace is over, the signal is what it
 * always is.
 */
#ifndef PGFORCE_TAIL_STOP_H
#define PGFORCE_TAIL_STOP_H

#include <stdbool.h>

enum { STOP_GRACE_S = 10 };

/* After wait_init. Once per process. */
void stop_init(void);

/* While true, a first signal waits. */
void stop_hold(bool is_held);

/* Whether a signal has come, waiting or not. */
bool stop_is_asked(void);

#endif
