#include "sandbox/door.h"

#include <string.h>

#include "sandbox/faults.h"
#include "sandbox/journal.h"
#include "sandbox/oauth.h"
#include "sandbox/query.h"
#include "sandbox/times.h"
#include "sandbox/users.h"

static void refuse(struct call *call, const char *message)
{
    call_json(call, 400, json_pack("{s:s}", "error", message));
}

static void answer_done(struct call *call)
{
    call_json(call, 200, json_pack("{s:b}", "done", 1));
}

/* ---- journal and faults ---- */

void door_journal(struct call *call)
{
    const char *clear = http_server_param(call->request, "clear");
    json_t *entries = journal_read(call->org->journal);

    call_json(call, 200, json_pack("{s:o}", "requests", entries));
    if (clear != NULL && strcmp(clear, "1") == 0)
        journal_clear(call->org->journal);
}

void door_journal_clear(struct call *call)
{
    journal_clear(call->org->journal);
    call_no_content(call);
}

void door_fault(struct call *call)
{
    json_t *body = call_body(call);

    if (body == NULL)
        return;
    const char *problem = faults_add(call->org->faults, body);
    if (problem != NULL)
        refuse(call, problem);
    else
        answer_done(call);
}

void door_faults(struct call *call)
{
    call_json(call, 200, json_pack("{s:o}", "faults", faults_list(call->org->faults)));
}

void door_faults_clear(struct call *call)
{
    faults_clear(call->org->faults);
    call_no_content(call);
}

/* ---- clock, sessions, users ---- */

void door_clock_read(struct call *call)
{
    call_json(call, 200,
              json_pack("{s:s, s:I}", "now", times_format_datetime(org_now(call->org)).text,
                        "offset_seconds", (json_int_t)call->org->clock_offset_s));
}

void door_clock(struct call *call)
{
    json_t *body = call_body(call);
    const json_t *seconds = json_object_get(body, "advance_seconds");

    if (body == NULL)
        return;
    if (!json_is_integer(seconds)) {
        refuse(call, "send {\"advance_seconds\": n}; n may be negative");
        return;
    }
    call->org->clock_offset_s += json_integer_value(seconds);
    door_clock_read(call);
}

void door_expire(struct call *call)
{
    oauth_expire_sessions(call->org->sessions);
    answer_done(call);
}

void door_expire_queries(struct call *call)
{
    query_forget_cursors(call->org->cursors, call->org->store);
    answer_done(call);
}

void door_users(struct call *call)
{
    call_json(call, 200, json_pack("{s:o}", "users", users_list(call->org)));
}

void door_users_set(struct call *call)
{
    json_t *body = call_body(call);
    const char *problem = body != NULL ? users_set(call, body) : NULL;

    if (body == NULL)
        return;
    if (problem != NULL)
        refuse(call, problem);
    else
        call_json(
            call, 200,
            json_pack("{s:s}", "id",
                      users_find(call->org, json_string_value(json_object_get(body, "username")))
                          ->id.text));
}

/* ---- objects ---- */

void door_objects(struct call *call)
{
    json_t *body = call_body(call);
    struct error err = {0};

    if (body == NULL)
        return;
    if (org_define(call->org, body, true, &err))
        answer_done(call);
    else
        refuse(call, err.message);
}

void door_reset(struct call *call)
{
    struct error err = {0};

    if (org_reset(call->org, &err))
        answer_done(call);
    else
        call_failed(call, &err);
}
