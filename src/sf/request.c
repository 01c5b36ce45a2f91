#include "sf/request.h"

#include <stdlib.h>

#include "base/arena.h"
#include "sf/session.h"

enum { GO_ON_MS = 500 };

bool sf_request_is_answered(const struct sf_call *call)
{
    return call->exchange.is_over;
}

bool sf_request_await(struct sf_session *session, const struct sf_call *call, struct error *err)
{
    bool is_ok = true;

    while (!sf_request_is_answered(call))
        is_ok = sf_request_go_on(session, -1, 0, GO_ON_MS, err) && is_ok;
    return is_ok;
}

static bool finish_call(struct sf_session *session, struct sf_call *call, struct error *err)
{
    bool is_ok = true;
    bool is_over = false;

    while (!is_over) {
        is_ok = sf_request_await(session, call, err) && is_ok;
        is_ok = sf_request_end(session, call, &is_over, err) && is_ok;
    }
    return is_ok;
}

bool sf_request(struct sf_session *session, struct sf_call *calls, size_t count, struct error *err)
{
    bool is_ok = true;

    for (size_t i = 0; i < count; i++)
        sf_request_begin(session, &calls[i]);
    for (size_t i = 0; i < count; i++)
        is_ok = finish_call(session, &calls[i], err) && is_ok;
    return is_ok;
}

bool sf_request_finish(struct sf_session *session, struct sf_call *call, struct error *err)
{
    if (!finish_call(session, call, err))
        return false;
    return call->outcome == SF_OUTCOME_SUCCESS || sf_call_error(call, err);
}

bool sf_request_one(struct sf_session *session, struct sf_call *call, struct error *err)
{
    sf_request_begin(session, call);
    return sf_request_finish(session, call, err);
}

bool sf_call_error(const struct sf_call *call, struct error *err)
{
    enum error_kind kind = sf_outcome_error_kind(call->outcome);

    if (call->is_wrong_address && !call->was_right_before)
        kind = ERROR_CONFIG;
    return error_set(err, kind, "%s", call->message != NULL ? call->message : "no answer");
}

void sf_call_done(struct sf_call *call)
{
    http_exchange_done(&call->exchange);
    arena_free(call->arena);
    json_decref(call->json);
    free(call->message);
    call->arena = NULL;
    call->json = NULL;
    call->message = NULL;
    call->code = "";
    call->retry_after_s = 0;
    call->is_wrong_address = false;
    call->was_right_before = false;
    call->fate = SF_NOT_DONE;
    call->outcome = SF_OUTCOME_UNKNOWN;
}
