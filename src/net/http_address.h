/*
 * Where a server listens: "127.0.0.1:8080", "[::1]:8080" or "localhost:0" as a socket address.
 *
 * Only numeric addresses and "localhost": nothing is looked up.
 */
#ifndef PGFORCE_NET_HTTP_ADDRESS_H
#define PGFORCE_NET_HTTP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/arena.h"

union http_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

bool http_address_parse(const char *text, union http_address *address);
bool http_address_is_loopback(const union http_address *address);

/* "127.0.0.1", "::1": without the port. */
const char *http_address_format(const struct sockaddr *address, struct arena *arena);

#endif
