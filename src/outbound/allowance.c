#include "outbound/allowance.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "mapping/usage.h"

enum { LOOK_MS = 1000 };

static void tell(struct allowance *allowance, const struct sf_limits *limits)
{
    enum budget_band band = budget_band(limits->used, limits->max);

    if (band == allowance->band)
        return;
    allowance->band = band;
    log_warning("the organisation's API requests", log_text("band", budget_band_name(band)),
                log_number("used", limits->used), log_number("max", limits->max));
}

/* One request, the answer of which says how many there have been. */
static void ask(const struct allowance *allowance)
{
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .path = "/limits"};
    struct error ignored;

    sf_request(allowance->session, &call, 1, &ignored);
}

bool allowance_note(struct allowance *allowance, struct error *err)
{
    int64_t requests = sf_session_requests(allowance->session);

    if (requests == allowance->noted)
        return true;
    allowance->noted = requests;
    return usage_note(allowance->pg, allowance->schema_name, allowance->session, err);
}

/* Other roles may hear earlier than we that requests have become available. */
bool allowance_wait(struct allowance *allowance, struct error *err)
{
    int64_t began_ms = clock_monotonic_ms();
    struct sf_limits limits;

    for (;;) {
        if (!usage_read(allowance->pg, allowance->schema_name, &limits, err))
            return false;
        /* What was stored before this process began may be of another day. */
        if (allowance->noted == 0 && budget_band(limits.used, limits.max) != BUDGET_FREE) {
            ask(allowance);
            if (!allowance_note(allowance, err) ||
                !usage_read(allowance->pg, allowance->schema_name, &limits, err))
                return false;
        }
        tell(allowance, &limits);
        int64_t pause_ms = budget_pause_ms(limits.used, limits.max);
        if (clock_monotonic_ms() - began_ms >= pause_ms) {
            if (budget_band(limits.used, limits.max) != BUDGET_RESERVE)
                return true;
            ask(allowance);
            if (!allowance_note(allowance, err))
                return false;
            began_ms = clock_monotonic_ms();
        }
        if (wait_for(-1, 0, LOOK_MS) == WAIT_STOP)
            return true;
    }
}

static bool is_used_up(const struct mapping *mapping, int64_t calls)
{
    return mapping->max_daily_api_calls > 0 && calls >= mapping->max_daily_api_calls;
}

bool allowance_hold(const struct allowance *allowance, const struct mapping_list *mappings,
                    struct plan *plan, struct arena *arena, struct error *err)
{
    int64_t *calls;

    if (!usage_read_counts(allowance->pg, mappings, arena, &calls, err))
        return false;
    for (size_t i = 0; i < plan->queue->count; i++) {
        const struct mapping *mapping = plan->entries[i].mapping;

        if (mapping != NULL && is_used_up(mapping, calls[mapping - mappings->items]))
            plan->orders[i].is_held = true;
    }
    for (size_t i = 0; i < mappings->count; i++)
        if (is_used_up(&mappings->items[i], calls[i]))
            log_warning("a mapping's API requests of the day are used up",
                        log_text("mapping", mappings->items[i].object_name),
                        log_number("max", mappings->items[i].max_daily_api_calls));
    return true;
}
