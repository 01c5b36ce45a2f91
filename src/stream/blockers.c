#include "stream/blockers.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/*
 * The waiting process sleeps on the lock of one transaction at a time. Process 0 is a prepared
 * transaction, which nobody's session holds. Who may not read others' activity (pg_read_all_stats)
 * sees no start.
 */
static const char *const question =
    "select string_agg(who, '; ') from ("
    "select format('process %s, user %s, application \"%s\", %s, since %s', a.pid,"
    " coalesce(a.usename, '?'), a.application_name, coalesce(a.state, 'state unknown'),"
    " coalesce(to_char(a.xact_start, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    " 'a time that only pg_read_all_stats may see')) as who"
    " from pg_stat_activity a"
    " where a.pid = any(pg_blocking_pids($1::integer))"
    " union all"
    " select format('prepared transaction %L of %s, since %s', p.gid, p.owner,"
    " to_char(p.prepared, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))"
    " from pg_prepared_xacts p"
    " where 0 = any(pg_blocking_pids($1::integer))) as blockers";

void blockers_tell(void *context)
{
    struct blockers *blockers = context;
    struct error ignored = {0};

    if (blockers->pg == NULL)
        blockers->pg = pg_open(blockers->url, "pgforce", &ignored);
    if (blockers->pg == NULL)
        return;
    PGresult *result PG_RESULT_AUTO =
        pg_query(blockers->pg, question, PG_PARAMS(pg_number(blockers->pid).text), &ignored);
    const char *who = result != NULL ? pg_field(result, 0, 0) : NULL;
    if (who == NULL || strncmp(who, blockers->told, sizeof(blockers->told) - 1) == 0)
        return;
    snprintf(blockers->told, sizeof(blockers->told), "%s", who);
    log_warning("waiting for older transactions to end before the slot can begin",
                log_text("transactions", who));
}

void blockers_done(struct blockers *blockers)
{
    pg_close(blockers->pg);
    blockers->pg = NULL;
}
