#include "inbound/merge_rows.h"

#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "base/log.h"
#include "inbound/stage.h"
#include "sync/merge.h"

enum { SQL_MAX_BYTES = 1 << 20 };

/* An unsettled entry of the record, read from the log. */
struct change {
    struct hstore_pair *values;
    size_t value_count;
    struct hstore_pair *old;
    size_t old_count;
    bool is_in_flight;
};

struct contender {
    struct pg *pg;
    const struct mapping *mapping;
    struct arena *arena;
    const char *sfid;
    struct change *changes; /* in log order */
    size_t change_count;
    struct merge_rules rules;
};

static void append_log(struct buf *sql, const struct mapping *mapping)
{
    pg_append_qualified(sql, mapping->schema_name, "_trigger_log");
}

bool merge_rows_count_known(struct pg *pg, const struct mapping *mapping, int64_t *count,
                            struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select count(*) from ");
    stage_append_stage(&sql, mapping);
    buf_text(&sql, " s join ");
    stage_append_target(&sql, mapping);
    buf_text(&sql, " t on t.sfid = s.sfid");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    *count = pg_field_int64(result, 0, 0);
    return true;
}

static struct value value_of(const char *text)
{
    if (text == NULL)
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.kind = VALUE_TEXT, .text = text, .size_bytes = strlen(text)};
}

/* VALUE_ABSENT when the map does not have the column. */
static struct value find_pair(const struct hstore_pair *pairs, size_t count, const char *column)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].key, column) == 0)
            return value_of(pairs[i].value);
    return (struct value){.kind = VALUE_ABSENT};
}

/* False for a field that no unsettled entry touches: there ours is the base. */
static bool fill_field(const struct contender *contender, const char *column,
                       struct merge_field *field)
{
    struct value *in_flight = arena_array(contender->arena, struct value, contender->change_count);

    bool is_touched = false;

    field->in_flight = in_flight;
    field->base = (struct value){.kind = VALUE_ABSENT};
    for (size_t i = 0; i < contender->change_count; i++) {
        const struct change *change = &contender->changes[i];
        struct value sent = find_pair(change->values, change->value_count, column);

        if (sent.kind == VALUE_ABSENT)
            continue;
        if (!is_touched)
            field->base = find_pair(change->old, change->old_count, column);
        if (change->is_in_flight)
            in_flight[field->in_flight_count++] = sent;
        field->is_under_way = field->is_under_way || change->is_in_flight;
        field->is_queued = field->is_queued || !change->is_in_flight;
        is_touched = true;
    }
    return is_touched;
}

static void report_conflict(const struct contender *contender, const char *column,
                            const struct merge_result *result)
{
    if (result->winner == MERGE_NOBODY)
        return;
    log_warning("merged a conflict", log_text("mapping", contender->mapping->object_name),
                log_text("sfid", contender->sfid), log_text("column", column),
                log_text("winner", result->winner == MERGE_OURS ? "postgres" : "salesforce"));
}

/* Whether the staged value gives way to ours. */
static bool keeps_ours(const struct contender *contender, const struct mapping_field *mapped,
                       const char *ours, const char *theirs)
{
    struct merge_field field = {.ours = value_of(ours), .theirs = value_of(theirs)};

    if (mapped->is_system || !fill_field(contender, mapped->column_name, &field))
        return false;
    struct merge_result result = merge_field(&field, &contender->rules);
    report_conflict(contender, mapped->column_name, &result);
    return !result.takes_theirs;
}

static bool parse_pairs(const char *text, struct arena *arena, struct hstore_pair **pairs,
                        size_t *count, struct error *err)
{
    return hstore_parse(text != NULL ? text : "", arena, pairs, count, err);
}

static bool read_changes(struct contender *contender, const char *record_id, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select state = 'PENDING', \"values\", old,"
                   " (extract(epoch from commit_time) * 1000000)::bigint from ");
    append_log(&sql, contender->mapping);
    buf_text(&sql, " where table_name = $1"
                   " and record_id = $2"
                   " and state in ('NEW', 'PENDING')"
                   " order by id");
    PGresult *result PG_RESULT_AUTO = pg_query(
        contender->pg, sql.data, PG_PARAMS(contender->mapping->table_name, record_id), err);
    if (result == NULL)
        return false;

    contender->change_count = (size_t)PQntuples(result);
    contender->changes = arena_array(contender->arena, struct change, contender->change_count);
    for (int i = 0; i < PQntuples(result); i++) {
        struct change *change = &contender->changes[i];
        const char *values = pg_field(result, i, 1);
        const char *old = pg_field(result, i, 2);

        change->is_in_flight = pg_field_bool(result, i, 0);
        if (!parse_pairs(values, contender->arena, &change->values, &change->value_count, err) ||
            !parse_pairs(old, contender->arena, &change->old, &change->old_count, err))
            return false;
        contender->rules.ours_time_us = pg_field_int64(result, i, 3);
    }
    return true;
}

/* Puts our value of the named columns into the staged record, then writes it all to the row. */
static bool write_merged(const struct contender *contender, const struct buf *kept,
                         struct error *err)
{
    const struct mapping *mapping = contender->mapping;
    struct buf stage BUF_AUTO = {0};
    struct buf target BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};

    buf_init(&stage, 1024);
    buf_init(&target, 1024);
    stage_append_stage(&stage, mapping);
    stage_append_target(&target, mapping);
    buf_init(&sql, SQL_MAX_BYTES);
    if (kept->size_bytes > 0) {
        buf_printf(&sql, "update %s s set %s from %s t where t.sfid = s.sfid and s.sfid = $1",
                   stage.data, kept->data, target.data);
        if (!pg_run(contender->pg, sql.data, PG_PARAMS(contender->sfid), err))
            return false;
    }
    buf_clear(&sql);
    buf_printf(&sql, "update %s t set (", target.data);
    stage_append_columns(&sql, mapping, "");
    buf_text(&sql, ") = row(");
    stage_append_columns(&sql, mapping, "s.");
    buf_printf(&sql, ") from %s s where t.sfid = s.sfid and s.sfid = $1", stage.data);
    if (!pg_run(contender->pg, sql.data, PG_PARAMS(contender->sfid), err))
        return false;
    buf_clear(&sql);
    buf_printf(&sql, "delete from %s where sfid = $1", stage.data);
    return pg_run(contender->pg, sql.data, PG_PARAMS(contender->sfid), err);
}

/* Columns 0 and 1 are the record's id and sfid, 2 its stamp; then ours and theirs, field by field.
 */
static bool merge_row(struct contender *contender, const PGresult *rows, int row, struct error *err)
{
    const struct mapping *mapping = contender->mapping;
    struct buf kept BUF_AUTO = {0};

    contender->sfid = pg_field(rows, row, 1);
    contender->rules = (struct merge_rules){.policy = MERGE_LAST_WRITER,
                                            .tie = MERGE_POSTGRES,
                                            .theirs_time_us = pg_field_int64(rows, row, 2)};
    if (!read_changes(contender, pg_field(rows, row, 0), err))
        return false;
    buf_init(&kept, SQL_MAX_BYTES);
    for (size_t i = 0; i < mapping->field_count; i++) {
        int ours = 3 + 2 * (int)i;

        if (!keeps_ours(contender, &mapping->fields[i], pg_field(rows, row, ours),
                        pg_field(rows, row, ours + 1)))
            continue;
        buf_text(&kept, kept.size_bytes > 0 ? ", " : "");
        pg_append_identifier(&kept, mapping->fields[i].column_name);
        buf_text(&kept, " = t.");
        pg_append_identifier(&kept, mapping->fields[i].column_name);
    }
    return write_merged(contender, &kept, err);
}

static void append_contenders_sql(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, "select t.id, t.sfid, (extract(epoch from s.");
    pg_append_identifier(sql, mapping->stamp->column_name);
    buf_text(sql, ") * 1000000)::bigint");
    for (size_t i = 0; i < mapping->field_count; i++) {
        buf_text(sql, ", t.");
        pg_append_identifier(sql, mapping->fields[i].column_name);
        buf_text(sql, ", s.");
        pg_append_identifier(sql, mapping->fields[i].column_name);
    }
    buf_text(sql, " from ");
    stage_append_stage(sql, mapping);
    buf_text(sql, " s join ");
    stage_append_target(sql, mapping);
    buf_text(sql, " t on t.sfid = s.sfid where ");
    buf_text(sql, "not s._pgforce_deleted and exists (select from ");
    append_log(sql, mapping);
    buf_text(sql, " l where l.table_name = $1"
                  " and l.record_id = t.id"
                  " and l.state in ('NEW', 'PENDING'))");
}

bool merge_rows_pending(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                        int64_t *merged, struct error *err)
{
    struct contender contender = {.pg = pg, .mapping = mapping, .arena = arena};
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    append_contenders_sql(&sql, mapping);
    PGresult *rows PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(mapping->table_name), err);
    if (rows == NULL)
        return false;
    for (int row = 0; row < PQntuples(rows); row++)
        if (!merge_row(&contender, rows, row, err))
            return error_prefix(err, "merging a record with local changes");
    *merged += PQntuples(rows);
    return true;
}
