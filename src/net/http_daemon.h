/*
 * The options of libmicrohttpd's daemon, from ours.
 *
 * Part of http_server; it knows libmicrohttpd, its callers do not.
 */
#ifndef PGFORCE_NET_HTTP_DAEMON_H
#define PGFORCE_NET_HTTP_DAEMON_H

#include <microhttpd.h>

#include "net/http_server.h"

enum { HTTP_DAEMON_MAX_OPTIONS = 12 };

/* The last one ends the list. */
void http_daemon_fill(const struct http_server_options *options, struct MHD_OptionItem *items);

#endif
