#include "cli/recover_command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "archive/restored.h"
#include "cli/org_call.h"
#include "mapping/mapping.h"
#include "sf/rest.h"
#include "sf/soql.h"

enum { CHUNK = 200, SQL_BYTES = 64 * 1024, SECONDS_TEXT = 19 };

enum verdict { SEND, DOUBT, IGNORE, VERDICTS };

static const char *const verdict_texts[] = {
    [SEND] = "send", [DOUBT] = "read back", [IGNORE] = "ignore"};

struct entry {
    const char *log_id;
    const char *action;
    const char *record_id;
    const char *sfid;        /* NULL unknown */
    const char *external_id; /* NULL none */
    const char *time;        /* of its commit, to the second, UTC */
    enum verdict verdict;
    const char *reason;
};

struct recovery {
    struct org_call *call;
    const struct mapping *mapping; /* whose entries are looked at */
    struct entry *entries;
    size_t count;
    size_t counts[VERDICTS];
    json_t *report;
};

static const char *keep(struct recovery *recovery, const PGresult *rows, int row, int column)
{
    const char *text = pg_field(rows, row, column);

    return text != NULL ? arena_strdup(recovery->call->arena, text) : NULL;
}

static void append_entries_sql(struct buf *sql, const struct mapping *mapping)
{
    buf_text(sql, "select l.id, l.action, l.record_id, coalesce(l.sfid, t.sfid), ");
    if (mapping->upsert != NULL) {
        buf_text(sql, "t.");
        pg_append_identifier(sql, mapping->upsert->column_name);
        buf_text(sql, "::text");
    } else {
        buf_text(sql, "null::text");
    }
    buf_text(sql, ", to_char(coalesce(l.commit_time, l.created_at) at time zone 'UTC',"
                  " 'YYYY-MM-DD\"T\"HH24:MI:SS') from ");
    pg_append_qualified(sql, mapping->schema_name, "_trigger_log");
    buf_text(sql, " l left join ");
    pg_append_qualified(sql, mapping->schema_name, mapping->table_name);
    buf_text(sql, " t on t.id = l.record_id"
                  " where l.state in ('NEW', 'PENDING') and l.table_name = $1"
                  " order by l.id");
}

static bool load_entries(struct recovery *recovery, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES);
    append_entries_sql(&sql, recovery->mapping);
    PGresult *rows PG_RESULT_AUTO =
        pg_query(recovery->call->pg, sql.data, PG_PARAMS(recovery->mapping->table_name), err);
    if (rows == NULL)
        return false;
    recovery->count = (size_t)PQntuples(rows);
    recovery->entries = arena_array(recovery->call->arena, struct entry, recovery->count + 1);
    for (int i = 0; i < PQntuples(rows); i++)
        recovery->entries[i] = (struct entry){.log_id = keep(recovery, rows, i, 0),
                                              .action = keep(recovery, rows, i, 1),
                                              .record_id = keep(recovery, rows, i, 2),
                                              .sfid = keep(recovery, rows, i, 3),
                                              .external_id = keep(recovery, rows, i, 4),
                                              .time = keep(recovery, rows, i, 5)};
    return true;
}

/* What an entry's record is asked for by: its id, or else its unique identifier. */
static const char *find_key(const struct entry *entry, bool by_id)
{
    return by_id ? entry->sfid : entry->sfid == NULL ? entry->external_id : NULL;
}

/* Values of one field to ask for. */
struct chunk {
    const char *field; /* NULL: nothing can be asked for */
    const char *values[CHUNK];
    size_t count;
};

/* Adds key: stamp of the records that there are to found. */
static bool ask_chunk(struct recovery *recovery, const struct chunk *chunk, json_t *found,
                      struct error *err)
{
    const char *stamp = recovery->mapping->stamp->field_name;
    struct buf soql BUF_AUTO = {0};
    struct sf_query *query = NULL;
    json_t *records = NULL;
    const json_t *record;
    size_t i;

    buf_init(&soql, SQL_BYTES);
    buf_printf(&soql, "select %s, %s from %s where ", chunk->field, stamp,
               recovery->mapping->object_name);
    bool is_ok = soql_in(&soql, chunk->field, chunk->values, chunk->count, err) &&
                 sf_query_open(recovery->call->session, soql.data, NULL, &query, err);
    while (is_ok && (is_ok = sf_query_next(query, &records, err)) && records != NULL) {
        json_array_foreach(records, i, record)
            json_object_set(found, json_string_value(json_object_get(record, chunk->field)),
                            json_object_get(record, stamp));
        json_decref(records);
    }
    sf_query_close(query);
    return is_ok;
}

static bool ask_all(struct recovery *recovery, bool by_id, json_t *found, struct error *err)
{
    struct chunk chunk = {.field = by_id ? "Id" : recovery->mapping->upsert_field};

    for (size_t i = 0; chunk.field != NULL && i <= recovery->count; i++) {
        const char *key = i < recovery->count ? find_key(&recovery->entries[i], by_id) : NULL;

        if (key != NULL)
            chunk.values[chunk.count++] = key;
        if (chunk.count == 0 || (chunk.count < CHUNK && i < recovery->count))
            continue;
        if (!ask_chunk(recovery, &chunk, found, err))
            return false;
        chunk.count = 0;
    }
    return true;
}

/* Stamps have whole seconds: within one it may have been this entry itself that was sent. */
static void judge_known(struct entry *entry, const char *stamp)
{
    int order = stamp != NULL ? strncmp(stamp, entry->time, SECONDS_TEXT) : 0;

    if (stamp == NULL) {
        entry->verdict = IGNORE;
        entry->reason = "the organisation no longer has the record";
    } else if (order > 0) {
        entry->verdict = IGNORE;
        entry->reason = "the organisation has changed the record since";
    } else if (order == 0 && strcmp(entry->action, "UPDATE") == 0) {
        entry->verdict = DOUBT;
        entry->reason = "the organisation has changed the record in the same second";
    } else {
        entry->reason = "the record has not been changed since";
    }
}

static void judge_unknown(struct entry *entry, const char *stamp)
{
    if (entry->external_id == NULL) {
        entry->reason = "there is no unique identifier to look by";
    } else if (stamp == NULL) {
        entry->reason = "the organisation has no such record";
    } else {
        entry->verdict = DOUBT;
        entry->reason = "the organisation has the record already";
    }
}

static void judge(struct entry *entry, const json_t *found)
{
    const char *key = entry->sfid != NULL ? entry->sfid : entry->external_id;
    const char *stamp = key != NULL ? json_string_value(json_object_get(found, key)) : NULL;

    entry->verdict = SEND;
    if (entry->sfid != NULL)
        judge_known(entry, stamp);
    else
        judge_unknown(entry, stamp);
}

/* ---- carrying out ---- */

static bool put_in_doubt(struct recovery *recovery, const struct entry *entry, struct error *err)
{
    return pg_run(
        recovery->call->pg,
        "insert into pgforce.delivery (schema_name, log_id, mapping_id, record_id, action,"
        " state, was_in_doubt, external_id)"
        " values ($1, $2, $3, $4, $5, 'IN_DOUBT', true, $6)"
        " on conflict (schema_name, log_id) do update"
        " set state = 'IN_DOUBT', was_in_doubt = true",
        PG_PARAMS(recovery->mapping->schema_name, entry->log_id,
                  pg_number(recovery->mapping->id).text, entry->record_id, entry->action,
                  entry->external_id),
        err);
}

static bool ignore(struct recovery *recovery, const struct entry *entry, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_BYTES);
    buf_text(&sql, "update ");
    pg_append_qualified(&sql, recovery->mapping->schema_name, "_trigger_log");
    buf_text(&sql, " set state = 'IGNORED', sf_message = 'after a restore: ' || $2,"
                   " updated_at = now() where id = $1 and state in ('NEW', 'PENDING')");
    return pg_run(recovery->call->pg, sql.data, PG_PARAMS(entry->log_id, entry->reason), err);
}

static bool carry_out(struct recovery *recovery, const struct entry *entry, struct error *err)
{
    switch (entry->verdict) {
    case DOUBT: return put_in_doubt(recovery, entry, err);
    case IGNORE: return ignore(recovery, entry, err);
    default: return true;
    }
}

static void report(struct recovery *recovery, const struct entry *entry)
{
    recovery->counts[entry->verdict]++;
    json_array_append_new(recovery->report,
                          json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:s}", "id", entry->log_id,
                                    "object_name", recovery->mapping->object_name, "action",
                                    entry->action, "record_id", entry->record_id, "sfid",
                                    entry->sfid, "verdict", verdict_texts[entry->verdict], "reason",
                                    entry->reason));
}

static bool recover_mapping(struct recovery *recovery, bool is_carried_out, struct error *err)
{
    json_t *found ORG_CALL_JSON_AUTO = json_object();

    if (!load_entries(recovery, err) || !ask_all(recovery, true, found, err) ||
        !ask_all(recovery, false, found, err))
        return false;
    for (size_t i = 0; i < recovery->count; i++) {
        judge(&recovery->entries[i], found);
        report(recovery, &recovery->entries[i]);
        if (is_carried_out && !carry_out(recovery, &recovery->entries[i], err))
            return false;
    }
    return true;
}

static bool recover_all(struct recovery *recovery, bool is_carried_out, struct error *err)
{
    const char *schema_name = recovery->call->config->schema_name;
    struct mapping_list list;

    if (!mapping_load_all(recovery->call->pg, schema_name, recovery->call->arena, &list, err))
        return false;
    for (size_t i = 0; i < list.count; i++) {
        recovery->mapping = &list.items[i];
        if (!recover_mapping(recovery, is_carried_out, err))
            return false;
    }
    return !is_carried_out || restored_clear(recovery->call->pg, schema_name, err);
}

/* ---- the command ---- */

static void print(const struct recovery *recovery, bool is_carried_out)
{
    const json_t *item;
    size_t i;

    if (arguments_has(&recovery->call->read, "json")) {
        org_call_print_json(recovery->report);
        return;
    }
    json_array_foreach(recovery->report, i, item)
    {
        printf("%-10s %-24s %-8s entry %-10s %s\n",
               json_string_value(json_object_get(item, "verdict")),
               json_string_value(json_object_get(item, "object_name")),
               json_string_value(json_object_get(item, "action")),
               json_string_value(json_object_get(item, "id")),
               json_string_value(json_object_get(item, "reason")));
    }
    printf("%zu to be sent, %zu to be read back, %zu to be ignored%s\n", recovery->counts[SEND],
           recovery->counts[DOUBT], recovery->counts[IGNORE],
           is_carried_out ? ": done" : "; with --yes it is done, and push sends again");
}

static bool work(struct org_call *call, struct error *err)
{
    struct recovery recovery = {.call = call, .report = json_array()};
    bool is_carried_out = arguments_has(&call->read, "yes");

    /* All or nothing: half a recovery would let push begin. */
    bool is_ok = pg_script(call->pg, "begin", err) && recover_all(&recovery, is_carried_out, err) &&
                 pg_script(call->pg, "commit", err);
    if (is_ok)
        print(&recovery, is_carried_out);
    else
        pg_rollback(call->pg);
    json_decref(recovery.report);
    return is_ok;
}

/* The slot is part of what was lost: without it the progress is still the old server's. */
static bool find_reason(const struct config *config, struct buf *reason, struct error *err)
{
    struct pg *pg = pg_open(config->database_url, "pgforce recover", err);
    bool is_ok = pg != NULL && restored_find(pg, config->schema_name, reason, err);

    if (is_ok && reason->size_bytes > 0) {
        PGresult *noted PG_RESULT_AUTO =
            pg_query(pg,
                     "select restored_reason is not null from pgforce.connection"
                     " where schema_name = $1",
                     PG_PARAMS(config->schema_name), err);
        is_ok = noted != NULL &&
                (pg_field_bool(noted, 0, 0) ||
                 error_set(err, ERROR_CONFIG,
                           "this database is an older copy: %s. First `pgforce setup --accept-gap`,"
                           " for a slot of this server; then `pgforce recover` again",
                           reason->data));
    }
    pg_close(pg);
    return is_ok;
}

bool recover_command_run(const struct config *config, int count, char **texts, bool *has_plan,
                         struct error *err)
{
    struct org_call call = {.config = config};
    struct buf reason BUF_AUTO = {0};

    buf_init(&reason, 4096);
    *has_plan = false;
    if (!arguments_read_options(count, texts, "yes json", &call.read, err) ||
        !find_reason(config, &reason, err))
        return false;
    if (reason.size_bytes == 0) {
        puts(arguments_has(&call.read, "json")
                 ? "[]"
                 : "nothing to recover: the database goes on where it was");
        return true;
    }
    fprintf(stderr, "pgforce: %s\n", reason.data);
    *has_plan = !arguments_has(&call.read, "yes");
    return org_call_run(&call, work, err);
}
