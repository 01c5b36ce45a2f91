#include "control/actions.h"

#include <string.h>

#include "control/child.h"
#include "control/connections.h"
#include "mapping/connection.h"

/* `pgforce plan` ends so when something would be done. */
enum { PLAN_HAS_CHANGES = 10 };

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static void answer_done(struct request *request, bool is_done, const struct error *err)
{
    if (is_done)
        request_answer_empty(request, 202);
    else
        request_fail(request, err);
}

void actions_pause(struct request *request)
{
    struct error err = {0};

    if (connections_is_ours(request))
        answer_done(
            request,
            connection_pause(request->serve->pg, request->serve->options->schema_name, &err), &err);
}

void actions_resume(struct request *request)
{
    struct error err = {0};
    int resumed;

    if (connections_is_ours(request))
        answer_done(request,
                    connection_resume(request->serve->pg, request->serve->options->schema_name,
                                      &resumed, &err),
                    &err);
}

/* Heroku Connect's recovery after an error: what resuming does, for what stopped by itself. */
void actions_restart(struct request *request)
{
    actions_resume(request);
}

static void run(struct request *request, const struct child_call *call)
{
    if (connections_is_ours(request))
        child_run(request, call);
}

/* Heroku Connect's exports always say whose they are; what was imported may not. */
static void answer_export(struct request *request, json_t *output)
{
    const struct serve_options *options = request->serve->options;
    json_t *connection = json_object_get(output, "connection");

    if (connection == NULL) {
        connection = json_object();
        json_object_set_new(output, "connection", connection);
    }
    json_t *ours =
        json_pack("{s:s, s:s}", "app_name", options->app_name, "name", options->schema_name);
    json_object_update_missing(connection, ours);
    json_decref(ours);
    request_answer(request, 200, json_incref(output));
}

void actions_export(struct request *request)
{
    static const char *const arguments[] = {"export", NULL};

    run(request, &(struct child_call){.arguments = arguments, .done = answer_export});
}

/* Whether the body is a file of mappings at all; false after answering 400. */
static bool has_mappings(struct request *request)
{
    json_t *body = request_body(request);

    if (body == NULL)
        return false;
    if (json_is_array(json_object_get(body, "mappings")))
        return true;
    request_refuse(request, 400, "bad_request", "an import needs a list \"mappings\"");
    return false;
}

void actions_import(struct request *request)
{
    static const char *const arguments[] = {"import", "-", "--allow-missing", NULL};

    if (has_mappings(request))
        run(request, &(struct child_call){.arguments = arguments,
                                          .input = request->http->body,
                                          .input_bytes = request->http->body_bytes,
                                          .status = 202,
                                          .is_empty = true});
}

void actions_plan(struct request *request)
{
    static const char *const arguments[] = {"plan", "-", "--allow-missing", "--json", NULL};

    if (has_mappings(request))
        run(request, &(struct child_call){.arguments = arguments,
                                          .input = request->http->body,
                                          .input_bytes = request->http->body_bytes,
                                          .status = 200,
                                          .other_code = PLAN_HAS_CHANGES});
}

/* The command's words for {"id": N}, {"mapping": NAME} or {"all": true}, exactly one of them: all
 * is said, never meant by silence. False after answering 400. */
static bool read_choice(struct request *request, const char **option, const char **value)
{
    json_t *body = request_body(request);
    const json_t *id = json_object_get(body, "id");
    const char *mapping = json_string_value(json_object_get(body, "mapping"));
    bool is_all = json_is_true(json_object_get(body, "all"));

    if (body == NULL)
        return false;
    if (json_is_integer(id) + (mapping != NULL) + is_all != 1) {
        request_refuse(request, 400, "bad_request",
                       "say which: {\"id\": NUMBER}, {\"mapping\": NAME} or {\"all\": true}");
        return false;
    }
    *option = is_all ? "--all-failed" : mapping != NULL ? "--mapping" : "--id";
    *value = is_all ? NULL
             : mapping != NULL
                 ? mapping
                 : arena_printf(request->arena, "%lld", (long long)json_integer_value(id));
    return true;
}

static void settle_failures(struct request *request, const char *verb)
{
    const char *arguments[] = {verb, "--json", NULL, NULL, NULL};

    if (read_choice(request, &arguments[2], &arguments[3]))
        run(request, &(struct child_call){.arguments = arguments, .status = 200});
}

void actions_retry(struct request *request)
{
    settle_failures(request, "retry");
}

void actions_ignore(struct request *request)
{
    settle_failures(request, "ignore");
}

/* {"name": ..., "fields": [{"name": ..., "required": ...}]}: clients read these two. */
static void answer_schema(struct request *request, json_t *output)
{
    json_t *field;
    size_t i;

    json_array_foreach(output, i, field)
        json_object_set(field, "required", json_object_get(field, "is_required"));
    request_answer(request, 200,
                   json_pack("{s:s, s:O?}", "name", request->arguments[1], "fields", output));
}

void actions_schema(struct request *request)
{
    const char *name = request->arguments[1];
    const char *arguments[] = {"fields", name, "--json", NULL};

    /* The name becomes an argument of a command: nothing that could be an option. */
    if (strspn(name, NAME_CHARACTERS) != strlen(name)) {
        request_refuse(request, 404, "not_found", "there is no object %s", name);
        return;
    }
    run(request, &(struct child_call){.arguments = arguments, .done = answer_schema});
}

static void answer_objects(struct request *request, json_t *output)
{
    request_answer(
        request, 200,
        json_pack("{s:i, s:O?}", "count", (int)json_array_size(output), "results", output));
}

void actions_objects(struct request *request)
{
    static const char *const arguments[] = {"objects", "--json", NULL};

    run(request, &(struct child_call){.arguments = arguments, .done = answer_objects});
}

/* "60.0": it becomes an argument of a command. NULL after answering 400. */
static const char *read_target(struct request *request)
{
    const char *target =
        request_body(request) != NULL ? request_param(request, "target_version") : "";

    if (request->body == NULL)
        return NULL;
    if (target != NULL && *target != '\0' && target[strspn(target, "0123456789.")] == '\0')
        return target;
    request_refuse(request, 400, "bad_request", "target_version must be like 60.0");
    return NULL;
}

void actions_schema_diff(struct request *request)
{
    const char *target = connections_is_ours(request) ? read_target(request) : NULL;
    const char *arguments[] = {"api-version", target, "--json", NULL};

    if (target != NULL)
        child_run(request, &(struct child_call){.arguments = arguments, .status = 200});
}

void actions_change_version(struct request *request)
{
    const char *target = connections_is_ours(request) ? read_target(request) : NULL;
    const char *arguments[] = {"api-version", target, "--change", "--json", NULL};

    if (target != NULL)
        child_run(request, &(struct child_call){.arguments = arguments, .status = 202});
}
