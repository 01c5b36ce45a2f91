#include "control/notifications.h"

#include <stdlib.h>

#include "archive/notification.h"
#include "control/connections.h"

enum { DEFAULT_PAGE_SIZE = 100, MAX_PAGE_SIZE = 1000 };

static const char *read_filter(const struct request *request, const char *name)
{
    const char *value = http_server_param(request->http, name);

    return value != NULL && *value != '\0' ? value : NULL;
}

static struct notification_filter read_filters(const struct request *request)
{
    const char *size = read_filter(request, "page_size");
    int limit = size != NULL ? atoi(size) : DEFAULT_PAGE_SIZE;

    return (struct notification_filter){
        .after = read_filter(request, "after"),
        .before = read_filter(request, "before"),
        .event_type = read_filter(request, "event_type"),
        .limit = limit > 0 && limit < MAX_PAGE_SIZE ? limit : MAX_PAGE_SIZE,
    };
}

static json_t *read_row(const PGresult *rows, int row)
{
    return json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:s, s:s}", "id", PQgetvalue(rows, row, 0),
                     "created_at", PQgetvalue(rows, row, 1), "resolved_at", pg_field(rows, row, 2),
                     "acknowledged_at", pg_field(rows, row, 3), "event_type",
                     PQgetvalue(rows, row, 4), "message", PQgetvalue(rows, row, 5), "cause",
                     PQgetvalue(rows, row, 6));
}

void notifications_list(struct request *request)
{
    struct notification_filter filter = read_filters(request);
    struct error err = {0};

    if (!connections_is_ours(request))
        return;
    PGresult *rows PG_RESULT_AUTO =
        notification_list(request->serve->pg, request->serve->options->schema_name, &filter, &err);
    if (rows == NULL) {
        request_fail(request, &err);
        return;
    }
    json_t *results = json_array();
    for (int i = 0; i < PQntuples(rows); i++)
        json_array_append_new(results, read_row(rows, i));
    request_answer(request, 200,
                   json_pack("{s:i, s:o, s:n, s:n}", "count", PQntuples(rows), "results", results,
                             "next", "previous"));
}

void notifications_acknowledge(struct request *request)
{
    struct notification_filter filter = read_filters(request);
    struct error err = {0};

    if (!connections_is_ours(request))
        return;
    if (notification_acknowledge(request->serve->pg, request->serve->options->schema_name, &filter,
                                 &err))
        request_answer_empty(request, 204);
    else
        request_fail(request, &err);
}
