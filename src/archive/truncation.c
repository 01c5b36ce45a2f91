#include "archive/truncation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/unsettled.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

enum { SQL_MAX_BYTES = 64 * 1024 };

/* What is known of it when it is judged. */
struct facts {
    int64_t mapping_id;
    bool is_read_only;
    const char *policy;
    bool was_looked_at; /* the rows were noted before they went */
    bool is_repeated;   /* the same transaction has emptied the table before */
    int64_t record_count;
};

static PGresult *read_facts(struct pg *pg, const struct truncation *truncation, struct facts *facts,
                            struct error *err)
{
    PGresult *result = pg_query(
        pg,
        "select m.id, m.access = 'read_only', coalesce(m.config ->> 'truncate_policy', 'ignore'),"
        " exists (select from pgforce.truncated_row r where r.xid = $3::xid8"
        " and r.schema_name = $1 and r.table_name = $2 and r.record_id is null),"
        " exists (select from pgforce.truncation t where t.mapping_id = m.id"
        " and t.commit_lsn = $4::pg_lsn),"
        " (select count(r.sfid) from pgforce.truncated_row r where r.xid = $3::xid8"
        " and r.schema_name = $1 and r.table_name = $2)"
        " from pgforce.mapping m"
        " where m.schema_name = $1 and m.table_name = $2",
        PG_PARAMS(truncation->schema_name, truncation->table_name, truncation->xid,
                  lsn_format(truncation->commit_lsn).text),
        err);

    if (result == NULL || PQntuples(result) == 0)
        return result;
    *facts = (struct facts){
        .mapping_id = pg_field_int64(result, 0, 0),
        .is_read_only = pg_field_bool(result, 0, 1),
        .policy = pg_field(result, 0, 2),
        .was_looked_at = pg_field_bool(result, 0, 3),
        .is_repeated = pg_field_bool(result, 0, 4),
        .record_count = pg_field_int64(result, 0, 5),
    };
    return result;
}

/* A policy that nobody knows stops: whoever wrote it did not mean "ignore". */
static const char *judge(const struct facts *facts)
{
    if (facts->is_read_only || strcmp(facts->policy, "ignore") == 0)
        return "IGNORED";
    if (strcmp(facts->policy, "delete") != 0)
        return "STOPPED";
    if (!facts->was_looked_at)
        return facts->is_repeated ? "DELETED" : "STOPPED";
    return facts->record_count > TRUNCATION_GUARD ? "WAITING" : "DELETED";
}

static void tell(const struct truncation *truncation, const struct facts *facts, const char *state)
{
    if (strcmp(state, "IGNORED") == 0)
        log_warning("ignored TRUNCATE: the records stay in Salesforce",
                    log_text("table", truncation->table_name));
    else if (strcmp(state, "STOPPED") == 0)
        log_error("TRUNCATE stops the mapping: nothing of it is sent until `pgforce truncations"
                  " --dismiss`",
                  log_text("table", truncation->table_name), log_text("policy", facts->policy));
    else if (strcmp(state, "WAITING") == 0)
        log_error("TRUNCATE would delete many records: it waits for `pgforce truncations --delete`"
                  " or --dismiss",
                  log_text("table", truncation->table_name),
                  log_number("records", facts->record_count));
    else
        log_info("TRUNCATE deletes the records in Salesforce",
                 log_text("table", truncation->table_name),
                 log_number("records", facts->record_count));
}

static bool forget_rows(struct pg *pg, const struct truncation *truncation, struct error *err)
{
    return pg_run(pg,
                  "delete from pgforce.truncated_row"
                  " where xid = $1::xid8 and schema_name = $2 and table_name = $3",
                  PG_PARAMS(truncation->xid, truncation->schema_name, truncation->table_name), err);
}

/*
 * A row that never had an sfid counts only where its INSERT is on its way: then the record may come
 * to be, and goes behind it.
 */
static bool log_deletes(struct pg *pg, const struct truncation *truncation, struct error *err)
{
    struct buf sql BUF_AUTO = {0};
    struct buf log BUF_AUTO = {0};

    buf_init(&log, 1024);
    pg_append_qualified(&log, truncation->schema_name, "_trigger_log");
    buf_init(&sql, SQL_MAX_BYTES);
    buf_printf(
        &sql,
        "insert into %s (txid, created_at, updated_at, state, action, table_name, record_id,"
        " sfid, old)"
        " select ($1::xid8)::text::bigint, clock_timestamp(), null, 'NEW', 'DELETE', $3::text,"
        " r.record_id, r.sfid,"
        " format('\"id\"=>\"%%s\", \"sfid\"=>%%s', r.record_id,"
        " coalesce('\"' || r.sfid || '\"', 'NULL'))"
        " from pgforce.truncated_row r"
        " where r.xid = $1::xid8 and r.schema_name = $2 and r.table_name = $3::text"
        " and r.record_id is not null"
        " and (r.sfid is not null or exists (select from %s l"
        " where l.table_name = $3::text and l.record_id = r.record_id"
        " and l.action = 'INSERT' and " UNSETTLED_UNSENT " offset 0))"
        " order by r.record_id",
        log.data, log.data);
    return pg_run(pg, sql.data,
                  PG_PARAMS(truncation->xid, truncation->schema_name, truncation->table_name),
                  err) &&
           forget_rows(pg, truncation, err);
}

bool truncation_store(struct pg *pg, const struct truncation *truncation, struct error *err)
{
    struct facts facts = {0};
    PGresult *result PG_RESULT_AUTO = read_facts(pg, truncation, &facts, err);

    if (result == NULL)
        return error_prefix(err, "reading the policy for TRUNCATE");
    if (PQntuples(result) == 0)
        return true;
    const char *state = judge(&facts);
    if (!pg_run(pg,
                "insert into pgforce.truncation (mapping_id, commit_lsn, seq, xid, truncated_at,"
                " policy, state, record_count) values ($1, $2, $3, $4, $5, $6, $7, $8)",
                PG_PARAMS(pg_number(facts.mapping_id).text, lsn_format(truncation->commit_lsn).text,
                          pg_number(truncation->seq).text, truncation->xid,
                          clock_format_utc(truncation->commit_time_us).text, facts.policy, state,
                          facts.was_looked_at ? pg_number(facts.record_count).text : NULL),
                err))
        return error_prefix(err, "storing a TRUNCATE");
    tell(truncation, &facts, state);
    if (strcmp(state, "DELETED") == 0)
        return log_deletes(pg, truncation, err);
    return strcmp(state, "WAITING") == 0 || forget_rows(pg, truncation, err);
}

PGresult *truncation_list(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_query(pg,
                    "select t.id, m.table_name, t.policy, t.state, t.record_count,"
                    " to_char(t.truncated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
                    " as truncated_at"
                    " from pgforce.truncation t"
                    " join pgforce.mapping m on m.id = t.mapping_id"
                    " where m.schema_name = $1"
                    " and t.state in ('STOPPED', 'WAITING')"
                    " order by t.id",
                    PG_PARAMS(schema_name), err);
}

/* Whoever is to send hears of it, though no entry may have been made. */
static bool wake_writer(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_run(pg, "select pg_notify($1 || '.hc_trigger_log', 'ping')", PG_PARAMS(schema_name),
                  err);
}

bool truncation_answer(struct pg *pg, const char *schema_name, int64_t id,
                       enum truncation_answer answer, struct error *err)
{
    bool deletes = answer == TRUNCATION_DELETE;
    PGresult *found PG_RESULT_AUTO = pg_query(
        pg,
        "update pgforce.truncation t set state = $3"
        " from pgforce.mapping m"
        " where m.id = t.mapping_id and m.schema_name = $1 and t.id = $2"
        " and (t.state = 'WAITING' or (t.state = 'STOPPED' and $3 = 'DISMISSED'))"
        " returning t.xid, m.table_name",
        PG_PARAMS(schema_name, pg_number(id).text, deletes ? "DELETED" : "DISMISSED"), err);

    if (found == NULL)
        return false;
    if (PQntuples(found) == 0)
        return error_set(
            err, ERROR_USAGE, "there is no TRUNCATE %" PRId64 " that waits for that%s", id,
            deletes ? " (of one that stops its mapping, the records are not known)" : "");
    struct truncation truncation = {.schema_name = schema_name,
                                    .xid = pg_field(found, 0, 0),
                                    .table_name = pg_field(found, 0, 1)};
    return (deletes ? log_deletes(pg, &truncation, err) : forget_rows(pg, &truncation, err)) &&
           wake_writer(pg, schema_name, err);
}
