#include "archive/restored.h"

/* The timeline is in the name of the WAL file that is being written. $1 is the schema. */
static const char find_sql[] =
    "with server as (select s.system_identifier::text as identifier,"
    " pg_current_wal_lsn() as lsn,"
    " ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer as timeline"
    " from pg_control_system() s)"
    " select case"
    " when c.restored_reason is not null then c.restored_reason"
    " when p.system_identifier <> server.identifier"
    " then format('the log was written on the server %s, this is %s', p.system_identifier,"
    " server.identifier)"
    " when p.commit_end_lsn > server.lsn"
    " then format('the log ends at %s, the server is at %s', p.commit_end_lsn, server.lsn)"
    " when p.timeline <> server.timeline"
    " and not exists (select from pg_replication_slots r where r.slot_name = p.slot_name)"
    " then format('the server has begun timeline %s (the log is of %s), and the slot is not in it',"
    " server.timeline, p.timeline) end"
    " from server, pgforce.connection c"
    " join pgforce.progress p on p.schema_name = c.schema_name"
    " where c.schema_name = $1 and not pg_is_in_recovery()";

bool restored_find(struct pg *pg, const char *schema_name, struct buf *reason, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = pg_query(pg, find_sql, PG_PARAMS(schema_name), err);

    if (result != NULL && PQntuples(result) > 0 && pg_field(result, 0, 0) != NULL)
        buf_text(reason, pg_field(result, 0, 0));
    return result != NULL;
}

bool restored_note(struct pg *pg, const char *schema_name, struct error *err)
{
    struct buf reason BUF_AUTO = {0};

    buf_init(&reason, 4096);
    return restored_find(pg, schema_name, &reason, err) &&
           (reason.size_bytes == 0 ||
            pg_run(pg, "update pgforce.connection set restored_reason = $2 where schema_name = $1",
                   PG_PARAMS(schema_name, reason.data), err));
}

bool restored_clear(struct pg *pg, const char *schema_name, struct error *err)
{
    return pg_run(pg, "update pgforce.connection set restored_reason = null where schema_name = $1",
                  PG_PARAMS(schema_name), err);
}
