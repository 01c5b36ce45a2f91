#include "sync/budget.h"

enum { CAREFUL_PERCENT = 80, RESERVE_PERCENT = 95 };
enum { LEAST_PAUSE_MS = 1000, MOST_PAUSE_MS = 60 * 1000, RESERVE_PAUSE_MS = 300 * 1000 };

static int64_t share(int64_t max, int percent)
{
    return max / 100 * percent + max % 100 * percent / 100;
}

enum budget_band budget_band(int64_t used, int64_t max)
{
    if (max <= 0 || used < share(max, CAREFUL_PERCENT))
        return BUDGET_FREE;
    return used < share(max, RESERVE_PERCENT) ? BUDGET_CAREFUL : BUDGET_RESERVE;
}

int64_t budget_pause_ms(int64_t used, int64_t max)
{
    int64_t from = share(max, CAREFUL_PERCENT);
    int64_t to = share(max, RESERVE_PERCENT);

    switch (budget_band(used, max)) {
    case BUDGET_FREE: return 0;
    case BUDGET_RESERVE: return RESERVE_PAUSE_MS;
    case BUDGET_CAREFUL: break;
    }
    double done = (double)(used - from) / (double)(to - from);
    return LEAST_PAUSE_MS + (int64_t)(done * (MOST_PAUSE_MS - LEAST_PAUSE_MS));
}

const char *budget_band_name(enum budget_band band)
{
    static const char *const names[] = {"free", "careful", "reserve"};

    return names[band];
}
