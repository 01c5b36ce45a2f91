#include "control/vitals.h"

#include <string.h>

#include "archive/counter.h"
#include "pg/turn.h"

enum { SQL_BYTES = 64 * 1024 };

/* %s: whether a role has its turn. $1 is the schema, $2 PGFORCE_STALLED_S, $3 the
 * slot's confirmed position as it was before: the slot is seen as it is now, the progress as it was
 * when the statement began. */
static const char vitals_sql[] =
    "with wal as (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn()"
    " else pg_current_wal_lsn() end as lsn),"
    " slot as (select p.slot_name, s.slot_name is not null as slot_exists,"
    " coalesce(s.active, false) as active, s.active_pid, coalesce(s.wal_status, '') as wal_status,"
    " s.confirmed_flush_lsn, s.restart_lsn, s.safe_wal_size"
    " from pgforce.progress p"
    " left join pg_replication_slots s on s.slot_name = p.slot_name"
    " where p.schema_name = $1),"
    " open_transactions as (select xact_start as began from pg_stat_activity"
    " where backend_type = 'client backend' and backend_xid is not null"
    " union all select prepared from pg_prepared_xacts)"
    " select jsonb_build_object("
    "'schema', c.schema_name, 'state', c.state, 'organization_id', c.organization_id,"
    " 'states', (select jsonb_object_agg(v, (v = c.state)::integer) from unnest(array['NEW',"
    " 'IDLE', 'POLLING_DB_CHANGES', 'IMPORT_CONFIGURATION', 'PAUSED', 'UNAUTHORIZED']) as v),"
    " 'wal_lsn', wal.lsn::text, 'wal_lsn_bytes', wal.lsn - '0/0',"
    " 'archived_lsn', p.commit_end_lsn::text, 'archived_lsn_bytes', p.commit_end_lsn - '0/0',"
    " 'archive_lag_bytes', greatest(wal.lsn - p.commit_end_lsn, 0),"
    " 'last_progress', extract(epoch from p.updated_at),"
    " 'is_stalled', p.updated_at < now() - make_interval(secs => $2::integer)"
    " and wal.lsn - p.commit_end_lsn > 1024 * 1024,"
    " 'is_ahead', coalesce($3::pg_lsn > p.commit_end_lsn, false))"
    " || jsonb_build_object("
    "'slot', jsonb_build_object('name', slot.slot_name, 'exists', slot.slot_exists,"
    " 'active', slot.active, 'wal_status', slot.wal_status,"
    " 'wal_statuses', (select jsonb_object_agg(v, (v = slot.wal_status)::integer)"
    " from unnest(array['reserved', 'extended', 'unreserved', 'lost']) as v),"
    " 'confirmed_lsn', slot.confirmed_flush_lsn::text,"
    " 'confirmed_lsn_bytes', slot.confirmed_flush_lsn - '0/0',"
    " 'confirmed_lag_bytes', greatest(wal.lsn - slot.confirmed_flush_lsn, 0),"
    " 'restart_lag_bytes', wal.lsn - slot.restart_lsn,"
    " 'safe_wal_bytes', slot.safe_wal_size,"
    " 'received_lsn_bytes', (select max(r.write_lsn) - '0/0' from pg_stat_replication r"
    " where r.pid = slot.active_pid),"
    " 'last_keepalive', (select extract(epoch from max(r.reply_time))"
    " from pg_stat_replication r where r.pid = slot.active_pid),"
    " 'reorder_spill_bytes', (select x.spill_bytes from pg_stat_replication_slots x"
    " where x.slot_name = slot.slot_name),"
    " 'decoded_bytes', (select x.total_bytes from pg_stat_replication_slots x"
    " where x.slot_name = slot.slot_name)),"
    " 'oldest_transaction_age', (select coalesce(max(extract(epoch from now() - began)), 0)"
    " from open_transactions),"
    " 'roles', (select jsonb_object_agg(role, (exists (select from pg_locks l where "
    "%s))::integer)"
    " from unnest(array['archive', 'push', 'pull', 'listen', 'housekeeper', 'watch']) as role"
    " where role <> 'listen' or exists (select from pgforce.mapping m where m.schema_name = $1"
    " and m.notify and not m.is_orphan)),"
    " 'mappings', (select coalesce(jsonb_object_agg(state, n), '{}') from (select m.state,"
    " count(*) as n from pgforce.mapping m where m.schema_name = $1 group by m.state) as x),"
    " 'in_doubt', (select count(*) from pgforce.delivery d where d.schema_name = $1"
    " and d.state = 'IN_DOUBT'),"
    " 'notifications', (select count(*) from pgforce.notification n where n.schema_name = $1"
    " and n.resolved_at is null),"
    " 'counters', (select coalesce(jsonb_object_agg(name, labels), '{}') from (select k.name,"
    " jsonb_object_agg(k.label, k.value) as labels from pgforce.counter k"
    " where k.schema_name = $1 group by k.name) as x),"
    " 'loads', (select coalesce(jsonb_object_agg(m.object_name, jsonb_build_object("
    "'rows_done', l.rows_done, 'rows_total', l.rows_total, 'rows_per_second', l.rows_per_second,"
    " 'remaining_s', greatest(l.rows_total - l.rows_done, 0) / nullif(l.rows_per_second, 0))),"
    " '{}') from pgforce.load l join pgforce.mapping m on m.id = l.mapping_id"
    " where m.schema_name = $1),"
    " 'held_deletions', (select count(*) from pgforce.held_deletion h"
    " join pgforce.mapping m on m.id = h.mapping_id"
    " where m.schema_name = $1 and h.confirmed_at is null),"
    " 'refused_records', (select count(*) from pgforce.refused_record r"
    " join pgforce.mapping m on m.id = r.mapping_id where m.schema_name = $1),"
    " 'unread', (select coalesce(jsonb_object_agg(m.object_name, jsonb_build_object("
    "'since', to_char(w.failing_since at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    " 'reason', w.failing_reason)), '{}') from pgforce.watermark w"
    " join pgforce.mapping m on m.id = w.mapping_id"
    " where m.schema_name = $1 and w.failing_since is not null),"
    " 'gaps', (select count(*) from pgforce.gap g where g.schema_name = $1))"
    " from wal, slot, pgforce.connection c"
    " join pgforce.progress p on p.schema_name = c.schema_name"
    " where c.schema_name = $1";

/* A member may be named "". */
static const json_t *at(const json_t *vitals, const char *path)
{
    while (vitals != NULL) {
        size_t length = strcspn(path, ".");
        char key[64];

        if (length >= sizeof(key))
            return NULL;
        memcpy(key, path, length);
        key[length] = '\0';
        vitals = json_object_get(vitals, key);
        if (path[length] == '\0')
            return vitals;
        path += length + 1;
    }
    return NULL;
}

/* ---- readiness ---- */

static bool is_true(const json_t *vitals, const char *path)
{
    return json_is_true(at(vitals, path));
}

/* Who has paused wants them to wait. */
static bool is_unsent(const json_t *vitals, const struct checks_limits *limits)
{
    return json_number_value(at(vitals, "oldest_pending")) > limits->stalled_s &&
           json_integer_value(at(vitals, "roles.push")) == 0 &&
           strcmp(json_string_value(at(vitals, "state")), "PAUSED") != 0;
}

static void add_reasons(const json_t *vitals, const struct checks_limits *limits, json_t *reasons)
{
    const struct {
        bool is_so;
        const char *text;
    } all[] = {
        {!is_true(vitals, "slot.exists"), "the slot is missing"},
        {is_true(vitals, "slot.exists") && !is_true(vitals, "slot.active"),
         "nobody reads the slot: is the role archive running?"},
        {strcmp(json_string_value(at(vitals, "slot.wal_status")), "lost") == 0,
         "the slot has lost what it needs of the WAL"},
        {is_true(vitals, "is_ahead"), "the slot was moved beyond the log: changes are missing"},
        {is_true(vitals, "is_stalled"), "the archive makes no progress"},
        {json_integer_value(at(vitals, "slot.restart_lag_bytes")) >= limits->slot_critical_bytes,
         "the slot retains a critical amount of WAL"},
        {strcmp(json_string_value(at(vitals, "state")), "UNAUTHORIZED") == 0,
         "the organisation refuses the credentials"},
        {is_unsent(vitals, limits),
         "changes wait and nobody sends them: is the role push running?"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].is_so)
            json_array_append_new(reasons, json_string(all[i].text));
}

static json_t *query_json(struct pg *pg, const char *sql, struct pg_params params,
                          struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql, params, err);

    if (result == NULL)
        return NULL;
    if (PQntuples(result) > 0)
        return json_loads(pg_field(result, 0, 0), 0, NULL);
    error_set(err, ERROR_CONFIG, "not set up: `pgforce setup`");
    return NULL;
}

static json_t *read_core(struct pg *pg, const char *schema_name, const struct checks_limits *limits,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    PGresult *before PG_RESULT_AUTO =
        pg_query(pg,
                 "select max(s.confirmed_flush_lsn::text) from pgforce.progress p"
                 " join pg_replication_slots s on s.slot_name = p.slot_name"
                 " where p.schema_name = $1",
                 PG_PARAMS(schema_name), err);
    if (before == NULL)
        return NULL;
    buf_init(&sql, SQL_BYTES);
    buf_printf(&sql, vitals_sql, TURN_IS("role", "$1"));
    return query_json(
        pg, sql.data,
        PG_PARAMS(schema_name, pg_number(limits->stalled_s).text, pg_field(before, 0, 0)), err);
}

/* Where the server refuses, for somebody has locked the log, its figures are left out and the
 * others are told; NULL where it was not asked or not heard. */
static json_t *read_log(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    json_t *log = NULL;

    buf_init(&sql, SQL_BYTES);
    buf_text(&sql, "with entries as (select state, count(*) as n,"
                   " extract(epoch from now() - min(created_at)) as oldest from ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " where state in ('NEW', 'PENDING', 'FAILED') group by state)"
                   " select jsonb_build_object("
                   "'entries', (select jsonb_object_agg(v, coalesce(e.n, 0)) from"
                   " unnest(array['NEW', 'PENDING', 'FAILED']) as v"
                   " left join entries e on e.state = v),"
                   " 'oldest_pending', (select coalesce(max(oldest), 0) from entries"
                   " where state <> 'FAILED'),"
                   " 'log_bytes', pg_total_relation_size(format('%I._trigger_log', $1::text)))");
    if (pg_script(pg, "begin; set local lock_timeout = '500ms'", err))
        log = query_json(pg, sql.data, PG_PARAMS(schema_name), err);
    if (log == NULL && *pg_sqlstate(pg) != '\0')
        log = json_object();
    pg_rollback(pg);
    return log;
}

bool vitals_read(struct pg *pg, const char *schema_name, const struct checks_limits *limits,
                 json_t **out, struct error *err)
{
    *out = read_core(pg, schema_name, limits, err);
    if (*out == NULL)
        return false;
    json_t *log = read_log(pg, schema_name, err);
    if (log == NULL) {
        json_decref(*out);
        *out = NULL;
        return false;
    }
    json_t *reasons = json_array();
    json_object_update(*out, log);
    json_decref(log);
    add_reasons(*out, limits, reasons);
    json_object_set_new(*out, "is_ready", json_boolean(json_array_size(reasons) == 0));
    json_object_set_new(*out, "reasons", reasons);
    return true;
}

/* ---- metrics ---- */

/* One row per metric. label: the value at path is an object, a series for each of its members. */
static const struct metric {
    const char *name;
    const char *type;
    const char *path;
    const char *label;
    const char *help;
} metrics[] = {
    {"pgforce_ready", "gauge", "is_ready", NULL, "1 while changes go through"},
    {"pgforce_state", "gauge", "states", "state", "1 for the state the connection is in"},
    {"pgforce_role_up", "gauge", "roles", "role", "1 while a process has the role's turn"},
    {"pgforce_wal_lsn_bytes", "gauge", "wal_lsn_bytes", NULL, "end of the server's WAL"},
    {"pgforce_received_lsn_bytes", "gauge", "slot.received_lsn_bytes", NULL,
     "up to where the archive has received"},
    {"pgforce_archived_lsn_bytes", "gauge", "archived_lsn_bytes", NULL,
     "up to where changes are in the log"},
    {"pgforce_confirmed_lsn_bytes", "gauge", "slot.confirmed_lsn_bytes", NULL,
     "up to where the slot is confirmed"},
    {"pgforce_archive_lag_bytes", "gauge", "archive_lag_bytes", NULL,
     "WAL that is not in the log yet"},
    {"pgforce_slot_restart_lag_bytes", "gauge", "slot.restart_lag_bytes", NULL,
     "WAL that the slot retains"},
    {"pgforce_slot_confirmed_lag_bytes", "gauge", "slot.confirmed_lag_bytes", NULL,
     "WAL behind the confirmed position"},
    {"pgforce_slot_safe_wal_bytes", "gauge", "slot.safe_wal_bytes", NULL,
     "WAL after which the server gives the slot up"},
    {"pgforce_slot_wal_status", "gauge", "slot.wal_statuses", "status",
     "1 for the slot's wal_status"},
    {"pgforce_reorder_spill_bytes_total", "counter", "slot.reorder_spill_bytes", NULL,
     "what the server spilled of large transactions"},
    {"pgforce_decoded_bytes_total", "counter", "slot.decoded_bytes", NULL,
     "what the server has decoded for the slot"},
    {"pgforce_last_progress_timestamp_seconds", "gauge", "last_progress", NULL,
     "when the archive last stored its position"},
    {"pgforce_last_keepalive_timestamp_seconds", "gauge", "slot.last_keepalive", NULL,
     "when the server last heard from the archive"},
    {"pgforce_oldest_transaction_age_seconds", "gauge", "oldest_transaction_age", NULL,
     "age of the oldest open transaction, for which the slot keeps WAL"},
    {"pgforce_changes_total", "counter", "counters.changes", "op", "changes in the log"},
    {"pgforce_transactions_total", "counter", "counters.transactions.", NULL,
     "transactions with changes in the log"},
    {"pgforce_reconnects_total", "counter", "counters.connects.", NULL,
     "times the archive began to stream, the first included"},
    {"pgforce_retries_total", "counter", "counters.retries.", NULL,
     "attempts at a write that have to be made again"},
    {"pgforce_gaps_total", "counter", "gaps", NULL, "gaps in the log"},
    {"pgforce_rows", "gauge", "entries", "state", "entries of the log that are not settled well"},
    {"pgforce_oldest_pending_seconds", "gauge", "oldest_pending", NULL,
     "age of the oldest entry that is to be sent"},
    {"pgforce_in_doubt", "gauge", "in_doubt", NULL, "writes whose answer was lost"},
    {"pgforce_mappings", "gauge", "mappings", "state", "mappings by state"},
    {"pgforce_unread_mappings", "gauge", "unread", NULL,
     "mappings whose records could not be read at the last attempt"},
    {"pgforce_held_deletions", "gauge", "held_deletions", NULL,
     "deletions that wait for an operator's confirmation"},
    {"pgforce_refused_records", "gauge", "refused_records", NULL,
     "records that their table does not take"},
    {"pgforce_notifications", "gauge", "notifications", NULL, "notifications that are not over"},
    {"pgforce_retention_last_success_timestamp_seconds", "gauge", "counters.retention.", NULL,
     "when settled entries were last archived and old days dropped"},
    {"pgforce_archive_bytes", "gauge", "log_bytes", NULL, "size of the log on disk"},
};

/* Of an object without labels its members count. */
static double number_of(const json_t *value)
{
    if (json_is_object(value))
        return (double)json_object_size(value);
    return json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
}

static void add_series(struct buf *out, const struct metric *metric, const json_t *value)
{
    const char *key;
    json_t *member;

    if (metric->label == NULL) {
        buf_printf(out, "%s %.15g\n", metric->name, number_of(value));
        return;
    }
    json_object_foreach((json_t *)value, key, member) buf_printf(
        out, "%s{%s=\"%s\"} %.15g\n", metric->name, metric->label, key, number_of(member));
}

static void add_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Stored bucket by bucket; Prometheus wants them added up. */
static void add_histogram(struct buf *out, const json_t *vitals)
{
    static const char name[] = "pgforce_commit_to_archive_seconds";
    const json_t *counts = at(vitals, "counters.commit_to_archive");
    double sum = number_of(at(vitals, "counters.commit_to_archive_sum."));
    double total = 0;

    add_head(out, name, "histogram", "from a transaction's commit to its entries in the log");
    for (int i = 0; i < COUNTER_BUCKETS; i++) {
        total += number_of(json_object_get(counts, counter_bucket(i)));
        buf_printf(out, "%s_bucket{le=\"%s\"} %.15g\n", name, counter_bucket(i), total);
    }
    buf_printf(out, "%s_sum %.15g\n%s_count %.15g\n", name, sum, name, total);
}

static void add_identity(struct buf *out, int is_up)
{
    add_head(out, "pgforce_build_info", "gauge", "which pgforce this is");
    buf_text(out, "pgforce_build_info{version=\"" PGFORCE_VERSION "\"} 1\n");
    add_head(out, "pgforce_up", "gauge", "1 while the database answers");
    buf_printf(out, "pgforce_up %d\n", is_up);
}

void vitals_metrics(const json_t *vitals, struct buf *out)
{
    add_identity(out, 1);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const json_t *value = at(vitals, metrics[i].path);

        if (value == NULL || json_is_null(value))
            continue;
        add_head(out, metrics[i].name, metrics[i].type, metrics[i].help);
        add_series(out, &metrics[i], value);
    }
    add_histogram(out, vitals);
}

void vitals_metrics_down(struct buf *out)
{
    add_identity(out, 0);
}
