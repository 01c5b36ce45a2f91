#include "cli/api_command.h"

#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/org_call.h"
#include "control/routes.h"
#include "control/tokens.h"

struct call {
    const struct config *config;
    struct pg *pg;
    struct arguments_read read;
    bool is_json;
};

static bool create(const struct call *call, struct error *err)
{
    const struct arguments_read *read = &call->read;
    char text[TOKENS_TEXT_BYTES];

    if (read->rest_count < 2 || read->rest_count > 3)
        return error_set(err, ERROR_USAGE,
                         "usage: pgforce token create NAME [viewer|operator|admin]");
    struct tokens_owner owner = {call->config->schema_name, read->rest[1],
                                 read->rest_count == 3 ? read->rest[2] : "viewer"};
    if (!tokens_create(call->pg, &owner, text, err))
        return false;
    fprintf(stderr, "pgforce: the token is shown this once:\n");
    if (!call->is_json) {
        puts(text);
        return true;
    }
    json_t *json ORG_CALL_JSON_AUTO =
        json_pack("{s:s, s:s, s:s}", "name", owner.name, "role", owner.role_name, "token", text);
    org_call_print_json(json);
    return true;
}

static bool list(const struct call *call, struct error *err)
{
    PGresult *result PG_RESULT_AUTO = tokens_list(call->pg, call->config->schema_name, err);

    if (result == NULL)
        return false;
    if (call->is_json) {
        json_t *rows ORG_CALL_JSON_AUTO = org_call_rows_json(result);
        org_call_print_json(rows);
        return true;
    }
    printf("%-24s %-10s %s\n", "name", "role", "created");
    for (int i = 0; i < PQntuples(result); i++)
        printf("%-24s %-10s %s\n", PQgetvalue(result, i, 0), PQgetvalue(result, i, 1),
               PQgetvalue(result, i, 2));
    return true;
}

static bool revoke(const struct call *call, struct error *err)
{
    if (!tokens_revoke(call->pg, call->config->schema_name, call->read.rest[1], err))
        return false;
    if (call->is_json) {
        json_t *json ORG_CALL_JSON_AUTO = json_pack("{s:s}", "revoked", call->read.rest[1]);
        org_call_print_json(json);
    }
    return true;
}

static bool run_verb(const struct call *call, struct error *err)
{
    const char *verb = call->read.rest_count > 0 ? call->read.rest[0] : "";

    if (strcmp(verb, "create") == 0)
        return create(call, err);
    if (strcmp(verb, "list") == 0 && call->read.rest_count == 1)
        return list(call, err);
    if (strcmp(verb, "revoke") == 0 && call->read.rest_count == 2)
        return revoke(call, err);
    return error_set(err, ERROR_USAGE,
                     "usage: pgforce token create NAME [ROLE] | token list | token revoke NAME");
}

bool api_command_token(const struct config *config, int count, char **texts, struct error *err)
{
    struct call call = {.config = config};

    if (!arguments_read(count, texts, "json", &call.read, err))
        return false;
    call.is_json = arguments_has(&call.read, "json");
    call.pg = pg_open(config->database_url, "pgforce token", err);
    bool is_ok = call.pg != NULL && run_verb(&call, err);
    pg_close(call.pg);
    return is_ok;
}

void api_command_print_routes(bool is_json)
{
    if (is_json)
        routes_print_json(stdout);
    else
        routes_print_markdown(stdout);
}
