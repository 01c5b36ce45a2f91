#include "control/health.h"

#include "base/log.h"
#include "control/guard.h"
#include "control/vitals.h"

enum { METRICS_BYTES = 256 * 1024 };

void health_live(struct request *request)
{
    request_answer(request, 200, json_pack("{s:s}", "status", "live"));
}

static bool read_vitals(struct request *request, struct pg *pg, json_t **vitals, struct error *err)
{
    const struct serve_options *options = request->serve->options;

    return vitals_read(pg, options->schema_name, options->limits, vitals, err);
}

void health_ready(struct request *request)
{
    struct pg *pg = request_pg(request);
    struct error err = {0};
    json_t *vitals;

    if (pg == NULL)
        return;
    /* What the database says may name things: only to who is known. */
    bool is_read = read_vitals(request, pg, &vitals, &err);
    bool is_ready = is_read && json_is_true(json_object_get(vitals, "is_ready"));
    json_t *answer = json_pack("{s:s}", "status", is_ready ? "ready" : "not ready");
    if (guard_is_known(request) && is_read)
        json_object_set(answer, "reasons", json_object_get(vitals, "reasons"));
    else if (guard_is_known(request))
        json_object_set_new(answer, "reasons", json_pack("[s]", err.message));
    json_decref(vitals);
    request_answer(request, is_ready ? 200 : 503, answer);
}

void health_status(struct request *request)
{
    struct pg *pg = request_pg(request);
    struct error err = {0};
    json_t *vitals;

    if (pg == NULL)
        return;
    if (read_vitals(request, pg, &vitals, &err))
        request_answer(request, 200, vitals);
    else
        request_fail(request, &err);
}

/* A scrape always has an answer: that the database is away is a figure too. */
void health_metrics(struct request *request)
{
    struct error err = {0};
    struct pg *pg = serve_pg(request->serve, &err);
    struct buf text BUF_AUTO = {0};
    json_t *vitals = NULL;

    buf_init(&text, METRICS_BYTES);
    if (pg != NULL && read_vitals(request, pg, &vitals, &err)) {
        vitals_metrics(vitals, &text);
    } else {
        log_warning("cannot read the metrics", log_text("reason", err.message));
        vitals_metrics_down(&text);
    }
    json_decref(vitals);
    request_answer_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data);
}
