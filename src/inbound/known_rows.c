/*
 * The invariants:
 *
 *  1. What was written here stays only when, after a barrier that came after the UPDATE, the log
 * has nothing unsettled or refused of these records and nothing that was answered since the reading
 * began. All can only come into the log for changes committed before our locks, for the rows are
 * ours until we commit.
 *  2. Otherwise the savepoint takes it back, and nothing of it was ever visible.
 */
#include "inbound/known_rows.h"

#include "archive/progress.h"
#include "inbound/stage.h"
#include "inbound/statement.h"

enum { BARRIER_TIMEOUT_MS = 10 * 1000 };

/* The ids of rows that must be judged one by one. $1: when the reading began. */
#define BUSY_IDS                                                                                   \
    "select l.record_id from @log l"                                                               \
    " where l.table_name = @n and l.state in ('NEW', 'PENDING')"                                   \
    " union all"                                                                                   \
    " select l.record_id from @log l"                                                              \
    " where l.table_name = @n and l.state = 'SUCCESS'"                                             \
    " and l.processed_at >= to_timestamp($1::bigint / 1000000.0)"

/* Or that have a value which Salesforce refused, and say so. */
#define IS_BUSY "(t._hc_lastop = 'FAILED' or t.id in (" BUSY_IDS "))"

static bool ask(const struct apply_world *world, const struct mapping *mapping, const char *format,
                bool *answer, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = statement_query(
        world->pg, mapping, format, PG_PARAMS(pg_number(world->began_us).text), err);

    if (result == NULL)
        return false;
    *answer = pg_field_bool(result, 0, 0);
    return true;
}

/* Whether the log has such entries of the staged records. The log is asked first for any at all: it
 * mostly has none, and then no row is looked up. */
static bool are_busy(const struct apply_world *world, const struct mapping *mapping, bool *are,
                     struct error *err)
{
    return ask(world, mapping,
               "select exists (" BUSY_IDS ")"
               " or exists (select from @log l where l.table_name = @n and l.state = 'FAILED')",
               are, err) &&
           (!*are || ask(world, mapping,
                         "select exists (select from @t t join @s s on s.sfid = t.sfid"
                         " where " IS_BUSY ")",
                         are, err));
}

/* Puts aside what is busy already. */
static bool put_busy_aside(const struct apply_world *world, const struct mapping *mapping,
                           int64_t *aside, struct error *err)
{
    bool are;

    *aside = 0;
    if (!are_busy(world, mapping, &are, err))
        return false;
    if (!are)
        return true;
    if (!stage_make_rest(world->pg, mapping, err))
        return false;
    PGresult *result PG_RESULT_AUTO =
        statement_query(world->pg, mapping,
                        "with busy as (delete from @s s using @t t"
                        " where t.sfid = s.sfid and " IS_BUSY " returning s.*)"
                        " insert into @r select * from busy",
                        PG_PARAMS(pg_number(world->began_us).text), err);
    if (result == NULL)
        return false;
    *aside = pg_affected(result);
    return true;
}

/* Equal rows are not written. One that somebody holds is not waited for: its page takes the careful
 * way. */
static bool write_known(struct pg *pg, const struct mapping *mapping, int64_t *written,
                        struct error *err)
{
    return pg_script(pg, "set local lock_timeout = '20ms'", err) &&
           statement_run(pg, mapping,
                         "update @t t"
                         " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                         " from @s s"
                         " where t.sfid = s.sfid"
                         " and not s._pgforce_deleted"
                         " and (@tcols) is distinct from (@scols)",
                         written, err) &&
           pg_script(pg, "set local lock_timeout = " PG_LOCK_TIMEOUT, err);
}

static bool take_back(struct pg *pg, int64_t *written, struct error *err)
{
    *written = 0;
    return pg_script(pg, "rollback to savepoint pgforce_known; release savepoint pgforce_known",
                     err);
}

/* Zero rows when they were written and a local change had come first, or when they could not be. */
static bool write_and_judge(const struct apply_world *world, const struct mapping *mapping,
                            int64_t *written, struct error *err)
{
    struct pg *pg = world->pg;
    struct error refused = {0};
    bool are_late = false;

    if (!pg_script(pg, "savepoint pgforce_known", err))
        return false;
    if (!write_known(pg, mapping, written, &refused))
        return take_back(pg, written, err);
    if (*written > 0 &&
        (!progress_barrier(world->barrier, world->schema_name, BARRIER_TIMEOUT_MS, err) ||
         !are_busy(world, mapping, &are_late, err)))
        return false;
    if (are_late)
        return take_back(pg, written, err);
    return pg_script(pg, "release savepoint pgforce_known", err);
}

bool known_rows_write(const struct apply_world *world, const struct stage *stage,
                      struct apply_report *report, bool *is_all, struct error *err)
{
    const struct mapping *mapping = stage->mapping;
    int64_t written = 0;
    int64_t aside;

    if (!put_busy_aside(world, mapping, &aside, err) ||
        !write_and_judge(world, mapping, &written, err))
        return false;
    report->updated += written;
    *is_all = written == stage->rows;
    return aside == 0 || stage_return_rest(world->pg, mapping, err);
}
