/*
 * The sockets of a client's connections: whether one that has carried a request before has
 * something to be read although nobody has asked. A server, or something before it, that answers
 * twice would have its second answer taken for that to the next request; libcurl does not look
 * (seen with 7.88.1).
 */
#ifndef PGFORCE_NET_HTTP_SOCKETS_H
#define PGFORCE_NET_HTTP_SOCKETS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

struct http_socket {
    curl_socket_t fd;
    bool has_carried; /* a request */
};

struct http_sockets {
    struct http_socket *items; /* freed by the owner */
    size_t count;
    size_t room;
};

/* For CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION; context: struct http_sockets. */
curl_socket_t http_sockets_open(void *context, curlsocktype purpose, struct curl_sockaddr *address);
int http_sockets_close(void *context, curl_socket_t fd);

/* Of the connection from a port of this machine, which is about to carry a request. */
bool http_sockets_are_clean(struct http_sockets *sockets, int local_port);

#endif
