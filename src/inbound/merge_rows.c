#include "inbound/merge_rows.h"

#include <string.h>

#include "archive/conflicts.h"
#include "archive/hstore.h"
#include "inbound/announce.h"
#include "inbound/stage.h"
#include "inbound/statement.h"
#include "mapping/mask.h"
#include "sync/merge.h"

enum { SQL_MAX_BYTES = 1 << 20 };

/* An unsettled or refused entry of the record, read from the log. */
struct change {
    const char *log_id;
    int64_t time_us; /* of its commit */
    struct hstore_pair *values;
    size_t value_count;
    struct hstore_pair *old;
    size_t old_count;
    const char *overruled; /* as CONFLICTS_OVERRULED answers */
    bool is_in_flight;
    bool may_be_in_flight; /* it waits behind one that is: with merged writes they may go as one */
    bool is_refused;
};

struct contender {
    struct pg *pg;
    const struct mapping *mapping;
    struct arena *arena;
    const char *record_id;
    const char *sfid;
    struct change *changes; /* in log order */
    size_t change_count;
    struct merge_rules rules;
    bool must_wait; /* a conflict with what is under way */
    bool is_announced;
};

/* One column of a contender, as src/sync sees it and as the ledger will. */
struct meeting {
    struct merge_field field;
    int64_t ours_time_us; /* of the last change that carries it */
    const char *last_log_id;
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

/* VALUE_ABSENT when the map does not have the column. */
static struct value find_value(const struct hstore_pair *pairs, size_t count, const char *column)
{
    const struct hstore_pair *pair = hstore_find(pairs, count, column);

    return pair != NULL ? merge_value(pair->value) : (struct value){.kind = VALUE_ABSENT};
}

static void note_change(struct meeting *meeting, const struct change *change,
                        const struct value *sent, struct value *in_flight)
{
    struct merge_field *field = &meeting->field;

    bool is_under_way = change->is_in_flight || change->may_be_in_flight;

    if (is_under_way)
        in_flight[field->in_flight_count++] = *sent;
    field->is_under_way = field->is_under_way || is_under_way;
    field->is_queued = field->is_queued || !change->is_in_flight;
    meeting->ours_time_us = change->time_us;
    meeting->last_log_id = change->log_id;
}

/* What a mask hides is not known. */
static struct value theirs_of(const struct mapping_field *mapped, const char *text)
{
    return mask_is_one(mapped, text) ? (struct value){.kind = VALUE_ABSENT} : merge_value(text);
}

/* False for a field that no unsettled entry touches: there ours is the base. */
static bool fill_field(const struct contender *contender, const char *column,
                       struct meeting *meeting)
{
    struct value *in_flight = arena_array(contender->arena, struct value, contender->change_count);
    struct merge_field *field = &meeting->field;
    bool is_touched = false;

    field->in_flight = in_flight;
    field->base = (struct value){.kind = VALUE_ABSENT};
    for (size_t i = 0; i < contender->change_count; i++) {
        const struct change *change = &contender->changes[i];
        struct value sent = find_value(change->values, change->value_count, column);

        if (change->is_refused || sent.kind == VALUE_ABSENT ||
            conflicts_is_overruled(change->overruled, column))
            continue;
        if (!is_touched)
            field->base = find_value(change->old, change->old_count, column);
        note_change(meeting, change, &sent, in_flight);
        is_touched = true;
    }
    return is_touched;
}

/* The loser's value is kept; an overruled one of ours is not sent any more. */
static bool store_conflict(const struct contender *contender, const char *column,
                           const struct meeting *meeting, enum merge_side winner, struct error *err)
{
    const struct mapping *mapping = contender->mapping;
    const struct conflict conflict = {
        .object_name = mapping->object_name,
        .table_name = mapping->table_name,
        .record_id = contender->record_id,
        .sfid = contender->sfid,
        .column_name = column,
        .log_id = meeting->last_log_id,
        .winner = winner == MERGE_OURS ? "postgres" : "salesforce",
        .policy = merge_policy_name(contender->rules.policy),
        .base_value = merge_text(&meeting->field.base),
        .postgres_value = merge_text(&meeting->field.ours),
        .salesforce_value = merge_text(&meeting->field.theirs),
    };

    return conflicts_settle(contender->pg, mapping->schema_name, &conflict, err);
}

/* Whether what Salesforce has is what it had before changes of ours that it refused. */
static bool is_left_by_failures(const struct contender *contender, const char *column,
                                const struct meeting *meeting, bool *is_left, struct error *err)
{
    struct conflicts_refused refused = {.arena = contender->arena,
                                        .schema_name = contender->mapping->schema_name,
                                        .table_name = contender->mapping->table_name,
                                        .record_id = contender->record_id,
                                        .column_name = column,
                                        .before_log_id = meeting->last_log_id};

    if (!conflicts_read_refused(contender->pg, &refused, err))
        return false;
    struct value *befores = arena_array(contender->arena, struct value, refused.count);
    for (size_t i = 0; i < refused.count; i++)
        befores[i] = merge_value(refused.befores[i]);
    *is_left = merge_is_left(&meeting->field.theirs, befores, refused.count);
    return true;
}

/*
 * Of a field with nothing on its way, the row has a value that Salesforce refused, and is about to
 * lose it to theirs: the ledger keeps it, for the entry may have been archived when it is missed.
 */
static bool keep_refused(const struct contender *contender, const char *column,
                         struct meeting *meeting, struct error *err)
{
    for (size_t i = 0; i < contender->change_count; i++) {
        const struct change *change = &contender->changes[i];
        struct value sent = find_value(change->values, change->value_count, column);

        if (!change->is_refused || meeting->field.theirs.kind == VALUE_ABSENT ||
            !merge_equal(&sent, &meeting->field.ours) || merge_equal(&sent, &meeting->field.theirs))
            continue;
        meeting->field.base = find_value(change->old, change->old_count, column);
        meeting->last_log_id = change->log_id;
        return store_conflict(contender, column, meeting, MERGE_THEIRS, err);
    }
    return true;
}

/* Whether the staged value gives way to ours. */
static bool decide(struct contender *contender, const struct mapping_field *mapped,
                   struct meeting *meeting, bool *keeps_ours, struct error *err)
{
    bool is_left = false;

    *keeps_ours = false;
    if (mapped->is_system)
        return true;
    if (!fill_field(contender, mapped->column_name, meeting))
        return keep_refused(contender, mapped->column_name, meeting, err);
    contender->rules.ours_time_us = meeting->ours_time_us;
    struct merge_result result = merge_field(&meeting->field, &contender->rules);
    if (result.winner != MERGE_NOBODY &&
        !is_left_by_failures(contender, mapped->column_name, meeting, &is_left, err))
        return false;
    if (is_left) {
        meeting->field.base = meeting->field.theirs;
        result = merge_field(&meeting->field, &contender->rules);
    }
    *keeps_ours = !result.takes_theirs;
    if (result.winner == MERGE_NOBODY)
        return true;
    /* What is under way cannot be called back: its answer comes first. */
    contender->must_wait = contender->must_wait || meeting->field.is_under_way;
    return contender->must_wait ||
           store_conflict(contender, mapped->column_name, meeting, result.winner, err);
}

static bool parse_pairs(const char *text, struct arena *arena, struct hstore_pair **pairs,
                        size_t *count, struct error *err)
{
    return hstore_parse(text != NULL ? text : "", arena, pairs, count, err);
}

static bool fill_change(const PGresult *result, int row, struct arena *arena, struct change *change,
                        struct error *err)
{
    change->log_id = arena_strdup(arena, pg_field(result, row, 0));
    change->is_in_flight = strcmp(pg_field(result, row, 1), "PENDING") == 0;
    change->is_refused = strcmp(pg_field(result, row, 1), "FAILED") == 0;
    change->time_us = pg_field_int64(result, row, 4);
    change->overruled = arena_strdup(arena, pg_field(result, row, 5));
    change->may_be_in_flight = pg_field_bool(result, row, 6);
    return parse_pairs(pg_field(result, row, 2), arena, &change->values, &change->value_count,
                       err) &&
           parse_pairs(pg_field(result, row, 3), arena, &change->old, &change->old_count, err);
}

/*
 * Locks the entries of the rows: none is sent while its value is judged. A record of which somebody
 * else has one is put off: push, which stores an answer, may come to wait for a row of ours next.
 */
static bool lock_changes(struct pg *pg, const struct mapping *mapping, int64_t *held,
                         struct error *err)
{
    return statement_run(pg, mapping,
                         "with unsettled as ("
                         "select l.id, s.sfid"
                         " from @s s"
                         " join @t t on t.sfid = s.sfid"
                         " join @log l on l.table_name = @n and l.record_id = t.id"
                         " where not s._pgforce_deleted"
                         " and l.state in ('NEW', 'PENDING', 'FAILED')),"
                         " locked as ("
                         "select id from @log where id in (select id from unsettled)"
                         " for update skip locked)"
                         " delete from @s s"
                         " using unsettled u"
                         " where u.sfid = s.sfid"
                         " and u.id not in (select id from locked)",
                         held, err);
}

static bool read_changes(struct contender *contender, struct error *err)
{
    const struct mapping *mapping = contender->mapping;
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select l.id, l.state, l.\"values\", l.old,"
                   " (extract(epoch from coalesce(l.commit_time, l.created_at)) * 1000000)::bigint,"
                   " " CONFLICTS_OVERRULED("l.id", "$3"));
    buf_text(&sql, ", l.state = 'NEW'"
                   " and exists (select from pgforce.connection c where c.schema_name = $3"
                   " and c.features ->> 'poll_db_no_merge' = 'false')"
                   " and exists (select from ");
    append_log(&sql, mapping);
    buf_text(&sql, " p where p.table_name = $1 and p.record_id = $2 and p.state = 'PENDING'"
                   " and p.id < l.id) from ");
    append_log(&sql, mapping);
    buf_text(&sql, " l where l.table_name = $1"
                   " and l.record_id = $2"
                   " and l.state in ('NEW', 'PENDING', 'FAILED')"
                   " order by l.id");
    PGresult *result PG_RESULT_AUTO =
        pg_query(contender->pg, sql.data,
                 PG_PARAMS(mapping->table_name, contender->record_id, mapping->schema_name), err);
    if (result == NULL)
        return false;

    contender->change_count = (size_t)PQntuples(result);
    contender->changes = arena_array(contender->arena, struct change, contender->change_count);
    for (int i = 0; i < PQntuples(result); i++)
        if (!fill_change(result, i, contender->arena, &contender->changes[i], err))
            return false;
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
    if (contender->is_announced && !announce_staged(contender->pg, mapping, contender->sfid, err))
        return false;
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

/* It will be read again when the answer is there. */
static bool put_off(const struct contender *contender, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "delete from ");
    stage_append_stage(&sql, contender->mapping);
    buf_text(&sql, " where sfid = $1");
    return pg_run(contender->pg, sql.data, PG_PARAMS(contender->sfid), err);
}

/* Columns 0 and 1 are the record's id and sfid, 2 its stamp; then ours and theirs, field by field.
 */
static bool merge_fields(struct contender *contender, const PGresult *rows, int row,
                         struct buf *kept, struct error *err)
{
    const struct mapping *mapping = contender->mapping;

    for (size_t i = 0; i < mapping->field_count; i++) {
        int ours = 3 + 2 * (int)i;
        struct meeting meeting = {
            .field.ours = merge_value(pg_field(rows, row, ours)),
            .field.theirs = theirs_of(&mapping->fields[i], pg_field(rows, row, ours + 1))};
        bool keeps_ours;

        if (!decide(contender, &mapping->fields[i], &meeting, &keeps_ours, err))
            return false;
        if (!keeps_ours)
            continue;
        buf_text(kept, kept->size_bytes > 0 ? ", " : "");
        pg_append_identifier(kept, mapping->fields[i].column_name);
        buf_text(kept, " = t.");
        pg_append_identifier(kept, mapping->fields[i].column_name);
    }
    return true;
}

static bool has_unsettled(const struct contender *contender)
{
    for (size_t i = 0; i < contender->change_count; i++)
        if (!contender->changes[i].is_refused)
            return true;
    return false;
}

static bool merge_row(struct contender *contender, const PGresult *rows, int row,
                      struct merge_rows_report *report, struct error *err)
{
    struct buf kept BUF_AUTO = {0};

    contender->record_id = pg_field(rows, row, 0);
    contender->sfid = pg_field(rows, row, 1);
    contender->must_wait = false;
    contender->rules =
        (struct merge_rules){.tie = MERGE_POSTGRES, .theirs_time_us = pg_field_int64(rows, row, 2)};
    if (!merge_policy_parse(contender->mapping->conflict_policy, &contender->rules.policy))
        return error_set(err, ERROR_BUG, "unknown conflict policy %s",
                         contender->mapping->conflict_policy);
    buf_init(&kept, SQL_MAX_BYTES);
    if (!read_changes(contender, err) || !merge_fields(contender, rows, row, &kept, err))
        return false;
    if (!has_unsettled(contender))
        return true; /* nothing of ours is kept: it is written with the others */
    if (contender->must_wait) {
        report->held++;
        return put_off(contender, err);
    }
    report->merged++;
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
                  " and l.state in ('NEW', 'PENDING', 'FAILED'))");
}

bool merge_rows_pending(struct pg *pg, const struct mapping *mapping, struct arena *arena,
                        struct merge_rows_report *report, struct error *err)
{
    struct contender contender = {
        .pg = pg, .mapping = mapping, .arena = arena, .is_announced = report->is_announced};
    struct buf sql BUF_AUTO = {0};

    if (!lock_changes(pg, mapping, &report->held, err))
        return false;
    buf_init(&sql, SQL_MAX_BYTES);
    append_contenders_sql(&sql, mapping);
    PGresult *rows PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(mapping->table_name), err);
    if (rows == NULL)
        return false;
    for (int row = 0; row < PQntuples(rows); row++)
        if (!merge_row(&contender, rows, row, report, err))
            return error_prefix(err, "merging a record with local changes");
    return true;
}
