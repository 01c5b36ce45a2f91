/*
 * The envelope of Debezium's PostgreSQL connector, as its JSON converter writes it, one per line:
 *
 *     {"schema":null,"payload":{"before":...,"after":...,"source":{...},"op":"u","ts_ms":...}}
 *
 * Integers and floating-point numbers are JSON numbers (NaN and infinity are strings), booleans are
 * booleans, all else is the type's own text. A value that is not known is Debezium's
 * placeholder, "__debezium_unavailable_value". A gap is a message with the prefix "pgforce.gap".
 * Source: Debezium documentation, PostgreSQL connector, "Data change events".
 */
#ifndef PGFORCE_TAIL_FORMAT_DEBEZIUM_H
#define PGFORCE_TAIL_FORMAT_DEBEZIUM_H

#include "tail/format.h"

void format_debezium_print(struct buf *out, const struct event *event,
                           const struct format_options *options);

#endif
