/*
 * Events on their way to the client, many in one message.
 *
 * A message (one CopyData, one row of pg_logical_slot_get_binary_changes) has at most 16,000 bytes;
 * an event that is larger goes alone. What was added is sent when the next event would not fit and
 * at batch_flush. Whoever ends a transaction must flush before its callback returns: a keepalive
 * may confirm what was not sent yet.
 */
#ifndef PGFORCE_PLUGIN_BATCH_H
#define PGFORCE_PLUGIN_BATCH_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "replication/logical.h"

/* Event's field numbers in change.proto. */
enum event_field {
    FIELD_BEGIN = 1,
    FIELD_RELATION = 2,
    FIELD_ROW = 3,
    FIELD_COMMIT = 4,
    FIELD_TRUNCATE = 5,
    FIELD_MESSAGE = 6,
    FIELD_GAP = 7,
    FIELD_STREAM_START = 8,
    FIELD_STREAM_STOP = 9,
    FIELD_STREAM_ABORT = 10,
};

struct batch {
    struct LogicalDecodingContext *ctx;
    StringInfoData bytes;
};

void batch_init(struct batch *batch, struct LogicalDecodingContext *ctx);

/* Adds one event, given the packed message inside it. */
void batch_add(struct batch *batch, enum event_field field, const char *body, Size size_bytes);

/* Sends what is there, if anything. */
void batch_flush(struct batch *batch);

#endif
