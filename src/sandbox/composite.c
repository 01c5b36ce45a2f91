#include "sandbox/composite.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/routes.h"

enum {
    MAX_SUBREQUESTS = 25,
    MAX_COLLECTIONS = 5,
    MAX_GRAPHS = 75,
    MAX_NODES = 500,
    MAX_PATH_STEPS = 20
};

struct subrequest {
    struct call *outer;
    const char *method;
    const char *url;
    json_t *body; /* borrowed; may be NULL */
    int status;
    json_t *answer;       /* owned; null for an empty body */
    const char *location; /* of a created record, or NULL */
};

/* ---- running one ---- */

static void run(struct subrequest *sub)
{
    struct call *outer = sub->outer;
    struct http_server_response response = {.status = 200};
    struct http_server_request request = *outer->request;
    struct call call = {.org = outer->org,
                        .arena = outer->arena,
                        .request = &request,
                        .response = &response,
                        .method = sub->method,
                        .body = json_incref(sub->body),
                        .is_inner = true};
    const char *query = strchr(sub->url, '?');

    request.method = sub->method;
    request.target = sub->url;
    request.path = arena_strndup(outer->arena, sub->url, strcspn(sub->url, "?"));
    request.params =
        http_server_parse_form(outer->arena, query != NULL ? query + 1 : "", &request.param_count);
    buf_init(&response.body, outer->response->body.max_bytes);
    if (routes_split(&call, request.path))
        routes_dispatch(&call);
    else
        call_error(&call, "NOT_FOUND", "The requested resource does not exist");
    sub->status = response.status;
    sub->answer = json_loadb(response.body.data, response.body.size_bytes, JSON_DECODE_ANY, NULL);
    if (sub->answer == NULL)
        sub->answer = json_null();
    for (size_t i = 0; i < response.header_count; i++)
        if (strcasecmp(response.headers[i].name, "Location") == 0)
            sub->location = response.headers[i].value;
    outer->record_count += call.record_count;
    call_done(&call);
    buf_done(&response.body);
}

/* Composite calls do not nest. */
static bool is_nested(const char *url)
{
    const char *found = strstr(url, "/composite");

    return found != NULL && (found[10] == '\0' || found[10] == '?' ||
                             strstr(found, "/batch") != NULL || strstr(found, "/graph") != NULL);
}

static json_t *read_list(struct call *call, const char *key, size_t max)
{
    json_t *body = call_body(call);
    json_t *list = json_object_get(body, key);

    if (body == NULL)
        return NULL;
    if (!json_is_array(list) || json_array_size(list) > max) {
        call_error(call, "INVALID_INPUT", "%s: an array of at most %zu subrequests is required",
                   key, max);
        return NULL;
    }
    return list;
}

static json_t *one_error(const char *code, const char *message)
{
    return json_pack("[{s:s, s:s}]", "errorCode", code, "message", message);
}

/* ---- references ---- */

/* Follows "id" or "records[0].Id" from a subrequest's answer. */
static const json_t *follow(const json_t *json, const char *path, size_t length)
{
    for (int step = 0; length > 0 && step < MAX_PATH_STEPS; step++) {
        char name[100];
        size_t part = strcspn(path, ".[]");

        part = part < length ? part : length;
        if (part >= sizeof(name))
            return NULL;
        memcpy(name, path, part);
        name[part] = '\0';
        if (part > 0)
            json = json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10))
                                       : json_object_get(json, name);
        part += part < length;
        path += part;
        length -= part;
    }
    return json;
}

static const char *find_reference(const json_t *answers, const char *text, size_t length)
{
    size_t name_length = strcspn(text, ".[}");
    const char *name_end = text + name_length;
    const char *key;
    json_t *answer;

    json_object_foreach(
        (json_t *)answers, key,
        answer) if (strlen(key) == name_length &&
                    strncmp(key, text, name_length) ==
                        0) return json_string_value(follow(answer, name_end, length - name_length));
    return NULL;
}

/* Replaces every @{name.path}; what is not found stays as it is. */
static const char *substitute(struct call *call, const json_t *answers, const char *text)
{
    struct buf out BUF_AUTO = {0};

    buf_init(&out, call->response->body.max_bytes);
    while (*text != '\0') {
        const char *start = strstr(text, "@{");
        const char *close = start != NULL ? strchr(start, '}') : NULL;

        if (close == NULL)
            break;
        const char *value = find_reference(answers, start + 2, (size_t)(close - start - 2));
        buf_append(&out, text, (size_t)(start - text));
        if (value != NULL)
            buf_text(&out, value);
        else
            buf_append(&out, start, (size_t)(close - start + 1));
        text = close + 1;
    }
    buf_text(&out, text);
    return arena_strdup(call->arena, out.data);
}

/* The body with its texts substituted, as a new value. */
static json_t *substitute_body(struct call *call, const json_t *answers, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    json_t *result = NULL;

    if (text != NULL)
        result = json_loads(substitute(call, answers, text), JSON_DECODE_ANY, NULL);
    free(text);
    return result;
}

/* ---- composite ---- */

static json_t *write_composite(const struct subrequest *sub, const json_t *item)
{
    json_t *headers = json_object();

    if (sub->location != NULL)
        json_object_set_new(headers, "Location", json_string(sub->location));
    return json_pack("{s:O, s:o, s:i, s:O?}", "body", sub->answer, "httpHeaders", headers,
                     "httpStatusCode", sub->status, "referenceId",
                     json_object_get(item, "referenceId"));
}

static void run_item(struct call *call, const json_t *item, json_t *answers, struct subrequest *sub)
{
    const char *method = json_string_value(json_object_get(item, "method"));
    const char *url = json_string_value(json_object_get(item, "url"));
    const char *name = json_string_value(json_object_get(item, "referenceId"));
    json_t *body = json_object_get(item, "body");

    *sub = (struct subrequest){.outer = call, .method = method, .status = 400};
    if (method == NULL || url == NULL || name == NULL || is_nested(url)) {
        sub->answer = one_error("INVALID_INPUT", "method, url and referenceId are required");
        return;
    }
    sub->url = substitute(call, answers, url);
    sub->body = body != NULL ? substitute_body(call, answers, body) : NULL;
    run(sub);
    json_decref(sub->body);
    json_object_set(answers, name, sub->answer);
}

/* A collection's status is 200 also when records of it were refused. */
static bool has_refused_record(const json_t *answer)
{
    size_t index;
    const json_t *result;

    if (!json_is_array(answer))
        return false;
    json_array_foreach(answer, index, result)
    {
        if (json_is_false(json_object_get(result, "success")))
            return true;
    }
    return false;
}

/* With allOrNone, all but the failed ones are told that they were undone; a collection's answer
 * goes on saying what its own records were. */
static void halt(json_t *responses)
{
    size_t index;
    json_t *response;

    json_array_foreach(responses, index, response)
    {
        if (json_integer_value(json_object_get(response, "httpStatusCode")) >= 400 ||
            json_is_array(json_object_get(response, "body")))
            continue;
        json_object_set_new(response, "body",
                            one_error("PROCESSING_HALTED",
                                      "The transaction was rolled back since another operation in "
                                      "the same transaction failed."));
        json_object_set_new(response, "httpStatusCode", json_integer(400));
        json_object_set_new(response, "httpHeaders", json_object());
    }
}

static bool run_items(struct call *call, const json_t *list, json_t *responses)
{
    json_t *answers = json_object();
    bool has_failed = false;
    size_t index;
    const json_t *item;

    json_array_foreach(list, index, item)
    {
        struct subrequest sub;

        run_item(call, item, answers, &sub);
        has_failed = has_failed || sub.status >= 400 || has_refused_record(sub.answer);
        json_array_append_new(responses, write_composite(&sub, item));
        json_decref(sub.answer);
    }
    json_decref(answers);
    return !has_failed;
}

/* The answers of the list, in a unit of work; NULL when storage failed. */
static json_t *run_list(struct call *call, const json_t *list, bool is_all_or_none, bool *is_good)
{
    struct store *store = call->org->store;
    struct error err = {0};
    json_t *responses = json_array();
    bool is_done = store_begin(store, &err);

    *is_good = is_done && run_items(call, list, responses);
    bool is_kept = *is_good || !is_all_or_none;
    if (is_done && !is_kept)
        halt(responses);
    is_done = is_done && (is_kept ? store_commit(store, &err) : store_rollback(store, &err));
    if (is_done)
        return responses;
    json_decref(responses);
    call_failed(call, &err);
    return NULL;
}

/* Queries count with them. */
static bool has_too_many_collections(const json_t *list)
{
    int count = 0;
    size_t index;
    const json_t *item;

    json_array_foreach(list, index, item)
    {
        const char *url = json_string_value(json_object_get(item, "url"));

        count += url != NULL &&
                 (strstr(url, "/composite/sobjects") != NULL || strstr(url, "/query") != NULL);
    }
    return count > MAX_COLLECTIONS;
}

void composite_run(struct call *call)
{
    json_t *list = read_list(call, "compositeRequest", MAX_SUBREQUESTS);
    bool is_good = false;

    if (list == NULL)
        return;
    if (has_too_many_collections(list)) {
        call_error(call, "INVALID_INPUT", "at most %d queries and collections in one call",
                   MAX_COLLECTIONS);
        return;
    }
    json_t *responses =
        run_list(call, list, json_is_true(json_object_get(call->body, "allOrNone")), &is_good);
    if (responses != NULL)
        call_json(call, 200, json_pack("{s:o}", "compositeResponse", responses));
}

/* ---- graphs ---- */

static json_t *run_graph(struct call *call, const json_t *graph)
{
    const json_t *list = json_object_get(graph, "compositeRequest");
    bool is_good = false;
    json_t *responses = run_list(call, list, true, &is_good);

    if (responses == NULL)
        return NULL;
    return json_pack("{s:O?, s:{s:o}, s:b}", "graphId", json_object_get(graph, "graphId"),
                     "graphResponse", "compositeResponse", responses, "isSuccessful", is_good);
}

static size_t count_nodes(const json_t *graphs)
{
    size_t count = 0;
    size_t index;
    const json_t *graph;

    json_array_foreach(graphs, index, graph) count +=
        json_array_size(json_object_get(graph, "compositeRequest"));
    return count;
}

void composite_graph(struct call *call)
{
    json_t *graphs = read_list(call, "graphs", MAX_GRAPHS);
    json_t *answers = json_array();
    size_t index;
    const json_t *graph;

    if (graphs != NULL && count_nodes(graphs) > MAX_NODES) {
        call_error(call, "INVALID_INPUT", "graphs: at most %d nodes in all", MAX_NODES);
        graphs = NULL;
    }
    json_array_foreach(graphs, index, graph)
    {
        json_t *answer = run_graph(call, graph);

        if (answer == NULL) {
            graphs = NULL;
            break;
        }
        json_array_append_new(answers, answer);
    }
    if (graphs != NULL)
        call_json(call, 200, json_pack("{s:O}", "graphs", answers));
    json_decref(answers);
}

/* ---- batch ---- */

void composite_batch(struct call *call)
{
    json_t *list = read_list(call, "batchRequests", MAX_SUBREQUESTS);
    json_t *results = json_array();
    bool has_errors = false;
    size_t index;
    const json_t *item;

    if (list == NULL) {
        json_decref(results);
        return;
    }
    bool halts = json_is_true(json_object_get(call->body, "haltOnError"));
    json_array_foreach(list, index, item)
    {
        const char *url = json_string_value(json_object_get(item, "url"));
        struct subrequest sub = {.outer = call,
                                 .method = json_string_value(json_object_get(item, "method")),
                                 .body = json_object_get(item, "richInput"),
                                 .status = 400};

        if (has_errors && halts) {
            sub.status = 412;
            sub.answer =
                one_error("BATCH_PROCESSING_HALTED", "Batch processing halted per request");
        } else if (url == NULL || sub.method == NULL || is_nested(url)) {
            sub.answer = one_error("INVALID_INPUT", "method and url are required");
        } else {
            sub.url = *url == '/' ? url : arena_printf(call->arena, "/services/data/%s", url);
            run(&sub);
        }
        has_errors = has_errors || sub.status >= 400;
        json_array_append_new(
            results, json_pack("{s:i, s:o}", "statusCode", sub.status, "result", sub.answer));
    }
    call_json(call, 200, json_pack("{s:b, s:o}", "hasErrors", has_errors, "results", results));
}
