/*
 * Base 64, in the ordinary alphabet and in that of URLs.
 */
#ifndef PGFORCE_SANDBOX_BASE64_H
#define PGFORCE_SANDBOX_BASE64_H

#include <stddef.h>

#include "base/arena.h"

/* Reads either alphabet, padded or not; NULL when the text is neither. A zero byte follows. */
char *base64_decode(struct arena *arena, const char *text, size_t length, size_t *size_bytes);

/* The alphabet of URLs, without padding. */
char *base64_encode_url(struct arena *arena, const void *data, size_t size_bytes);

#endif
