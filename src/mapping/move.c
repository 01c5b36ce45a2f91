#include "mapping/move.h"

#include <string.h>

/* Every poll says DATA_SYNCED: a row that says so already is left alone. */
static PGresult *write_state(struct pg *pg, const struct move *move, struct error *err)
{
    struct arena *arena = arena_new();
    bool waits = move->event == STATE_READ || move->event == STATE_RETURN;
    PGresult *result = pg_query(
        pg,
        "with wanted as ("
        "select case when $2 = 'DATA_SYNCED' and exists (select from pgforce.mapping_field"
        " where mapping_id = $1 and not is_filled) then 'RESYNC' else $2 end as state),"
        " may as ("
        "select m.id, w.state, case when $5 = '' then null else coalesce($5, m.operation) end"
        " as operation"
        " from pgforce.mapping m, wanted w"
        " where m.id = $1"
        " and (m.state = any (case when w.state = $2 then $4::text[] else $6::text[] end)"
        " or ($7 and m.state = w.state))"
        " and (m.operation is null or not $8)),"
        " changed as ("
        "update pgforce.mapping m"
        " set state = w.state, state_description = $3, operation = may.operation,"
        " updated_at = now()"
        " from may, wanted w"
        " where m.id = may.id"
        /* Again, of the row as it is by now. */
        " and (m.state = any (case when w.state = $2 then $4::text[] else $6::text[] end)"
        " or ($7 and m.state = w.state))"
        " and (m.operation is null or not $8)"
        " and (m.state, m.state_description, m.operation)"
        " is distinct from (w.state, $3::text, may.operation)"
        " returning m.id)"
        " select m.object_name, m.state, exists (select from changed)"
        " or (exists (select from may where may.state = m.state)"
        " and m.state_description is not distinct from $3::text)"
        " from pgforce.mapping m where m.id = $1",
        PG_PARAMS(pg_number(move->mapping_id).text, move->to, move->description,
                  state_sources(move->event, move->to, arena), move->operation,
                  state_sources(move->event, "RESYNC", arena), move->may_stay ? "t" : "f",
                  waits ? "t" : "f"),
        err);

    arena_free(arena);
    if (result == NULL)
        error_prefix(err, "setting the state of a mapping");
    return result;
}

bool move_try(struct pg *pg, const struct move *move, bool *is_made, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = write_state(pg, move, err);

    *is_made = result != NULL && PQntuples(result) > 0 && pg_field_bool(result, 0, 2);
    return result != NULL;
}

bool move_daemon(struct pg *pg, const struct move *move, struct error *err)
{
    struct move staying = *move;

    staying.may_stay = true;
    PGresult *result PG_RESULT_AUTO = write_state(pg, &staying, err);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return error_set(err, ERROR_RETRY, "mapping %lld does not exist any more",
                         (long long)move->mapping_id);
    if (!pg_field_bool(result, 0, 2))
        return error_set(err, ERROR_RETRY, "mapping %s is %s by now: it does not become %s",
                         pg_field(result, 0, 0), pg_field(result, 0, 1), move->to);
    return true;
}
