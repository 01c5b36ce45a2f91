#include "control/routes.h"

#include <string.h>

#include "control/guard.h"
#include "control/health.h"

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
    {"POST", "login", REQUEST_NOBODY, guard_login, "a browser's session: {\"token\": ...}"},
    {"POST", "logout", REQUEST_VIEWER, guard_logout, "ends it"},
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
