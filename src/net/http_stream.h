/*
 * An answer read piece by piece, in memory that does not grow with it.
 *
 * Several streams of a client may be open: while one is read the others go on until their windows
 * are full, so that the next answer is there when this one ends. Between calls nothing moves but
 * what the kernel holds. The promises are http_client.h's, the bound on an answer's size and the
 * total time-out aside: a stream that stands still ends, one that flows may take for ever.
 */
#ifndef PGFORCE_NET_HTTP_STREAM_H
#define PGFORCE_NET_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "net/http_client.h"

struct http_stream;

/* Sends the request as soon as a stream of the client is read. Only GET; url and headers are
 * copied. */
struct http_stream *http_stream_open(struct http_client *client, const char *url,
                                     const char *const *headers);
void http_stream_close(struct http_stream *stream);

/* Whether status and headers are there; never blocks. */
bool http_stream_has_head(const struct http_stream *stream);

/* Waits for status and headers. ERROR_RETRY: cut, or told to stop. */
bool http_stream_head(struct http_stream *stream, struct error *err);

/* The status and headers once they are there, for http_header. Valid until close. */
const struct http_exchange *http_stream_exchange(const struct http_stream *stream);

/* Waits for the next piece, valid until the next call; *size_bytes is 0 at the answer's end, which
 * is only told when the whole answer has come. ERROR_RETRY: cut, or told to stop. */
bool http_stream_read(struct http_stream *stream, const char **data, size_t *size_bytes,
                      struct error *err);

#endif
