#include "control/routes.h"

#include <string.h>

#include "control/actions.h"
#include "control/authorize.h"
#include "control/connections.h"
#include "control/dashboard.h"
#include "control/explorer.h"
#include "control/guard.h"
#include "control/health.h"
#include "control/mappings.h"
#include "control/notifications.h"
#include "control/statistics.h"
#include "control/validations.h"

#define C "api/v3/connections/{id}"
#define M "api/v3/mappings/{id}"

/* {name} stands for one segment, whatever it is. Earlier rows win. */
static const struct route {
    const char *method;
    const char *pattern;
    enum request_role role;
    void (*answer)(struct request *request);
    const char *help;
} routes[] = {
    {"GET", "livez", REQUEST_NOBODY, health_live, "200 while the process answers"},
    {"GET", "readyz", REQUEST_NOBODY, health_ready,
     "200 while changes go through, else 503; the reasons with a token only"},
    {"GET", "healthz", REQUEST_NOBODY, health_ready, "the same"},
    {"GET", "status", REQUEST_VIEWER, health_status, "how the connection is doing, in figures"},
    {"GET", "metrics", REQUEST_VIEWER, health_metrics, "the same for Prometheus"},
    {"GET", "", REQUEST_NOBODY, dashboard_page, "the dashboard"},
    {"GET", "dashboard/{file}", REQUEST_NOBODY, dashboard_file, "what its page loads"},
    {"GET", "session", REQUEST_VIEWER, guard_session, "who asks: the token's name and role"},
    {"POST", "login", REQUEST_NOBODY, guard_login, "a browser's session: {\"token\": ...}"},
    {"POST", "logout", REQUEST_VIEWER, guard_logout, "ends it"},

    {"GET", "oauth/callback", REQUEST_NOBODY, authorize_finish,
     "where the browser comes back from there; the state stands for a token"},

    {"GET", "connections", REQUEST_VIEWER, connections_discover,
     "discovery: `app`, `resource_name` choose"},
    {"POST", "auth/{app}", REQUEST_VIEWER, connections_link, "the application's connections"},

    {"GET", "api/v3/connections", REQUEST_VIEWER, connections_list,
     "the same; `deep=true` with mappings"},
    {"GET", C, REQUEST_VIEWER, connections_show, "the connection; `deep=true` with mappings"},
    {"PATCH", C, REQUEST_ADMIN, connections_edit, "its `name`"},
    {"POST", C "/authorize_url", REQUEST_ADMIN, authorize_begin,
     "where to sign in to Salesforce: `environment`, `domain`, `next`"},
    {"GET", C "/actions/export", REQUEST_VIEWER, actions_export, "the configuration, as a file"},
    {"POST", C "/actions/import", REQUEST_ADMIN, actions_import,
     "adds and edits mappings, never deletes; an empty body when it is done"},
    {"POST", C "/actions/plan", REQUEST_VIEWER, actions_plan, "what an import would do"},
    {"POST", C "/actions/pause", REQUEST_OPERATOR, actions_pause, "changes are logged, not sent"},
    {"POST", C "/actions/resume", REQUEST_OPERATOR, actions_resume, "goes on where it was"},
    {"POST", C "/actions/restart", REQUEST_OPERATOR, actions_restart,
     "recovers: what stopped by an error is tried again"},
    {"GET", C "/schema-diff", REQUEST_VIEWER, actions_schema_diff,
     "what another API version would change: `target_version`"},
    {"POST", C "/actions/change-sf-api-version", REQUEST_ADMIN, actions_change_version,
     "changes to `target_version`, while paused and where nothing is lost"},
    {"GET", C "/schemas", REQUEST_VIEWER, actions_objects, "objects that can be mapped"},
    {"GET", C "/schemas/{object}", REQUEST_VIEWER, actions_schema, "an object's fields"},
    {"GET", C "/errors", REQUEST_VIEWER, mappings_all_errors, "entries that Salesforce refused"},
    {"POST", C "/validations", REQUEST_VIEWER, validations_start,
     "looks at everything: 202 with the `result_url`"},
    {"GET", C "/validations", REQUEST_VIEWER, validations_report,
     "the same, answered when it is ready, as older clients want it"},
    {"GET", C "/validations/{validation}", REQUEST_VIEWER, validations_result,
     "202 until it is ready, then 200 with what the doctor found"},
    {"GET", C "/notifications", REQUEST_VIEWER, notifications_list,
     "`page_size`, `after`, `before`, `event_type` choose"},
    {"POST", C "/notifications/acknowledge", REQUEST_OPERATOR, notifications_acknowledge,
     "marks them as seen"},

    {"GET", C "/statistics", REQUEST_VIEWER, statistics_show,
     "changes by the minute of the last hour; API requests used"},
    {"GET", C "/tables/{table}/rows", REQUEST_VIEWER, explorer_rows,
     "rows by `id`: `after`, `limit`; `status`, `id`, `sfid` choose"},
    {"GET", C "/log", REQUEST_VIEWER, explorer_log,
     "the log, the newest first: `before`, `limit`; `archive`, `table`, `state`, `record`, `sfid`,"
     " `since`, `until` choose"},
    {"GET", C "/tail", REQUEST_VIEWER, explorer_tail,
     "the log's entries `after` one, the oldest first; without it the newest; `table`, `limit`; as "
     "a page, or as a stream of server-sent events or JSON lines"},
    {"POST", C "/actions/retry", REQUEST_OPERATOR, actions_retry,
     "sends refused entries again: `id`, `mapping` or `all`"},
    {"POST", C "/actions/ignore", REQUEST_OPERATOR, actions_ignore,
     "gives refused entries up: `id`, `mapping` or `all`"},
    {"GET", C "/tokens", REQUEST_ADMIN, connections_tokens, "names and roles of the API's tokens"},

    {"GET", C "/mappings", REQUEST_VIEWER, mappings_list, "all mappings"},
    {"POST", C "/mappings", REQUEST_ADMIN, mappings_create, "`object_name` and `config`"},
    {"GET", M, REQUEST_VIEWER, mappings_show, "a mapping"},
    {"PATCH", M, REQUEST_ADMIN, mappings_edit,
     "its `config`: what it names becomes that, fields that are not in its list are taken away"},
    {"DELETE", M, REQUEST_ADMIN, mappings_delete,
     "the mapping and its table; `keep_table=true` leaves that"},
    {"POST", M "/actions/reload", REQUEST_ADMIN, mappings_reload,
     "reads all records again; `{\"destructive\": true}` empties the table first"},
    {"POST", M "/actions/abort", REQUEST_ADMIN, mappings_abort, "stops what runs on it"},
    {"GET", M "/validations", REQUEST_VIEWER, validations_mapping,
     "what the doctor finds of the mapping"},
    {"POST", M "/actions/count", REQUEST_OPERATOR, mappings_count,
     "asks Salesforce how many records it has, for `counts`"},
    {"GET", M "/errors", REQUEST_VIEWER, mappings_errors, "its entries that Salesforce refused"},

    {"GET", "api/v3/apps/{app}", REQUEST_VIEWER, connections_app, "the application's databases"},
    {"POST", "api/v3/users/me/apps/{app}/auth", REQUEST_VIEWER, connections_link,
     "as /auth, for older clients"},
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

/* Empty segments count for nothing: "/connections/" is "/connections". False: too many. */
static bool split_path(struct request *request)
{
    const char *text = request->http->path;

    for (;;) {
        text += strspn(text, "/");
        size_t length = strcspn(text, "/");

        if (length == 0)
            return true;
        if (request->segment_count == REQUEST_MAX_SEGMENTS)
            return false;
        request->segments[request->segment_count++] =
            http_server_decode(request->arena, text, length, false);
        text += length;
    }
}

static bool is_segment(const char *pattern, size_t length, const char *segment)
{
    return strlen(segment) == length && strncmp(pattern, segment, length) == 0;
}

/* Fills in the arguments when it matches. */
static bool match(struct request *request, const struct route *route)
{
    const char *pattern = route->pattern;
    size_t arguments = 0;

    for (size_t i = 0; i < request->segment_count; i++) {
        size_t length = strcspn(pattern, "/");

        if (length == 0)
            return false;
        if (*pattern == '{')
            request->arguments[arguments++] = request->segments[i];
        else if (!is_segment(pattern, length, request->segments[i]))
            return false;
        pattern += length + (pattern[length] == '/');
    }
    return *pattern == '\0';
}

static const char *find_method(const struct request *request)
{
    return strcmp(request->http->method, "HEAD") == 0 ? "GET" : request->http->method;
}

static const struct route *find_route(struct request *request, const char **allowed)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!match(request, &routes[i]))
            continue;
        if (strcmp(routes[i].method, find_method(request)) == 0)
            return &routes[i];
        *allowed = *allowed == NULL
                       ? routes[i].method
                       : arena_printf(request->arena, "%s, %s", *allowed, routes[i].method);
    }
    return NULL;
}

void routes_dispatch(struct request *request)
{
    const char *allowed = NULL;
    const struct route *route = split_path(request) ? find_route(request, &allowed) : NULL;
    /* Who may not enter does not learn what there is. */
    enum request_role needed = route != NULL ? route->role : REQUEST_VIEWER;

    if (!guard_identify(request, needed) || !guard_authorize(request, needed))
        return;
    if (route != NULL) {
        route->answer(request);
        return;
    }
    if (allowed == NULL) {
        request_refuse(request, 404, "not_found", "there is nothing at %s", request->http->path);
        return;
    }
    http_server_add_header(request->response, "Allow", allowed);
    request_refuse(request, 405, "method_not_allowed", "only %s here", allowed);
}

static const char *const role_texts[] = {[REQUEST_NOBODY] = "nobody",
                                         [REQUEST_VIEWER] = "viewer",
                                         [REQUEST_OPERATOR] = "operator",
                                         [REQUEST_ADMIN] = "admin"};

void routes_print_markdown(FILE *out)
{
    fputs("| method | path | needs | |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        fprintf(out, "| %s | `/%s` | %s | %s |\n", routes[i].method, routes[i].pattern,
                role_texts[routes[i].role], routes[i].help);
}

void routes_print_json(FILE *out)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        fprintf(out, "{\"method\": \"%s\", \"path\": \"/%s\", \"role\": \"%s\"}\n",
                routes[i].method, routes[i].pattern, role_texts[routes[i].role]);
}
