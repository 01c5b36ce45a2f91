#include "control/teller.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/wait.h"
#include "net/http_client.h"

enum {
    WEBHOOK_MS = 20 * 1000,
    COMMAND_MS = 30 * 1000,
    LOOK_MS = 50,
    MAX_WORDS = 64,
    ANSWER_BYTES = 1024 * 1024,
    EXEC_FAILED = 127,
};

struct teller {
    char *url;
    char *command; /* its blanks are zeros */
    char *words[MAX_WORDS + 1];
    struct http_client *client;
};

static bool split(struct teller *teller, struct error *err)
{
    size_t count = 0;

    for (char *word = strtok(teller->command, " \t"); word != NULL; word = strtok(NULL, " \t")) {
        if (count == MAX_WORDS)
            return error_set(err, ERROR_CONFIG, "PGFORCE_NOTIFY_COMMAND has more than %d words",
                             MAX_WORDS);
        teller->words[count++] = word;
    }
    return count > 0 || error_set(err, ERROR_CONFIG, "PGFORCE_NOTIFY_COMMAND names no program");
}

static bool open_client(struct teller *teller, struct error *err)
{
    const struct http_client_options options = {.total_timeout_ms = WEBHOOK_MS,
                                                .max_response_bytes = ANSWER_BYTES,
                                                .is_plain_http_allowed =
                                                    http_url_is_loopback(teller->url)};

    if (strncmp(teller->url, "https://", 8) != 0 && !http_url_is_loopback(teller->url))
        return error_set(err, ERROR_CONFIG,
                         "PGFORCE_NOTIFY_URL must begin with https:// (http:// only for this"
                         " machine)");
    teller->client = http_client_new(&options, err);
    return teller->client != NULL;
}

struct teller *teller_new(const char *url, const char *command, struct error *err)
{
    struct teller *teller = memory_alloc(sizeof(*teller));
    bool is_ok = true;

    if (url != NULL) {
        teller->url = memory_strdup(url);
        is_ok = open_client(teller, err);
    }
    if (command != NULL && is_ok) {
        teller->command = memory_strdup(command);
        is_ok = split(teller, err);
    }
    if (is_ok)
        return teller;
    teller_free(teller);
    return NULL;
}

void teller_free(struct teller *teller)
{
    if (teller == NULL)
        return;
    http_client_free(teller->client);
    free(teller->url);
    free(teller->command);
    free(teller);
}

bool teller_has_listener(const struct teller *teller)
{
    return teller->url != NULL || teller->command != NULL;
}

static bool post(struct teller *teller, const char *json, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct http_exchange exchange = {.method = "POST",
                                     .url = teller->url,
                                     .headers = headers,
                                     .body = json,
                                     .body_bytes = strlen(json)};
    bool is_ok = http_send(teller->client, &exchange, 1, err);

    if (is_ok && exchange.fate != HTTP_ANSWERED)
        is_ok = error_set(err, ERROR_RETRY, "the webhook did not answer: %s", exchange.problem);
    else if (is_ok && (exchange.status < 200 || exchange.status > 299))
        is_ok = error_set(err, ERROR_RETRY, "the webhook answered %ld", exchange.status);
    http_exchange_done(&exchange);
    return is_ok;
}

/* In a group of its own: what it started itself ends with it. */
static void exec_command(char *const *words, int input_fd)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    if (dup2(input_fd, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
        execvp(words[0], words);
    _exit(EXEC_FAILED);
}

static bool judge(const char *program, int status, struct error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXEC_FAILED)
        return error_set(err, ERROR_RETRY, "PGFORCE_NOTIFY_COMMAND: cannot run %s", program);
    return error_set(err, ERROR_RETRY, "PGFORCE_NOTIFY_COMMAND: %s ended with %s %d", program,
                     WIFEXITED(status) ? "code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static bool wait_for_end(const struct teller *teller, pid_t pid, struct error *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + COMMAND_MS;
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ms() < deadline_ms && wait_for(-1, 0, LOOK_MS) != WAIT_STOP)
            continue;
        kill(-pid, SIGKILL);
        waitpid(pid, &status, 0);
        return error_set(err, ERROR_RETRY, "PGFORCE_NOTIFY_COMMAND: %s did not end in time",
                         teller->words[0]);
    }
    return judge(teller->words[0], status, err);
}

static bool run(struct teller *teller, const char *json, struct error *err)
{
    int input_fd = memfd_create("notification", MFD_CLOEXEC);
    size_t size = strlen(json);
    pid_t pid = -1;

    if (input_fd >= 0 && write(input_fd, json, size) == (ssize_t)size &&
        lseek(input_fd, 0, SEEK_SET) == 0)
        pid = fork();
    if (pid == 0)
        exec_command(teller->words, input_fd);
    if (input_fd >= 0)
        close(input_fd);
    if (pid < 0)
        return error_set(err, ERROR_RETRY, "cannot start PGFORCE_NOTIFY_COMMAND: %s",
                         strerror(errno));
    return wait_for_end(teller, pid, err);
}

bool teller_tell(struct teller *teller, const char *json, struct error *err)
{
    return (teller->url == NULL || post(teller, json, err)) &&
           (teller->command == NULL || run(teller, json, err));
}
