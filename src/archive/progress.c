#include "archive/progress.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/wait.h"

/* Asked for soon, then less often: after a large transaction the archive has much to read. */
enum { FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 16 };

bool progress_load(struct pg *pg, const char *schema_name, struct progress *progress,
                   struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select slot_name, system_identifier, timeline, commit_end_lsn"
                 " from pgforce.progress"
                 " where schema_name = $1",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return err->kind == ERROR_CONFIG
                   ? error_prefix(err, "pgforce is not set up here: run `pgforce setup`")
                   : false;
    if (PQntuples(result) == 0)
        return error_set(err, ERROR_CONFIG,
                         "schema \"%s\" is not set up for pgforce: run `pgforce setup`",
                         schema_name);
    snprintf(progress->slot_name, sizeof(progress->slot_name), "%s", pg_field(result, 0, 0));
    snprintf(progress->system_identifier, sizeof(progress->system_identifier), "%s",
             pg_field(result, 0, 1));
    progress->timeline = (int)pg_field_int64(result, 0, 2);
    progress->commit_end_lsn = pg_field_lsn(result, 0, 3);
    return true;
}

bool progress_start(struct pg *pg, const char *schema_name, const struct progress *progress,
                    struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.progress"
                  " (schema_name, slot_name, system_identifier, timeline, commit_end_lsn)"
                  " values ($1, $2, $3, $4, $5)"
                  " on conflict (schema_name) do update"
                  " set slot_name = excluded.slot_name,"
                  " system_identifier = excluded.system_identifier,"
                  " timeline = excluded.timeline,"
                  " commit_end_lsn = excluded.commit_end_lsn,"
                  " updated_at = now()",
                  PG_PARAMS(schema_name, progress->slot_name, progress->system_identifier,
                            pg_number(progress->timeline).text,
                            lsn_format(progress->commit_end_lsn).text),
                  err);
}

bool progress_follow_timeline(struct pg *pg, const char *schema_name, int timeline,
                              struct error *err)
{
    return pg_run(pg,
                  "update pgforce.progress"
                  " set timeline = $2, updated_at = now()"
                  " where schema_name = $1",
                  PG_PARAMS(schema_name, pg_number(timeline).text), err);
}

bool progress_lock(struct pg *pg, const char *schema_name, lsn_t *commit_end_lsn, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query_prepared(pg, "pgforce_lock_progress",
                                                        "select commit_end_lsn"
                                                        " from pgforce.progress"
                                                        " where schema_name = $1"
                                                        " for update",
                                                        PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return error_set(err, ERROR_CONFIG,
                         "the progress of schema \"%s\" is gone: run `pgforce setup`", schema_name);
    *commit_end_lsn = pg_field_lsn(result, 0, 0);
    return true;
}

bool progress_store(struct pg *pg, const char *schema_name, lsn_t commit_end_lsn, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query_prepared(pg, "pgforce_store_progress",
                          "update pgforce.progress"
                          " set commit_end_lsn = $2, updated_at = now()"
                          " where schema_name = $1",
                          PG_PARAMS(schema_name, lsn_format(commit_end_lsn).text), err);

    return result != NULL;
}

/* COMMITs stand in the WAL in their order, and this session's wait for the disk. */
bool progress_flush(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_run(pg,
                  "update pgforce.progress"
                  " set commit_end_lsn = commit_end_lsn"
                  " where schema_name = $1",
                  PG_PARAMS(schema_name), err);
}

/*
 * A transactional message is the smallest transaction that the slot delivers: its commit lies
 * behind everything committed before, so a progress that has passed it has passed all that.
 */
static bool emit_marker(struct pg *pg, lsn_t *lsn, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg, "select pg_logical_emit_message(true, $1, '')",
                                               PG_PARAMS(PROGRESS_BARRIER_PREFIX), err);

    if (result == NULL)
        return false;
    *lsn = pg_field_lsn(result, 0, 0);
    return true;
}

bool progress_barrier(struct pg *pg, const char *schema_name, int timeout_ms, struct error *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    int pause_ms = FIRST_PAUSE_MS;
    struct progress progress;
    lsn_t marker;

    if (!emit_marker(pg, &marker, err))
        return false;
    for (;;) {
        if (!progress_load(pg, schema_name, &progress, err))
            return false;
        if (progress.commit_end_lsn > marker)
            return true;
        if (clock_monotonic_ms() >= deadline_ms)
            return error_set(err, ERROR_RETRY,
                             "the archive role is behind: changes up to %s are in the log, %s is"
                             " wanted (is `pgforce archive` running?)",
                             lsn_format(progress.commit_end_lsn).text, lsn_format(marker).text);
        if (wait_for(-1, 0, pause_ms) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop");
        pause_ms = pause_ms < LONGEST_PAUSE_MS ? 2 * pause_ms : LONGEST_PAUSE_MS;
    }
}
