#include "control/mappings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/failures.h"
#include "control/child.h"
#include "control/connections.h"
#include "mapping/operation.h"
#include "mapping/report.h"

enum { MAX_ERRORS = 1000 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static json_t *copy_of(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return value != NULL ? json_incref(value) : json_null();
}

/* Those that name the states in which the daemon is reading. */
static bool is_polling(const char *state)
{
    return strncmp(state, "POLLING_", 8) == 0 || strncmp(state, "LOADING_", 8) == 0 ||
           strncmp(state, "WAIT_", 5) == 0;
}

static json_t *make_counts(const json_t *report)
{
    json_t *counts = json_object();
    static const char *const names[] = {"db", "sf", "pending", "errors"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(counts, names[i],
                            json_integer(json_integer_value(
                                json_object_get(json_object_get(report, "counts"), names[i]))));
    return counts;
}

static void add_urls(struct request *request, json_t *mapping, const char *connection_id)
{
    const char *base = request_base_url(request);
    const char *detail =
        arena_printf(request->arena, "%s/api/v3/mappings/%s", base, text_of(mapping, "id"));

    json_object_set_new(mapping, "detail_url", json_string(detail));
    json_object_set_new(mapping, "errors_url",
                        json_string(arena_printf(request->arena, "%s/errors", detail)));
    json_object_set_new(
        mapping, "schema_url",
        json_string(arena_printf(request->arena, "%s/api/v3/connections/%s/schemas/%s", base,
                                 connection_id, text_of(mapping, "object_name"))));
    json_object_set_new(mapping, "connection", json_pack("{s:s}", "id", connection_id));
}

/* What the two have in common under the same name. */
static const char *const same_keys[] = {
    "object_name",
    "state",
    "state_description",
    "config",
    "access",
    "upsert_field",
    "sf_notify_enabled",
    "sf_polling_seconds",
    "created_at",
    "updated_at",
    "table_name",
    "fields",
    "is_loaded",
    "is_orphan",
    "sf_max_daily_api_calls",
    "changes_up_to",
    "load",
    "held_deletions",
    "refused_records",
    "waiting_writes",
    "operation",
    "organisation",
};

static json_t *make_mapping(struct request *request, const json_t *report)
{
    json_t *mapping = json_object();
    json_t *counts = make_counts(report);

    for (size_t i = 0; i < sizeof(same_keys) / sizeof(same_keys[0]); i++)
        json_object_set_new(mapping, same_keys[i], copy_of(report, same_keys[i]));
    json_object_set_new(mapping, "id", copy_of(report, "uuid"));
    json_object_set_new(mapping, "_id", copy_of(report, "id"));
    json_object_set_new(mapping, "actively_writing",
                        json_boolean(json_integer_value(json_object_get(counts, "pending")) > 0));
    json_object_set_new(mapping, "is_polling", json_boolean(is_polling(text_of(report, "state"))));
    json_object_set_new(mapping, "has_hc_columns", json_true());
    json_object_set_new(mapping, "sync_flags", json_object());
    json_object_set_new(mapping, "counts", counts);
    json_object_set_new(mapping, "times",
                        json_pack("{s:o, s:n, s:n, s:n}", "sf_poll", copy_of(report, "polled_at"),
                                  "sf_write", "db_poll", "db_write"));
    json_object_set_new(mapping, "db_count_date", json_null());
    json_object_set_new(mapping, "salesforce_count_date", copy_of(report, "sf_counted_at"));
    add_urls(request, mapping, text_of(report, "connection_uuid"));
    return mapping;
}

/* The reports of all mappings, or of one; NULL after answering. */
static json_t *load_reports(struct request *request, const char *object_name)
{
    struct pg *pg = request_pg(request);
    struct error err = {0};
    json_t *reports = NULL;

    if (pg != NULL &&
        !report_mappings(pg, request->serve->options->schema_name, object_name, &reports, &err))
        request_fail(request, &err);
    return reports;
}

json_t *mappings_load_all(struct request *request)
{
    json_t *reports = load_reports(request, NULL);
    json_t *mappings = reports != NULL ? json_array() : NULL;
    json_t *report;
    size_t i;

    json_array_foreach(reports, i, report)
        json_array_append_new(mappings, make_mapping(request, report));
    json_decref(reports);
    return mappings;
}

/* The report of the mapping in the route, to be owned by the caller; NULL after answering. */
static json_t *load_asked(struct request *request)
{
    json_t *reports = load_reports(request, NULL);
    json_t *found = NULL;
    json_t *report;
    size_t i;

    if (reports == NULL)
        return NULL;
    json_array_foreach(reports, i,
                       report) if (strcasecmp(text_of(report, "uuid"), request->arguments[0]) == 0)
        found = json_incref(report);
    json_decref(reports);
    if (found == NULL)
        request_refuse(request, 404, "not_found", "there is no mapping %s", request->arguments[0]);
    return found;
}

void mappings_list(struct request *request)
{
    json_t *mappings;

    if (!connections_is_ours(request) || (mappings = mappings_load_all(request)) == NULL)
        return;
    request_answer(
        request, 200,
        json_pack("{s:i, s:o}", "count", (int)json_array_size(mappings), "results", mappings));
}

void mappings_show(struct request *request)
{
    json_t *report = load_asked(request);

    if (report != NULL)
        request_answer(request, 200, make_mapping(request, report));
    json_decref(report);
}

const char *mappings_find_object(struct request *request)
{
    json_t *report = load_asked(request);
    const char *name =
        report != NULL ? arena_strdup(request->arena, text_of(report, "object_name")) : NULL;

    json_decref(report);
    return name;
}

/* The mapping as it is now, after its import. */
static void answer_imported(struct request *request, json_t *output)
{
    const char *object_name = request->arguments[REQUEST_MAX_ARGUMENTS - 1];
    json_t *reports = load_reports(request, object_name);

    (void)output;
    if (reports != NULL)
        request_answer(request, strcmp(request->http->method, "POST") == 0 ? 201 : 200,
                       make_mapping(request, json_array_get(reports, 0)));
    json_decref(reports);
}

/* An import of one mapping, which becomes just that: what the organisation must be asked is asked
 * by the command. */
static void import_one(struct request *request, const char *object_name, json_t *config)
{
    static const char *const arguments[] = {"import", "-", "--exact", NULL};
    json_t *file = json_pack("{s:i, s:[{s:s, s:O}]}", "version", 1, "mappings", "object_name",
                             object_name, "config", config);
    char *text = file != NULL ? json_dumps(file, JSON_COMPACT) : NULL;

    json_decref(file);
    request->arguments[REQUEST_MAX_ARGUMENTS - 1] = arena_strdup(request->arena, object_name);
    child_run(request, &(struct child_call){.arguments = arguments,
                                            .input = text,
                                            .input_bytes = text != NULL ? strlen(text) : 0,
                                            .done = answer_imported});
    free(text);
}

void mappings_create(struct request *request)
{
    json_t *body = request_body(request);

    if (body == NULL || !connections_is_ours(request))
        return;
    const char *object_name = json_string_value(json_object_get(body, "object_name"));
    json_t *config = json_object_get(body, "config");
    if (object_name == NULL || !json_is_object(config)) {
        request_refuse(request, 400, "bad_request",
                       "a mapping needs \"object_name\", a text, and \"config\", an object");
        return;
    }
    import_one(request, object_name, config);
}

/* The stored config, over which what is asked for is laid: a setting or a list that it names
 * becomes what it says, so fields that a list no longer has are taken away; null takes one away. */
static json_t *lay_over(const json_t *stored, json_t *asked)
{
    json_t *config = json_copy((json_t *)stored);
    const char *key;
    json_t *value;

    json_object_update(config, asked);
    json_object_foreach(asked, key, value) if (json_is_null(value)) json_object_del(config, key);
    return config;
}

void mappings_edit(struct request *request)
{
    json_t *body = request_body(request);
    json_t *report = body != NULL ? load_asked(request) : NULL;
    json_t *asked = json_object_get(body, "config");

    if (report == NULL)
        return;
    if (json_is_object(asked)) {
        json_t *config = lay_over(json_object_get(report, "config"), asked);

        import_one(request, text_of(report, "object_name"), config);
        json_decref(config);
    } else {
        request_refuse(request, 400, "bad_request", "a change needs \"config\", an object");
    }
    json_decref(report);
}

/* 202 or another status when it was done, else what the error says. */
static void answer_done(struct request *request, bool is_done, int status, const struct error *err)
{
    if (is_done)
        request_answer_empty(request, status);
    else
        request_fail(request, err);
}

void mappings_delete(struct request *request)
{
    const char *object_name = mappings_find_object(request);
    struct error err = {0};

    if (object_name == NULL)
        return;
    answer_done(request,
                operation_delete(request->serve->pg, request->serve->options->schema_name,
                                 object_name, request_flag(request, "keep_table"), &err),
                204, &err);
}

void mappings_reload(struct request *request)
{
    json_t *body = request_body(request);
    const char *object_name = body != NULL ? mappings_find_object(request) : NULL;
    struct error err = {0};

    if (object_name == NULL)
        return;
    bool is_destructive = json_is_true(json_object_get(body, "destructive"));
    answer_done(request,
                operation_reload(request->serve->pg, request->serve->options->schema_name,
                                 object_name, is_destructive, &err),
                202, &err);
}

void mappings_abort(struct request *request)
{
    const char *object_name = mappings_find_object(request);
    struct error err = {0};

    if (object_name == NULL)
        return;
    answer_done(request,
                operation_abort(request->serve->pg, request->serve->options->schema_name,
                                object_name, &err),
                202, &err);
}

/* As it is now, with what was counted. */
static void answer_counted(struct request *request, json_t *output)
{
    (void)output;
    mappings_show(request);
}

void mappings_count(struct request *request)
{
    const char *object_name = mappings_find_object(request);
    const char *arguments[] = {"mapping", "count", object_name, "--json", NULL};

    if (object_name != NULL)
        child_run(request, &(struct child_call){.arguments = arguments, .done = answer_counted});
}

static json_t *make_error(const struct failure *failure)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?, s:s, s:b}", "id",
                     pg_number(failure->log_id).text, "table_name", failure->table_name,
                     "record_id", (json_int_t)failure->record_id, "message", failure->message,
                     "created_at", failure->created_at, "sfid", failure->sfid, "action",
                     failure->action, "is_archived", failure->is_archived);
}

static void answer_errors(struct request *request, const char *table_name)
{
    struct failures failures = {.arena = request->arena, .limit = MAX_ERRORS};
    struct failures_choice choice = {.table_name = table_name};
    struct pg *pg = request_pg(request);
    struct error err = {0};
    json_t *results;

    if (pg == NULL)
        return;
    if (!failures_read(pg, request->serve->options->schema_name, &choice, &failures, &err)) {
        request_fail(request, &err);
        return;
    }
    results = json_array();
    for (size_t i = 0; i < failures.count; i++)
        json_array_append_new(results, make_error(&failures.items[i]));
    request_answer(request, 200,
                   json_pack("{s:i, s:o, s:n, s:n}", "count", (int)failures.count, "results",
                             results, "next", "previous"));
}

void mappings_errors(struct request *request)
{
    json_t *report = load_asked(request);
    const char *table_name =
        report != NULL ? arena_strdup(request->arena, text_of(report, "table_name")) : NULL;

    json_decref(report);
    if (table_name != NULL)
        answer_errors(request, table_name);
}

void mappings_all_errors(struct request *request)
{
    if (connections_is_ours(request))
        answer_errors(request, NULL);
}
