#include "pg/server_clock.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

/* A clock that is slewed goes wrong by less between two looks, and a look takes less. */
enum { STEP_MS = 5000 };

int64_t server_clock_note(struct server_clock *clock, int64_t server_ms, int64_t own_ms)
{
    int64_t step_ms = (server_ms - clock->server_ms) - (own_ms - clock->own_ms);

    if (clock->is_known && llabs(step_ms) > STEP_MS) {
        clock->was_set = true;
        clock->set_at_ms = own_ms;
    }
    clock->is_known = true;
    clock->server_ms = server_ms;
    clock->own_ms = own_ms;
    return clock->was_set ? own_ms - clock->set_at_ms : INT64_MAX;
}

void server_clock_doubt(struct server_clock *clock, int64_t before_ms, int64_t far_ms)
{
    if (llabs(clock->server_ms - before_ms) <= far_ms)
        return;
    clock->was_set = true;
    clock->set_at_ms = clock->own_ms;
}

bool server_clock_look(struct pg *pg, struct server_clock *clock, int64_t *steady_ms,
                       struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "select (extract(epoch from clock_timestamp()) * 1000)::bigint", PG_PARAMS(), err);

    if (result == NULL)
        return error_prefix(err, "reading the server's clock");
    *steady_ms = server_clock_note(clock, pg_field_int64(result, 0, 0), clock_monotonic_ms());
    if (*steady_ms == 0)
        log_warning("the server's clock was set, or the session had to wait");
    return true;
}
