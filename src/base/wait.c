#include "base/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static int stop_pipe[2] = {-1, -1};
static int parent_fd = -1;
static volatile sig_atomic_t is_stopping;

/* The piece of work that may be given up alone; ask is NULL when there is none. */
static struct {
    bool (*ask)(void *context);
    void *context;
    bool is_given_up;
} work;

enum { ASK_MS = 500 };

static void note_stop(int signal_number)
{
    int saved_errno = errno;

    (void)signal_number;
    if (!is_stopping) {
        is_stopping = 1;
        ssize_t ignored = write(stop_pipe[1], "x", 1);
        (void)ignored;
    }
    errno = saved_errno;
}

static void find_parent(void)
{
    const char *text = getenv("PGFORCE_PARENT_FD");

    if (text == NULL)
        return;
    parent_fd = atoi(text);
    fcntl(parent_fd, F_SETFD, FD_CLOEXEC);
}

bool wait_init(struct error *err)
{
    struct sigaction action = {.sa_handler = note_stop};

    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set(err, ERROR_RETRY, "cannot make a pipe: %s", strerror(errno));
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    find_parent();
    return true;
}

int wait_stop_fd(void)
{
    return stop_pipe[0];
}

void wait_begin_work(bool (*ask)(void *context), void *context)
{
    work.ask = ask;
    work.context = context;
    work.is_given_up = false;
}

bool wait_end_work(void)
{
    bool was_given_up = work.is_given_up;

    wait_begin_work(NULL, NULL);
    return was_given_up;
}

bool wait_is_given_up(void)
{
    if (work.ask != NULL && !work.is_given_up)
        work.is_given_up = work.ask(work.context);
    return work.is_given_up;
}

bool wait_is_stopping(void)
{
    if (!is_stopping && parent_fd >= 0) {
        struct pollfd parent = {.fd = parent_fd, .events = POLLIN};

        if (poll(&parent, 1, 0) > 0)
            note_stop(0);
    }
    return is_stopping != 0 || wait_is_given_up();
}

/* What is left of a time-out after an interruption; -1 for ever. */
static int remaining_ms(int64_t deadline_ms, int timeout_ms)
{
    if (timeout_ms < 0)
        return -1;
    int64_t left = deadline_ms - clock_monotonic_ms();
    return left > 0 ? (int)left : 0;
}

/* Work that may be given up is asked about now and then. */
static int slice_ms(int left_ms)
{
    return work.ask != NULL && (left_ms < 0 || left_ms > ASK_MS) ? ASK_MS : left_ms;
}

enum wait_result wait_for(int fd, short events, int timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    for (;;) {
        struct pollfd fds[] = {
            {.fd = fd, .events = events},
            {.fd = stop_pipe[0], .events = POLLIN},
            {.fd = parent_fd, .events = POLLIN},
        };

        if (wait_is_stopping())
            return WAIT_STOP;
        int left_ms = remaining_ms(deadline_ms, timeout_ms);
        int count = poll(fds, 3, slice_ms(left_ms));
        if (count == 0 && slice_ms(left_ms) == left_ms)
            return WAIT_TIMEOUT;
        if (fds[0].revents != 0 && count > 0 && !wait_is_stopping())
            return WAIT_READY;
    }
}
