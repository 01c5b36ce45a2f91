/*
 * The sink that prints: one JSON object per line, flushed per transaction.
 *
 * What has been flushed counts as durable. A closed pipe ends the stream quietly.
 */
#ifndef PGFORCE_STREAM_SINK_STDOUT_H
#define PGFORCE_STREAM_SINK_STDOUT_H

#include <stdio.h>

#include "stream/sink.h"

/* file stays the caller's. */
struct sink *sink_stdout_new(FILE *file);
void sink_stdout_free(struct sink *sink);

#endif
