#include "archive/failures.h"

#include <stdlib.h>
#include <string.h>

#include "archive/hstore.h"
#include "base/buf.h"

enum { SQL_MAX_BYTES = 64 * 1024, HSTORE_MAX_BYTES = 500 * 1000 * 1000, CHUNK = 1000 };

#define LIVE     "_trigger_log"
#define ARCHIVED "_trigger_log_archive"

/* $1 is the entry's number or null, $2 the table's name or null. */
#define CHOSEN                                                                                     \
    " state = 'FAILED'"                                                                            \
    " and ($1::integer is null or id = $1::integer)"                                               \
    " and ($2::text is null or table_name = $2::text)"

/* Puts the log in place of each @ and the archive in place of each ~. */
static void format_sql(struct buf *sql, const char *schema_name, const char *format)
{
    buf_init(sql, SQL_MAX_BYTES);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '@')
            pg_append_qualified(sql, schema_name, LIVE);
        else if (*at == '~')
            pg_append_qualified(sql, schema_name, ARCHIVED);
        else
            buf_char(sql, *at);
    }
}

/* What a call is about. */
struct scope {
    struct pg *pg;
    const char *schema_name;
    const struct failures_choice *choice;
};

/* Runs a statement whose first two parameters are the choice, and third, if not NULL, the third. */
static PGresult *query_chosen(const struct scope *scope, const char *format, const char *third,
                              struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct pg_number number = pg_number(scope->choice->log_id);
    struct pg_params params = PG_PARAMS(scope->choice->log_id != 0 ? number.text : NULL,
                                        scope->choice->table_name, third);

    params.count = third != NULL ? 3 : 2;
    format_sql(&sql, scope->schema_name, format);
    return pg_query(scope->pg, sql.data, params, err);
}

static const char *copy_text(const PGresult *result, int row, int column, struct arena *arena)
{
    const char *text = pg_field(result, row, column);

    return text != NULL ? arena_strdup(arena, text) : NULL;
}

bool failures_read(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                   struct failures *failures, struct error *err)
{
    const struct scope scope = {pg, schema_name, choice};
    struct arena *arena = failures->arena;
    PGresult *result PG_RESULT_AUTO =
        query_chosen(&scope,
                     "select id, coalesce(table_name, ''), coalesce(action, ''), record_id, sfid,"
                     " coalesce(sf_message, ''),"
                     " to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
                     " to_char(processed_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), is_archived"
                     " from (select *, false as is_archived from @ where" CHOSEN
                     " union all select *, true from ~ where" CHOSEN ") f"
                     " order by id"
                     " limit $3",
                     pg_number(failures->limit).text, err);

    if (result == NULL)
        return error_prefix(err, "reading the failed entries");
    failures->count = (size_t)PQntuples(result);
    failures->items = arena_array(arena, struct failure, failures->count);
    for (int row = 0; row < PQntuples(result); row++)
        failures->items[row] = (struct failure){
            .log_id = pg_field_int64(result, row, 0),
            .table_name = copy_text(result, row, 1, arena),
            .action = copy_text(result, row, 2, arena),
            .record_id = pg_field_int64(result, row, 3),
            .sfid = copy_text(result, row, 4, arena),
            .message = copy_text(result, row, 5, arena),
            .created_at = copy_text(result, row, 6, arena),
            .processed_at = copy_text(result, row, 7, arena),
            .is_archived = pg_field_bool(result, row, 8),
        };
    return true;
}

/* --- capturing again ---------------------------------------------------------------------------
 */

/* An entry in hand, read from the log or the archive. */
struct chosen {
    int64_t log_id;
    const char *table_name;
    const char *action;
    const char *record_id;
    const char *values; /* NULL for a DELETE */
    bool is_archived;
};

struct retrying {
    struct pg *pg;
    const char *schema_name;
    struct arena *arena; /* of one chunk */
    bool is_merged;      /* the connection's algorithm */
    struct failures_result *result;
};

static bool read_algorithm(struct retrying *retrying, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(retrying->pg,
                                               "select features ->> 'poll_db_no_merge' = 'false'"
                                               " from pgforce.connection"
                                               " where schema_name = $1",
                                               PG_PARAMS(retrying->schema_name), err);

    if (result == NULL)
        return false;
    retrying->is_merged = PQntuples(result) > 0 && pg_field_bool(result, 0, 0);
    return true;
}

static bool is_own_column(const char *name)
{
    return strcmp(name, "_hc_lastop") == 0 || strcmp(name, "_hc_err") == 0;
}

/* The row's values as they are now; of an UPDATE only those that the failed entry carried. */
static bool print_row(const struct retrying *retrying, const struct chosen *chosen,
                      const PGresult *row, struct buf *text, struct error *err)
{
    struct hstore_pair *pairs =
        arena_array(retrying->arena, struct hstore_pair, (size_t)PQnfields(row));
    struct hstore_pair *carried;
    size_t carried_count;
    size_t count = 0;

    if (!hstore_parse(chosen->values != NULL ? chosen->values : "", retrying->arena, &carried,
                      &carried_count, err))
        return error_prefix(err, "entry %lld", (long long)chosen->log_id);
    for (int i = 0; i < PQnfields(row); i++) {
        const char *name = PQfname(row, i);

        if (is_own_column(name) || (strcmp(chosen->action, "UPDATE") == 0 &&
                                    hstore_find(carried, carried_count, name) == NULL))
            continue;
        pairs[count++] =
            (struct hstore_pair){name, pg_field(row, 0, i), (size_t)PQgetlength(row, 0, i)};
    }
    hstore_sort(pairs, count);
    hstore_print(text, pairs, count);
    return true;
}

/* A row that has its sfid by now, from whomever, must not be created once more. */
static const char *action_for(const struct chosen *chosen, const char *sfid)
{
    return strcmp(chosen->action, "INSERT") == 0 && sfid != NULL ? "UPDATE" : chosen->action;
}

static bool log_again(const struct retrying *retrying, const struct chosen *chosen,
                      const PGresult *row, struct error *err)
{
    struct buf values BUF_AUTO = {0};
    struct buf sql BUF_AUTO = {0};
    int sfid_column = PQfnumber(row, "sfid");
    const char *sfid = sfid_column >= 0 ? pg_field(row, 0, sfid_column) : NULL;

    buf_init(&values, HSTORE_MAX_BYTES);
    if (!print_row(retrying, chosen, row, &values, err))
        return false;
    format_sql(&sql, retrying->schema_name,
               "insert into @ (txid, created_at, updated_at, state, action, table_name, record_id,"
               " sfid, \"values\")"
               " values (txid_current(), clock_timestamp(), clock_timestamp(), 'NEW', $1, $2, $3,"
               " $4, $5)");
    return pg_run(retrying->pg, sql.data,
                  PG_PARAMS(action_for(chosen, sfid), chosen->table_name, chosen->record_id, sfid,
                            values.data),
                  err);
}

static bool set_state(const struct retrying *retrying, const struct chosen *chosen,
                      const char *state, struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, retrying->schema_name,
               chosen->is_archived ? "update ~ set state = $2, updated_at = clock_timestamp()"
                                     " where id = $1"
                                   : "update @ set state = $2, updated_at = clock_timestamp()"
                                     " where id = $1");
    return pg_run(retrying->pg, sql.data, PG_PARAMS(pg_number(chosen->log_id).text, state), err);
}

static bool capture_again(const struct retrying *retrying, const struct chosen *chosen,
                          struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, SQL_MAX_BYTES);
    buf_text(&sql, "select * from ");
    pg_append_qualified(&sql, retrying->schema_name, chosen->table_name);
    buf_text(&sql, " where id = $1");
    PGresult *row PG_RESULT_AUTO =
        pg_query(retrying->pg, sql.data, PG_PARAMS(chosen->record_id), err);
    if (row == NULL)
        return false;
    if (PQntuples(row) == 0) {
        retrying->result->rowless++;
        return true;
    }
    retrying->result->requeued++;
    return log_again(retrying, chosen, row, err) && set_state(retrying, chosen, "REQUEUED", err);
}

/* A copy of what the archive keeps, behind all else. */
static bool copy_back(const struct retrying *retrying, const struct chosen *chosen,
                      struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, retrying->schema_name,
               "insert into @ (txid, created_at, updated_at, processed_at, state, action,"
               " table_name, record_id, sfid, old, \"values\")"
               " select txid, clock_timestamp(), clock_timestamp(), processed_at, 'NEW', action,"
               " table_name, record_id, sfid, old, \"values\""
               " from ~"
               " where id = $1");
    retrying->result->requeued++;
    return pg_run(retrying->pg, sql.data, PG_PARAMS(pg_number(chosen->log_id).text), err) &&
           set_state(retrying, chosen, "REQUEUED", err);
}

/* An entry of a mapping that was deleted has neither a row nor a way to Salesforce. */
static bool is_mapped(const struct retrying *retrying, const struct chosen *chosen, bool *is_so,
                      struct error *err)
{
    PGresult *found PG_RESULT_AUTO = pg_query(
        retrying->pg, "select from pgforce.mapping where schema_name = $1 and table_name = $2",
        PG_PARAMS(retrying->schema_name, chosen->table_name), err);

    *is_so = found != NULL && PQntuples(found) > 0;
    return found != NULL;
}

static bool retry_one(const struct retrying *retrying, const struct chosen *chosen,
                      struct error *err)
{
    bool has_table;

    if (!is_mapped(retrying, chosen, &has_table, err))
        return false;
    if (!has_table) {
        retrying->result->rowless++;
        return true;
    }
    /* An archived UPDATE would come back behind newer ones. */
    bool needs_row =
        strcmp(chosen->action, "DELETE") != 0 &&
        (!retrying->is_merged || (chosen->is_archived && strcmp(chosen->action, "UPDATE") == 0));
    if (needs_row)
        return capture_again(retrying, chosen, err);
    if (chosen->is_archived)
        return copy_back(retrying, chosen, err);
    retrying->result->requeued++;
    return set_state(retrying, chosen, "NEW", err);
}

#define TAKEN "id, coalesce(table_name, ''), coalesce(action, ''), record_id, \"values\", "

/*
 * The log's entry is locked, so that two who retry do not send twice; the archive's too. A chunk is
 * what comes after the last of the chunk before.
 */
static PGresult *read_chunk(const struct scope *scope, int64_t after_id, struct error *err)
{
    return query_chosen(scope,
                        "with live as (select " TAKEN "false as is_archived"
                        " from @ where" CHOSEN " and id > $3 order by id limit 1000 for update),"
                        " old as (select " TAKEN "true"
                        " from ~ where" CHOSEN " and id > $3 order by id limit 1000 for update)"
                        " select * from live union all select * from old order by 1 limit 1000",
                        pg_number(after_id).text, err);
}

static bool retry_chunk(struct retrying *retrying, const PGresult *chunk, struct error *err)
{
    for (int row = 0; row < PQntuples(chunk); row++) {
        struct chosen chosen = {
            .log_id = pg_field_int64(chunk, row, 0),
            .table_name = pg_field(chunk, row, 1),
            .action = pg_field(chunk, row, 2),
            .record_id = pg_field(chunk, row, 3),
            .values = pg_field(chunk, row, 4),
            .is_archived = pg_field_bool(chunk, row, 5),
        };

        arena_reset(retrying->arena);
        if (!retry_one(retrying, &chosen, err))
            return error_prefix(err, "trying entry %lld again", (long long)chosen.log_id);
    }
    return true;
}

static bool retry_all(struct retrying *retrying, const struct failures_choice *choice,
                      struct error *err)
{
    const struct scope scope = {retrying->pg, retrying->schema_name, choice};
    int64_t after_id = 0;

    for (;;) {
        PGresult *chunk PG_RESULT_AUTO = read_chunk(&scope, after_id, err);

        if (chunk == NULL || !retry_chunk(retrying, chunk, err))
            return false;
        if (PQntuples(chunk) < CHUNK)
            return true;
        after_id = pg_field_int64(chunk, PQntuples(chunk) - 1, 0);
    }
}

static bool refuse_none(const struct failures_choice *choice, int64_t count, struct error *err)
{
    if (choice->log_id == 0 || count > 0)
        return true;
    return error_set(err, ERROR_RECORD,
                     "entry %lld is not FAILED, in the log or its archive (`pgforce errors` lists"
                     " those that are)",
                     (long long)choice->log_id);
}

static bool end_transaction(struct pg *pg, bool is_ok, struct error *err)
{
    if (is_ok && pg_script(pg, "commit", err))
        return true;
    pg_rollback(pg);
    return false;
}

bool failures_retry(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                    struct failures_result *result, struct error *err)
{
    struct retrying retrying = {
        .pg = pg, .schema_name = schema_name, .arena = arena_new(), .result = result};

    *result = (struct failures_result){0};
    bool is_ok = pg_script(pg, "begin", err) && read_algorithm(&retrying, err) &&
                 retry_all(&retrying, choice, err) &&
                 refuse_none(choice, result->requeued + result->rowless, err);
    arena_free(retrying.arena);
    return end_transaction(pg, is_ok, err);
}

static bool ignore_in(const struct scope *scope, const char *format, int64_t *count,
                      struct error *err)
{
    PGresult *result PG_RESULT_AUTO = query_chosen(scope, format, NULL, err);

    if (result == NULL)
        return error_prefix(err, "giving up failed entries");
    *count += pg_affected(result);
    return true;
}

bool failures_ignore(struct pg *pg, const char *schema_name, const struct failures_choice *choice,
                     int64_t *count, struct error *err)
{
    const struct scope scope = {pg, schema_name, choice};

    *count = 0;
    bool is_ok =
        pg_script(pg, "begin", err) &&
        ignore_in(&scope,
                  "update @ set state = 'IGNORED', updated_at = clock_timestamp() where" CHOSEN,
                  count, err) &&
        ignore_in(&scope,
                  "update ~ set state = 'IGNORED', updated_at = clock_timestamp() where" CHOSEN,
                  count, err) &&
        refuse_none(choice, *count, err);
    return end_transaction(pg, is_ok, err);
}
