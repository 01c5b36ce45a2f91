#include "sandbox/faults.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_FAULTS = 1000, MAX_DELAY_MS = 600000 };

struct faults {
    json_t *list;
};

struct faults *faults_new(void)
{
    struct faults *faults = memory_alloc(sizeof(*faults));

    faults->list = json_array();
    return faults;
}

void faults_free(struct faults *faults)
{
    if (faults == NULL)
        return;
    json_decref(faults->list);
    free(faults);
}

static const char *get_text(const json_t *fault, const char *key)
{
    return json_string_value(json_object_get(fault, key));
}

static int get_int(const json_t *fault, const char *key, int otherwise)
{
    const json_t *value = json_object_get(fault, key);

    return json_is_integer(value) ? (int)json_integer_value(value) : otherwise;
}

static const char *check(const json_t *fault)
{
    static const char *const keys[] = {"match",        "times",   "skip",     "status",
                                       "body",         "headers", "delay_ms", "drop",
                                       "content_type", "rate",    "seed"};
    const json_t *rate = json_object_get(fault, "rate");
    const char *drop = get_text(fault, "drop");
    int status = get_int(fault, "status", 200);
    const char *key;
    json_t *value;

    if (!json_is_object(fault))
        return "a fault is a JSON object";
    json_object_foreach((json_t *)fault, key, value)
    {
        bool is_known = false;

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            is_known = is_known || strcmp(key, keys[i]) == 0;
        if (!is_known)
            return "unknown key: use match, times, skip, status, body, content_type, headers, "
                   "delay_ms, drop, rate, seed";
    }
    if (drop != NULL && strcmp(drop, "before") != 0 && strcmp(drop, "after") != 0)
        return "drop is \"before\" or \"after\"";
    if (rate != NULL && !(json_number_value(rate) > 0 && json_number_value(rate) <= 1))
        return "rate is above 0 and at most 1";
    if (status < 200 || status > 599)
        return "status is from 200 to 599";
    if (get_int(fault, "delay_ms", 0) < 0 || get_int(fault, "delay_ms", 0) > MAX_DELAY_MS)
        return "delay_ms is from 0 to 600000";
    return NULL;
}

const char *faults_add(struct faults *faults, json_t *fault)
{
    const char *problem = check(fault);

    if (problem == NULL && json_array_size(faults->list) >= MAX_FAULTS)
        problem = "too many faults are waiting: DELETE /_sandbox/faults";
    if (problem == NULL)
        json_array_append_new(faults->list, json_deep_copy(fault));
    return problem;
}

void faults_clear(struct faults *faults)
{
    json_array_clear(faults->list);
}

json_t *faults_list(const struct faults *faults)
{
    return json_deep_copy(faults->list);
}

static bool matches(const json_t *fault, const struct call *call)
{
    const json_t *match = json_object_get(fault, "match");
    const char *method = get_text(match, "method");
    const char *path = get_text(match, "path");

    return (method == NULL || strcasecmp(method, call->method) == 0) &&
           (path == NULL || strstr(call->request->path, path) != NULL);
}

/* With a rate, only that share of the matching calls meets the fault: the seed says which. */
static bool is_met(json_t *fault)
{
    const json_t *rate = json_object_get(fault, "rate");
    uint64_t state = (uint64_t)json_integer_value(json_object_get(fault, "seed"));

    if (rate == NULL)
        return true;
    state = state * 6364136223846793005u + 1442695040888963407u;
    json_object_set_new(fault, "seed", json_integer((json_int_t)state));
    return (double)(state >> 33) / (double)(1u << 31) < json_number_value(rate);
}

json_t *faults_take(struct faults *faults, const struct call *call)
{
    size_t index;
    json_t *fault;

    json_array_foreach(faults->list, index, fault)
    {
        int skip = get_int(fault, "skip", 0);
        int times = get_int(fault, "times", 1);

        if (!matches(fault, call) || !is_met(fault))
            continue;
        if (skip > 0) {
            json_object_set_new(fault, "skip", json_integer(skip - 1));
            continue;
        }
        json_incref(fault);
        json_object_set_new(fault, "times", json_integer(times - 1));
        if (times <= 1)
            json_array_remove(faults->list, index);
        return fault;
    }
    return NULL;
}

static void answer_fault(const json_t *fault, struct call *call)
{
    const json_t *body = json_object_get(fault, "body");
    const char *type = get_text(fault, "content_type");
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(fault, "headers"), name, value) if (json_is_string(value))
        call_header(call, arena_strdup(call->arena, name),
                    arena_strdup(call->arena, json_string_value(value)));
    if (type == NULL)
        type = json_is_string(body) ? "text/html;charset=UTF-8" : "application/json;charset=UTF-8";
    char *text = body == NULL || json_is_string(body) ? NULL : json_dumps(body, JSON_COMPACT);
    const char *shown = text != NULL ? text : json_string_value(body);
    call_text(call, get_int(fault, "status", 200), arena_strdup(call->arena, type),
              shown != NULL ? shown : "");
    free(text);
}

bool faults_apply_before(json_t *fault, struct call *call)
{
    const char *drop = get_text(fault, "drop");

    call->response->delay_ms = get_int(fault, "delay_ms", 0);
    if (drop != NULL) {
        call->response->is_dropped = true;
        return strcmp(drop, "before") == 0;
    }
    if (json_object_get(fault, "status") == NULL)
        return false;
    answer_fault(fault, call);
    return true;
}

const char *faults_name(const json_t *fault)
{
    const char *drop = get_text(fault, "drop");

    if (drop != NULL)
        return strcmp(drop, "before") == 0 ? "drop before" : "drop after";
    return json_object_get(fault, "status") != NULL ? "status" : "delay";
}
