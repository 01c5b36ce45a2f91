#include "control/connections.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/mappings.h"
#include "control/tokens.h"

/* What the database knows of the connection. $1 is the schema, $2 the application's name. */
static const char connection_sql[] =
    "select jsonb_build_object("
    "'id', c.uuid, 'name', coalesce(c.name, c.schema_name), 'internal_name', c.schema_name,"
    " 'resource_name', 'pgforce-' || c.schema_name,"
    " 'app_name', $2::text, 'app_id', md5('pgforce app ' || $2)::uuid,"
    " 'addon_id', c.uuid, 'addon_type', 'Sync', 'team_name', null,"
    " 'enterprise_account_name', null,"
    " 'schema_name', c.schema_name, 'db_key', 'DATABASE_URL',"
    " 'organization_id', coalesce(c.organization_id, ''), 'state', c.state,"
    " 'mappings_summary_state', (select case"
    "     when bool_or(m.state = 'SYSTEM_ERROR') then 'SYSTEM_ERROR'"
    "     when bool_or(m.state = 'ABORTED') then 'ABORTED'"
    "     when bool_or(m.state <> 'DATA_SYNCED') then 'BUSY'"
    "     else 'OK' end"
    "     from pgforce.mapping m where m.schema_name = c.schema_name),"
    " 'tags', '[]'::jsonb, 'created_at', " PG_RFC3339(
        "c.created_at") ","
                        " 'auth_updated', " PG_RFC3339(
                            "c.created_at") ", 'plan', 'pgforce', 'free_edition', false,"
                                            " 'dogwood', false, 'user_info', null, "
                                            "'logplex_log_enabled', false, 'deletable', false,"
                                            " 'large_query_threshold', 10000, 'bulk_page_size', "
                                            "150000, 'soap_batch_size', 200,"
                                            " 'features', c.features, 'odata', null, 'sf_region', "
                                            "null,"
                                            " 'sf_instance', c.instance_url,"
                                            " 'sf_info', jsonb_build_object('username', (select "
                                            "username from pgforce.credential l"
                                            " where l.schema_name = c.schema_name), "
                                            "'environment', 'custom',"
                                            "     'organization_id', coalesce(c.organization_id, "
                                            "''),"
                                            "     'domain', c.instance_url, 'api_version', "
                                            "c.api_version),"
                                            " 'region', 'self-hosted', 'region_label', "
                                            "'self-hosted', 'region_flag', '', 'cell', 'pgforce',"
                                            " 'cell_label', 'pgforce', 'display_name', "
                                            "coalesce(c.name, c.schema_name))"
                                            " from pgforce.connection c"
                                            " where c.schema_name = $1";

static void add_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, json_string(text));
}

static const char *read_id(const json_t *connection)
{
    return json_string_value(json_object_get(connection, "id"));
}

static void add_urls(struct request *request, json_t *connection)
{
    const char *base = request_base_url(request);
    const char *detail =
        arena_printf(request->arena, "%s/api/v3/connections/%s", base, read_id(connection));

    add_text(connection, "detail_url", detail);
    add_text(connection, "region_url", base);
    add_text(connection, "notifications_url",
             arena_printf(request->arena, "%s/notifications", detail));
}

static void add_database(struct pg *pg, json_t *connection)
{
    const char *port = PQport(pg_conn(pg));

    json_object_set_new(connection, "database",
                        json_pack("{s:s, s:i, s:s}", "host", PQhost(pg_conn(pg)), "port",
                                  port != NULL ? atoi(port) : 0, "database", PQdb(pg_conn(pg))));
}

/* The log's newest answer from Salesforce. */
static bool add_metrics(struct request *request, struct pg *pg, json_t *connection,
                        struct error *err)
{
    struct buf sql BUF_AUTO = {0};

    buf_init(&sql, 4096);
    buf_text(&sql, "select " PG_RFC3339("max(processed_at)") " from (select processed_at from ");
    pg_append_qualified(&sql, request->serve->options->schema_name, "_trigger_log");
    buf_text(&sql, " order by id desc limit 1000) as newest");
    PGresult *result PG_RESULT_AUTO = pg_query(pg, sql.data, PG_PARAMS(), err);
    if (result == NULL)
        return false;
    json_object_set_new(connection, "metrics",
                        json_pack("{s:s?}", "last_write_activity_time", pg_field(result, 0, 0)));
    return true;
}

static void refuse_unprepared(const struct request *request, struct error *err)
{
    error_set(err, ERROR_CONFIG, "the schema \"%s\" is not set up: run `pgforce setup`",
              request->serve->options->schema_name);
}

/* Our connection, whole but for its mappings; NULL after answering. */
static json_t *load(struct request *request)
{
    const struct serve_options *options = request->serve->options;
    struct pg *pg = request_pg(request);
    struct error err = {0};

    if (pg == NULL)
        return NULL;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg, connection_sql, PG_PARAMS(options->schema_name, options->app_name), &err);
    if (result != NULL && PQntuples(result) == 0)
        refuse_unprepared(request, &err);
    json_t *connection = result != NULL && PQntuples(result) > 0
                             ? json_loads(pg_field(result, 0, 0), 0, NULL)
                             : NULL;
    if (connection != NULL && add_metrics(request, pg, connection, &err)) {
        add_urls(request, connection);
        add_database(pg, connection);
        return connection;
    }
    json_decref(connection);
    request_fail(request, &err);
    return NULL;
}

static bool is_wanted(const char *wanted, const json_t *connection, const char *key)
{
    const char *ours = json_string_value(json_object_get(connection, key));

    return wanted != NULL && ours != NULL && strcasecmp(wanted, ours) == 0;
}

/* Filters as discovery has them; one that is absent or empty lets everything through. */
static bool passes(struct request *request, const json_t *connection)
{
    const char *app = http_server_param(request->http, "app");
    const char *resource = http_server_param(request->http, "resource_name");

    if (resource == NULL)
        resource = http_server_param(request->http, "resource_id");
    return (app == NULL || *app == '\0' || is_wanted(app, connection, "app_name") ||
            is_wanted(app, connection, "app_id")) &&
           (resource == NULL || *resource == '\0' ||
            is_wanted(resource, connection, "resource_name") ||
            is_wanted(resource, connection, "id"));
}

/* False after answering. */
static bool add_mappings(struct request *request, json_t *connection)
{
    json_t *mappings = mappings_load_all(request);

    if (mappings == NULL)
        return false;
    json_object_set_new(connection, "mappings", mappings);
    return true;
}

/* {"count": ..., "results": [...], ...}: ours if it passes the filters. */
static void answer_list(struct request *request, json_t *connection, bool is_deep)
{
    json_t *results = json_array();
    bool is_wanted_here = passes(request, connection);

    if (is_wanted_here && is_deep && !add_mappings(request, connection)) {
        json_decref(results);
        json_decref(connection);
        return;
    }
    if (is_wanted_here)
        json_array_append(results, connection);
    json_decref(connection);
    request_answer(request, 200,
                   json_pack("{s:i, s:o, s:{}, s:{}, s:n, s:n}", "count",
                             (int)json_array_size(results), "results", results, "regions", "cells",
                             "next", "previous"));
}

void connections_discover(struct request *request)
{
    json_t *connection = load(request);

    if (connection != NULL)
        answer_list(request, connection, false);
}

void connections_list(struct request *request)
{
    json_t *connection = load(request);

    if (connection != NULL)
        answer_list(request, connection, request_flag(request, "deep"));
}

void connections_link(struct request *request)
{
    json_t *connection = load(request);
    json_t *connections = json_array();

    if (connection == NULL) {
        json_decref(connections);
        return;
    }
    bool is_ours = is_wanted(request->arguments[0], connection, "app_name") ||
                   is_wanted(request->arguments[0], connection, "app_id");
    if (is_ours)
        json_array_append(connections, connection);
    json_decref(connection);
    if (!is_ours) {
        json_decref(connections);
        request_refuse(request, 404, "not_found", "there is no application %s here",
                       request->arguments[0]);
        return;
    }
    request_answer(request, 200,
                   json_pack("{s:{s:s, s:s}, s:o, s:{}, s:{}}", "user", "id", request->actor,
                             "email", request->actor, "connections", connections, "regions",
                             "cells"));
}

static bool refuse_stranger(struct request *request)
{
    request_refuse(request, 404, "not_found", "there is no connection %s", request->arguments[0]);
    return false;
}

/* NULL after answering: 404 unless the route's id is ours. */
static json_t *load_asked(struct request *request)
{
    json_t *connection = load(request);

    if (connection == NULL || is_wanted(request->arguments[0], connection, "id"))
        return connection;
    json_decref(connection);
    refuse_stranger(request);
    return NULL;
}

/* Asked before each call below a connection: its id alone is looked at. */
bool connections_is_ours(struct request *request)
{
    struct pg *pg = request_pg(request);
    struct error err = {0};

    if (pg == NULL)
        return false;
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select c.uuid::text = lower($2)"
                 " from pgforce.connection c"
                 " where c.schema_name = $1",
                 PG_PARAMS(request->serve->options->schema_name, request->arguments[0]), &err);
    if (result != NULL && PQntuples(result) == 0)
        refuse_unprepared(request, &err);
    if (result == NULL || PQntuples(result) == 0) {
        request_fail(request, &err);
        return false;
    }
    return pg_field_bool(result, 0, 0) || refuse_stranger(request);
}

const char *connections_url(struct request *request, const char *behind)
{
    return arena_printf(request->arena, "%s/api/v3/connections/%s%s", request_base_url(request),
                        request->arguments[0], behind);
}

void connections_show(struct request *request)
{
    json_t *connection = load_asked(request);

    if (connection == NULL)
        return;
    if (!request_flag(request, "deep") || add_mappings(request, connection))
        request_answer(request, 200, connection);
    else
        json_decref(connection);
}

/* A schema and a database are what a daemon was started with: naming them again is no change. */
static bool is_unchanged(struct request *request, const json_t *body, const char *key,
                         const char *ours)
{
    const char *asked = json_string_value(json_object_get(body, key));

    if (asked == NULL || strcmp(asked, ours) == 0)
        return true;
    request_refuse(request, 409, "conflict",
                   "%s is \"%s\" and given by the configuration: start a daemon of its own for"
                   " \"%s\" (PGFORCE_SCHEMA, PGFORCE_DATABASE_URL)",
                   key, ours, asked);
    return false;
}

void connections_edit(struct request *request)
{
    const char *schema_name = request->serve->options->schema_name;
    struct error err = {0};
    json_t *body = request_body(request);

    if (body == NULL || !connections_is_ours(request) ||
        !is_unchanged(request, body, "schema_name", schema_name) ||
        !is_unchanged(request, body, "db_key", "DATABASE_URL"))
        return;
    const char *name = json_string_value(json_object_get(body, "name"));
    if (name != NULL && !pg_run(request->serve->pg,
                                "update pgforce.connection set name = $2 where schema_name = $1",
                                PG_PARAMS(schema_name, name), &err)) {
        request_fail(request, &err);
        return;
    }
    connections_show(request);
}

void connections_app(struct request *request)
{
    json_t *connection = load(request);

    if (connection == NULL)
        return;
    bool is_ours = is_wanted(request->arguments[0], connection, "app_name") ||
                   is_wanted(request->arguments[0], connection, "app_id");
    if (is_ours)
        request_answer(request, 200,
                       json_pack("{s:O, s:O, s:[{s:s, s:n}]}", "name",
                                 json_object_get(connection, "app_name"), "id",
                                 json_object_get(connection, "app_id"), "db_keys", "name",
                                 "DATABASE_URL", "addon"));
    else
        request_refuse(request, 404, "not_found", "there is no application %s here",
                       request->arguments[0]);
    json_decref(connection);
}

void connections_tokens(struct request *request)
{
    struct error err = {0};

    if (!connections_is_ours(request))
        return;
    PGresult *tokens PG_RESULT_AUTO =
        tokens_list(request->serve->pg, request->serve->options->schema_name, &err);
    if (tokens == NULL) {
        request_fail(request, &err);
        return;
    }
    json_t *results = json_array();
    for (int i = 0; i < PQntuples(tokens); i++)
        json_array_append_new(
            results, json_pack("{s:s, s:s, s:s}", "name", PQgetvalue(tokens, i, 0), "role",
                               PQgetvalue(tokens, i, 1), "created_at", PQgetvalue(tokens, i, 2)));
    request_answer(request, 200,
                   json_pack("{s:i, s:o}", "count", PQntuples(tokens), "results", results));
}
