#include "mapping/confirm.h"

#include "mapping/mapping.h"

bool confirm_deletions(struct pg *pg, const char *schema_name, const char *object_name,
                       int64_t *count, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "with confirmed as ("
                 "update pgforce.held_deletion h set confirmed_at = now()"
                 " from pgforce.mapping m"
                 " where m.id = h.mapping_id"
                 " and m.schema_name = $1"
                 " and lower(m.object_name) = lower($2)"
                 " and h.confirmed_at is null"
                 " returning h.sfid)"
                 " select (select count(*) from confirmed), m.id,"
                 " pg_notify($1 || '.pgforce_mapping', 'confirm')"
                 " from pgforce.mapping m"
                 " where m.schema_name = $1 and lower(m.object_name) = lower($2)",
                 PG_PARAMS(schema_name, object_name), err);

    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(result) == 0)
        return mapping_refuse_unknown(schema_name, object_name, err);
    *count = pg_field_int64(result, 0, 0);
    return true;
}
