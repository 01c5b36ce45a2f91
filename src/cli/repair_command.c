#include "cli/repair_command.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/wait.h"
#include "cli/org_call.h"
#include "inbound/drift.h"
#include "mapping/mapping.h"

enum { LOOK_MS = 200, BEGIN_MS = 60 * 1000 };

static const struct mapping *find(struct org_call *call, struct error *err)
{
    struct mapping_list list;

    if (!mapping_load_all(call->pg, call->config->schema_name, call->arena, &list, err))
        return NULL;
    const struct mapping *mapping = mapping_find_by_object(&list, call->read.rest[0]);
    if (mapping == NULL)
        mapping_refuse_unknown(call->config->schema_name, call->read.rest[0], err);
    return mapping;
}

static void print(const struct org_call *call, const struct mapping *mapping,
                  const struct drift_pass *pass)
{
    bool is_dry = arguments_has(&call->read, "dry-run");
    json_t *json ORG_CALL_JSON_AUTO =
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "object_name", mapping->object_name,
                  "is_repaired", !is_dry, "checked", (json_int_t)pass->checked, "missing",
                  (json_int_t)pass->missing, "extra", (json_int_t)pass->extra, "stale",
                  (json_int_t)pass->stale, "calculated", (json_int_t)pass->calculated, "held",
                  (json_int_t)pass->held);

    if (arguments_has(&call->read, "json")) {
        org_call_print_json(json);
        return;
    }
    printf("%s: %lld records compared; %lld missing, %lld extra, %lld stale, %lld with other"
           " calculated values%s\n",
           mapping->object_name, (long long)pass->checked, (long long)pass->missing,
           (long long)pass->extra, (long long)pass->stale, (long long)pass->calculated,
           is_dry ? "; nothing was changed" : "");
    if (pass->held > 0)
        printf("%lld of them wait: somebody is at their rows, or an answer to a write is due; they"
               " are compared again in ten minutes\n",
               (long long)pass->held);
}

static bool compare_all(struct org_call *call, const struct mapping *mapping,
                        struct drift_pass *pass, struct error *err)
{
    struct poll_memory memory = {0};
    struct poll poll = {
        .world = {.pg = call->pg,
                  .barrier = call->pg,
                  .schema_name = call->config->schema_name,
                  .arena = call->arena},
        .session = call->session,
        .mapping = mapping,
        .memory = &memory,
    };
    struct mark mark;

    if (!mark_read(call->pg, mapping, &mark, err))
        return false;
    if (!mark.is_loaded || mark.is_loading)
        return error_set(err, ERROR_RETRY, "%s is being loaded: there is nothing to compare yet",
                         mapping->object_name);
    poll.world.began_us = mark.read_at_us;
    while (!pass->is_over)
        if (!drift_compare(&poll, &mark, false, pass, err))
            return false;
    return true;
}

/* The pull role does it; here its progress is looked at. */
static bool ask_and_wait(struct org_call *call, const struct mapping *mapping,
                         struct drift_pass *pass, struct error *err)
{
    int64_t began_ms = clock_monotonic_ms();
    bool has_begun = false;

    if (!drift_ask(call->pg, mapping, err))
        return false;
    for (;;) {
        if (!drift_watch(call->pg, mapping, pass, &has_begun, err))
            return false;
        if (pass->is_over)
            return true;
        if (!has_begun && clock_monotonic_ms() - began_ms > BEGIN_MS)
            return error_set(err, ERROR_RETRY,
                             "nobody has begun it: it is noted, and the role pull (`pgforce run`)"
                             " will do it when it runs");
        if (wait_for(-1, 0, LOOK_MS) == WAIT_STOP)
            return error_set(err, ERROR_RETRY, "told to stop; the pull role goes on");
    }
}

static bool has_differences(const struct drift_pass *pass)
{
    return pass->missing + pass->extra + pass->stale + pass->calculated > 0;
}

struct repair {
    struct org_call call; /* first: work is given this */
    bool differs;
};

static bool work(struct org_call *call, struct error *err)
{
    struct repair *repair = (struct repair *)call;
    const struct mapping *mapping = find(call, err);
    struct drift_pass pass = {0};

    if (mapping == NULL)
        return false;
    bool is_ok = arguments_has(&call->read, "dry-run") ? compare_all(call, mapping, &pass, err)
                                                       : ask_and_wait(call, mapping, &pass, err);
    if (is_ok)
        print(call, mapping, &pass);
    repair->differs = has_differences(&pass);
    return is_ok;
}

bool repair_command_run(const struct config *config, int count, char **texts, bool *differs,
                        struct error *err)
{
    struct repair repair = {.call = {.config = config}};
    struct org_call *call = &repair.call;

    if (!arguments_read(count, texts, "dry-run json", &call->read, err))
        return false;
    if (call->read.rest_count != 1)
        return error_set(err, ERROR_USAGE, "repair wants the name of one object");
    bool is_ok = org_call_run(call, work, err);
    *differs = repair.differs && arguments_has(&call->read, "dry-run");
    return is_ok;
}
