#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct clock_text clock_format_utc(int64_t wall_us)
{
    int64_t micros = wall_us % 1000000;
    struct clock_text text;
    struct tm tm;

    if (micros < 0)
        micros += 1000000;
    time_t seconds = (time_t)((wall_us - micros) / 1000000);
    gmtime_r(&seconds, &tm);
    int used = (int)strftime(text.text, sizeof(text.text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text.text + used, sizeof(text.text) - (size_t)used, ".%06dZ", (int)micros);
    return text;
}
