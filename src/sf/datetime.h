/*
 * Salesforce's dates and times as microseconds since 1970-01-01 00:00:00 UTC.
 *
 * Read in its three dialects: "2026-01-31T10:20:30.000+0000" (REST), "....000Z" (Bulk), "...Z"
 * (events), and with any offset ("+01:00"); written in the first, or as SOQL wants it. Years 1 to
 * 9999. Pure.
 */
#ifndef PGFORCE_SF_DATETIME_H
#define PGFORCE_SF_DATETIME_H

#include <stdbool.h>
#include <stdint.h>

struct sf_datetime_text {
    char text[40];
};

/* Strict: the whole text must be a date and a time with an offset. */
bool sf_datetime_parse(const char *text, int64_t *out_us);

/* "2026-01-31T10:20:30.000+0000"; digits beyond milliseconds are cut towards the past. */
struct sf_datetime_text sf_datetime_format(int64_t time_us);

/* "2026-01-31T10:20:30.000Z", fit for a SOQL condition and for getUpdated. */
struct sf_datetime_text sf_datetime_format_utc(int64_t time_us);

/* "Sun, 06 Nov 1994 08:49:37 GMT", for a header of HTTP. */
struct sf_datetime_text sf_datetime_format_http(int64_t time_s);

/* The Date header of HTTP, in seconds since 1970; false when it is none. */
bool sf_datetime_parse_http(const char *text, int64_t *out_s);

#endif
