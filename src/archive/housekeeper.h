/*
 * The housekeeper role: keeps the log short and the archive's days as long as they are wanted.
 *
 * A process of its own, so that neither the stream nor the writer to Salesforce ever waits for it;
 * it may be away for days, and then the log grows. Its replication origin, which the server gives
 * to one session only, makes it the only one, and keeps what it moves out of every stream.
 */
#ifndef PGFORCE_ARCHIVE_HOUSEKEEPER_H
#define PGFORCE_ARCHIVE_HOUSEKEEPER_H

#include "archive/retention.h"
#include "base/error.h"

/* Runs until the process is told to stop. */
bool housekeeper_run(const char *url, const struct retention *retention, struct error *err);

#endif
