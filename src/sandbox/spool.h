/*
 * Bytes that may become many: kept in memory while they are few, then in a file without a name,
 * which goes away with the last descriptor whatever happens to the process.
 *
 * Append only. It knows nothing of what the bytes mean.
 */
#ifndef PGFORCE_SANDBOX_SPOOL_H
#define PGFORCE_SANDBOX_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/http_server.h"

struct spool;

struct spool *spool_new(void);
void spool_free(struct spool *spool);

bool spool_append(struct spool *spool, const void *data, size_t size_bytes, struct error *err);
int64_t spool_size(const struct spool *spool);

/* Everything at once, for reading; valid until the next append. NULL after setting the error. */
const char *spool_view(struct spool *spool, struct error *err);

/* Ends the answer's body with the bytes from start to end. */
bool spool_send(struct spool *spool, int64_t start, int64_t end,
                struct http_server_response *response, struct error *err);

#endif
