#include "mapping/operation.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "mapping/mapping.h"
#include "mapping/move.h"
#include "mapping/transaction.h"
#include "pg/origin.h"

/* Why a request met no mapping in the right state. */
static bool explain(struct pg *pg, const char *schema_name, const char *object_name,
                    const char *what, struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg,
                 "select object_name, state from pgforce.mapping"
                 " where schema_name = $1 and lower(object_name) = lower($2)",
                 PG_PARAMS(schema_name, object_name), err);

    if (found == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(found) == 0)
        return mapping_refuse_unknown(schema_name, object_name, err);
    const struct state *state = state_find(pg_field(found, 0, 1));
    return error_set(err, ERROR_CONFIG, "%s is %s (%s) and cannot be %s: %s", pg_field(found, 0, 0),
                     pg_field(found, 0, 1), state != NULL ? state->meaning : "unknown", what,
                     state_is_loading(pg_field(found, 0, 1))
                         ? "wait, or `pgforce mapping abort` it first"
                         : "see `pgforce mapping show`");
}

/* What is asked for by an object's name. */
struct request {
    struct move move;
    const char *what; /* "aborted": for the error */
    const char *wake; /* what the roles are told */
};

/* NULL when there is none, or it failed. Orphans have nothing that could be stopped or read. */
static PGresult *find_mapped(struct pg *pg, const char *schema_name, const char *object_name,
                             struct error *err)
{
    PGresult *found = pg_query(pg,
                               "select m.id, m.state, m.operation is not null,"
                               " coalesce(w.is_loaded, false)"
                               " from pgforce.mapping m"
                               " left join pgforce.watermark w on w.mapping_id = m.id"
                               " where m.schema_name = $1 and lower(m.object_name) = lower($2)"
                               " and not m.is_orphan",
                               PG_PARAMS(schema_name, object_name), err);

    if (found == NULL)
        error_prefix(err, "is this database set up? (`pgforce setup`)");
    return found;
}

static bool ask(struct pg *pg, const char *schema_name, const char *object_name,
                struct request *request, struct error *err)
{
    PGresult *found PG_RESULT_AUTO = find_mapped(pg, schema_name, object_name, err);
    bool is_made = false;

    if (found == NULL)
        return false;
    if (PQntuples(found) > 0) {
        request->move.mapping_id = pg_field_int64(found, 0, 0);
        if (!move_try(pg, &request->move, &is_made, err))
            return false;
    }
    if (!is_made)
        return explain(pg, schema_name, object_name, request->what, err);
    return pg_run(pg, "select pg_notify($1 || '.pgforce_mapping', $2)",
                  PG_PARAMS(schema_name, request->wake), err);
}

/* The state it had may have changed by the time it is aborted; then the next one is told. */
bool operation_abort(struct pg *pg, const char *schema_name, const char *object_name,
                     struct error *err)
{
    PGresult *found PG_RESULT_AUTO = find_mapped(pg, schema_name, object_name, err);
    char description[256];
    struct request request = {
        {.event = STATE_ABORT, .to = "ABORTED", .operation = ""}, "aborted", "abort"};

    if (found == NULL)
        return false;
    snprintf(description, sizeof(description),
             "aborted by an operator while it was %.40s: pgforce resume OBJECT goes on, pgforce"
             " mapping reload OBJECT begins anew",
             PQntuples(found) > 0 ? pg_field(found, 0, 1) : "");
    request.move.description = description;
    return ask(pg, schema_name, object_name, &request, err);
}

bool operation_reload(struct pg *pg, const char *schema_name, const char *object_name,
                      bool is_destructive, struct error *err)
{
    struct request request = {{.event = STATE_RELOAD,
                               .to = "RELOAD_TABLE",
                               .operation = is_destructive ? "RELOAD_DESTRUCTIVE" : "RELOAD"},
                              "reloaded",
                              "reload"};

    return ask(pg, schema_name, object_name, &request, err);
}

/* What is missing says where it goes on. New columns that lack values make it RESYNC. */
static const char *resumed_state(const PGresult *found, int row)
{
    if (pg_field_bool(found, row, 2))
        return "RELOAD_TABLE";
    return pg_field_bool(found, row, 3) ? "DATA_SYNCED" : "INITIAL";
}

bool operation_resume(struct pg *pg, const char *schema_name, const char *object_name,
                      struct error *err)
{
    PGresult *found PG_RESULT_AUTO = find_mapped(pg, schema_name, object_name, err);
    struct request request = {{.event = STATE_RESUME}, "resumed", "resume"};

    if (found == NULL)
        return false;
    request.move.to = PQntuples(found) > 0 ? resumed_state(found, 0) : "";
    return ask(pg, schema_name, object_name, &request, err);
}

bool operation_resume_failed(struct pg *pg, const char *schema_name, int *resumed,
                             struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg,
                 "select m.id, m.state, m.operation is not null,"
                 " coalesce(w.is_loaded, false)"
                 " from pgforce.mapping m"
                 " left join pgforce.watermark w on w.mapping_id = m.id"
                 " where m.schema_name = $1 and not m.is_orphan"
                 " and m.state = 'SYSTEM_ERROR'",
                 PG_PARAMS(schema_name), err);

    *resumed = 0;
    for (int i = 0; found != NULL && i < PQntuples(found); i++) {
        struct move move = {.mapping_id = pg_field_int64(found, i, 0),
                            .event = STATE_RESUME,
                            .to = resumed_state(found, i)};
        bool is_made;
        if (!move_try(pg, &move, &is_made, err))
            return false;
        *resumed += is_made;
    }
    return found != NULL;
}

static bool drop_table(struct pg *pg, const char *schema_name, const char *table_name,
                       struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "drop table if exists ");
    pg_append_qualified(&sql, schema_name, table_name);
    if (pg_script(pg, sql.data, err))
        return true;
    if (err->kind != ERROR_RETRY)
        err->kind = ERROR_CONFIG; /* a view on it is the user's to drop, or the table to be kept */
    return error_prefix(err, "dropping %s.%s (--keep-table would leave it)", schema_name,
                        table_name);
}

/* Of what is on its way Salesforce may have made something: it stays in the log, and an answer that
 * still comes is noted there (outbound/settle.c). */
static bool keep_sent(struct pg *pg, const char *schema_name, const char *mapping_id,
                      struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "update ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " l set state = 'FAILED', updated_at = clock_timestamp(),"
                   " processed_at = clock_timestamp(), processed_tx = txid_current(),"
                   " sf_message = 'its mapping was deleted or reloaded while this was on its way:"
                   " Salesforce may have it'"
                   " from pgforce.delivery d"
                   " where d.mapping_id = $1 and d.schema_name = $2 and l.id = d.log_id"
                   " and d.state in ('SENDING', 'IN_DOUBT') and l.state = 'PENDING'");
    return pg_run(pg, sql.data, PG_PARAMS(mapping_id, schema_name), err);
}

static bool remove_pending(struct pg *pg, const char *schema_name, const char *mapping_id,
                           const char *table_name, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "delete from ");
    pg_append_qualified(&sql, schema_name, "_trigger_log");
    buf_text(&sql, " where table_name = $1 and state in ('NEW', 'PENDING', 'REQUEUE')");
    return keep_sent(pg, schema_name, mapping_id, err) &&
           pg_run(pg, sql.data, PG_PARAMS(table_name), err) &&
           pg_run(pg, "delete from pgforce.delivery where mapping_id = $1", PG_PARAMS(mapping_id),
                  err);
}

bool operation_forget(struct pg *pg, const char *schema_name, const char *object_name,
                      bool keeps_table, struct error *err)
{
    PGresult *found PG_RESULT_AUTO =
        pg_query(pg,
                 "select id, table_name, state, is_orphan from pgforce.mapping"
                 " where schema_name = $1 and lower(object_name) = lower($2)"
                 " for update",
                 PG_PARAMS(schema_name, object_name), err);

    if (found == NULL)
        return false;
    if (PQntuples(found) == 0 || !state_may_change(STATE_DELETE, pg_field(found, 0, 2), ""))
        return explain(pg, schema_name, object_name, "deleted", err);
    const char *id = pg_field(found, 0, 0);
    const char *table_name = pg_field(found, 0, 1);
    bool has_table = !pg_field_bool(found, 0, 3);
    return (!has_table || keeps_table || drop_table(pg, schema_name, table_name, err)) &&
           remove_pending(pg, schema_name, id, table_name, err) &&
           pg_run(pg, "delete from pgforce.mapping where id = $1", PG_PARAMS(id), err);
}

struct deletion {
    struct pg *pg;
    const char *schema_name;
    const char *object_name;
    bool keeps_table;
};

static bool delete_one(void *context, struct error *err)
{
    const struct deletion *deletion = context;

    return operation_forget(deletion->pg, deletion->schema_name, deletion->object_name,
                            deletion->keeps_table, err);
}

bool operation_delete(struct pg *pg, const char *schema_name, const char *object_name,
                      bool keeps_table, struct error *err)
{
    struct deletion deletion = {pg, schema_name, object_name, keeps_table};
    struct transaction transaction = {schema_name, delete_one, &deletion, "delete"};

    return transaction_run(pg, &transaction, err);
}

static bool empty_table(struct pg *pg, const struct mapping *mapping, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 1024);
    buf_text(&sql, "truncate ");
    pg_append_qualified(&sql, mapping->schema_name, mapping->table_name);
    return pg_script(pg, sql.data, err) &&
           remove_pending(pg, mapping->schema_name, pg_number(mapping->id).text,
                          mapping->table_name, err);
}

/* The request is taken from the row as it is now, in the transaction that begins the reload. */
static bool begin_reload(struct pg *pg, const struct mapping *mapping, bool *is_taken,
                         struct error *err)
{
    PGresult *asked PG_RESULT_AUTO = pg_query(pg,
                                              "select operation from pgforce.mapping"
                                              " where id = $1 and operation is not null"
                                              " for update",
                                              PG_PARAMS(pg_number(mapping->id).text), err);

    *is_taken = asked != NULL && PQntuples(asked) > 0;
    if (asked == NULL || !*is_taken)
        return asked != NULL;
    if (strcmp(pg_field(asked, 0, 0), "RELOAD_DESTRUCTIVE") == 0 && !empty_table(pg, mapping, err))
        return false;
    return pg_run(pg, "delete from pgforce.watermark where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err) &&
           pg_run(pg, "delete from pgforce.load where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err) &&
           pg_run(pg, "insert into pgforce.watermark (mapping_id, is_sweeping) values ($1, true)",
                  PG_PARAMS(pg_number(mapping->id).text), err) &&
           pg_run(pg, "update pgforce.mapping set operation = null where id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err) &&
           pg_run(pg, "update pgforce.mapping_field set is_filled = true where mapping_id = $1",
                  PG_PARAMS(pg_number(mapping->id).text), err);
}

bool operation_take(struct pg *pg, const struct mapping *mapping, bool *is_taken, struct error *err)
{
    *is_taken = false;
    if (mapping->operation == NULL)
        return true;
    bool is_ok = origin_begin(pg, err) && begin_reload(pg, mapping, is_taken, err) &&
                 pg_script(pg, "commit", err);
    if (!is_ok)
        pg_rollback(pg);
    return is_ok;
}
