/*
 * Bodies whole, compressed and not: what Content-Encoding says. No streams.
 */
#ifndef PGFORCE_NET_HTTP_GZIP_H
#define PGFORCE_NET_HTTP_GZIP_H

#include <stdbool.h>

#include "base/buf.h"

/* gzip or zlib format, told apart by their headers; false when it is neither or too large for out.
 */
bool http_gzip_unpack(const struct buf *in, struct buf *out);

/* In gzip's format; false when out is too small for it. */
bool http_gzip_pack(const struct buf *in, struct buf *out);

#endif
