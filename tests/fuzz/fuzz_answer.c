/*
 * libFuzzer: an answer of Salesforce's, its head and its body. The first two bytes choose the
 * status and whether the whole came; then come the header lines, an empty line and the body.
 * Whatever it is, a fate and an outcome come of it that fit each other, and a reason with every
 * failure. A body that is JSON is also read as the description of an object, and as what the small
 * readers take.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sf/answer.h"
#include "sf/datetime.h"
#include "sf/describe.h"
#include "sf/id.h"
#include "sf/long_numbers.h"

enum { HEAD_BYTES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void check(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_failure(const struct sf_call *call)
{
    struct error err = {0};

    check(call->message != NULL && call->message[0] != '\0');
    check(!sf_call_error(call, &err) && err.kind != ERROR_NONE && err.message[0] != '\0');
    check(sf_outcome_name(call->outcome) != NULL);
    sf_answer_wants_sign_in(call);
}

static void check_object(const struct sf_call *call, struct arena *arena)
{
    struct sf_object object = {0};
    struct error err = {0};

    if (!sf_object_from_json(call->json, arena, &object, &err)) {
        check(err.kind != ERROR_NONE && err.message[0] != '\0');
        return;
    }
    check(object.name != NULL);
    for (size_t i = 0; i < object.field_count; i++) {
        const struct sf_field *field = &object.fields[i];

        check(field->name != NULL && field->type != NULL);
        check(sf_object_field(&object, field->name) != NULL);
        for (size_t j = 0; j < field->reference_count; j++)
            check(field->reference_to[j] != NULL);
    }
}

static void read_answer(uint8_t status, uint8_t fate, const struct buf *head,
                        const struct buf *body, struct arena *arena)
{
    static const long statuses[] = {0,   200, 201, 204, 206, 300, 302, 304, 400, 401,
                                    403, 404, 409, 412, 413, 414, 420, 429, 500, 503};
    struct sf_call call SF_CALL_AUTO = {.method = "GET", .path = "/sobjects/Account?a=b"};

    call.exchange.url = "https://example.my.salesforce.com/services/data?q=secret";
    call.exchange.fate = fate % 3 == 0 ? HTTP_UNKNOWN : HTTP_ANSWERED;
    call.exchange.status = statuses[status % (sizeof(statuses) / sizeof(*statuses))];
    buf_init(&call.exchange.received_headers, SIZE_MAX / 2);
    buf_append(&call.exchange.received_headers, head->data, head->size_bytes);
    buf_init(&call.exchange.received, SIZE_MAX / 2);
    buf_append(&call.exchange.received, body->data, body->size_bytes);
    sf_answer_read(&call);
    check(call.exchange.fate == HTTP_ANSWERED || call.fate == SF_IN_DOUBT);
    check(call.outcome != SF_OUTCOME_SUCCESS || call.fate == SF_ANSWERED);
    check(call.message == NULL || strstr(call.message, "secret") == NULL ||
          strstr(body->data, "secret") != NULL || strstr(head->data, "secret") != NULL);
    if (call.outcome != SF_OUTCOME_SUCCESS)
        check_failure(&call);
    if (call.json != NULL)
        check_object(&call, arena);
}

/* What was JSON is JSON afterwards; jansson takes a NUL byte behind a number for nothing. */
static void quote_numbers(const struct buf *body)
{
    struct buf quoted BUF_AUTO = {0};

    if (memchr(body->data, '\0', body->size_bytes) != NULL)
        return;
    json_t *before = json_loadb(body->data, body->size_bytes, JSON_ALLOW_NUL, NULL);
    buf_init(&quoted, SIZE_MAX / 2);
    if (sf_long_numbers(body, &quoted) && before != NULL) {
        json_t *after = json_loadb(quoted.data, quoted.size_bytes, JSON_ALLOW_NUL, NULL);

        check(after != NULL && json_typeof(after) == json_typeof(before));
        json_decref(after);
    }
    json_decref(before);
}

static void read_small(const struct buf *body)
{
    struct sf_limits limits = {0};
    struct buf field BUF_AUTO = {0};
    char id[SF_ID_BYTES];
    int64_t time_us;
    int64_t again_us;
    int64_t time_s;

    buf_init(&field, SIZE_MAX / 2);
    sf_answer_limits(body->data, &limits);
    if (sf_duplicate_value_id(body->data, id))
        check(sf_id_is_valid(id) && strlen(id) == SF_ID_BYTES - 1);
    sf_duplicate_value_field(body->data, &field);
    sf_datetime_parse_http(body->data, &time_s);
    if (sf_datetime_parse(body->data, &time_us)) {
        struct sf_datetime_text text = sf_datetime_format(time_us);

        check(sf_datetime_parse(text.text, &again_us) && again_us <= time_us &&
              time_us - again_us < 1000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena *arena = arena_new();
    struct buf head BUF_AUTO = {0};
    struct buf body BUF_AUTO = {0};

    buf_init(&head, SIZE_MAX / 2);
    buf_init(&body, SIZE_MAX / 2);
    if (size_bytes >= HEAD_BYTES) {
        const uint8_t *text = data + HEAD_BYTES;
        size_t text_bytes = size_bytes - HEAD_BYTES;
        const uint8_t *end = memmem(text, text_bytes, "\n\n", 2);

        if (end != NULL)
            buf_append(&head, text, (size_t)(end + 1 - text));
        const uint8_t *from = end != NULL ? end + 2 : text;
        buf_append(&body, from, (size_t)(data + size_bytes - from));
        read_answer(data[0], data[1], &head, &body, arena);
        quote_numbers(&body);
        read_small(&body);
    }
    arena_free(arena);
    return 0;
}
