/*
 * The one place where a process blocks.
 *
 * A role waits for one descriptor, for some time, or to be told to stop, and this says which of the
 * three happened. Stop means SIGTERM or SIGINT, or that the supervisor that started us has died
 * (its end of a pipe closes; PGFORCE_PARENT_FD names ours).
 */
#ifndef PGFORCE_BASE_WAIT_H
#define PGFORCE_BASE_WAIT_H

#include <poll.h>
#include <stdbool.h>

#include "base/error.h"

enum wait_result {
    WAIT_READY,
    WAIT_TIMEOUT,
    WAIT_STOP,
};

/* Installs the signal handlers and reads PGFORCE_PARENT_FD. Once per process. */
bool wait_init(struct error *err);

/* fd may be -1 to wait for time alone; events as poll's; timeout_ms -1 waits for ever. */
enum wait_result wait_for(int fd, short events, int timeout_ms);

/* Whether the process has been told to stop; never blocks. */
bool wait_is_stopping(void);

/*
 * A piece of work that may be given up alone: from now on ask is called wherever this process would
 * look whether to stop (at least every half second while it waits), and once it answers true,
 * wait_is_stopping and wait_for say stop until wait_end_work. ask must not block, and must not
 * wait.
 */
void wait_begin_work(bool (*ask)(void *context), void *context);

/* Whether it was given up. */
bool wait_end_work(void);
bool wait_is_given_up(void);

/* Readable for ever once the process has been told to stop, for libraries with a poll of their own
 * (curl's multi interface). -1 before wait_init. */
int wait_stop_fd(void);

#endif
