#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"

/* PIPE_BUF is as much as a pipe takes at once without mixing what several say. */
enum { MESSAGE_BYTES = 1024, RELAY_BYTES = 16 * 1024, INTERVAL_MS = 1000 };

static bool is_speaking;
static int pipe_fd = -1;
static int relay_fd = -1;
static char *socket_name;
static int64_t said_at_ms;

void service_speak(void)
{
    const char *fd_text = getenv("PGFORCE_SERVICE_FD");
    const char *name = getenv("NOTIFY_SOCKET");

    is_speaking = true;
    if (fd_text != NULL)
        pipe_fd = atoi(fd_text);
    else if (name != NULL)
        socket_name = memory_strdup(name);
    if (pipe_fd >= 0)
        fcntl(pipe_fd, F_SETFD, FD_CLOEXEC);
}

/* A name that begins with @ is in the abstract namespace: its first byte is 0, and it has no end.
 */
static void send_datagram(const char *text, size_t size_bytes)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = socket_name != NULL ? strlen(socket_name) : 0;

    if (length == 0 || length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, socket_name, length);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    ssize_t ignored = sendto(fd, text, size_bytes, MSG_NOSIGNAL, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    (void)ignored;
    close(fd);
}

void service_tell(const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;

    if (!is_speaking || (pipe_fd < 0 && socket_name == NULL))
        return;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text) - 1, format, args);
    va_end(args);
    if (length <= 0 || length >= (int)sizeof(text) - 1)
        return;
    text[length++] = '\n';
    said_at_ms = clock_monotonic_ms();
    if (pipe_fd < 0) {
        send_datagram(text, (size_t)length);
        return;
    }
    ssize_t ignored = write(pipe_fd, text, (size_t)length);
    (void)ignored;
}

bool service_is_due(void)
{
    return is_speaking && clock_monotonic_ms() - said_at_ms >= INTERVAL_MS;
}

bool service_open_relay(bool *is_heard, struct error *err)
{
    const char *name = getenv("NOTIFY_SOCKET");
    char fd_text[16];
    int fds[2];

    *is_heard = name != NULL && *name != '\0';
    if (!*is_heard)
        return true;
    if (pipe2(fds, O_NONBLOCK) != 0)
        return error_set(err, ERROR_RETRY, "cannot make a pipe: %s", strerror(errno));
    is_speaking = true;
    socket_name = memory_strdup(name);
    relay_fd = fds[0];
    fcntl(relay_fd, F_SETFD, FD_CLOEXEC);
    snprintf(fd_text, sizeof(fd_text), "%d", fds[1]);
    unsetenv("NOTIFY_SOCKET");
    if (setenv("PGFORCE_SERVICE_FD", fd_text, 1) != 0)
        return error_set(err, ERROR_RETRY, "cannot tell the roles of a pipe: %s", strerror(errno));
    return true;
}

void service_relay(void)
{
    char text[RELAY_BYTES];
    ssize_t size;

    if (relay_fd < 0)
        return;
    while ((size = read(relay_fd, text, sizeof(text))) > 0)
        send_datagram(text, (size_t)size);
}
