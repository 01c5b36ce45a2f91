/*
 * The invariants of applying:
 *
 *  1. Rows, and the watermark that covers them, are committed together.
 *  2. A row is locked before the barrier and the barrier is passed before it is written for good: a
 *     local change is either in the log, and merged, or comes after us.
 *  3. A row that differs in nothing is not written.
 *  4. What cannot be applied now is counted as held, and the caller does not move the watermark.
 *  5. A record that was read before our own write to it was answered is not applied: it would undo
 *     what was written.
 *  6. What the table refuses is recorded in the same transaction: it is read again, by its id.
 */
#include "inbound/apply.h"

#include "archive/progress.h"
#include "archive/unsettled.h"
#include "inbound/announce.h"
#include "inbound/changes.h"
#include "inbound/known_rows.h"
#include "inbound/merge_rows.h"
#include "inbound/refusals.h"
#include "inbound/statement.h"
#include "inbound/write_rows.h"
#include "pg/origin.h"

/* As in deletions.c. */
#define GUARD_ROWS    "100"
#define GUARD_PERCENT "5"

/* Half of lag and overlap: the two clocks may differ by the rest. */
#define SURELY_READ_AGAIN "'180 seconds'"

enum { BARRIER_TIMEOUT_MS = 10 * 1000 };

/*
 * A deleted record that no row knows may be the one that an INSERT without an answer has made: its
 * row would be bound to a dead record. A young INSERT is no reason to wait, for the deletion is
 * read again with the last minutes.
 */
static bool hold_unknown_deletions(struct pg *pg, const struct mapping *mapping, struct held *held,
                                   struct error *err)
{
    static const char format[] =
        "delete from @s s"
        " where s._pgforce_deleted"
        " and not exists (select from @t t where t.sfid = s.sfid)"
        " and exists (select from pgforce.delivery d"
        " cross join lateral (select * from @log where id = d.log_id offset 0) l"
        " where d.mapping_id = @id"
        " and d.action = 'INSERT'"
        " and d.sent_at not between clock_timestamp() - interval " SURELY_READ_AGAIN
        " and clock_timestamp()"
        " and l.table_name = @n"
        " and (l.state = 'PENDING'"
        " or (l.state = 'NEW' and d.was_in_doubt and d.trace is not null)))";

    return held_take_out(pg, &(struct held_rows){.mapping = mapping, .format = format}, held, err);
}

/*
 * Leaves in the staging table only what is new or different, so that an overlapping poll, which
 * reads mostly what is known, costs one anti-join and no lock.
 */
static bool drop_equal_rows(struct pg *pg, const struct mapping *mapping, struct held *held,
                            struct error *err)
{
    int64_t ignored = 0;

    return statement_run(pg, mapping,
                         "delete from @s s"
                         " using @t t"
                         " where t.sfid = s.sfid"
                         " and not s._pgforce_deleted"
                         " and (@tcols) is not distinct from (@scols)",
                         &ignored, err) &&
           hold_unknown_deletions(pg, mapping, held, err) &&
           statement_run(pg, mapping,
                         "delete from @s s"
                         " where s._pgforce_deleted"
                         " and not exists (select from @t t where t.sfid = s.sfid and not @gone)",
                         &ignored, err);
}

/*
 * Where the operator wants to see mass deletions first: those of this reading that would make too
 * many are put aside.
 */
static bool hold_deletions(const struct apply_world *world, const struct apply_page *page,
                           const struct apply_report *report, struct error *err)
{
    int64_t ignored = 0;

    if (!world->confirms_all_deletions || page->is_confirmed)
        return true;
    PGresult *result PG_RESULT_AUTO = statement_query(
        world->pg, page->mapping,
        "with much as ("
        "select from @s where _pgforce_deleted"
        " having count(*) + $1::bigint > greatest(" GUARD_ROWS ","
        " (select count(*) from @t) * " GUARD_PERCENT " / 100))"
        " insert into pgforce.held_deletion (mapping_id, sfid)"
        " select $2, sfid from @s"
        " where _pgforce_deleted and exists (select from much)"
        " on conflict (mapping_id, sfid) do nothing",
        PG_PARAMS(pg_number(report->deleted).text, pg_number(page->mapping->id).text), err);
    return result != NULL && statement_run(world->pg, page->mapping,
                                           "delete from @s s"
                                           " using pgforce.held_deletion h"
                                           " where s._pgforce_deleted"
                                           " and h.mapping_id = @id"
                                           " and h.sfid = s.sfid",
                                           &ignored, err);
}

static bool count_staged(struct pg *pg, const struct mapping *mapping, int64_t *count,
                         struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(pg, mapping, "select count(*) from @s", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *count = pg_field_int64(result, 0, 0);
    return true;
}

/* Locks the rows we are about to write; those that somebody else holds are put off. */
static bool lock_rows(struct pg *pg, const struct mapping *mapping, struct held *held,
                      struct error *err)
{
    static const char format[] =
        "with candidates as ("
        "select t.id, s.sfid"
        " from @s s join @t t on t.sfid = s.sfid"
        " union all"
        " select t.id, s.sfid"
        " from @s s join @t t on @key"
        " where t.sfid is null),"
        " locked as ("
        "select id from @t where id in (select id from candidates)"
        " for update skip locked)"
        " delete from @s s"
        " using candidates c"
        " where c.sfid = s.sfid"
        " and (c.id" IN_LIST "select id from locked" IN_LIST_END ") is not true";

    return held_take_out(pg, &(struct held_rows){.mapping = mapping, .format = format}, held, err);
}

/*
 * A record whose own INSERT is on its way: the answer will bring its sfid. By its unique identifier
 * it is known also where the row has been deleted meanwhile; without one no unknown record can be
 * told from it, so all unknown ones wait.
 */
static bool hold_own_inserts(struct pg *pg, const struct mapping *mapping, struct held *held,
                             struct error *err)
{
    static const char *const formats[] = {
        "delete from @s s"
        " using @t t"
        " where t.sfid is null"
        " and @key"
        " and (select true from @log l"
        " where l.table_name = @n"
        " and l.record_id = t.id"
        " and l.action = 'INSERT'"
        " and " UNSETTLED_UNSENT " limit 1)",

        "delete from @s s"
        " where not exists (select from @t t where t.sfid = s.sfid)"
        " and exists (select from @log l"
        " where l.table_name = @n"
        " and l.action = 'INSERT'"
        " and l.state = 'PENDING'"
        " and not exists (select from pgforce.delivery d"
        " where d.mapping_id = @id and d.log_id = l.id"
        " and d.external_id is not null))",

        "delete from @s s"
        " where not exists (select from @t t where t.sfid = s.sfid)"
        " and exists " STATEMENT_LATE_INSERT,

        "delete from @s s"
        " where (lower(@skey)" IN_LIST "select lower(d.external_id) from pgforce.delivery d"
        " cross join lateral (select * from @log where id = d.log_id offset 0) l"
        " where d.mapping_id = @id"
        " and l.action = 'INSERT'"
        " and l.state = 'PENDING'" IN_LIST_END ") is true"
        " and not exists (select from @t t where t.sfid = s.sfid)",
    };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (!held_take_out(pg, &(struct held_rows){.mapping = mapping, .format = formats[i]}, held,
                           err))
            return false;
    return true;
}

/*
 * Records of which something of ours was settled since the reading began, written or lost to a
 * value of Salesforce's: what was read may be older. The next poll has them as they are: those
 * whose stamp lies in what every poll reads again (sync/watermark.h) anyhow, the others because
 * they are held. An entry is settled under the row's lock, which we hold, so none comes after this
 * look.
 */
static bool drop_stale(const struct apply_world *world, const struct mapping *mapping,
                       struct held *held, struct error *err)
{
    static const char format[] = "delete from @s s"
                                 " using @t t"
                                 " where t.sfid = s.sfid"
                                 " and not s._pgforce_deleted"
                                 " and (t.id" IN_LIST STATEMENT_ANSWERED IN_LIST_END ") is true";
    static const char unless[] = "$2::bigint > 0 and @stamp >= to_timestamp($2::bigint / 1000000.0)"
                                 " at time zone 'UTC' - interval " SURELY_READ_AGAIN;
    struct pg_number began = pg_number(world->began_us);
    struct pg_number began_sf = pg_number(world->began_sf_us);

    return held_take_out(world->pg,
                         &(struct held_rows){.mapping = mapping,
                                             .format = format,
                                             .params = PG_PARAMS(began.text, began_sf.text),
                                             .unless = unless},
                         held, err);
}

/*
 * A row deleted here must not come back: neither before its DELETE has been sent, nor because the
 * record was read before that. A DELETE logged before the row had its sfid finds it in the INSERT.
 */
static bool drop_deleted_here(const struct apply_world *world, const struct mapping *mapping,
                              struct error *err)
{
    static const char format[] = "delete from @s s"
                                 " where (s.sfid" IN_LIST "with deleted as ("
                                 "select l.sfid, l.record_id from @log l"
                                 " where l.table_name = @n"
                                 " and l.action = 'DELETE'"
                                 " and l.state in ('NEW', 'PENDING')"
                                 " union all"
                                 " select l.sfid, l.record_id from @log l"
                                 " where l.table_name = @n"
                                 " and l.action = 'DELETE'"
                                 " and l.state = 'SUCCESS'"
                                 " and l.processed_at @since)"
                                 " select sfid from deleted"
                                 " union all"
                                 " select i.sfid from deleted d"
                                 " join @log i on i.table_name = @n and i.record_id = d.record_id"
                                 " and i.action = 'INSERT'"
                                 " where d.sfid is null" IN_LIST_END ") is true";
    PGresult *result PG_RESULT_AUTO = statement_query(
        world->pg, mapping, format, PG_PARAMS(pg_number(world->began_us).text), err);

    return result != NULL;
}

static bool merge_pending(const struct apply_world *world, const struct mapping *mapping,
                          struct apply_report *report, struct error *err)
{
    struct merge_rows_report merging = {.began_us = world->began_us,
                                        .is_announced = world->is_announced};

    if (!merge_rows_pending(world->pg, mapping, &merging, err))
        return false;
    report->merged += merging.merged;
    held_add(&report->held, &merging.held);
    return true;
}

/* One attempt at what is in the staging table. */
static bool settle_staged(void *context, const struct apply_page *page, struct apply_report *report,
                          struct error *err)
{
    const struct apply_world *world = context;
    const struct mapping *mapping = page->mapping;

    return merge_pending(world, mapping, report, err) &&
           (!world->is_announced || announce_staged(world->pg, mapping, NULL, err)) &&
           write_rows(world->pg, page, report, err);
}

static bool apply_carefully(const struct apply_world *world, const struct apply_page *page,
                            struct refusals *refusals, struct apply_report *report,
                            struct error *err)
{
    const struct mapping *mapping = page->mapping;
    struct pg *pg = world->pg;
    int64_t known = 0;
    int64_t staged;

    if (!drop_equal_rows(pg, mapping, &report->held, err) ||
        !hold_deletions(world, page, report, err) || !count_staged(pg, mapping, &staged, err))
        return false;
    if (staged == 0)
        return true;
    if (!lock_rows(pg, mapping, &report->held, err) ||
        (page->is_initial && !merge_rows_count_known(pg, mapping, &known, err)))
        return false;
    if ((known > 0 || !page->is_initial) &&
        !progress_barrier(world->barrier, world->schema_name, BARRIER_TIMEOUT_MS, err))
        return false;
    const struct write_rows_attempt attempt = {settle_staged, (void *)(uintptr_t)world, page};
    return drop_stale(world, mapping, &report->held, err) &&
           hold_own_inserts(pg, mapping, &report->held, err) &&
           drop_deleted_here(world, mapping, err) &&
           write_rows_or_refuse(pg, &attempt, refusals, report, err);
}

/* The records of a query's page. */
static bool give_records(void *context, struct stage *stage, struct error *err)
{
    const struct apply_page *page = context;
    struct changes changes = changes_from_records(page->mapping, page->records, stage->refusals);

    for (size_t i = 0; i < changes.count; i++)
        if (!stage_put(stage, &changes.events[i].row, err))
            return false;
    return true;
}

static bool fill_stage(const struct apply_world *world, const struct apply_page *page,
                       struct stage *stage, struct error *err)
{
    const struct apply_source records = {give_records, (void *)(uintptr_t)page};
    const struct apply_source *source = page->records != NULL ? &records : page->source;

    if (!stage_begin(stage, world->pg, world->arena, err))
        return false;
    if (source->give(source->context, stage, err))
        return stage_end(stage, err);
    stage_abort(stage);
    return false;
}

/*
 * The planner knows nothing of the staging table, and would read all of a large table once per
 * statement where some thousand look-ups do. Forbidding that (enable_seqscan) adds so much to the
 * cost of any plan, for the staging table has no index, that all seem alike to it.
 */
static bool prefer_indexes(struct pg *pg, const struct apply_page *page, struct error *err)
{
    return page->is_direct ||
           pg_script(pg,
                     "set local seq_page_cost = 4; set local random_page_cost = 1;"
                     " set local enable_mergejoin = off",
                     err);
}

/* What a load brings is mostly new, or older than what is here; what is announced must be known
 * before it is written. */
static bool may_write_first(const struct apply_work *work)
{
    const struct apply_page *page = work->page;

    return !page->is_direct && !page->is_initial && !page->is_old && !work->world->is_announced;
}

bool apply_begin(struct apply_work *work, struct error *err)
{
    const struct apply_world *world = work->world;

    work->stage = (struct stage){.mapping = work->page->mapping,
                                 .growth = world->growth,
                                 .refusals = &work->refusals,
                                 .is_direct = work->page->is_direct};
    work->is_written_first = may_write_first(work);
    return origin_begin(world->pg, err) && prefer_indexes(world->pg, work->page, err) &&
           fill_stage(world, work->page, &work->stage, err) &&
           (!work->is_written_first || known_rows_begin(work, err));
}

static bool apply_staged(struct apply_work *work, struct apply_report *report, struct error *err)
{
    bool is_all = false;

    if (work->page->is_direct) {
        report->inserted += work->stage.rows;
        return true;
    }
    if (work->is_written_first && !known_rows_end(work, report, &is_all, err))
        return false;
    return is_all || apply_carefully(work->world, work->page, &work->refusals, report, err);
}

bool apply_end(struct apply_work *work, struct apply_report *report, struct error *err)
{
    const struct apply_page *page = work->page;
    struct pg *pg = work->world->pg;
    struct apply_report sum = *report;

    if (!apply_staged(work, &sum, err))
        return false;
    sum.read += work->stage.rows;
    sum.refused += (int64_t)work->refusals.count;
    bool is_stored =
        page->store != NULL && !(page->is_stored_whole && sum.held.count > report->held.count);
    if (!(work->world->is_announced || announce_was_not_needed(pg, page->mapping, err)) ||
        !refusals_store(&work->refusals, pg, page->mapping, err) ||
        (is_stored && !page->store(page->context, pg, err)) || !pg_script(pg, "commit", err))
        return false;
    *report = sum;
    return true;
}

/* What was too long may fit the next time. */
static bool grow(const struct apply_world *world, const struct stage *stage,
                 struct apply_report *report, struct error *err)
{
    const struct growth_need need = {stage->mapping, stage->narrow, stage->narrow_characters};

    if (!growth_widen(world->growth, world->pg, &need, err))
        return false;
    report->has_grown = !growth_is_stuck(world->growth, stage->mapping, stage->narrow);
    return error_set(err, ERROR_RETRY, "column %s %s", stage->narrow->column_name,
                     report->has_grown ? "was too narrow"
                                       : "cannot grow: the rows that need it will be refused");
}

bool apply_give_up(struct apply_work *work, struct apply_report *report, struct error *err)
{
    pg_rollback(work->world->pg);
    if (work->stage.narrow != NULL)
        return grow(work->world, &work->stage, report, err);
    return error_prefix(err, "applying %s", work->page->mapping->object_name);
}

bool apply_records(const struct apply_world *world, const struct apply_page *page,
                   struct apply_report *report, struct error *err)
{
    struct apply_work work = {.world = world, .page = page, .refusals = {.arena = world->arena}};

    return (apply_begin(&work, err) && apply_end(&work, report, err)) ||
           apply_give_up(&work, report, err);
}
