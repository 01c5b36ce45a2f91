#include "control/health.h"

#include "control/guard.h"

/* The newest progress a healthy archive may lag behind the server's log: a quiet one stores its
 * position each minute, a busy one many times a second. */
static const char slot_sql[] =
    "select s.slot_name is null, s.active is not true, coalesce(s.wal_status, '') = 'lost'"
    " from pgforce.progress p"
    " left join pg_replication_slots s on s.slot_name = p.slot_name"
    " where p.schema_name = $1";

static void add_reason(json_t *reasons, bool is_true, const char *text)
{
    if (is_true)
        json_array_append_new(reasons, json_string(text));
}

static void find_reasons(struct request *request, struct pg *pg, json_t *reasons)
{
    struct error err = {0};
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, slot_sql, PG_PARAMS(request->serve->options->schema_name), &err);

    add_reason(reasons, result == NULL, "the database answers with an error");
    if (result == NULL)
        return;
    bool is_set_up = PQntuples(result) > 0;
    add_reason(reasons, !is_set_up, "not set up: `pgforce setup`");
    add_reason(reasons, is_set_up && pg_field_bool(result, 0, 0), "the slot is missing");
    add_reason(reasons, is_set_up && pg_field_bool(result, 0, 1),
               "nobody reads the slot: is the role archive running?");
    add_reason(reasons, is_set_up && pg_field_bool(result, 0, 2),
               "the slot has lost what it needs of the WAL");
}

void health_live(struct request *request)
{
    request_answer(request, 200, json_pack("{s:s}", "status", "live"));
}

void health_ready(struct request *request)
{
    struct pg *pg = request_pg(request);
    json_t *reasons;

    if (pg == NULL)
        return;
    reasons = json_array();
    find_reasons(request, pg, reasons);
    bool is_ready = json_array_size(reasons) == 0;
    json_t *answer = json_pack("{s:s}", "status", is_ready ? "ready" : "not ready");
    if (guard_is_known(request))
        json_object_set(answer, "reasons", reasons);
    json_decref(reasons);
    request_answer(request, is_ready ? 200 : 503, answer);
}
