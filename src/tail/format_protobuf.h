/*
 * The events as they are in proto/change.proto: all that is written is one valid Batch.
 */
#ifndef PGFORCE_TAIL_FORMAT_PROTOBUF_H
#define PGFORCE_TAIL_FORMAT_PROTOBUF_H

#include "tail/format.h"

void format_protobuf_print(struct buf *out, const struct event *event,
                           const struct format_options *options);

#endif
