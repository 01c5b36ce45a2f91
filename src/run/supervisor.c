#include "run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "run/exit_code.h"

enum {
    FIRST_DELAY_MS = 500,
    LONGEST_DELAY_MS = 60 * 1000,
    HEALTHY_AFTER_MS = 30 * 1000, /* a child that ran this long has recovered */
    STOP_WAIT_MS = 10 * 1000,     /* then the child is killed */
    RELAY_MS = 1000,              /* how long a child's word to the service manager may wait */
};

/* The role whose progress is the daemon's: what it says is told on (service.h). While it does not
 * run, which is our business, the daemon is alive as long as we are. */
static const char heart[] = "archive";

struct child {
    const char *role;
    pid_t pid; /* 0 when it does not run */
    bool is_parked;
    int delay_ms; /* before the next start */
    int64_t started_at_ms;
    int64_t start_at_ms; /* when pid is 0 */
};

struct supervisor {
    struct child *children;
    size_t count;
    bool is_heard;      /* by a service manager */
    int parent_pipe[2]; /* the children hold the reading end; ours closes when we die */
    sigset_t signals;
};

static void exec_role(const struct supervisor *supervisor, const char *role)
{
    char *argv[] = {(char *)"pgforce", (char *)role, NULL};
    char fd_text[16];

    sigprocmask(SIG_UNBLOCK, &supervisor->signals, NULL);
    close(supervisor->parent_pipe[1]);
    snprintf(fd_text, sizeof(fd_text), "%d", supervisor->parent_pipe[0]);
    if (setenv("PGFORCE_PARENT_FD", fd_text, 1) != 0)
        _exit(EXIT_CODE_RETRY);
    execv("/proc/self/exe", argv);
    log_error("cannot start", log_text("role", role), log_text("reason", strerror(errno)));
    _exit(EXIT_CODE_RETRY);
}

/* Doubles while the child keeps failing, and spreads by a quarter so that roles do not march in
 * step. */
static int next_delay_ms(const struct child *child)
{
    if (clock_monotonic_ms() - child->started_at_ms >= HEALTHY_AFTER_MS || child->delay_ms == 0)
        return FIRST_DELAY_MS;
    int doubled = child->delay_ms * 2;
    int capped = doubled < LONGEST_DELAY_MS ? doubled : LONGEST_DELAY_MS;
    return capped - (int)(clock_wall_us() % (capped / 4));
}

static void delay_start(struct child *child)
{
    child->delay_ms = next_delay_ms(child);
    child->start_at_ms = clock_monotonic_ms() + child->delay_ms;
}

static void start_child(struct supervisor *supervisor, struct child *child)
{
    child->started_at_ms = clock_monotonic_ms();
    child->pid = fork();
    if (child->pid == 0)
        exec_role(supervisor, child->role);
    if (child->pid > 0) {
        log_info("started", log_text("role", child->role), log_number("pid", child->pid));
        return;
    }
    log_error("cannot start", log_text("role", child->role), log_text("reason", strerror(errno)));
    child->pid = 0;
    delay_start(child);
}

static void note_end(struct child *child, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    child->pid = 0;
    child->is_parked = code == EXIT_CODE_CONFIG || code == EXIT_CODE_GAP;
    delay_start(child);
    if (child->is_parked)
        log_error("parked: an operator must act", log_text("role", child->role),
                  log_number("exit_code", code));
    else
        log_warning("ended", log_text("role", child->role), log_number("exit_code", code),
                    log_number("signal", signal_number),
                    log_number("restart_in_ms", child->delay_ms));
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < supervisor->count; i++)
            if (supervisor->children[i].pid == pid)
                note_end(&supervisor->children[i], status);
}

/* Starts what is due; answers how long nothing will be. */
static int64_t start_due(struct supervisor *supervisor)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t wait_ms = LONGEST_DELAY_MS;

    for (size_t i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];

        if (child->pid != 0 || child->is_parked)
            continue;
        if (child->start_at_ms <= now_ms)
            start_child(supervisor, child);
        if (child->pid == 0 && child->start_at_ms - now_ms < wait_ms)
            wait_ms = child->start_at_ms - now_ms;
    }
    return wait_ms;
}

static bool has_work(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (!supervisor->children[i].is_parked)
            return true;
    return false;
}

/* A parked archive needs an operator, and the other roles work on: a service that never got READY
 * would be killed with them. */
static void tell_of_heart(const struct child *child)
{
    if (child->is_parked)
        service_tell("READY=1\nSTATUS=%s is parked: its log says why\nWATCHDOG=1", heart);
    else
        service_tell("STATUS=%s is being restarted\nWATCHDOG=1", heart);
}

static void tell_manager(const struct supervisor *supervisor)
{
    if (!supervisor->is_heard)
        return;
    service_relay();
    for (size_t i = 0; i < supervisor->count; i++)
        if (strcmp(supervisor->children[i].role, heart) == 0 && supervisor->children[i].pid == 0)
            tell_of_heart(&supervisor->children[i]);
}

static bool has_children(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].pid != 0)
            return true;
    return false;
}

static void signal_children(const struct supervisor *supervisor, int signal_number)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].pid != 0)
            kill(supervisor->children[i].pid, signal_number);
}

/* The next of our signals, or 0 after wait_ms. */
static int wait_signal(const struct supervisor *supervisor, int64_t wait_ms)
{
    struct timespec timeout = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    int signal_number = sigtimedwait(&supervisor->signals, NULL, &timeout);

    return signal_number > 0 ? signal_number : 0;
}

static void stop_children(struct supervisor *supervisor)
{
    int64_t deadline_ms = clock_monotonic_ms() + STOP_WAIT_MS;

    signal_children(supervisor, SIGTERM);
    while (has_children(supervisor) && clock_monotonic_ms() < deadline_ms) {
        wait_signal(supervisor, 200);
        reap(supervisor);
    }
    signal_children(supervisor, SIGKILL);
}

static bool supervise(struct supervisor *supervisor, struct error *err)
{
    while (has_work(supervisor)) {
        int64_t wait_ms = start_due(supervisor);
        int signal_number = wait_signal(
            supervisor, supervisor->is_heard && wait_ms > RELAY_MS ? RELAY_MS : wait_ms);

        reap(supervisor);
        tell_manager(supervisor);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            service_tell("STOPPING=1\nSTATUS=stopping");
            stop_children(supervisor);
            return true;
        }
    }
    return error_set(err, ERROR_CONFIG, "every role is parked: see their log lines above");
}

bool supervisor_run(const char *const *roles, size_t count, struct error *err)
{
    struct supervisor supervisor = {.count = count};

    if (!service_open_relay(&supervisor.is_heard, err))
        return false;
    if (pipe2(supervisor.parent_pipe, 0) != 0)
        return error_set(err, ERROR_RETRY, "cannot make a pipe: %s", strerror(errno));
    sigemptyset(&supervisor.signals);
    sigaddset(&supervisor.signals, SIGTERM);
    sigaddset(&supervisor.signals, SIGINT);
    sigaddset(&supervisor.signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &supervisor.signals, NULL);

    supervisor.children = memory_alloc(count * sizeof(*supervisor.children));
    for (size_t i = 0; i < count; i++)
        supervisor.children[i].role = roles[i];
    bool is_ok = supervise(&supervisor, err);
    free(supervisor.children);
    return is_ok;
}
