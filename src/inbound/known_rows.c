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
#include "archive/unsettled.h"
#include "inbound/stage.h"
#include "inbound/statement.h"

enum { BARRIER_TIMEOUT_MS = 10 * 1000 };

/*
 * The staged records whose rows must be judged one by one: those of which an entry waits, or was
 * answered since, and those that have a value which Salesforce refused, and say so.
 *
 * OFFSET 0: the rows are found first. Else the planner, which takes it that the ids are gathered
 * anew for each of them, reads the whole table instead.
 */
#define BUSY                                                                                       \
    " from (select s.sfid, t.id, t._hc_lastop from @s s join @t t on t.sfid = s.sfid offset 0) t"  \
    " where t._hc_lastop = 'FAILED'"                                                               \
    " or (select true from @log l where l.table_name = @n and l.record_id = t.id"                  \
    " and " UNSETTLED_UNSENT " limit 1)"                                                           \
    " or t.id" IN_LIST STATEMENT_ANSWERED IN_LIST_END

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
 * mostly has none, and then no row is looked up. Then they are counted: the planner, asked whether
 * there is one, trusts to find it soon, and compares each row with each record when there is none.
 */
static bool are_busy(const struct apply_world *world, const struct mapping *mapping, bool *are,
                     struct error *err)
{
    return ask(world, mapping,
               "select exists (select from @log l where l.table_name = @n"
               " and l.state in ('NEW', 'PENDING'))"
               " or exists (" STATEMENT_ANSWERED ")"
               " or exists (select from @log l where l.table_name = @n and l.state = 'FAILED')",
               are, err) &&
           (!*are || ask(world, mapping, "select count(*) > 0" BUSY, are, err));
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
                        "with busy as (delete from @s"
                        " where (sfid" IN_LIST "select t.sfid" BUSY IN_LIST_END ") is true"
                        " returning *)"
                        " insert into @r select * from busy",
                        PG_PARAMS(pg_number(world->began_us).text), err);
    if (result == NULL)
        return false;
    *aside = pg_affected(result);
    return true;
}

/* Equal rows are not written. One that somebody holds is not waited for: its page takes the careful
 * way. */
static bool send_update(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return pg_script(pg, "savepoint pgforce_known; set local lock_timeout = '20ms'", err) &&
           statement_send(pg, mapping,
                          "update @t t"
                          " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                          " from @s s"
                          " where t.sfid = s.sfid"
                          " and not s._pgforce_deleted"
                          " and (@tcols) is distinct from (@scols)",
                          err);
}

bool known_rows_begin(struct apply_work *work, struct error *err)
{
    const struct mapping *mapping = work->page->mapping;

    return put_busy_aside(work->world, mapping, &work->aside, err) &&
           send_update(work->world->pg, mapping, err);
}

static bool take_back(struct pg *pg, int64_t *written, struct error *err)
{
    *written = 0;
    return pg_script(pg, "rollback to savepoint pgforce_known; release savepoint pgforce_known",
                     err);
}

/* Zero rows when they were written and a local change had come first, or when they could not be. */
static bool judge(const struct apply_world *world, const struct mapping *mapping, int64_t *written,
                  struct error *err)
{
    struct pg *pg = world->pg;
    struct error refused = {0};
    bool are_late = false;
    PGresult *result PG_RESULT_AUTO = pg_receive(pg, &refused);

    if (result == NULL)
        return take_back(pg, written, err);
    *written = pg_affected(result);
    if (*written > 0 &&
        (!progress_barrier(world->barrier, world->schema_name, BARRIER_TIMEOUT_MS, err) ||
         !are_busy(world, mapping, &are_late, err)))
        return false;
    if (are_late)
        return take_back(pg, written, err);
    return pg_script(
        pg, "release savepoint pgforce_known; set local lock_timeout = " PG_LOCK_TIMEOUT, err);
}

bool known_rows_end(const struct apply_work *work, struct apply_report *report, bool *is_all,
                    struct error *err)
{
    const struct mapping *mapping = work->page->mapping;
    int64_t written = 0;

    if (!judge(work->world, mapping, &written, err))
        return false;
    report->updated += written;
    *is_all = written == work->stage.rows;
    return work->aside == 0 || stage_return_rest(work->world->pg, mapping, err);
}
