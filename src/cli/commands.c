#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/progress.h"
#include "cli/load_progress.h"
#include "cli/org_call.h"
#include "cli/truncation_command.h"
#include "control/vitals.h"
#include "mapping/connection.h"
#include "mapping/report.h"
#include "mapping/state.h"
#include "mapping/usage.h"
#include "stream/slot.h"
#include "sync/budget.h"

static bool print_connection(struct pg *pg, const struct config *config, struct error *err)
{
    const char *state;

    if (!connection_state(pg, config->schema_name, &state, err))
        return false;
    printf("connection %s: %s\n", state, state_find_connection(state)->meaning);
    return true;
}

static bool print_progress(struct pg *pg, const struct config *config, struct error *err)
{
    struct progress progress;
    struct slot slot;

    if (!progress_load(pg, config->schema_name, &progress, err) ||
        !slot_read(pg, progress.slot_name, &slot, err))
        return false;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, "select pg_size_pretty(pg_current_wal_lsn() - $1::pg_lsn)",
                 PG_PARAMS(lsn_format(slot.restart_lsn).text), err);
    if (result == NULL)
        return false;
    printf("slot       %s: %s, retains %s of WAL\n", progress.slot_name,
           !slot.exists           ? "MISSING"
           : slot.active_pid != 0 ? "read by the archive role"
                                  : "nobody reads it (is `pgforce archive` running?)",
           slot.exists ? PQgetvalue(result, 0, 0) : "nothing");
    printf("archived   up to %s\n", lsn_format(progress.commit_end_lsn).text);
    return true;
}

static bool print_queue(struct pg *pg, const struct config *config, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select state, count(*), to_char(min(created_at) at time zone 'UTC',"
                   " 'YYYY-MM-DD HH24:MI:SS') from ");
    pg_append_identifier(&sql, config->schema_name);
    buf_text(&sql, "._trigger_log group by state order by state");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    printf("\n%-10s %10s  %s\n", "log state", "entries", "oldest (UTC)");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-10s %10s  %s\n", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
               PQgetvalue(result, i, 2));
    return true;
}

static bool print_usage(struct pg *pg, const struct config *config, struct error *err)
{
    static const char *const what_follows[] = {[BUDGET_FREE] = "",
                                               [BUDGET_CAREFUL] = "; writes are slowed down",
                                               [BUDGET_RESERVE] =
                                                   "; writes wait until there are more"};
    struct sf_limits limits;

    if (!usage_read(pg, config->schema_name, &limits, err))
        return false;
    if (limits.max > 0)
        printf("\nAPI requests of the last 24 hours: %" PRId64 " of %" PRId64 "%s\n", limits.used,
               limits.max, what_follows[budget_band(limits.used, limits.max)]);
    return true;
}

static bool print_mappings(struct pg *pg, const struct config *config, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select m.object_name, m.table_name, m.access, m.state,"
                 " coalesce(to_char(w.polled_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ''),"
                 " concat_ws('; ', m.state_description,"
                 " 'cannot be read since ' || to_char(w.failing_since at time zone 'UTC',"
                 " 'YYYY-MM-DD HH24:MI:SS') || ': ' || w.failing_reason, (select format("
                 "'%s to be tried again: %s', case w ->> 'count' when '1' then '1 write waits'"
                 " else w ->> 'count' || ' writes wait' end, w ->> 'message')"
                 " from (select " REPORT_WAITING_WRITES ") as x(w) where w is not null))"
                 " from pgforce.mapping m"
                 " left join pgforce.watermark w on w.mapping_id = m.id"
                 " where m.schema_name = $1"
                 " order by m.object_name",
                 PG_PARAMS(config->schema_name), err);

    if (result == NULL)
        return false;
    printf("\n%-24s %-24s %-10s %-14s %-19s\n", "object", "table", "access", "state",
           "polled (UTC)");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-24s %-24s %-10s %-14s %-19s %s\n", PQgetvalue(result, i, 0),
               PQgetvalue(result, i, 1), PQgetvalue(result, i, 2), PQgetvalue(result, i, 3),
               PQgetvalue(result, i, 4), PQgetvalue(result, i, 5));
    return true;
}

static bool print_json(struct pg *pg, const struct config *config, struct error *err)
{
    json_t *vitals ORG_CALL_JSON_AUTO = NULL;

    if (!vitals_read(pg, config->schema_name, &config->limits, &vitals, err))
        return false;
    org_call_print_json(vitals);
    return true;
}

static bool print_text(struct pg *pg, const struct config *config, struct error *err)
{
    return print_connection(pg, config, err) && print_progress(pg, config, err) &&
           print_queue(pg, config, err) && print_usage(pg, config, err) &&
           print_mappings(pg, config, err) &&
           load_progress_print(pg, config->schema_name, NULL, err) &&
           truncation_command_print(pg, config, err);
}

bool commands_status(const struct config *config, bool is_json, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce status", err);
    bool is_ok =
        pg != NULL && (is_json ? print_json(pg, config, err) : print_text(pg, config, err));

    pg_close(pg);
    return is_ok;
}
