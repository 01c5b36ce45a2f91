/*
 * One object of JSON per line (change/change_json.h), one for each table of a TRUNCATE.
 */
#ifndef PGFORCE_STREAM_FORMAT_JSON_H
#define PGFORCE_STREAM_FORMAT_JSON_H

#include "stream/format.h"

void format_json_print(struct buf *out, const struct event *event,
                       const struct format_options *options);

#endif
