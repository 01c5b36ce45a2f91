/*
 * Dates and times as Salesforce writes and reads them: whole seconds, always UTC.
 *
 * A datetime is kept as the text that REST answers ("2026-01-31T10:20:30.000+0000"), whose order as
 * text is its order in time; numbers here are seconds since 1970.
 */
#ifndef PGFORCE_SANDBOX_TIMES_H
#define PGFORCE_SANDBOX_TIMES_H

#include <stdbool.h>
#include <stdint.h>

struct times_text {
    char text[40];
};

struct times_text times_format_datetime(int64_t seconds);
struct times_text times_format_date(int64_t seconds);

/* RFC 1123, for the Date, Last-Modified and similar headers. */
struct times_text times_format_http(int64_t seconds);
bool times_parse_http(const char *text, int64_t *seconds);

/* "2026-01-31T10:20:30" with optional fraction and Z, +01:00 or +0100; the zone may be left out
 * only when zone_is_optional. */
bool times_parse_datetime(const char *text, bool zone_is_optional, int64_t *seconds);

/* Exactly "2026-01-31"; answers its first second. */
bool times_parse_date(const char *text, int64_t *seconds);

/* "18:30:00", with optional fraction and Z; answers "18:30:00.000Z". */
bool times_parse_time(const char *text, struct times_text *time);

#endif
