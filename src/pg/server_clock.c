#include "pg/server_clock.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

/* A clock that is slewed goes wrong by less between two looks. */
enum { STEP_MS = 5000, LONGEST_LOOK_MS = 1000, LOOKS = 4 };

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

static bool read_clock(struct pg *pg, int64_t *server_ms, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(
        pg, "select (extract(epoch from clock_timestamp()) * 1000)::bigint", PG_PARAMS(), err);

    if (result == NULL)
        return error_prefix(err, "reading the server's clock");
    *server_ms = pg_field_int64(result, 0, 0);
    return true;
}

/* An answer that took long says little: it is asked again, but not for ever. */
bool server_clock_look(struct pg *pg, struct server_clock *clock, int64_t *steady_ms,
                       struct error *err)
{
    int64_t took_ms = INT64_MAX;
    int64_t server_ms = 0;

    for (int looks = 0; looks < LOOKS && took_ms > LONGEST_LOOK_MS; looks++) {
        int64_t began_ms = clock_monotonic_ms();

        if (!read_clock(pg, &server_ms, err))
            return false;
        took_ms = clock_monotonic_ms() - began_ms;
    }
    *steady_ms = server_clock_note(clock, server_ms, clock_monotonic_ms());
    if (*steady_ms == 0)
        log_warning("the server's clock was set");
    return true;
}
