/*
 * Loaded before the C library (LD_PRELOAD), lets one call of the process fail: what is a program
 * worth that has never seen malloc answer NULL?
 *
 *     FAILCALL=CALL:N       the N-th call of CALL fails with its usual error
 *     FAILCALL=CALL:N:HOW   or with EINTR, EIO, ENOSPC, ENOMEM, ECONNRESET; or transfers half of
 *                           it (short); or the process dies there by SIGKILL (kill)
 *     FAILCALL_COUNTS=FILE  at the end of the process: how often each was called
 *
 * CALL is a row of the tables below, or `any`: the N-th call of them all but `memory`. What the
 * process does between fork and exec counts with it; the programs that it starts are left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* ROW(type, name, usual error, what it answers then, (parameters), (arguments)). */
#define CALLS(ROW)                                                                                 \
    ROW(int, socket, EMFILE, -1, (int domain, int type, int protocol), (domain, type, protocol))   \
    ROW(int, socketpair, EMFILE, -1, (int domain, int type, int protocol, int fds[2]),             \
        (domain, type, protocol, fds))                                                             \
    ROW(int, connect, ECONNREFUSED, -1, (int fd, const struct sockaddr *to, socklen_t size),       \
        (fd, to, size))                                                                            \
    ROW(int, bind, ENOBUFS, -1, (int fd, const struct sockaddr *to, socklen_t size),               \
        (fd, to, size))                                                                            \
    ROW(int, listen, ENOBUFS, -1, (int fd, int backlog), (fd, backlog))                            \
    ROW(int, accept4, EMFILE, -1, (int fd, struct sockaddr *from, socklen_t *size, int flags),     \
        (fd, from, size, flags))                                                                   \
    ROW(int, getsockname, ENOBUFS, -1, (int fd, struct sockaddr *name, socklen_t *size),           \
        (fd, name, size))                                                                          \
    ROW(int, getsockopt, ENOBUFS, -1, (int fd, int level, int name, void *value, socklen_t *size), \
        (fd, level, name, value, size))                                                            \
    ROW(int, setsockopt, ENOBUFS, -1,                                                              \
        (int fd, int level, int name, const void *value, socklen_t size),                          \
        (fd, level, name, value, size))                                                            \
    ROW(int, getaddrinfo, EAI_AGAIN, EAI_AGAIN,                                                    \
        (const char *node, const char *service, const struct addrinfo *hints,                      \
         struct addrinfo **found),                                                                 \
        (node, service, hints, found))                                                             \
    ROW(ssize_t, sendmsg, ENOBUFS, -1, (int fd, const struct msghdr *message, int flags),          \
        (fd, message, flags))                                                                      \
    ROW(ssize_t, recvmsg, ENOMEM, -1, (int fd, struct msghdr *message, int flags),                 \
        (fd, message, flags))                                                                      \
    ROW(ssize_t, writev, EIO, -1, (int fd, const struct iovec *parts, int count),                  \
        (fd, parts, count))                                                                        \
    ROW(int, poll, ENOMEM, -1, (struct pollfd * fds, nfds_t count, int timeout_ms),                \
        (fds, count, timeout_ms))                                                                  \
    ROW(int, select, ENOMEM, -1,                                                                   \
        (int count, fd_set *in, fd_set *out, fd_set *bad, struct timeval *timeout),                \
        (count, in, out, bad, timeout))                                                            \
    ROW(int, epoll_create1, EMFILE, -1, (int flags), (flags))                                      \
    ROW(int, epoll_wait, EINTR, -1,                                                                \
        (int set, struct epoll_event *events, int count, int timeout_ms),                          \
        (set, events, count, timeout_ms))                                                          \
    ROW(int, eventfd, EMFILE, -1, (unsigned int first, int flags), (first, flags))                 \
    ROW(int, pipe2, EMFILE, -1, (int fds[2], int flags), (fds, flags))                             \
    ROW(int, signalfd, EMFILE, -1, (int fd, const sigset_t *signals, int flags),                   \
        (fd, signals, flags))                                                                      \
    ROW(int, sigtimedwait, EINTR, -1,                                                              \
        (const sigset_t *signals, siginfo_t *info, const struct timespec *timeout),                \
        (signals, info, timeout))                                                                  \
    ROW(int, memfd_create, EMFILE, -1, (const char *name, unsigned int flags), (name, flags))      \
    ROW(int, dup2, EMFILE, -1, (int fd, int as), (fd, as))                                         \
    ROW(pid_t, fork, EAGAIN, -1, (void), ())                                                       \
    ROW(int, execv, ENOMEM, -1, (const char *path, char *const *words), (path, words))             \
    ROW(int, execvp, ENOMEM, -1, (const char *file, char *const *words), (file, words))            \
    ROW(int, pthread_create, EAGAIN, EAGAIN,                                                       \
        (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *context),      \
        (thread, how, run, context))                                                               \
    ROW(FILE *, fopen, EMFILE, NULL, (const char *path, const char *mode), (path, mode))           \
    ROW(FILE *, fdopen, ENOMEM, NULL, (int fd, const char *mode), (fd, mode))                      \
    ROW(int, fflush, ENOSPC, EOF, (FILE * file), (file))                                           \
    ROW(int, mkstemp, EMFILE, -1, (char *path), (path))                                            \
    ROW(off_t, lseek, EIO, -1, (int fd, off_t offset, int whence), (fd, offset, whence))           \
    ROW(int, ftruncate, EIO, -1, (int fd, off_t size), (fd, size))                                 \
    ROW(int, fsync, EIO, -1, (int fd), (fd))                                                       \
    ROW(int, rename, ENOSPC, -1, (const char *from, const char *to), (from, to))                   \
    ROW(int, unlink, EIO, -1, (const char *path), (path))

/* Those that may also do a part: they have size. */
#define TRANSFERS(ROW)                                                                             \
    ROW(ssize_t, send, ECONNRESET, -1, (int fd, const void *from, size_t size, int flags),         \
        (fd, from, size, flags))                                                                   \
    ROW(ssize_t, sendto, ECONNRESET, -1,                                                           \
        (int fd, const void *from, size_t size, int flags, const struct sockaddr *to,              \
         socklen_t to_size),                                                                       \
        (fd, from, size, flags, to, to_size))                                                      \
    ROW(ssize_t, recv, ECONNRESET, -1, (int fd, void *to, size_t size, int flags),                 \
        (fd, to, size, flags))                                                                     \
    ROW(ssize_t, recvfrom, ECONNRESET, -1,                                                         \
        (int fd, void *to, size_t size, int flags, struct sockaddr *from, socklen_t *from_size),   \
        (fd, to, size, flags, from, from_size))                                                    \
    ROW(ssize_t, write, ENOSPC, -1, (int fd, const void *from, size_t size), (fd, from, size))     \
    ROW(ssize_t, read, EIO, -1, (int fd, void *to, size_t size), (fd, to, size))                   \
    ROW(ssize_t, pwrite, ENOSPC, -1, (int fd, const void *from, size_t size, off_t at),            \
        (fd, from, size, at))                                                                      \
    ROW(ssize_t, pread, EIO, -1, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))

#define INDEX(type, name, ...) CALL_##name,
enum call { CALLS(INDEX) TRANSFERS(INDEX) CALL_open, CALL_epoll_ctl, CALL_memory, CALL_COUNT };

#define NAME(type, name, ...) [CALL_##name] = #name,
static const char *const names[CALL_COUNT] = {
    CALLS(NAME) TRANSFERS(NAME)[CALL_open] = "open", [CALL_epoll_ctl] = "epoll_ctl",
    [CALL_memory] = "memory"};

enum { ANY = CALL_COUNT, NONE, HOW_USUAL = 0, HOW_SHORT = -1, HOW_KILL = -2 };

static const struct {
    const char *name;
    int how; /* an errno, or one of the above */
} hows[] = {{"short", HOW_SHORT}, {"kill", HOW_KILL}, {"EINTR", EINTR},          {"EIO", EIO},
            {"ENOSPC", ENOSPC},   {"ENOMEM", ENOMEM}, {"ECONNRESET", ECONNRESET}};

static atomic_long *counts; /* shared with who was forked; the last is `any` */
static int wanted_call = NONE;
static long wanted_count;
static int wanted_how;
static bool is_ready;
static const char *counts_path;

/* For who looks at what went wrong then: addresses for addr2line. */
static void tell_where(enum call call)
{
    void *stack[40];
    int error = errno;

    dprintf(STDERR_FILENO, "failcall: %s fails here:\n", names[call]);
    backtrace_symbols_fd(stack, backtrace(stack, 40), STDERR_FILENO);
    errno = error;
}

/* Whether this call is the one. */
static bool is_reached(enum call call)
{
    if (!is_ready)
        return false;

    long count = atomic_fetch_add(&counts[call], 1) + 1;
    long total = call == CALL_memory ? 0 : atomic_fetch_add(&counts[ANY], 1) + 1;

    if (!((int)call == wanted_call && count == wanted_count) &&
        !(wanted_call == ANY && total == wanted_count))
        return false;
    if (wanted_how == HOW_KILL)
        kill(getpid(), SIGKILL);
    tell_where(call);
    return true;
}

/* Of a call that cannot be done by halves. */
static bool is_to_fail(enum call call, int usual_error)
{
    if (!is_reached(call) || wanted_how == HOW_SHORT)
        return false;
    errno = wanted_how > 0 ? wanted_how : usual_error;
    return true;
}

/* What was reset stays so: whoever reads it next is told, too. */
static bool is_to_transfer_less(enum call call, int usual_error, int fd, size_t *size)
{
    if (!is_reached(call))
        return false;
    if (wanted_how == HOW_SHORT) {
        *size = (*size + 1) / 2;
        return false;
    }
    int error = wanted_how > 0 ? wanted_how : usual_error;
    if (error == ECONNRESET)
        shutdown(fd, SHUT_RDWR);
    errno = error;
    return true;
}

static void *find_real(void **real, const char *name)
{
    if (*real == NULL)
        *real = dlsym(RTLD_NEXT, name);
    return *real;
}

#define DEFINE(type, name, error, failed, parameters, arguments)                                   \
    type name parameters                                                                           \
    {                                                                                              \
        static void *real;                                                                         \
                                                                                                   \
        if (is_to_fail(CALL_##name, error))                                                        \
            return failed;                                                                         \
        return ((type(*) parameters)find_real(&real, #name))arguments;                             \
    }
#define DEFINE_TRANSFER(type, name, error, failed, parameters, arguments)                          \
    type name parameters                                                                           \
    {                                                                                              \
        static void *real;                                                                         \
                                                                                                   \
        if (is_to_transfer_less(CALL_##name, error, fd, &size))                                    \
            return failed;                                                                         \
        return ((type(*) parameters)find_real(&real, #name))arguments;                             \
    }
CALLS(DEFINE)
TRANSFERS(DEFINE_TRANSFER)

/* Its mode is there only where a file may be made; whoever reads it otherwise reads nothing of use.
 */
#define DEFINE_OPEN(name)                                                                          \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        static void *real;                                                                         \
        va_list more;                                                                              \
                                                                                                   \
        va_start(more, flags);                                                                     \
        int mode = va_arg(more, int);                                                              \
        va_end(more);                                                                              \
        if (is_to_fail(CALL_open, EMFILE))                                                         \
            return -1;                                                                             \
        return ((int (*)(const char *, int, ...))find_real(&real, #name))(path, flags, mode);      \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

/* The kernel never refuses to let go of a descriptor. */
int epoll_ctl(int set, int verb, int fd, struct epoll_event *event)
{
    static void *real;

    if (verb == EPOLL_CTL_ADD && is_to_fail(CALL_epoll_ctl, ENOSPC))
        return -1;
    return ((int (*)(int, int, int, struct epoll_event *))find_real(&real, "epoll_ctl"))(set, verb,
                                                                                         fd, event);
}

/* Not by dlsym, which itself asks for memory. */
#ifndef FAILCALL_NOT_OF_MEMORY
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
    return is_to_fail(CALL_memory, ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_to_fail(CALL_memory, ENOMEM) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return is_to_fail(CALL_memory, ENOMEM) ? NULL : __libc_realloc(memory, size);
}
#endif

static void complain(const char *what, const char *text)
{
    fprintf(stderr, "failcall: %s: %s\n", what, text);
    _exit(99);
}

static int find_call(const char *name, size_t length)
{
    for (int i = 0; i < CALL_COUNT; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
            return i;
    if (strncmp("any", name, length) != 0)
        complain("no such call", name);
    return ANY;
}

static int find_how(const char *name)
{
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
        if (strcmp(hows[i].name, name) == 0)
            return hows[i].how;
    complain("no such way to fail", name);
    return HOW_USUAL;
}

/* CALL:N[:HOW] */
static void read_wish(const char *text)
{
    size_t length = strcspn(text, ":");
    char *end;

    if (text[length] != ':')
        complain("not CALL:N", text);
    wanted_call = find_call(text, length);
    wanted_count = strtol(text + length + 1, &end, 10);
    if (wanted_count <= 0 || (*end != '\0' && *end != ':'))
        complain("not CALL:N", text);
    wanted_how = *end == ':' ? find_how(end + 1) : HOW_USUAL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *wish = getenv("FAILCALL");
    void *stack[1];

    backtrace(stack, 1); /* the first time it asks for memory */
    if (wish != NULL)
        read_wish(wish);
    counts_path = getenv("FAILCALL_COUNTS");
    unsetenv("FAILCALL");
    unsetenv("LD_PRELOAD");
    counts = mmap(NULL, (CALL_COUNT + 1) * sizeof(*counts), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        complain("no memory", "mmap");
    is_ready = true;
}

__attribute__((destructor)) static void end(void)
{
    is_ready = false;
    if (counts_path == NULL)
        return;

    FILE *file = fopen(counts_path, "w");
    if (file == NULL)
        complain("cannot write", counts_path);
    for (int i = 0; i < CALL_COUNT; i++)
        fprintf(file, "%s %ld\n", names[i], atomic_load(&counts[i]));
    fclose(file);
}
