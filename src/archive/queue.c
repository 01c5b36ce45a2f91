#include "archive/queue.h"

#include "archive/unsettled.h"
#include "base/buf.h"

enum { SQL_MAX_BYTES = 64 * 1024 };

/* Puts the log in place of each @. */
static void format_sql(struct buf *sql, const char *schema_name, const char *format)
{
    struct buf log BUF_AUTO = {0};

    buf_init(&log, 1024);
    pg_append_qualified(&log, schema_name, "_trigger_log");
    buf_init(sql, SQL_MAX_BYTES);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '@')
            buf_text(sql, log.data);
        else
            buf_char(sql, *at);
    }
}

static const char *copy_field_text(const PGresult *result, int row, int column, struct arena *arena)
{
    const char *text = pg_field(result, row, column);

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static void fill_entry(const PGresult *result, int row, struct arena *arena,
                       struct queue_entry *entry)
{
    entry->log_id = pg_field_int64(result, row, 0);
    entry->table_name = copy_field_text(result, row, 1, arena);
    entry->record_id = (int32_t)pg_field_int64(result, row, 2);
    entry->action = copy_field_text(result, row, 3, arena);
    /* Who makes an entry by hand may leave out anything. */
    entry->table_name = entry->table_name != NULL ? entry->table_name : "";
    entry->action = entry->action != NULL ? entry->action : "";
    entry->state = copy_field_text(result, row, 4, arena);
    entry->sfid = copy_field_text(result, row, 5, arena);
    entry->values = copy_field_text(result, row, 6, arena);
    entry->phase = copy_field_text(result, row, 7, arena);
    entry->attempt = (int)pg_field_int64(result, row, 8);
    entry->is_held = pg_field_bool(result, row, 9);
    entry->external_id = copy_field_text(result, row, 10, arena);
    entry->body = copy_field_text(result, row, 11, arena);
    entry->sent_at_us = pg_field_int64(result, row, 12);
    entry->was_in_doubt = pg_field_bool(result, row, 13);
    entry->was_settled = pg_field_bool(result, row, 14);
    entry->later_values = copy_field_text(result, row, 15, arena);
    entry->commit_lsn = (uint64_t)pg_field_int64(result, row, 16);
    entry->is_unit = pg_field_bool(result, row, 17);
    entry->old = copy_field_text(result, row, 18, arena);
    entry->trace = copy_field_text(result, row, 19, arena);
    entry->marker_field = copy_field_text(result, row, 20, arena);
    entry->waited_us = pg_field_int64(result, row, 21);
}

#define STOPPED_TABLES                                                                             \
    "select m.table_name from pgforce.truncation t join pgforce.mapping m on m.id = t.mapping_id"  \
    " where m.schema_name = $1 and t.state = 'STOPPED'"

/* Of a mapping with a unique identifier: a DELETE, and an UPDATE that may have changed it. */
#define FREES_KEY(entry)                                                                           \
    entry ".action <> 'INSERT' and exists (select from pgforce.mapping m"                          \
          " where m.schema_name = $1 and m.table_name = " entry ".table_name"                      \
          " and (" entry ".action = 'DELETE' and m.upsert_field is not null"                       \
          " or strpos(" entry ".\"values\", lower(m.upsert_field)) > 0))"

/* Of a delivery d: its time has not come. Where the clock was set back behind the sending, its
 * times say nothing: it is due. */
#define IS_WAITING "(d.retry_at > clock_timestamp() and d.sent_at <= clock_timestamp())"

/* An entry's record, as the name of a member of a jsonb. */
#define RECORD_OF(entry) entry ".table_name || ' ' || " entry ".record_id"
#define RECORD_OF_F      RECORD_OF("f")
#define RECORD_OF_L      RECORD_OF("l")
#define RECORD_OF_N      RECORD_OF("n")
#define RECORD_OF_R      RECORD_OF("r")

/*
 * Whether an entry l is in a common table expression, or behind one of its record that is.
 *
 * However many the planner expects: it takes what is on its way for a row or two, and a join would
 * compare each entry with each of ten thousand. A jsonb is one value to it.
 */
#define IS_IN(list) "(l.id" IN_LIST "select id from " list IN_LIST_END ") is true"
#define IS_BEHIND(list)                                                                            \
    "coalesce(((select jsonb_object_agg(" RECORD_OF_F ", f.id)"                                    \
    " from (select table_name, record_id, min(id) as id from " list                                \
    " where table_name is not null and record_id is not null group by 1, 2) f)"                    \
    " ->> (" RECORD_OF_L "))::integer < l.id, false)"
#define IS_IN_HELD   IS_IN("held")
#define IS_BLOCKED   "(" IS_IN("blocked") " or " IS_BEHIND("blocked") ")"
#define MAY_FREE_KEY FREES_KEY("l")

/* The values of UPDATEs n of r's record that fulfil the condition. */
#define LATER_VALUES(condition)                                                                    \
    "(select string_agg(n.\"values\", ', ')"                                                       \
    " from jsonb_array_elements_text((select ids from later) -> (" RECORD_OF_R ")) as u(id)"       \
    " cross join lateral (select * from @ where id = u.id::integer offset 0) n"                    \
    " where " condition ")"

#define LATER_ANSWERED                                                                             \
    LATER_VALUES("n.created_at > r.created_at and n.state in ('SUCCESS', 'MERGED')")
#define LATER_SENT LATER_VALUES("n.id > r.id")

/* By record, the UPDATEs of those whose UPDATE may come late. It is worked out only where there is
 * one: by one reading of the log, which has no index for it. */
#define LATER                                                                                      \
    "select jsonb_object_agg(" RECORD_OF_N ", n.ids) as ids"                                       \
    " from (select n.table_name, n.record_id, jsonb_agg(n.id) as ids from @ n"                     \
    " where n.action = 'UPDATE' and n.state in ('NEW', 'PENDING', 'SUCCESS', 'MERGED')"            \
    " and " RECORD_OF_N IN_LIST "select " RECORD_OF_R " from relevant r"                           \
    " where r.state = 'NEW' and r.action = 'UPDATE' and (r.commit_lsn is null"                     \
    " or r.processed_at is not null or exists (select from pgforce.delivery d"                     \
    " where d.schema_name = $1 and d.log_id = r.id and d.was_in_doubt))" IN_LIST_END               \
    " group by 1, 2) n"

/* What a common table expression `relevant` chose, with all that is known of it. $1 is the schema.
 */
#define WHOLE_ENTRIES                                                                              \
    ", later as materialized (" LATER ")"                                                          \
    " select r.id, r.table_name, r.record_id, r.action, r.state,"                                  \
    " coalesce(r.sfid, d.sfid, case when r.action <> 'INSERT' then"                                \
    " (select i.sfid from @ i where i.table_name = r.table_name"                                   \
    " and i.record_id = r.record_id and i.action = 'INSERT'"                                       \
    " and (i.state = 'SUCCESS') is true"                                                           \
    " and i.id < r.id"                                                                             \
    " order by i.id desc limit 1) end),"                                                           \
    " r.\"values\", coalesce(d.state, ''), coalesce(d.attempt, 0),"                                \
    " coalesce(" IS_WAITING ", false) or r.table_name = any(array(" STOPPED_TABLES                 \
    ")), d.external_id, d.body,"                                                                   \
    " (extract(epoch from d.sent_at) * 1000000)::bigint,"                                          \
    " coalesce(d.was_in_doubt, false), r.processed_at is not null and r.state = 'NEW',"            \
    " case when r.state = 'NEW' and r.action = 'UPDATE' and r.commit_lsn is null"                  \
    " then " LATER_ANSWERED " when r.state = 'NEW' and r.action = 'UPDATE'"                        \
    " and (r.processed_at is not null or d.was_in_doubt)"                                          \
    " then " LATER_SENT " end,"                                                                    \
    " coalesce((r.commit_lsn - '0/0'::pg_lsn)::bigint, 0), coalesce(d.is_unit, false),"            \
    " case when " FREES_KEY(                                                                       \
        "r") " then r.old end, d.trace, d.marker_field,"                                           \
             " (extract(epoch from clock_timestamp() - d.sent_at) * 1000000)::bigint"              \
             " from relevant r"                                                                    \
             " left join pgforce.delivery d on d.schema_name = $1 and d.log_id = r.id"             \
             " order by r.id"

#define ENTRY                                                                                      \
    " l.id, l.table_name, l.record_id, l.action, l.state, l.sfid, l.\"values\", l.processed_at,"   \
    " l.commit_lsn, l.old, l.created_at"

static bool take(struct pg *pg, const char *sql, struct pg_params params, struct queue *queue,
                 struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql, params, err);

    if (result == NULL)
        return error_prefix(err, "reading the log");

    queue->count = (size_t)PQntuples(result);
    queue->entries = arena_array(queue->arena, struct queue_entry, queue->count);
    for (size_t i = 0; i < queue->count; i++)
        fill_entry(result, (int)i, queue->arena, &queue->entries[i]);
    return true;
}

/* In the order of the index, as far as they are wanted: a million that wait are not read for a
 * thousand. The inner limit is none, but of one that it cannot know the planner takes it that a
 * tenth is wanted, and then it goes by the index instead of sorting all. */
#define TAKEN_OF(state)                                                                            \
    "(select * from (select" ENTRY " from @ l where l.state = " state                              \
    " order by l.id limit (select null::bigint)) l"                                                \
    " where $3::boolean or (l.table_name <> all (array(" STOPPED_TABLES "))"                       \
    " and not " IS_BLOCKED ")"                                                                     \
    " order by l.id"                                                                               \
    " limit $2)"

bool queue_take(struct pg *pg, const char *schema_name, struct queue *queue, struct error *err)
{
    static const char format[] =
        "with blocked as materialized ("
        " select l.id, l.table_name, l.record_id"
        " from pgforce.delivery d"
        " join @ l on l.id = d.log_id"
        " where d.schema_name = $1"
        " and (d.state = 'SENDING' or " IS_WAITING ")"
        " and l.state in ('NEW', 'PENDING')),"
        " held as ("
        " select" ENTRY " from blocked b"
        " join @ l on l.id = b.id"
        " where not $3::boolean"
        " order by l.id"
        " limit $2),"
        " taken as ("
        " select * from (" TAKEN_OF("'NEW'") " union all " TAKEN_OF(
            "'PENDING'") ") l"
                         " order by l.id"
                         " limit $2),"
                         /* Whoever uses the identifier again that one of these sets free must know
                            of it. */
                         " waiting as ("
                         " select l.* from ("
                         "select table_name, record_id, min(id) as id from held group by 1, 2) h"
                         " cross join lateral (select" ENTRY " from @ l"
                         " where l.table_name = h.table_name"
                         " and l.record_id = h.record_id"
                         " and l.id > h.id"
                         " and " UNSETTLED_NEW " and not " IS_IN_HELD " and " MAY_FREE_KEY
                         " offset 0) l),"
                         " relevant as ("
                         " select * from held"
                         " union all"
                         " select * from waiting"
                         " union all"
                         " select * from taken"
                         " union all"
                         " select" ENTRY " from (select table_name, record_id, max(id) as id from "
                         "taken group by 1, 2) t"
                         " cross join lateral (select * from @ l"
                         " where l.table_name = t.table_name"
                         " and l.record_id = t.record_id"
                         " and l.action = 'INSERT'"
                         " and l.id < t.id"
                         " and " UNSETTLED_REFUSED " offset 0) l)" WHOLE_ENTRIES;

    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name, format);
    return take(
        pg, sql.data,
        PG_PARAMS(schema_name, pg_number(queue->limit).text, queue->is_whole ? "true" : "false"),
        queue, err);
}

bool queue_take_job(struct pg *pg, const char *schema_name, int64_t bulk_job, struct queue *queue,
                    struct error *err)
{
    static const char format[] = "with relevant as ("
                                 " select" ENTRY " from pgforce.delivery d"
                                 " join @ l on l.id = d.log_id"
                                 " where d.schema_name = $1"
                                 " and d.bulk_job = $2"
                                 " and d.state = 'SENDING')" WHOLE_ENTRIES;

    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name, format);
    return take(pg, sql.data, PG_PARAMS(schema_name, pg_number(bulk_job).text), queue, err);
}

bool queue_doubt_unfinished(struct pg *pg, const char *schema_name, int64_t *count,
                            struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "update pgforce.delivery"
                 " set state = 'IN_DOUBT', was_in_doubt = true, retry_at = null"
                 " where schema_name = $1"
                 " and state = 'SENDING'"
                 " and bulk_job is null",
                 PG_PARAMS(schema_name), err);

    if (result == NULL)
        return false;
    *count = pg_affected(result);
    return true;
}

bool queue_store_intents(struct pg *pg, const char *schema_name, const char *intents,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name,
               "with i as materialized ("
               " select *"
               " from json_to_recordset($2::json) as i(log_id integer, mapping_id bigint,"
               " record_id integer, action text, external_id text, trace text,"
               " marker_field text, sfid text, body json, bulk_job bigint, is_unit boolean)),"
               " traces as ("
               " insert into pgforce.trace (schema_name, trace, log_id, mapping_id, marker_field)"
               " select $1, trace, log_id, mapping_id, marker_field"
               " from i"
               " where trace is not null"
               " on conflict (schema_name, trace) do update"
               " set is_resent = true, sent_at = clock_timestamp()),"
               " jobs as ("
               " insert into pgforce.bulk_job (id, schema_name, mapping_id, action)"
               " overriding system value"
               " select distinct bulk_job, $1, mapping_id, action"
               " from i"
               " where bulk_job is not null),"
               " stored as ("
               " insert into pgforce.delivery as d"
               " (schema_name, log_id, mapping_id, record_id, action, external_id, trace,"
               " marker_field, sfid, body, state, bulk_job, is_unit)"
               " select $1, log_id, mapping_id, record_id, action, external_id, trace,"
               " marker_field, sfid, body, 'SENDING', bulk_job, coalesce(is_unit, false)"
               " from i"
               " on conflict (schema_name, log_id) do update"
               " set state = 'SENDING', attempt = d.attempt + 1, sent_at = clock_timestamp(),"
               " external_id = excluded.external_id, trace = excluded.trace,"
               " marker_field = excluded.marker_field, sfid = excluded.sfid, body = excluded.body,"
               " bulk_job = excluded.bulk_job, is_unit = excluded.is_unit, retry_at = null)"
               " update @ l"
               " set state = 'PENDING', updated_at = now()"
               " from i"
               " where l.id = i.log_id");
    return pg_run(pg, sql.data, PG_PARAMS(schema_name, intents), err) ||
           error_prefix(err, "storing what is about to be sent");
}

bool queue_store_outcomes(struct pg *pg, const char *schema_name, const char *outcomes,
                          struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name,
               "with o as materialized ("
               " select *"
               " from json_to_recordset($2::json)"
               " as o(log_id integer, state text, sfid text, message text, phase text,"
               " wait_ms bigint, may_be_done boolean)),"
               " settled as ("
               " delete from pgforce.delivery d"
               " using o"
               " where d.schema_name = $1"
               " and d.log_id = o.log_id"
               " and o.phase is null),"
               " unruled as ("
               " delete from pgforce.overruled v"
               " using o"
               " where v.schema_name = $1"
               " and v.log_id = o.log_id"
               " and o.phase is null),"
               " waiting as ("
               " update pgforce.delivery d"
               " set state = o.phase, message = o.message, bulk_job = null,"
               " sent_at = least(d.sent_at, clock_timestamp()),"
               " was_in_doubt = d.was_in_doubt or coalesce(o.may_be_done, false),"
               " retry_at = clock_timestamp() + make_interval(secs => o.wait_ms / 1000.0)"
               " from o"
               " where d.schema_name = $1"
               " and d.log_id = o.log_id"
               " and o.phase is not null),"
               " counted as ("
               " insert into pgforce.counter as c (schema_name, name, label, value)"
               " select $1, 'retries', '', count(*) from o where o.phase = 'RETRY'"
               " having count(*) > 0"
               " on conflict (schema_name, name, label) do update"
               " set value = c.value + excluded.value)"
               " update @ l"
               " set state = o.state, sfid = coalesce(l.sfid, o.sfid), sf_message = o.message,"
               " updated_at = now(),"
               " processed_at = case when o.phase is null then clock_timestamp()"
               " else l.processed_at end,"
               " processed_tx = case when o.phase is null then txid_current() end"
               " from o"
               " where l.id = o.log_id"
               /* Its mapping was deleted meanwhile: only an answer is worth noting. */
               " and (o.phase is null or l.state <> 'FAILED')");
    return pg_run(pg, sql.data, PG_PARAMS(schema_name, outcomes), err) ||
           error_prefix(err, "storing what came of the writes");
}

bool queue_take_marked(struct pg *pg, const char *schema_name, int64_t *count, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name,
               "update @ set state = 'NEW', updated_at = now() where state = 'REQUEUE'");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return error_prefix(err, "taking up what was marked REQUEUE");
    *count = pg_affected(result);
    return true;
}

bool queue_next_due_ms(struct pg *pg, const char *schema_name, int64_t *wait_ms, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, schema_name,
               "select (extract(epoch from min(due) - clock_timestamp()) * 1000)::bigint"
               " from (select case when " IS_WAITING " then d.retry_at else now() end as due"
               " from pgforce.delivery d"
               " where d.schema_name = $1"
               " and d.state in ('RETRY', 'IN_DOUBT')"
               " and exists (select from @ l"
               " where l.id = d.log_id and l.state in ('NEW', 'PENDING'))"
               " union all"
               " select case when " QUEUE_BULK_IS_DUE " then now() else asked_at" QUEUE_BULK_PAUSE
               " end from pgforce.bulk_job"
               " where schema_name = $1) w");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(schema_name), err);
    if (result == NULL)
        return false;
    *wait_ms = -1;
    if (pg_field(result, 0, 0) != NULL)
        *wait_ms = pg_field_int64(result, 0, 0) > 0 ? pg_field_int64(result, 0, 0) : 0;
    return true;
}
