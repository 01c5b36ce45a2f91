#include "cli/version_command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/org_call.h"
#include "mapping/api_version.h"
#include "mapping/connection.h"
#include "run/salesforce.h"

struct call {
    const struct config *config;
    struct pg *pg;
    struct sf_session *session; /* of the target version */
    struct arguments_read read;
    const char *current;
    const char *target;
    json_t *report; /* what is answered, also with a refusal */
    bool is_safe;
};

static bool read_current(struct call *call, PGresult **result, struct error *err)
{
    *result = pg_query(call->pg,
                       "select coalesce(api_version, '60.0') from pgforce.connection"
                       " where schema_name = $1",
                       PG_PARAMS(call->config->schema_name), err);
    if (*result == NULL)
        return false;
    if (PQntuples(*result) == 0)
        return error_set(err, ERROR_CONFIG, "the schema \"%s\" is not set up: run `pgforce setup`",
                         call->config->schema_name);
    call->current =
        call->config->api_version != NULL ? call->config->api_version : pg_field(*result, 0, 0);
    return true;
}

static bool compare(struct call *call, struct error *err)
{
    struct salesforce_wish wish = {.api_version = call->target};
    struct api_version_diff diff = {0};

    call->session = salesforce_open_as(call->config, call->pg, &wish, err);
    bool is_ok = call->session != NULL && api_version_compare(call->pg, call->config->schema_name,
                                                              call->session, &diff, err);
    call->is_safe = is_ok && diff.is_safe;
    if (is_ok)
        call->report = json_pack("{s:s, s:s, s:s, s:O}", "current_api_version", call->current,
                                 "target_api_version", call->target, "target_version", call->target,
                                 "mappings", diff.mappings);
    json_decref(diff.mappings);
    return is_ok;
}

/* Whatever forbids the change; call->report then says more. */
static bool check(struct call *call, struct error *err)
{
    json_t *syncing ORG_CALL_JSON_AUTO = NULL;
    bool is_paused;

    if (call->config->api_version != NULL)
        return error_set(err, ERROR_CONFIG,
                         "PGFORCE_SF_API_VERSION is set, and goes before what is stored: change it"
                         " there, or unset it");
    if (!connection_is_paused(call->pg, call->config->schema_name, &is_paused, err))
        return false;
    if (!is_paused)
        return error_set(err, ERROR_CONFIG, "the connection must be paused first: `pgforce pause`");
    if (!api_version_syncing(call->pg, call->config->schema_name, &syncing, err))
        return false;
    if (json_array_size(syncing) > 0) {
        json_object_set(call->report, "syncing_mappings", syncing);
        return error_set(err, ERROR_CONFIG,
                         "mappings are still syncing: resume, and wait for them");
    }
    return call->is_safe || error_set(err, ERROR_CONFIG,
                                      "fields change in a way that would lose data: unmap them"
                                      " first");
}

static void print_report(const struct call *call, bool is_done)
{
    size_t i;
    json_t *mapping;

    printf("API version %s, %s %s\n", call->current, is_done ? "now" : "against", call->target);
    json_array_foreach(json_object_get(call->report, "mappings"), i, mapping)
    {
        const char *message = json_string_value(json_object_get(mapping, "result_message"));

        printf("%-28s %s\n", json_string_value(json_object_get(mapping, "name")),
               json_is_true(json_object_get(mapping, "has_unsafe_changes")) ? "UNSAFE"
               : json_is_true(json_object_get(mapping, "fields_have_changed"))
                   ? "changes, none of which loses data"
                   : "no change");
        printf("%s", message);
    }
}

static void report(const struct call *call, bool is_done)
{
    if (call->report == NULL)
        return;
    if (arguments_has(&call->read, "json"))
        org_call_print_json(call->report);
    else
        print_report(call, is_done);
}

static bool run_target(struct call *call, struct error *err)
{
    bool is_wanted = arguments_has(&call->read, "change");

    if (!compare(call, err))
        return false;
    bool is_ok =
        !is_wanted || (check(call, err) &&
                       api_version_change(call->pg, call->config->schema_name, call->session, err));
    report(call, is_ok && is_wanted);
    return is_ok;
}

static bool run_current(const struct call *call)
{
    if (arguments_has(&call->read, "json")) {
        json_t *json ORG_CALL_JSON_AUTO = json_pack("{s:s}", "current_api_version", call->current);
        org_call_print_json(json);
    } else {
        puts(call->current);
    }
    return true;
}

bool version_command_run(const struct config *config, int count, char **texts, struct error *err)
{
    struct call call = {.config = config};
    PGresult *current PG_RESULT_AUTO = NULL;
    char target[8];

    if (!arguments_read(count, texts, "change json", &call.read, err))
        return false;
    if (call.read.rest_count > 1 ||
        (call.read.rest_count == 0 && arguments_has(&call.read, "change")))
        return error_set(err, ERROR_USAGE, "usage: pgforce api-version [NN.0 [--change]] [--json]");
    if (call.read.rest_count == 1 && !api_version_read(call.read.rest[0], target, err))
        return false;
    call.target = target;
    call.pg = pg_open(config->database_url, "pgforce api-version", err);
    bool is_ok = call.pg != NULL && read_current(&call, &current, err) &&
                 (call.read.rest_count == 1 ? run_target(&call, err) : run_current(&call));
    json_decref(call.report);
    sf_session_close(call.session);
    pg_close(call.pg);
    return is_ok;
}
