#include "sandbox/limits.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/users.h"

enum { DAY_S = 24 * 3600, MAX_MEMBERS = 200 };

struct limits {
    json_t *members; /* {"DailyBulkV2QueryJobs": {"max": 10, "used": 10}} */
    char *app;       /* NULL: the header tells of no app */
    int64_t app_used;
    int64_t app_max;
    int64_t busy_calls; /* so many calls meet the limit of concurrent ones */
    int64_t day;
};

struct limits *limits_new(void)
{
    struct limits *limits = memory_alloc(sizeof(*limits));

    limits->members = json_object();
    return limits;
}

void limits_forget(struct limits *limits)
{
    json_object_clear(limits->members);
    free(limits->app);
    limits->app = NULL;
    limits->busy_calls = 0;
}

void limits_free(struct limits *limits)
{
    if (limits == NULL)
        return;
    limits_forget(limits);
    json_decref(limits->members);
    free(limits);
}

/* ---- counting ---- */

/* Salesforce counts the last 24 hours at any time; here a day ends all at once. */
static void begin_day(struct org *org)
{
    struct limits *limits = org->limits;
    int64_t day = org_now(org) / DAY_S;

    if (limits->day != 0 && limits->day != day) {
        org->api_used = 0;
        limits->app_used = 0;
    }
    limits->day = day;
}

static bool refuse(struct call *call, const char *message)
{
    call_error(call, "REQUEST_LIMIT_EXCEEDED", "%s", message);
    return false;
}

static bool has_room(struct call *call)
{
    struct org *org = call->org;
    struct limits *limits = org->limits;

    if (limits->busy_calls > 0) {
        limits->busy_calls--;
        return refuse(call, "ConcurrentRequests (Concurrent API Requests) Limit exceeded.");
    }
    if (org->api_used >= org->api_max ||
        (limits->app != NULL && limits->app_used >= limits->app_max) || !users_count_call(org))
        return refuse(call, "TotalRequests Limit exceeded.");
    return true;
}

static void tell(struct call *call)
{
    const struct org *org = call->org;
    const struct limits *limits = org->limits;
    const char *text = arena_printf(call->arena, "api-usage=%lld/%lld", (long long)org->api_used,
                                    (long long)org->api_max);

    if (limits->app != NULL)
        text = arena_printf(call->arena, "%s; per-app-api-usage=%lld/%lld(appName=%s)", text,
                            (long long)limits->app_used, (long long)limits->app_max, limits->app);
    call_header(call, "Sforce-Limit-Info", text);
}

bool limits_charge(struct call *call)
{
    struct org *org = call->org;

    begin_day(org);
    if (!call->is_inner && !has_room(call))
        return false;
    if (!call->is_inner) {
        org->api_used++;
        org->limits->app_used += org->limits->app != NULL;
    }
    tell(call);
    return true;
}

/* ---- telling ---- */

bool limits_use(struct limits *limits, const char *name)
{
    json_t *member = json_object_get(limits->members, name);
    json_int_t used = json_integer_value(json_object_get(member, "used"));

    if (member == NULL)
        return true;
    if (used >= json_integer_value(json_object_get(member, "max")))
        return false;
    json_object_set_new(member, "used", json_integer(used + 1));
    return true;
}

void limits_apply(const struct limits *limits, json_t *members)
{
    const char *name;
    json_t *each;

    json_object_foreach(limits->members, name, each)
    {
        json_int_t max = json_integer_value(json_object_get(each, "max"));
        json_int_t left = max - json_integer_value(json_object_get(each, "used"));

        json_object_set_new(members, name,
                            json_pack("{s:I, s:I}", "Max", max, "Remaining", left > 0 ? left : 0));
    }
}

const char *limits_app_name(const struct limits *limits)
{
    return limits->app;
}

json_t *limits_describe_app(const struct limits *limits)
{
    int64_t left = limits->app_max - limits->app_used;

    if (limits->app == NULL)
        return NULL;

    return json_pack("{s:I, s:I}", "Max", (json_int_t)limits->app_max, "Remaining",
                     (json_int_t)(left > 0 ? left : 0));
}

/* ---- the door ---- */

void limits_door_read(struct call *call)
{
    const struct org *org = call->org;
    const struct limits *limits = org->limits;
    json_t *app = limits->app == NULL
                      ? json_null()
                      : json_pack("{s:s, s:I, s:I}", "name", limits->app, "used",
                                  (json_int_t)limits->app_used, "max", (json_int_t)limits->app_max);

    call_json(call, 200,
              json_pack("{s:I, s:I, s:o, s:I, s:O}", "used", (json_int_t)org->api_used, "max",
                        (json_int_t)org->api_max, "app", app, "concurrent",
                        (json_int_t)limits->busy_calls, "limits", limits->members));
}

static const char *check_number(const json_t *value)
{
    return value == NULL || (json_is_integer(value) && json_integer_value(value) >= 0)
               ? NULL
               : "used, max and concurrent are numbers from 0";
}

static const char *check_members(const json_t *members)
{
    const char *name;
    json_t *each;

    if (json_object_size(members) > MAX_MEMBERS)
        return "there are not so many limits";
    json_object_foreach((json_t *)members, name, each)
    {
        if (!json_is_integer(json_object_get(each, "max")) ||
            !json_is_integer(json_object_get(each, "used")))
            return "\"limits\" is {\"DailyBulkV2QueryJobs\": {\"max\": 10, \"used\": 0}, ...}";
    }
    return NULL;
}

/* Names stand in a header as they are. */
static bool is_app_name(const char *name)
{
    return name != NULL && *name != '\0' && strpbrk(name, "\r\n();") == NULL;
}

static const char *check(const json_t *body)
{
    const json_t *app = json_object_get(body, "app");
    const char *problem = check_number(json_object_get(body, "used"));

    if (problem == NULL)
        problem = check_number(json_object_get(body, "max"));
    if (problem == NULL)
        problem = check_number(json_object_get(body, "concurrent"));
    if (problem == NULL && json_is_object(app) &&
        (!is_app_name(json_string_value(json_object_get(app, "name"))) ||
         check_number(json_object_get(app, "used")) != NULL ||
         !json_is_integer(json_object_get(app, "max"))))
        problem = "\"app\" is {\"name\": text, \"used\": n, \"max\": n}, or null";
    return problem == NULL ? check_members(json_object_get(body, "limits")) : problem;
}

static void set_number(const json_t *body, const char *key, int64_t *number)
{
    const json_t *value = json_object_get(body, key);

    if (value != NULL)
        *number = json_integer_value(value);
}

static void set_app(struct limits *limits, const json_t *app)
{
    if (app == NULL)
        return;
    free(limits->app);
    limits->app =
        json_is_object(app) ? memory_strdup(json_string_value(json_object_get(app, "name"))) : NULL;
    set_number(app, "used", &limits->app_used);
    set_number(app, "max", &limits->app_max);
}

void limits_door_set(struct call *call)
{
    const json_t *body = call_body(call);
    struct org *org = call->org;
    const char *problem = body != NULL ? check(body) : NULL;

    if (body == NULL)
        return;
    if (problem != NULL) {
        call_json(call, 400, json_pack("{s:s}", "error", problem));
        return;
    }
    begin_day(org);
    set_number(body, "used", &org->api_used);
    set_number(body, "max", &org->api_max);
    set_number(body, "concurrent", &org->limits->busy_calls);
    set_app(org->limits, json_object_get(body, "app"));
    json_object_update(org->limits->members, json_object_get(body, "limits"));
    limits_door_read(call);
}
