#include "control/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

enum {
    MAX_CHILDREN = 8,
    MAX_MESSAGE_BYTES = 64 * 1024,
    MAX_OUTPUT_BYTES = 64 * 1024 * 1024,
    HELD_MS = 60 * 60 * 1000, /* the child's end comes first */
    EXEC_FAILED = 127,
};

struct child {
    pid_t pid; /* 0: free */
    int output_fd;
    int message_fd;
    bool has_ended;
    int exit_code;
    struct child_call call;                /* its texts are not looked at any more */
    struct request request;                /* as it was, for call.done */
    struct http_server_response *response; /* NULL when the client has gone */
    void (*ended)(void *context, int exit_code, json_t *output); /* where nobody waits */
    void *context;
};

struct child_pool {
    int signal_fd;
    struct child children[MAX_CHILDREN];
};

struct child_pool *child_pool_new(struct error *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        error_set(err, ERROR_RETRY, "cannot watch children: %s", strerror(errno));
        return NULL;
    }
    struct child_pool *pool = memory_alloc(sizeof(*pool));
    pool->signal_fd = fd;
    return pool;
}

static void clear_child(struct child *child)
{
    close(child->output_fd);
    close(child->message_fd);
    *child = (struct child){0};
}

void child_pool_free(struct child_pool *pool)
{
    if (pool == NULL)
        return;
    for (size_t i = 0; i < MAX_CHILDREN; i++) {
        if (pool->children[i].pid == 0)
            continue;
        kill(pool->children[i].pid, SIGTERM);
        waitpid(pool->children[i].pid, NULL, 0);
        clear_child(&pool->children[i]);
    }
    close(pool->signal_fd);
    free(pool);
}

int child_pool_fd(const struct child_pool *pool)
{
    return pool->signal_fd;
}

/* ---- the answer ---- */

/* A file in memory as text; false where that is not all of it. */
static bool read_all(int fd, struct buf *text)
{
    char block[16 * 1024];
    ssize_t size;
    off_t offset = 0;

    while ((size = pread(fd, block, sizeof(block), offset)) > 0) {
        buf_append(text, block, (size_t)size);
        offset += size;
    }
    return size == 0 && !buf_is_full(text);
}

/* What the command said, without the name that the terminal's reader wants in front. */
static json_t *read_message(const struct child *child, const char *id)
{
    static const char prefix[] = "pgforce: ";
    struct buf text BUF_AUTO = {0};

    buf_init(&text, MAX_MESSAGE_BYTES);
    read_all(child->message_fd, &text);
    while (text.size_bytes > 0 && text.data[text.size_bytes - 1] == '\n')
        text.data[--text.size_bytes] = '\0';
    const char *message =
        strncmp(text.data, prefix, strlen(prefix)) == 0 ? text.data + strlen(prefix) : text.data;
    json_t *json = json_pack("{s:s, s:s}", "id", id, "message", message);
    return json != NULL ? json : json_pack("{s:s, s:s}", "id", id, "message", "not in UTF-8");
}

/* Exit codes to statuses: run/exit_code.h has the former. */
static const struct failure {
    int exit_code;
    int status;
    const char *id;
} failures[] = {
    {3, 503, "try_again"},    {4, 409, "conflict"},       {6, 503, "try_again"},
    {64, 400, "bad_request"}, {65, 422, "unprocessable"}, {75, 503, "try_again"},
    {78, 409, "conflict"},    {EXEC_FAILED, 503, "busy"}, {-1, 500, "internal_error"},
};

static json_t *parse(const struct buf *output)
{
    return json_loadb(output->data, output->size_bytes, 0, NULL);
}

static void fill_failure(const struct child *child, const struct buf *output,
                         struct http_server_response *response)
{
    const struct failure *failure = failures;

    while (failure->exit_code >= 0 && failure->exit_code != child->exit_code)
        failure++;
    json_t *answer = read_message(child, failure->id);
    json_t *more = parse(output);
    if (json_is_object(more))
        json_object_update_missing(answer, more);
    json_decref(more);
    request_fill(response, failure->status, answer);
}

static void fill_output(const struct child *child, const struct buf *output,
                        struct http_server_response *response)
{
    response->status = child->call.status;
    if (child->call.is_empty)
        return;
    http_server_add_header(response, "Content-Type", "application/json;charset=UTF-8");
    buf_append(&response->body, output->data, output->size_bytes);
}

static void answer_done(struct child *child, const struct buf *output)
{
    json_t *json = parse(output);

    child->call.done(&child->request, json);
    json_decref(json);
}

static void fill_unread(struct http_server_response *response)
{
    request_fill(response, 500,
                 json_pack("{s:s, s:s}", "id", "internal_error", "message",
                           "the command is done, but its answer cannot be read"));
}

static void tell_end(struct child *child)
{
    struct buf output BUF_AUTO = {0};

    buf_init(&output, MAX_OUTPUT_BYTES);
    json_t *json = read_all(child->output_fd, &output) ? parse(&output) : NULL;
    child->ended(child->context, child->exit_code, json);
    json_decref(json);
}

static void fill_answer(void *context, struct http_server_response *response)
{
    struct child *child = context;
    struct buf output BUF_AUTO = {0};

    child->response = NULL;
    if (response == NULL) {
        if (child->has_ended)
            clear_child(child);
        return;
    }
    buf_init(&output, MAX_OUTPUT_BYTES);
    bool is_whole = read_all(child->output_fd, &output);
    if (child->exit_code != 0 && child->exit_code != child->call.other_code)
        fill_failure(child, &output, response);
    else if (!is_whole)
        fill_unread(response);
    else if (child->call.done != NULL)
        answer_done(child, &output);
    else
        fill_output(child, &output, response);
    clear_child(child);
}

static void note_end(struct child_pool *pool, pid_t pid, int status)
{
    for (size_t i = 0; i < MAX_CHILDREN; i++) {
        struct child *child = &pool->children[i];

        if (child->pid != pid)
            continue;
        child->has_ended = true;
        child->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        log_debug("a command ended", log_number("pid", pid),
                  log_number("exit_code", child->exit_code));
        if (child->response != NULL) {
            http_server_wake(child->response);
            continue;
        }
        if (child->ended != NULL)
            tell_end(child);
        clear_child(child);
    }
}

void child_pool_reap(struct child_pool *pool)
{
    struct signalfd_siginfo signal_info;
    int status;
    pid_t pid;

    while (read(pool->signal_fd, &signal_info, sizeof(signal_info)) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        note_end(pool, pid, status);
}

/* ---- the start ---- */

enum { MAX_ARGUMENTS = 32 };

static void give_up(const struct child *child)
{
    dprintf(child->message_fd, "cannot start a command: %s\n", strerror(errno));
    _exit(EXEC_FAILED);
}

static void exec_command(const struct child *child, int input_fd, const char *const *arguments)
{
    char *argv[MAX_ARGUMENTS + 2] = {(char *)"pgforce"};
    sigset_t none;

    for (size_t i = 0; i < MAX_ARGUMENTS && arguments[i] != NULL; i++)
        argv[i + 1] = (char *)arguments[i];
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input_fd, STDIN_FILENO) < 0 || dup2(child->output_fd, STDOUT_FILENO) < 0 ||
        dup2(child->message_fd, STDERR_FILENO) < 0)
        give_up(child);
    execv("/proc/self/exe", argv);
    give_up(child);
}

/* A file in memory with the request's body, to be read from its start. */
static int make_input(const struct child_call *call)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    size_t done = 0;

    while (fd >= 0 && done < call->input_bytes) {
        ssize_t written = write(fd, call->input + done, call->input_bytes - done);

        if (written <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)written;
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool start(struct child *child, const struct child_call *call)
{
    int input_fd = make_input(call);

    child->output_fd = memfd_create("output", MFD_CLOEXEC);
    child->message_fd = memfd_create("message", MFD_CLOEXEC);
    if (input_fd >= 0 && child->output_fd >= 0 && child->message_fd >= 0)
        child->pid = fork();
    if (child->pid == 0 && input_fd >= 0 && child->output_fd >= 0 && child->message_fd >= 0)
        exec_command(child, input_fd, call->arguments);
    if (input_fd >= 0)
        close(input_fd);
    return child->pid > 0;
}

static struct child *find_place(struct child_pool *pool)
{
    for (size_t i = 0; i < MAX_CHILDREN; i++)
        if (pool->children[i].pid == 0)
            return &pool->children[i];
    return NULL;
}

bool child_spawn(struct child_pool *pool, const char *const *arguments,
                 void (*ended)(void *context, int exit_code, json_t *output), void *context)
{
    const struct child_call call = {.arguments = arguments};
    struct child *child = find_place(pool);

    if (child == NULL)
        return false;
    if (!start(child, &call)) {
        clear_child(child);
        return false;
    }
    child->ended = ended;
    child->context = context;
    return true;
}

void child_run(struct request *request, const struct child_call *call)
{
    struct child *child = find_place(request->serve->children);

    if (child == NULL) {
        request_refuse(request, 503, "busy", "%d commands are running already: try again",
                       MAX_CHILDREN);
        return;
    }
    if (!start(child, call)) {
        clear_child(child);
        request_refuse(request, 503, "busy", "cannot start a command: %s", strerror(errno));
        return;
    }
    child->call = *call;
    child->request = *request;
    child->request.body = NULL;
    child->response = request->response;
    request->response->delay_ms = HELD_MS;
    request->response->finish = fill_answer;
    request->response->finish_context = child;
}
