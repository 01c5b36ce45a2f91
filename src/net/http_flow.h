/*
 * An answer that goes on: after its body, whatever its source has to add, until that has no more,
 * the client goes away or the server ends.
 *
 * What was added is taken by the client before the source is asked again, so a slow client costs no
 * memory. Part of http_server; it knows libmicrohttpd, its callers do not.
 */
#ifndef PGFORCE_NET_HTTP_FLOW_H
#define PGFORCE_NET_HTTP_FLOW_H

#include <microhttpd.h>
#include <stdbool.h>

#include "net/http_server.h"

/* How the server takes part: rest suspends the connection until the interval is over. */
struct http_flow_server {
    const bool *is_ending;
    void (*rest)(void *exchange);
    void *exchange;
};

/* NULL when it cannot be made. The answer must live as long as the response. */
struct MHD_Response *http_flow_response(struct http_server_response *answer,
                                        const struct http_flow_server *server);

#endif
