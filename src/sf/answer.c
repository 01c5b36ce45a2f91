#include "sf/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "sf/datetime.h"
#include "sf/long_numbers.h"

enum { HEADER_BYTES = 1024, RETRY_AFTER_MAX_S = 24 * 3600, PROBLEM_BYTES = 1024 };

static void explain(struct sf_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts the request in front, without its parameters: they hold values of rows. */
static void explain(struct sf_call *call, const char *format, ...)
{
    struct buf text BUF_AUTO = {0};
    char problem[PROBLEM_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(problem, sizeof(problem), format, args);
    va_end(args);
    buf_init(&text, 4 * PROBLEM_BYTES);
    buf_printf(&text, "%s %.*s: %s", call->method, (int)strcspn(call->path, "?"), call->path,
               problem);
    free(call->message);
    call->message = memory_strdup(text.data);
}

static bool is_content(const struct sf_call *call, const char *kind)
{
    struct buf value BUF_AUTO = {0};

    buf_init(&value, HEADER_BYTES);
    const char *type = http_header(&call->exchange, "Content-Type", &value);
    return type != NULL && strcasestr(type, kind) != NULL;
}

static void read_retry_after(struct sf_call *call)
{
    struct buf value BUF_AUTO = {0};

    buf_init(&value, HEADER_BYTES);
    const char *text = http_header(&call->exchange, "Retry-After", &value);
    long seconds = text != NULL ? strtol(text, NULL, 10) : 0;
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    call->retry_after_s = seconds > 0 ? (int)seconds : 0;
}

/* Salesforce answers an error as an array of one object, gateways of its own as an object. */
static const json_t *find_error(const json_t *json)
{
    return json_is_array(json) ? json_array_get(json, 0) : json;
}

static void read_error(struct sf_call *call)
{
    const json_t *error = find_error(call->json);
    const char *code = json_string_value(json_object_get(error, "errorCode"));
    const char *message = json_string_value(json_object_get(error, "message"));

    call->code = code != NULL ? code : "";
    call->outcome = sf_outcome_of_request(call->exchange.status, code, message);
    if (code != NULL)
        explain(call, "%s: %s", code, message != NULL ? message : "no reason given");
    else
        explain(call, "refused with status %ld", call->exchange.status);
}

/* A page for people: an outage when the status says so, else we talk to the wrong host. */
static void read_page(struct sf_call *call)
{
    long status = call->exchange.status;

    call->is_wrong_address = status < 500 && status != 420 && status != 429;
    call->outcome = sf_outcome_of_request(status, NULL, NULL);
    if (call->outcome == SF_OUTCOME_SUCCESS)
        call->outcome = SF_OUTCOME_UNKNOWN;
    else if (call->is_wrong_address && status != 401)
        call->outcome = SF_OUTCOME_TRANSIENT;
    explain(call, "the organisation answered HTML (status %ld): is %.*s the right address?", status,
            (int)strcspn(call->exchange.url, "?"), call->exchange.url);
}

static void read_redirect(struct sf_call *call)
{
    call->is_wrong_address = true;
    call->outcome = SF_OUTCOME_TRANSIENT;
    explain(call,
            "answered a redirect (status %ld), which is not followed: is %.*s the right address?",
            call->exchange.status, (int)strcspn(call->exchange.url, "?"), call->exchange.url);
}

static json_t *load_json(const struct buf *received, json_error_t *why)
{
    struct buf quoted BUF_AUTO = {0};

    buf_init(&quoted, 2 * received->size_bytes + 1);
    if (sf_long_numbers(received, &quoted))
        received = &quoted;
    return json_loadb(received->data, received->size_bytes, JSON_ALLOW_NUL, why);
}

static void read_whole(struct sf_call *call)
{
    struct http_exchange *exchange = &call->exchange;
    bool is_success = exchange->status >= 200 && exchange->status < 300;
    bool is_empty = exchange->received.size_bytes == 0;
    bool is_json = !is_empty && is_content(call, "json");
    bool is_html = !is_empty && is_content(call, "text/html");
    json_error_t why = {0};

    if (is_json)
        call->json = load_json(&exchange->received, &why);
    bool is_broken = is_json && call->json == NULL;
    call->fate = sf_fate_of_answer(exchange->status, !is_html && !is_broken);
    read_retry_after(call);
    if (is_html) {
        read_page(call);
    } else if (exchange->status > 300 && exchange->status < 400 && exchange->status != 304) {
        read_redirect(call);
    } else if (!is_success) {
        read_error(call);
    } else if (is_broken) {
        call->outcome = SF_OUTCOME_UNKNOWN;
        explain(call, "the answer is not the JSON it claims to be: %s", why.text);
    } else {
        call->outcome = SF_OUTCOME_SUCCESS;
    }
}

void sf_answer_read(struct sf_call *call)
{
    const struct http_exchange *exchange = &call->exchange;

    call->code = "";
    switch (exchange->fate) {
    case HTTP_NOT_SENT:
        call->fate = SF_NOT_DONE;
        call->outcome = SF_OUTCOME_TRANSIENT;
        explain(call, "not sent to %.*s: %s", (int)strcspn(exchange->url, "?"), exchange->url,
                exchange->problem);
        return;
    case HTTP_UNKNOWN:
        call->fate = SF_IN_DOUBT;
        call->outcome = SF_OUTCOME_UNKNOWN;
        explain(call, "sent, but no whole answer came: %s", exchange->problem);
        return;
    case HTTP_ANSWERED: read_whole(call); return;
    }
}

/* These refuse for ever: signing in again would loop. */
static bool is_refused_by_policy(const char *message)
{
    return strstr(message, "Connected app is not attached to Agent") != NULL ||
           strstr(message, "This session is not valid for use with the REST API") != NULL;
}

bool sf_answer_wants_sign_in(const struct sf_call *call)
{
    return call->exchange.fate == HTTP_ANSWERED && call->exchange.status == 401 &&
           call->outcome == SF_OUTCOME_SESSION &&
           (call->message == NULL || !is_refused_by_policy(call->message));
}

bool sf_answer_may_be_elsewhere(const struct sf_call *call)
{
    /* 420: the edge has no route to the organisation. */
    return call->fate == SF_NOT_DONE && (call->is_wrong_address || call->exchange.status == 420 ||
                                         call->exchange.fate == HTTP_NOT_SENT);
}

bool sf_answer_limits(const char *limit_info, struct sf_limits *out)
{
    static const char key[] = "api-usage=";
    const char *found = strstr(limit_info, key);

    while (found != NULL && found > limit_info && found[-1] == '-')
        found = strstr(found + 1, key);
    if (found == NULL)
        return false;
    char *end;
    long long used = strtoll(found + sizeof(key) - 1, &end, 10);
    if (*end != '/')
        return false;
    long long max = strtoll(end + 1, NULL, 10);
    if (used < 0 || max <= 0)
        return false;
    *out = (struct sf_limits){.used = used, .max = max};
    return true;
}

int64_t sf_answer_time_s(const struct http_exchange *exchange)
{
    struct buf value BUF_AUTO = {0};
    int64_t seconds = 0;

    buf_init(&value, HEADER_BYTES);
    const char *date = http_header(exchange, "Date", &value);
    return date != NULL && sf_datetime_parse_http(date, &seconds) ? seconds : 0;
}
