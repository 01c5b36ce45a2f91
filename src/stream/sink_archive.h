/*
 * The sink that writes the log: entries and progress in one transaction, under our own origin.
 *
 * It is the only writer of _trigger_log's captured entries and of the progress row, and a second
 * one is refused by the server (an origin belongs to one session). A transaction that is already in
 * the log is skipped, so delivery after a server's crash does no harm.
 */
#ifndef PGFORCE_STREAM_SINK_ARCHIVE_H
#define PGFORCE_STREAM_SINK_ARCHIVE_H

#include <stdbool.h>

#include "stream/sink.h"

struct sink_archive_options {
    const char *url;
    const char *schema_name;
    bool allows_capture_off; /* a transaction may ask not to be logged */
};

/* The options' texts must outlive the sink. Freed by sink_archive_free after close. */
struct sink *sink_archive_new(const struct sink_archive_options *options);
void sink_archive_free(struct sink *sink);

#endif
