#include "cli/relink_command.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/org_call.h"
#include "mapping/relink.h"
#include "run/salesforce.h"

struct call {
    const struct config *config;
    struct pg *pg;
    struct sf_session *session;
    struct arguments_read read;
    json_t *plan;
};

static long long number_of(const json_t *entry, const char *name)
{
    return (long long)json_integer_value(json_object_get(entry, name));
}

static void print_plan(const struct call *call, const char *from)
{
    size_t i;
    json_t *entry;

    fprintf(stderr, "from organisation %s to %s at %s:\n\n", from,
            sf_session_organisation_id(call->session), sf_session_instance_url(call->session));
    json_array_foreach(call->plan, i, entry)
    {
        const char *field = json_string_value(json_object_get(entry, "upsert_field"));

        fprintf(stderr,
                "%-28s %lld rows: ", json_string_value(json_object_get(entry, "object_name")),
                number_of(entry, "rows"));
        if (field != NULL)
            fprintf(stderr, "keep their id, found anew by %s", field);
        else
            fputs("REMOVED and loaded anew with other ids (no unique identifier)", stderr);
        fprintf(stderr, "; %lld changes wait, %lld of them are given up\n",
                number_of(entry, "waiting"), number_of(entry, "given_up"));
    }
    fputc('\n', stderr);
}

static void report(const struct call *call, bool is_done)
{
    if (arguments_has(&call->read, "json")) {
        json_t *json ORG_CALL_JSON_AUTO = json_pack("{s:s, s:b, s:O}", "organization_id",
                                                    sf_session_organisation_id(call->session),
                                                    "is_done", is_done, "mappings", call->plan);
        org_call_print_json(json);
    } else {
        puts(is_done ? "relinked; start pgforce, and it reads all records"
                     : "this is the schema's organisation: nothing to do");
    }
}

static bool move(struct call *call, const char *from, struct error *err)
{
    const struct relink_target target = {call->config->database_url, call->config->schema_name,
                                         sf_session_organisation_id(call->session),
                                         sf_session_instance_url(call->session)};

    if (!relink_plan(call->pg, call->config->schema_name, &call->plan, err))
        return false;
    print_plan(call, from);
    if (!ask_before("the schema will belong to that organisation",
                    arguments_has(&call->read, "yes"), err) ||
        !relink_run(&target, err))
        return false;
    report(call, true);
    return true;
}

static bool compare(struct call *call, struct error *err)
{
    struct salesforce_wish wish = {.takes_any_organisation = true};
    PGresult *result PG_RESULT_AUTO =
        pg_query(call->pg, "select organization_id from pgforce.connection where schema_name = $1",
                 PG_PARAMS(call->config->schema_name), err);

    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    const char *from = PQntuples(result) > 0 ? pg_field(result, 0, 0) : NULL;
    if (from == NULL)
        return error_set(err, ERROR_CONFIG,
                         "the schema \"%s\" belongs to no organisation yet: nothing to relink",
                         call->config->schema_name);
    call->session = salesforce_open_as(call->config, call->pg, &wish, err);
    if (call->session == NULL)
        return false;
    if (sf_session_organisation_id(call->session)[0] == '\0')
        return error_set(err, ERROR_CONFIG, "Salesforce does not say which organisation this is");
    if (strcmp(from, sf_session_organisation_id(call->session)) != 0)
        return move(call, from, err);
    call->plan = json_array();
    report(call, false);
    return true;
}

bool relink_command_run(const struct config *config, int count, char **texts, struct error *err)
{
    struct call call = {.config = config};

    if (!arguments_read(count, texts, "yes json", &call.read, err))
        return false;
    if (call.read.rest_count > 0)
        return error_set(err, ERROR_USAGE, "usage: pgforce relink [--yes] [--json]");
    call.pg = pg_open(config->database_url, "pgforce relink", err);
    bool is_ok = call.pg != NULL && compare(&call, err);
    json_decref(call.plan);
    sf_session_close(call.session);
    pg_close(call.pg);
    return is_ok;
}
