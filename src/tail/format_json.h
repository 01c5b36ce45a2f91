/*
 * One object of JSON per line (change/change_json.h), one for each table of a TRUNCATE.
 */
#ifndef PGFORCE_TAIL_FORMAT_JSON_H
#define PGFORCE_TAIL_FORMAT_JSON_H

#include "tail/format.h"

void format_json_print(struct buf *out, const struct event *event,
                       const struct format_options *options);

#endif
