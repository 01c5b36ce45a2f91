#include "sync/watermark.h"

#include <stddef.h>

static const int64_t SECOND_US = 1000000;
static const int64_t MINUTE_US = 60 * INT64_C(1000000);
static const int64_t DELETIONS_KEPT_US = 15 * 24 * 3600 * INT64_C(1000000);

static int64_t floor_to(int64_t time_us, int64_t grain_us)
{
    return time_us > 0 ? time_us / grain_us * grain_us : 0;
}

static int64_t least_known(int64_t left_us, int64_t right_us)
{
    if (left_us <= 0)
        return right_us;
    return right_us <= 0 || left_us < right_us ? left_us : right_us;
}

struct watermark_limits watermark_default_limits(void)
{
    return (struct watermark_limits){.lag_us = 5 * MINUTE_US, .overlap_us = MINUTE_US};
}

struct watermark_window watermark_window(int64_t mark_us, const struct watermark_limits *limits)
{
    struct watermark_window window = {.from_us = floor_to(mark_us - limits->overlap_us, SECOND_US)};

    /* From the mark, not from the overlap before it: else a short step would never pass the mark.
     */
    if (mark_us > 0 && limits->step_us > 0)
        window.to_us = floor_to(mark_us + limits->step_us, SECOND_US) + SECOND_US;
    return window;
}

int64_t watermark_after(const struct watermark_poll *poll, const struct watermark_limits *limits)
{
    int64_t clock_us = poll->server_time_us > 0 ? poll->server_time_us : poll->latest_seen_us;
    int64_t settled_us = clock_us - limits->lag_us;

    if (settled_us <= 0 && poll->covered_us <= 0)
        return poll->mark_us;
    int64_t next_us = least_known(least_known(settled_us, poll->covered_us), poll->window.to_us);
    next_us = floor_to(least_known(next_us, poll->held_us), SECOND_US);
    return next_us > poll->mark_us ? next_us : poll->mark_us;
}

/* getDeleted ignores the seconds of both bounds and wants them more than a minute apart. */
struct watermark_deletions watermark_deletions(int64_t mark_us, int64_t server_time_us)
{
    struct watermark_deletions deletions = {.to_us = floor_to(server_time_us, MINUTE_US)};
    int64_t latest_from_us = deletions.to_us - 2 * MINUTE_US;
    int64_t earliest_from_us = deletions.to_us - DELETIONS_KEPT_US + 2 * MINUTE_US;

    deletions.from_us = mark_us > 0 ? floor_to(mark_us, MINUTE_US) : latest_from_us;
    if (deletions.from_us > latest_from_us)
        deletions.from_us = latest_from_us;
    if (deletions.from_us < earliest_from_us) {
        deletions.from_us = earliest_from_us;
        deletions.is_lost = true;
    }
    return deletions;
}

int64_t watermark_deletions_after(const struct watermark_deleted *deleted)
{
    /* A minute for what the clocks may differ by from one to the other. */
    int64_t sent_us = deleted->server_time_us - deleted->create_age_us - MINUTE_US;
    bool may_be_ours = deleted->create_age_us > 0 && sent_us < deleted->covered_us;
    int64_t next_us = may_be_ours ? sent_us : deleted->covered_us;

    return next_us > deleted->mark_us ? next_us : deleted->mark_us;
}

bool watermark_deletions_lost(int64_t mark_us, int64_t earliest_available_us)
{
    return mark_us > 0 && earliest_available_us > mark_us;
}
