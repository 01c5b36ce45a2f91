#include "archive/gap.h"

bool gap_open(struct pg *pg, const char *schema_name, const char *reason, struct error *err)
{
    return pg_run(pg,
                  "insert into pgforce.gap (schema_name, from_lsn, reason)"
                  " select p.schema_name, p.commit_end_lsn, $2"
                  " from pgforce.progress p"
                  " where p.schema_name = $1"
                  " and not exists (select from pgforce.gap g"
                  " where g.schema_name = $1 and g.accepted_at is null)",
                  PG_PARAMS(schema_name, reason), err);
}

bool gap_accept(struct pg *pg, const char *schema_name, const struct gap_record *gap,
                struct error *err)
{
    return pg_run(pg,
                  "with closed as (update pgforce.gap"
                  " set to_lsn = $3, accepted_at = now()"
                  " where schema_name = $1 and accepted_at is null"
                  " returning 1)"
                  " insert into pgforce.gap (schema_name, from_lsn, to_lsn, reason, accepted_at)"
                  " select $1, $2, $3, $4, now()"
                  " where not exists (select from closed)",
                  PG_PARAMS(schema_name, lsn_format(gap->from_lsn).text,
                            lsn_format(gap->to_lsn).text, gap->reason),
                  err);
}

bool gap_find_open(struct pg *pg, const char *schema_name, struct buf *reason, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg,
                                               "select reason from pgforce.gap"
                                               " where schema_name = $1 and accepted_at is null"
                                               " order by id desc limit 1",
                                               PG_PARAMS(schema_name), err);

    if (result != NULL && PQntuples(result) > 0)
        buf_text(reason, PQgetvalue(result, 0, 0));
    return result != NULL;
}
