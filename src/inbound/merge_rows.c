#include "inbound/merge_rows.h"

#include <string.h>

#include "archive/conflicts.h"
#include "archive/unsettled.h"
#include "inbound/announce.h"
#include "inbound/contender.h"
#include "inbound/stage.h"
#include "inbound/statement.h"

enum { SQL_MAX_BYTES = 1 << 20 };

/* Records that are judged at once. A statement over the staging table, which has no index, costs
 * for one nearly what it costs for all; but their entries are all in memory. */
enum { GROUP_RECORDS = 1000 };

struct verdict {
    const char *record_id;
    enum contender_fate fate;
    const char *kept; /* as contender_judge tells it, "" for nothing */
};

/* Contenders, `from` a row of the result on. */
struct group {
    struct pg *pg;
    const struct mapping *mapping;
    int64_t began_us; /* when the reading began */
    struct arena *arena;
    const PGresult *rows;
    int from;
    int count;
    struct verdict *verdicts;
};

bool merge_rows_count_known(struct pg *pg, const struct mapping *mapping, int64_t *count,
                            struct error *err)
{
    PGresult *result PG_RESULT_AUTO = statement_query(
        pg, mapping, "select count(*) from @s s join @t t on t.sfid = s.sfid", PG_PARAMS(), err);

    if (result == NULL)
        return false;
    *count = pg_field_int64(result, 0, 0);
    return true;
}

/*
 * Locks the entries of the rows: none is sent while its value is judged. A record of which somebody
 * else has one is put off: push, which stores an answer, may come to wait for a row of ours next.
 */
static bool lock_changes(struct pg *pg, const struct mapping *mapping, struct held *held,
                         struct error *err)
{
    static const char format[] =
        "with unsettled as ("
        "select l.id, s.sfid"
        " from @s s"
        " join @t t on t.sfid = s.sfid"
        /* OFFSET 0: no join of the log's own making, see find_contenders */
        " cross join lateral ("
        "select id from @log l"
        " where l.table_name = @n"
        " and l.record_id = t.id"
        " and " UNSETTLED " offset 0) l"
        " where not s._pgforce_deleted),"
        " locked as ("
        "select id from @log where id in (select id from unsettled)"
        " for update skip locked)"
        " delete from @s s"
        " using unsettled u"
        " where u.sfid = s.sfid"
        " and (u.id" IN_LIST "select id from locked" IN_LIST_END ") is not true";

    return held_take_out(pg, &(struct held_rows){.mapping = mapping, .format = format}, held, err);
}

#define OVERRULED CONFLICTS_OVERRULED("l.id", "$3")

/* Of all records of the group, in the order of these and of the log. */
static PGresult *read_changes(const struct group *group, struct error *err)
{
    struct buf ids BUF_AUTO = {0};

    buf_init(&ids, SQL_MAX_BYTES);
    for (int i = 0; i < group->count; i++)
        pg_append_element(&ids, pg_field(group->rows, group->from + i, 0));
    pg_end_array(&ids);
    return statement_query(
        group->pg, group->mapping,
        "select l.record_id, l.id, l.state, l.\"values\", l.old,"
        " (extract(epoch from coalesce(l.commit_time, l.created_at)) * 1000000)::bigint,"
        " " OVERRULED ","
        " l.state = 'NEW'"
        " and exists (select from pgforce.connection c where c.schema_name = $3"
        " and c.features ->> 'poll_db_no_merge' = 'false')"
        " and exists (select from @log p where p.table_name = @n and p.record_id = l.record_id"
        " and p.state = 'PENDING' and p.id < l.id),"
        " exists (select from pgforce.overruled o where o.schema_name = $3 and o.log_id = l.id"
        " and o.overruled_at @since)"
        " from @log l"
        " where l.table_name = @n"
        " and l.record_id = any($2::integer[])"
        " and " UNSETTLED " order by l.record_id, l.id",
        PG_PARAMS(pg_number(group->began_us).text, ids.data, group->mapping->schema_name), err);
}

static bool parse_pairs(const char *text, struct arena *arena, struct hstore_pair **pairs,
                        size_t *count, struct error *err)
{
    return hstore_parse(text != NULL ? text : "", arena, pairs, count, err);
}

static bool fill_change(const PGresult *result, int row, struct arena *arena,
                        struct contender_change *change, struct error *err)
{
    change->log_id = pg_field(result, row, 1);
    change->is_in_flight = strcmp(pg_field(result, row, 2), "PENDING") == 0;
    change->is_refused = strcmp(pg_field(result, row, 2), "FAILED") == 0;
    change->time_us = pg_field_int64(result, row, 5);
    change->overruled = pg_field(result, row, 6);
    change->may_be_in_flight = pg_field_bool(result, row, 7);
    change->has_lost_since = pg_field_bool(result, row, 8);
    return parse_pairs(pg_field(result, row, 3), arena, &change->values, &change->value_count,
                       err) &&
           parse_pairs(pg_field(result, row, 4), arena, &change->old, &change->old_count, err);
}

/* The contender's own, from *next on; then *next is behind them. */
static bool fill_changes(struct contender *contender, const PGresult *changes, int *next,
                         struct error *err)
{
    int first = *next;

    while (*next < PQntuples(changes) &&
           strcmp(pg_field(changes, *next, 0), contender->record_id) == 0)
        (*next)++;
    contender->change_count = (size_t)(*next - first);
    contender->changes =
        arena_array(contender->arena, struct contender_change, contender->change_count);
    for (int row = first; row < *next; row++)
        if (!fill_change(changes, row, contender->arena, &contender->changes[row - first], err))
            return false;
    return true;
}

static bool judge(struct contender *contender, struct verdict *verdict, struct error *err)
{
    struct buf kept BUF_AUTO = {0};

    buf_init(&kept, SQL_MAX_BYTES);
    *verdict = (struct verdict){.record_id = contender->record_id, .kept = ""};
    if (!contender_judge(contender, &verdict->fate, &kept, err))
        return false;
    if (verdict->fate == CONTENDER_IS_MERGED && kept.size_bytes > 0)
        verdict->kept = arena_strdup(contender->arena, kept.data);
    return true;
}

static bool judge_group(struct group *group, struct error *err)
{
    PGresult *changes PG_RESULT_AUTO = read_changes(group, err);
    int next = 0;

    if (changes == NULL)
        return false;
    group->verdicts = arena_array(group->arena, struct verdict, (size_t)group->count);
    for (int i = 0; i < group->count; i++) {
        int row = group->from + i;
        struct contender contender = {.pg = group->pg,
                                      .mapping = group->mapping,
                                      .arena = group->arena,
                                      .rows = group->rows,
                                      .row = row,
                                      .record_id = pg_field(group->rows, row, 0),
                                      .sfid = pg_field(group->rows, row, 1)};

        if (!fill_changes(&contender, changes, &next, err) ||
            !judge(&contender, &group->verdicts[i], err))
            return false;
    }
    return true;
}

static bool run_for(const struct group *group, const char *format, const char *record_ids,
                    struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        statement_query(group->pg, group->mapping, format, PG_PARAMS(record_ids), err);

    return result != NULL;
}

/* Puts the named columns' values into the staged records of the i-th verdict and of all after it
 * that keep the same, and takes that off their verdicts. */
static bool keep_columns(const struct group *group, int i, struct error *err)
{
    const char *kept = group->verdicts[i].kept;
    struct buf ids BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&ids, SQL_MAX_BYTES);
    for (; i < group->count; i++) {
        if (strcmp(group->verdicts[i].kept, kept) != 0)
            continue;
        pg_append_element(&ids, group->verdicts[i].record_id);
        group->verdicts[i].kept = "";
    }
    pg_end_array(&ids);
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(&sql,
               "update @s s set %s from @t t where t.sfid = s.sfid and t.id = any($1::integer[])",
               kept);
    return run_for(group, sql.data, ids.data, err);
}

static bool keep_ours(const struct group *group, struct error *err)
{
    for (int i = 0; i < group->count; i++)
        if (*group->verdicts[i].kept != '\0' && !keep_columns(group, i, err))
            return false;
    return true;
}

static bool write_merged(const struct group *group, const char *record_ids, bool is_announced,
                         struct error *err)
{
    return keep_ours(group, err) &&
           (!is_announced || announce_staged(group->pg, group->mapping, record_ids, err)) &&
           run_for(group,
                   "update @t t set (@cols) = row(@scols) from @s s"
                   " where t.sfid = s.sfid and t.id = any($1::integer[])",
                   record_ids, err);
}

/* What is written, and what waits, which will be read again. */
static bool take_out(const struct group *group, const char *record_ids, struct error *err)
{
    return run_for(group,
                   "delete from @s s using @t t"
                   " where t.sfid = s.sfid and t.id = any($1::integer[])",
                   record_ids, err);
}

static bool write_group(const struct group *group, struct merge_rows_report *report,
                        struct error *err)
{
    struct buf merged BUF_AUTO = {0};
    struct buf settled BUF_AUTO = {0};

    buf_init(&merged, SQL_MAX_BYTES);
    buf_init(&settled, SQL_MAX_BYTES);
    for (int i = 0; i < group->count; i++) {
        const struct verdict *verdict = &group->verdicts[i];

        if (verdict->fate != CONTENDER_IS_FREE)
            pg_append_element(&settled, verdict->record_id);
        if (verdict->fate == CONTENDER_IS_MERGED)
            pg_append_element(&merged, verdict->record_id);
        report->merged += verdict->fate == CONTENDER_IS_MERGED;
        if (verdict->fate == CONTENDER_WAITS)
            held_note(&report->held, pg_field_int64(group->rows, group->from + i, 2));
    }
    bool has_merged = merged.size_bytes > 0;
    pg_end_array(&merged);
    pg_end_array(&settled);
    return (!has_merged || write_merged(group, merged.data, report->is_announced, err)) &&
           take_out(group, settled.data, err);
}

/*
 * As contender_judge wants them. By a look into the log for each: EXISTS could be turned into a
 * join, and as what waits changes by the second the planner knows little of it. Expecting one entry
 * where there were 10,000, it went through the staging table once for each.
 */
static PGresult *find_contenders(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select t.id, t.sfid, (extract(epoch from @stamp) * 1000000)::bigint");
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(&sql, ", t.");
        pg_append_identifier(&sql, mapping->fields[i].column_name);
        buf_text(&sql, ", s.");
        pg_append_identifier(&sql, mapping->fields[i].column_name);
    }
    buf_text(&sql, " from @s s join @t t on t.sfid = s.sfid"
                   " where not s._pgforce_deleted"
                   " and (select true from @log l"
                   " where l.table_name = @n"
                   " and l.record_id = t.id"
                   " and " UNSETTLED " limit 1)"
                   " order by t.id");
    return statement_query(pg, mapping, sql.data, PG_PARAMS(), err);
}

static bool merge_groups(struct group *group, struct merge_rows_report *report, struct error *err)
{
    for (; group->from < PQntuples(group->rows); group->from += GROUP_RECORDS) {
        int left = PQntuples(group->rows) - group->from;

        group->count = left < GROUP_RECORDS ? left : GROUP_RECORDS;
        arena_reset(group->arena);
        if (!judge_group(group, err) || !write_group(group, report, err))
            return error_prefix(err, "merging records with local changes");
    }
    return true;
}

bool merge_rows_pending(struct pg *pg, const struct mapping *mapping,
                        struct merge_rows_report *report, struct error *err)
{
    if (!lock_changes(pg, mapping, &report->held, err))
        return false;
    PGresult *rows PG_RESULT_AUTO = find_contenders(pg, mapping, err);
    if (rows == NULL)
        return false;
    struct group group = {.pg = pg,
                          .mapping = mapping,
                          .began_us = report->began_us,
                          .arena = arena_new(),
                          .rows = rows};
    bool is_done = merge_groups(&group, report, err);
    arena_free(group.arena);
    return is_done;
}
