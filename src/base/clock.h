/*
 * The two clocks. Deadlines and back-off use the monotonic one, which never jumps; the wall clock
 * is for display and for stamping what a reader will see. Decisions (src/sync) use neither: time
 * comes to them as an argument.
 */
#ifndef PGFORCE_BASE_CLOCK_H
#define PGFORCE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_monotonic_ms(void);

/* Microseconds since 1970-01-01 00:00:00 UTC. */
int64_t clock_wall_us(void);

/* RFC 3339 in UTC with microseconds: "2026-11-21T10:20:30.000000Z". */
struct clock_text {
    char text[40];
};

struct clock_text clock_format_utc(int64_t wall_us);

#endif
