#include "control/statistics.h"

#include "base/buf.h"
#include "control/connections.h"

enum { SQL_MAX_BYTES = 16 * 1024, MAX_COUNTED = 100000, MINUTES = 60 };

/* Puts the log in place of each @. */
static void format_sql(struct buf *sql, const char *schema_name, const char *format)
{
    buf_init(sql, SQL_MAX_BYTES);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '@')
            pg_append_qualified(sql, schema_name, "_trigger_log");
        else
            buf_char(sql, *at);
    }
}

/* One row with one JSON value; NULL with *err. */
static json_t *read_json(struct request *request, const char *format, struct pg_params params,
                         struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    format_sql(&sql, request->serve->options->schema_name, format);
    PGresult *result PG_RESULT_AUTO = pg_query(request->serve->pg, sql.data, params, err);
    if (result == NULL)
        return NULL;
    json_t *json = PQntuples(result) > 0 ? json_loads(pg_field(result, 0, 0), JSON_DECODE_ANY, NULL)
                                         : json_object();
    if (json == NULL)
        error_set(err, ERROR_BUG, "the server's statistics are not JSON");
    return json;
}

/* $1 is the schema. */
static json_t *read_api(struct request *request, struct error *err)
{
    return read_json(
        request,
        "select jsonb_build_object('used', api_used, 'max', api_max, 'seen_at'," PG_RFC3339(
            " api_seen_at") ")"
                            " from pgforce.connection"
                            " where schema_name = $1",
        PG_PARAMS(request->serve->options->schema_name), err);
}

/* $1 minutes, of $2 entries at most; an index leads to each of the two. */
static json_t *read_throughput(struct request *request, struct error *err)
{
    return read_json(
        request,
        "with minute as (select generate_series(date_trunc('minute', now())"
        " - make_interval(mins => $1::integer - 1), date_trunc('minute', now()),"
        " interval '1 minute') as at),"
        " captured as (select date_trunc('minute', created_at) as at, count(*) from"
        " (select created_at from @ where created_at >= (select min(at) from minute)"
        " order by created_at desc limit $2) c group by 1),"
        " settled as (select date_trunc('minute', processed_at) as at,"
        " count(*) filter (where state in ('SUCCESS', 'MERGED')) as sent,"
        " count(*) filter (where state = 'FAILED') as failed from"
        " (select processed_at, state from @ where processed_at is not null"
        " and processed_at >= (select min(at) from minute)"
        " order by processed_at desc limit $2) s group by 1)"
        " select jsonb_agg(jsonb_build_object('at', " PG_RFC3339(
            "m.at") ","
                    " 'captured', coalesce(c.count, 0), 'sent', coalesce(s.sent, 0),"
                    " 'failed', coalesce(s.failed, 0)) order by m.at)"
                    " from minute m left join captured c using (at) left join settled s using (at)",
        PG_PARAMS(pg_number(MINUTES).text, pg_number(MAX_COUNTED).text), err);
}

void statistics_show(struct request *request)
{
    struct error err = {0};
    json_t *throughput;
    json_t *api;

    if (!connections_is_ours(request))
        return;
    throughput = read_throughput(request, &err);
    api = throughput != NULL ? read_api(request, &err) : NULL;
    if (api != NULL)
        request_answer(request, 200, json_pack("{s:O, s:O}", "throughput", throughput, "api", api));
    else
        request_fail(request, &err);
    json_decref(throughput);
    json_decref(api);
}
