#include "net/http_sockets.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"

static struct http_socket *find(struct http_sockets *sockets, curl_socket_t fd)
{
    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->items[i].fd == fd)
            return &sockets->items[i];
    return NULL;
}

static struct http_socket *add(struct http_sockets *sockets)
{
    if (sockets->count == sockets->room) {
        sockets->room = sockets->room > 0 ? 2 * sockets->room : 16;
        sockets->items = memory_realloc(sockets->items, sockets->room * sizeof(*sockets->items));
    }
    return &sockets->items[sockets->count++];
}

curl_socket_t http_sockets_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_sockets *sockets = context;
    curl_socket_t fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct http_socket *known = find(sockets, fd);
    if (known == NULL)
        known = add(sockets);
    *known = (struct http_socket){.fd = fd};
    return fd;
}

int http_sockets_close(void *context, curl_socket_t fd)
{
    struct http_sockets *sockets = context;
    struct http_socket *known = find(sockets, fd);

    if (known != NULL)
        *known = sockets->items[--sockets->count];
    return close(fd);
}

static int local_port_of(curl_socket_t fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size_bytes = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size_bytes) != 0)
        return -1;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return address.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&address)->sin_port) : -1;
}

/* Also the end of the connection is something to be read. */
static bool has_input(curl_socket_t fd)
{
    struct pollfd asked = {.fd = fd, .events = POLLIN};

    return poll(&asked, 1, 0) > 0;
}

bool http_sockets_are_clean(struct http_sockets *sockets, int local_port)
{
    bool are_clean = true;

    for (size_t i = 0; i < sockets->count; i++) {
        struct http_socket *each = &sockets->items[i];

        if (local_port_of(each->fd) != local_port)
            continue;
        are_clean = are_clean && !(each->has_carried && has_input(each->fd));
        each->has_carried = true;
    }
    return are_clean;
}
