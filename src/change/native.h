/*
 * The native forms of proto/change.proto (Value), rendered exactly as PostgreSQL's own text output
 * with DateStyle ISO. Every input has a rendering; only finite values are ever sent.
 *
 * Source: PostgreSQL documentation, "Date/Time Types" (ISO output) and "Integer Types".
 */
#ifndef PGFORCE_CHANGE_NATIVE_H
#define PGFORCE_CHANGE_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* Room that every rendering fits in. */
enum { NATIVE_BYTES = 48 };

/* Each writes without a terminating zero and answers the number of bytes. */
size_t native_integer(char text[NATIVE_BYTES], int64_t value);
size_t native_date(char text[NATIVE_BYTES], int32_t days_since_2000);
size_t native_timestamp(char text[NATIVE_BYTES], int64_t us_since_2000);

#endif
