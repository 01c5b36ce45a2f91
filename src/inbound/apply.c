/*
 * The invariants of applying:
 *
 *  1. Rows, and the watermark that covers them, are committed together.
 *  2. A row is locked before the barrier and the barrier is passed before it is written: a local
 *     change is either in the log, and merged, or comes after us.
 *  3. A row that differs in nothing is not written.
 *  4. What cannot be applied now is counted as held, and the caller does not move the watermark.
 */
#include "inbound/apply.h"

#include <string.h>

#include "archive/progress.h"
#include "inbound/merge_rows.h"
#include "inbound/stage.h"
#include "pg/origin.h"

enum { SQL_MAX_BYTES = 1 << 20, BARRIER_TIMEOUT_MS = 10 * 1000 };

/*
 * Statements are written with marks in place of names:
 *     @t the mapped table   @s the staging table   @log the log   @n the table's name as a literal
 *     @cols columns of both, bare   @scols the same after s.   @tcols after t.
 *     @set "column" = s."column" for all   @key t.key = s.key, or false without a unique identifier
 */
struct mark {
    const char *name;
    void (*append)(struct buf *sql, const struct mapping *mapping);
};

static void append_log(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, "_trigger_log");
}

static void append_name(struct buf *sql, const struct mapping *mapping)
{
    pg_append_literal(sql, mapping->table_name);
}

static void append_bare_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "");
}

static void append_stage_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "s.");
}

static void append_target_columns(struct buf *sql, const struct mapping *mapping)
{
    stage_append_columns(sql, mapping, "t.");
}

static void append_assignments(struct buf *sql, const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(sql, i > 0 ? ", " : "");
        pg_append_identifier(sql, mapping->fields[i].column_name);
        buf_text(sql, " = s.");
        pg_append_identifier(sql, mapping->fields[i].column_name);
    }
}

static void append_key_match(struct buf *sql, const struct mapping *mapping)
{
    if (mapping->upsert == NULL) {
        buf_text(sql, "false");
        return;
    }
    buf_text(sql, "t.");
    pg_append_identifier(sql, mapping->upsert->column_name);
    buf_text(sql, " = s.");
    pg_append_identifier(sql, mapping->upsert->column_name);
}

static const struct mark marks[] = {
    {"@tcols", append_target_columns},
    {"@scols", append_stage_columns},
    {"@cols", append_bare_columns},
    {"@set", append_assignments},
    {"@key", append_key_match},
    {"@log", append_log},
    {"@t", stage_append_target},
    {"@s", stage_append_stage},
    {"@n", append_name},
};

static const struct mark *find_mark(const char *at)
{
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (strncmp(at, marks[i].name, strlen(marks[i].name)) == 0)
            return &marks[i];
    return NULL;
}

static void format_sql(struct buf *sql, const struct mapping *mapping, const char *format)
{
    buf_init(sql, SQL_MAX_BYTES);
    while (*format != '\0') {
        const struct mark *mark = *format == '@' ? find_mark(format) : NULL;

        if (mark == NULL) {
            buf_char(sql, *format++);
            continue;
        }
        mark->append(sql, mapping);
        format += strlen(mark->name);
    }
}

/* Runs a statement and adds the rows it touched to *count. */
static bool run_counted(struct pg *pg, const struct mapping *mapping, const char *format,
                        int64_t *count, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, mapping, format);
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    *count += pg_affected(result);
    return true;
}

/*
 * Leaves in the staging table only what is new or different, so that an overlapping poll, which
 * reads mostly what is known, costs one anti-join and no lock.
 */
static bool drop_equal_rows(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    int64_t ignored = 0;

    return run_counted(pg, mapping,
                       "delete from @s s"
                       " using @t t"
                       " where t.sfid = s.sfid"
                       " and not s._pgforce_deleted"
                       " and (@tcols) is not distinct from (@scols)",
                       &ignored, err) &&
           run_counted(pg, mapping,
                       "delete from @s s"
                       " where s._pgforce_deleted"
                       " and not exists (select from @t t where t.sfid = s.sfid)",
                       &ignored, err);
}

static bool count_staged(struct pg *pg, const struct mapping *mapping, int64_t *count,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, mapping, "select count(*) from @s");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    *count = pg_field_int64(result, 0, 0);
    return true;
}

/* Locks the rows we are about to write; those that somebody else holds are put off. */
static bool lock_rows(struct pg *pg, const struct mapping *mapping, int64_t *held,
                      struct error *err)
{
    return run_counted(pg, mapping,
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
                       " and c.id not in (select id from locked)",
                       held, err);
}

/*
 * A record whose own INSERT is on its way: the answer will bring its sfid. Without a unique
 * identifier no unknown record can be told from it, so all unknown ones wait.
 */
static bool hold_own_inserts(struct pg *pg, const struct mapping *mapping, int64_t *held,
                             struct error *err)
{
    return run_counted(pg, mapping,
                       "delete from @s s"
                       " using @t t, @log l"
                       " where t.sfid is null"
                       " and @key"
                       " and l.table_name = @n"
                       " and l.record_id = t.id"
                       " and l.action = 'INSERT'"
                       " and l.state in ('NEW', 'PENDING')",
                       held, err) &&
           run_counted(pg, mapping,
                       "delete from @s s"
                       " where not exists (select from @t t where t.sfid = s.sfid)"
                       " and exists (select from @log l"
                       " where l.table_name = @n"
                       " and l.action = 'INSERT'"
                       " and l.state = 'PENDING'"
                       " and not exists (select from pgforce.delivery d"
                       " where d.log_id = l.id and d.external_id is not null))",
                       held, err);
}

/* A row deleted here, whose DELETE has not been sent yet, must not come back. */
static bool drop_deleted_here(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    return run_counted(pg, mapping,
                       "delete from @s s"
                       " using @log l"
                       " where l.table_name = @n"
                       " and l.sfid = s.sfid"
                       " and l.action = 'DELETE'"
                       " and l.state in ('NEW', 'PENDING')",
                       &(int64_t){0}, err);
}

static bool write_rows(const struct apply_world *world, const struct apply_page *page,
                       struct apply_report *report, struct error *err)
{
    const struct mapping *mapping = page->mapping;
    struct pg *pg = world->pg;

    return run_counted(pg, mapping,
                       "delete from @t t using @s s where t.sfid = s.sfid and s._pgforce_deleted",
                       &report->deleted, err) &&
           run_counted(pg, mapping, "delete from @s s where s._pgforce_deleted", &(int64_t){0},
                       err) &&
           run_counted(pg, mapping,
                       "update @t t"
                       " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                       " from @s s"
                       " where t.sfid = s.sfid",
                       &report->updated, err) &&
           run_counted(pg, mapping,
                       "update @t t"
                       " set @set, _hc_lastop = 'SYNCED', _hc_err = null"
                       " from @s s"
                       " where t.sfid is null"
                       " and @key",
                       &report->updated, err) &&
           run_counted(pg, mapping,
                       page->is_initial
                           ? "insert into @t (@cols, _hc_lastop) select @scols, null from @s s"
                             " where not exists (select from @t t where t.sfid = s.sfid)"
                           : "insert into @t (@cols, _hc_lastop) select @scols, 'SYNCED'"
                             " from @s s"
                             " where not exists (select from @t t where t.sfid = s.sfid)",
                       &report->inserted, err);
}

static bool apply_staged(const struct apply_world *world, const struct apply_page *page,
                         struct apply_report *report, struct error *err)
{
    const struct mapping *mapping = page->mapping;
    struct pg *pg = world->pg;
    int64_t known = 0;
    int64_t staged;

    if (!drop_equal_rows(pg, mapping, err) || !count_staged(pg, mapping, &staged, err))
        return false;
    if (staged == 0)
        return true;
    if (!lock_rows(pg, mapping, &report->held, err) ||
        !merge_rows_count_known(pg, mapping, &known, err))
        return false;
    if ((known > 0 || !page->is_initial) &&
        !progress_barrier(world->barrier, world->schema_name, BARRIER_TIMEOUT_MS, err))
        return false;
    return hold_own_inserts(pg, mapping, &report->held, err) &&
           drop_deleted_here(pg, mapping, err) &&
           merge_rows_pending(pg, mapping, world->arena, &report->merged, err) &&
           write_rows(world, page, report, err);
}

bool apply_records(const struct apply_world *world, const struct apply_page *page,
                   struct apply_report *report, struct error *err)
{
    struct changes changes = changes_from_records(page->mapping, page->records, world->arena);
    struct apply_report sum = *report;
    bool is_ok = origin_begin(world->pg, err) &&
                 stage_changes(world->pg, page->mapping, &changes, err) &&
                 apply_staged(world, page, &sum, err) &&
                 (page->store == NULL || page->store(page->context, world->pg, err)) &&
                 pg_script(world->pg, "commit", err);

    if (!is_ok) {
        pg_rollback(world->pg);
        return error_prefix(err, "applying %s", page->mapping->object_name);
    }
    sum.refused += changes.refused;
    *report = sum;
    return true;
}
