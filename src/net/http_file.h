/*
 * An answer whose body ends in a piece of a file: read, and packed when asked, as the client takes
 * it, so that a download of any size costs a fixed amount of memory.
 *
 * Part of http_server; it knows libmicrohttpd, its callers do not.
 */
#ifndef PGFORCE_NET_HTTP_FILE_H
#define PGFORCE_NET_HTTP_FILE_H

#include <microhttpd.h>
#include <stdbool.h>

#include "net/http_server.h"

/* NULL when it cannot be made. The answer must live as long as the response. */
struct MHD_Response *http_file_response(const struct http_server_response *answer, bool is_packed);

/* With the answer's headers, and those that say that it is packed; NULL, the response destroyed,
 * when memory ran out, or when there was none: an answer that lacks one must not be sent. */
struct MHD_Response *http_file_add_headers(struct MHD_Response *response,
                                           const struct http_server_response *answer,
                                           bool is_packed);

#endif
