#include "net/http_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static bool parse_port(const char *text, in_port_t *port)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || number > 65535)
        return false;
    *port = htons((in_port_t)number);
    return true;
}

static bool fill_address(const char *host, in_port_t port, union http_address *address)
{
    memset(address, 0, sizeof(*address));
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = port;
        return true;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = port;
        return true;
    }
    return false;
}

bool http_address_parse(const char *text, union http_address *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    const char *colon = strrchr(text, ':');
    in_port_t port = 0;

    if (colon == NULL || !parse_port(colon + 1, &port))
        return false;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof(host))
        return false;
    memcpy(host, text, length);
    return fill_address(host, port, address);
}

bool http_address_is_loopback(const union http_address *address)
{
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

const char *http_address_format(const struct sockaddr *address, struct arena *arena)
{
    const union http_address *any = (const union http_address *)address;
    char *text = arena_alloc(arena, INET6_ADDRSTRLEN);
    const void *number = address->sa_family == AF_INET6 ? (const void *)&any->v6.sin6_addr
                                                        : (const void *)&any->v4.sin_addr;

    return inet_ntop(address->sa_family, number, text, INET6_ADDRSTRLEN) != NULL ? text : "";
}
