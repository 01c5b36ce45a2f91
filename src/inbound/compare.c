#include "inbound/compare.h"

#include <string.h>

#include "archive/progress.h"
#include "archive/unsettled.h"
#include "inbound/changes.h"
#include "inbound/statement.h"
#include "pg/copy.h"
#include "sf/rest.h"
#include "sf/soql.h"

enum {
    SOQL_MAX_BYTES = 100 * 1000,
    SQL_MAX_BYTES = 1 << 20,
    IDS_MAX_BYTES = 1 << 20,
    RANGE_ROWS = 10 * 1000,
    BARRIER_TIMEOUT_MS = 30 * 1000, /* nobody waits for a comparison */
};

/* The records of a range on their way into the temporary table. */
struct reading {
    struct compare_range *range;
    const struct mapping_field **fields; /* the id, the stamp, and all others that have values */
    size_t count;
    struct copy copy;
    struct arena *arena; /* of one record */
};

/* ---- reading the records ---- */

static bool changes_without_stamp(const struct mapping_field *field)
{
    return field->is_calculated || field->relationship_name != NULL;
}

static void choose_fields(struct reading *reading)
{
    const struct mapping *mapping = reading->range->poll->mapping;
    struct arena *arena = reading->range->arena;

    reading->fields = arena_array(arena, const struct mapping_field *, mapping->field_count + 2);
    reading->fields[reading->count++] = mapping->id_field;
    reading->fields[reading->count++] = mapping->stamp;
    for (size_t i = 0; i < mapping->field_count; i++) {
        const struct mapping_field *field = &mapping->fields[i];

        if (field->is_filled && !field->is_missing && field != mapping->id_field &&
            field != mapping->stamp)
            reading->fields[reading->count++] = field;
    }
}

static bool append_soql(const struct reading *reading, struct buf *soql, struct error *err)
{
    const struct compare_range *range = reading->range;
    const char **paths = arena_array(range->arena, const char *, reading->count);
    bool is_later = range->first[0] != '\0';

    for (size_t i = 0; i < reading->count; i++)
        paths[i] = reading->fields[i]->soql_path;
    if (!soql_select(soql, paths, reading->count, range->poll->mapping->object_name, err))
        return false;
    poll_append_where(range->poll, is_later, soql);
    if (is_later)
        buf_printf(soql, "Id > '%s'", range->first);
    buf_printf(soql, " order by Id limit %d", RANGE_ROWS);
    return true;
}

/* Values of the columns' types, texts without their bound, so that they compare as they do when
 * they are applied. */
static bool make_table(const struct reading *reading, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "drop table if exists pg_temp.pgforce_compared;"
                   " create temporary table pgforce_compared as select ");
    for (size_t i = 0; i < reading->count; i++)
        stage_append_unbound(&sql, reading->range->poll->mapping, reading->fields[i]);
    buf_text(&sql, "false as _pgforce_unreadable from ");
    stage_append_target(&sql, reading->range->poll->mapping);
    buf_text(&sql, " with no data; alter table pg_temp.pgforce_compared add primary key (sfid)");
    return pg_script(reading->range->poll->world.pg, sql.data, err);
}

/* A record with a value that its column cannot hold is known as refused, and compared by its stamp
 * alone. */
static bool put_record(struct reading *reading, const json_t *record, struct error *err)
{
    struct compare_range *range = reading->range;
    const char *id = json_string_value(json_object_get(record, "Id"));
    bool is_readable = true;

    if (id == NULL || strlen(id) >= sizeof(range->last))
        return error_set(err, ERROR_RETRY, "the answer has a record without an id");
    strcpy(range->last, id);
    range->count++;
    arena_reset(reading->arena);
    for (size_t i = 0; i < reading->count; i++) {
        const char *text;
        struct error ignored;

        if (!changes_read_field(reading->fields[i], record, reading->arena, &text, &ignored))
            is_readable = false;
        copy_field(&reading->copy, text, text != NULL ? strlen(text) : 0);
    }
    copy_field(&reading->copy, is_readable ? "f" : "t", 1);
    return copy_end_row(&reading->copy, err);
}

static bool put_records(void *context, const json_t *records, struct error *err)
{
    json_t *record;
    size_t i;

    json_array_foreach(records, i, record)
    {
        if (!put_record(context, record, err))
            return false;
    }
    return true;
}

static bool put_query(struct reading *reading, const char *soql, struct error *err)
{
    struct sf_query *query;

    if (!sf_query_open(reading->range->poll->session, soql, NULL, &query, err))
        return false;
    int64_t total = sf_query_total(query);
    bool is_ok = sf_query_each(query, put_records, reading, err);
    sf_query_close(query);
    /* A page that lacks records would look like deletions. */
    if (is_ok && reading->range->count != total)
        return error_set(err, ERROR_RETRY, "the answer had %lld of %lld records",
                         (long long)reading->range->count, (long long)total);
    return is_ok;
}

static bool copy_records(struct reading *reading, struct error *err)
{
    struct pg *pg = reading->range->poll->world.pg;
    struct buf soql BUF_AUTO = {0};

    buf_init(&soql, SOQL_MAX_BYTES);
    if (!append_soql(reading, &soql, err) || !make_table(reading, err) ||
        !copy_begin(&reading->copy, pg, "copy pg_temp.pgforce_compared from stdin", err))
        return false;
    if (!put_query(reading, soql.data, err)) {
        copy_abort(&reading->copy);
        return false;
    }
    if (reading->range->count < RANGE_ROWS)
        reading->range->last[0] = '\0';
    return copy_end(&reading->copy, err);
}

/* ---- comparing them ---- */

/* "row(t."name", ...) is distinct from row(d."name", ...)" of the fields of one sort, or "false".
 */
static void append_differs(const struct reading *reading, bool without_stamp, struct buf *sql)
{
    struct buf theirs BUF_AUTO = {0};
    struct buf ours BUF_AUTO = {0};

    buf_init(&theirs, SQL_MAX_BYTES);
    buf_init(&ours, SQL_MAX_BYTES);
    for (size_t i = 2; i < reading->count; i++) {
        if (changes_without_stamp(reading->fields[i]) != without_stamp)
            continue;
        buf_text(&ours, ours.size_bytes > 0 ? ", t." : "t.");
        pg_append_identifier(&ours, reading->fields[i]->column_name);
        buf_text(&theirs, theirs.size_bytes > 0 ? ", d." : "d.");
        pg_append_identifier(&theirs, reading->fields[i]->column_name);
    }
    if (ours.size_bytes == 0)
        buf_text(sql, "false");
    else
        buf_printf(sql, "row(%s) is distinct from row(%s)", ours.data, theirs.data);
}

/* The rows of the range, as the index on sfid has them: without it each range would read the table.
 */
#define IN_RANGE "t.sfid > $2 and ($3 = '' or t.sfid <= $3)"

/* What is newer than the mark is the polls', what the table refused or an operator is asked about
 * is known. */
static void append_comparison(const struct reading *reading, struct buf *sql)
{
    struct buf stamp BUF_AUTO = {0};

    buf_init(&stamp, 1024);
    pg_append_identifier(&stamp, reading->range->poll->mapping->stamp->column_name);
    buf_printf(sql,
               "select sfid, kind from ("
               "select d.sfid, case"
               " when t.sfid is null then case when d.%1$s < m.at then 'missing' end"
               " when t.%1$s is distinct from d.%1$s then"
               " case when d.%1$s < m.at then 'stale' end"
               " when d._pgforce_unreadable then null"
               " when ",
               stamp.data);
    append_differs(reading, true, sql);
    buf_text(sql, " then 'calculated' when ");
    append_differs(reading, false, sql);
    buf_printf(sql,
               " then 'values' end as kind"
               " from (select to_timestamp($1::bigint / 1000000) at time zone 'UTC' as at) m"
               " cross join pg_temp.pgforce_compared d"
               " left join @t t on t.sfid = d.sfid and " IN_RANGE
               " where not exists (select from pgforce.refused_record r"
               " where r.mapping_id = @id and r.sfid = d.sfid)"
               " union all"
               " select t.sfid, 'extra'"
               " from @t t"
               " where " IN_RANGE
               " and t.%s < to_timestamp($1::bigint / 1000000) at time zone 'UTC'"
               " and not @gone"
               " and not exists (select from pg_temp.pgforce_compared d where d.sfid = t.sfid)"
               " and not exists (select from pgforce.held_deletion h"
               " where h.mapping_id = @id and h.sfid = t.sfid)"
               ") found where kind is not null",
               stamp.data);
}

/* ---- whose values these are ---- */

static enum compare_kind kind_of(const char *name)
{
    switch (name[0]) {
    case 'm': return COMPARE_MISSING;
    case 'e': return COMPARE_EXTRA;
    case 'c': return COMPARE_CALCULATED;
    default: return COMPARE_STALE;
    }
}

static bool is_of_values(const PGresult *found, int row)
{
    return pg_field(found, row, 1)[0] == 'v';
}

static void append_suspects(const PGresult *found, struct buf *array)
{
    for (int i = 0; i < PQntuples(found); i++)
        if (is_of_values(found, i))
            pg_append_element(array, pg_field(found, i, 0));
}

/*
 * Rows with other values under the same stamp that are so by a local change: one on its way, one
 * that was answered since the records were read, or one that Salesforce has refused, which stays
 * until it changes the record itself. What we have seen in a row was committed before this moment;
 * once the archive has passed it, it is in the log.
 */
static bool find_local(const struct compare_range *range, struct buf *suspects, PGresult **local,
                       struct error *err)
{
    const struct apply_world *world = &range->poll->world;

    pg_end_array(suspects);
    if (!progress_barrier(world->barrier, world->schema_name, BARRIER_TIMEOUT_MS, err))
        return false;
    *local = statement_query(world->pg, range->poll->mapping,
                             "select t.sfid"
                             " from @t t"
                             " where t.sfid = any($2::text[])"
                             " and (t._hc_lastop = 'FAILED'"
                             " or (select true from @log l"
                             " where l.table_name = @n"
                             " and l.record_id = t.id"
                             " and " UNSETTLED " limit 1)"
                             " or t.id" IN_LIST "select l.record_id from @log l"
                             " where l.table_name = @n"
                             " and l.processed_at @since" IN_LIST_END ")"
                             " order by t.sfid collate \"C\"",
                             PG_PARAMS(pg_number(world->began_us).text, suspects->data), err);
    return *local != NULL;
}

static bool is_listed(const PGresult *sorted, const char *sfid)
{
    int from = 0;
    int to = PQntuples(sorted);

    while (from < to) {
        int middle = from + (to - from) / 2;
        int order = strcmp(sfid, pg_field(sorted, middle, 0));

        if (order == 0)
            return true;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}

/* local: NULL when there is none to ask about. */
static void take_differences(struct compare_range *range, const PGresult *found,
                             const PGresult *local)
{
    range->differences =
        arena_array(range->arena, struct compare_difference, (size_t)PQntuples(found) + 1);
    for (int i = 0; i < PQntuples(found); i++) {
        const char *sfid = pg_field(found, i, 0);

        if (is_of_values(found, i) && is_listed(local, sfid))
            continue;
        range->differences[range->difference_count++] = (struct compare_difference){
            arena_strdup(range->arena, sfid), kind_of(pg_field(found, i, 1))};
    }
}

static bool find_differences(const struct reading *reading, struct error *err)
{
    struct compare_range *range = reading->range;
    struct buf sql BUF_AUTO = {0};
    struct buf suspects BUF_AUTO = {0};
    PGresult *local PG_RESULT_AUTO = NULL;

    buf_init(&sql, SQL_MAX_BYTES);
    append_comparison(reading, &sql);
    PGresult *found PG_RESULT_AUTO =
        statement_query(range->poll->world.pg, range->poll->mapping, sql.data,
                        PG_PARAMS(pg_number(range->mark_us).text, range->first, range->last), err);
    if (found == NULL)
        return false;
    buf_init(&suspects, IDS_MAX_BYTES);
    append_suspects(found, &suspects);
    if (suspects.size_bytes > 0 && !find_local(range, &suspects, &local, err))
        return false;
    take_differences(range, found, local);
    return true;
}

bool compare_read(struct compare_range *range, struct error *err)
{
    struct reading reading = {.range = range, .arena = arena_new()};
    struct error ignored;

    choose_fields(&reading);
    bool is_ok = copy_records(&reading, err) && find_differences(&reading, err);
    arena_free(reading.arena);
    if (is_ok)
        pg_script(range->poll->world.pg, "drop table pg_temp.pgforce_compared", &ignored);
    return is_ok;
}
