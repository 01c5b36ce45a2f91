#include "sandbox/routes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/async_jobs.h"
#include "sandbox/bulk_ingest.h"
#include "sandbox/bulk_jobs.h"
#include "sandbox/bulk_query.h"
#include "sandbox/collections.h"
#include "sandbox/cometd.h"
#include "sandbox/cometd_channels.h"
#include "sandbox/composite.h"
#include "sandbox/describe.h"
#include "sandbox/door.h"
#include "sandbox/door_bulk.h"
#include "sandbox/door_events.h"
#include "sandbox/door_page.h"
#include "sandbox/door_rules.h"
#include "sandbox/door_state.h"
#include "sandbox/limits.h"
#include "sandbox/locks.h"
#include "sandbox/metadata.h"
#include "sandbox/oauth.h"
#include "sandbox/oauth_code.h"
#include "sandbox/oauth_soap.h"
#include "sandbox/oauth_token.h"
#include "sandbox/query.h"
#include "sandbox/recent.h"
#include "sandbox/record.h"
#include "sandbox/replication.h"
#include "sandbox/resources.h"
#include "sandbox/search.h"
#include "sandbox/tooling.h"
#include "sandbox/tree.h"

enum need { NO_SESSION, SESSION };

/* {name} stands for one segment, whatever it is; V for a version like v60.0. Earlier rows win. */
static const struct route {
    const char *method;
    const char *pattern;
    void (*handle)(struct call *call);
    enum need need;
} routes[] = {
    {"POST", "services/oauth2/token", oauth_token, NO_SESSION},
    {"GET", "services/oauth2/authorize", oauth_code_page, NO_SESSION},
    {"POST", "services/oauth2/authorize", oauth_code_login, NO_SESSION},
    {"POST", "services/oauth2/introspect", oauth_introspect, NO_SESSION},
    {"POST", "services/oauth2/revoke", oauth_revoke, NO_SESSION},
    {"GET", "services/oauth2/revoke", oauth_revoke, NO_SESSION},
    {"POST", "services/Soap/u/{version}", oauth_soap, NO_SESSION},
    {"POST", "services/Soap/c/{version}", oauth_soap, NO_SESSION},
    {"POST", "services/Soap/m/{version}", metadata_soap, NO_SESSION},
    {"POST", "services/Soap/m/{version}/{org}", metadata_soap, NO_SESSION},
    {"GET", "services/oauth2/singleaccess", oauth_single_access, SESSION},
    {"POST", "services/oauth2/singleaccess", oauth_single_access, SESSION},
    {"GET", "services/oauth2/userinfo", oauth_identity, NO_SESSION},
    {"POST", "services/oauth2/userinfo", oauth_identity, NO_SESSION},
    {"GET", "id/{org}/{user}", oauth_identity, NO_SESSION},

    {"GET", "services/data", resources_versions, NO_SESSION},
    {"GET", "services/data/V", resources_list, SESSION},
    {"GET", "services/data/V/limits", resources_limits, SESSION},
    {"GET", "services/data/V/limits/recordCount", resources_record_count, SESSION},
    {"GET", "services/data/V/composite", resources_composite, SESSION},
    {"GET", "services/data/V/tabs", resources_nothing, SESSION},
    {"GET", "services/data/V/theme", resources_nothing, SESSION},
    {"GET", "services/data/V/quickActions", resources_nothing, SESSION},
    {"GET", "services/data/V/appMenu/AppSwitcher", resources_nothing, SESSION},
    {"GET", "services/data/V/appMenu/Salesforce1", resources_nothing, SESSION},
    {"GET", "services/data/V/process/approvals", resources_nothing, SESSION},
    {"GET", "services/data/V/process/rules", resources_nothing, SESSION},
    {"GET", "services/data/V/sobjects/{object}/quickActions", resources_nothing, SESSION},
    {"GET", "services/data/V/sobjects/{object}/listviews", resources_nothing, SESSION},
    {"GET", "services/data/V/sobjects/{object}/describe/layouts", resources_nothing, SESSION},
    {"GET", "services/data/V/sobjects/{object}/describe/compactLayouts", resources_nothing,
     SESSION},
    {"GET", "services/data/V/sobjects/{object}/describe/approvalLayouts", resources_nothing,
     SESSION},

    {"GET", "services/data/V/query", query_get, SESSION},
    {"GET", "services/data/V/queryAll", query_get_all, SESSION},
    {"GET", "services/data/V/query/{locator}", query_more, SESSION},
    {"GET", "services/data/V/queryAll/{locator}", query_more, SESSION},

    {"GET", "services/data/V/sobjects", describe_global, SESSION},
    {"GET", "services/data/V/sobjects/{object}", describe_basic, SESSION},
    {"POST", "services/data/V/sobjects/{object}", record_create, SESSION},
    {"GET", "services/data/V/sobjects/{object}/describe", describe_object, SESSION},
    {"GET", "services/data/V/sobjects/{object}/updated", replication_updated, SESSION},
    {"GET", "services/data/V/sobjects/{object}/deleted", replication_deleted, SESSION},
    {"POST", "services/data/V/sobjects/{object}/Id", record_create, SESSION},
    {"GET", "services/data/V/sobjects/{object}/{id}", record_get, SESSION},
    {"PATCH", "services/data/V/sobjects/{object}/{id}", record_update, SESSION},
    {"DELETE", "services/data/V/sobjects/{object}/{id}", record_delete, SESSION},
    {"POST", "services/data/V/sobjects/StreamingChannel/{id}/push", cometd_channels_push, SESSION},
    {"GET", "services/data/V/sobjects/StreamingChannel/{id}/push", cometd_channels_listeners,
     SESSION},
    {"GET", "services/data/V/sobjects/{object}/{field}/{value}", record_get_by_key, SESSION},
    {"PATCH", "services/data/V/sobjects/{object}/{field}/{value}", record_upsert, SESSION},
    {"DELETE", "services/data/V/sobjects/{object}/{field}/{value}", record_delete_by_key, SESSION},

    {"GET", "services/data/V/tooling/query", query_get, SESSION},
    {"GET", "services/data/V/tooling/query/{locator}", query_more, SESSION},
    {"GET", "services/data/V/tooling/sobjects", describe_global, SESSION},
    {"GET", "services/data/V/tooling/sobjects/{object}", describe_basic, SESSION},
    {"GET", "services/data/V/tooling/sobjects/{object}/describe", describe_object, SESSION},
    {"POST", "services/data/V/tooling/sobjects/{object}", tooling_create, SESSION},
    {"GET", "services/data/V/tooling/sobjects/{object}/{id}", tooling_get, SESSION},
    {"PATCH", "services/data/V/tooling/sobjects/{object}/{id}", tooling_update, SESSION},
    {"DELETE", "services/data/V/tooling/sobjects/{object}/{id}", tooling_delete, SESSION},

    {"GET", "services/data/V/search", search_get, SESSION},
    {"GET", "services/data/V/parameterizedSearch", search_parameterized, SESSION},
    {"POST", "services/data/V/parameterizedSearch", search_parameterized, SESSION},
    {"GET", "services/data/V/recent", recent_get, SESSION},

    {"POST", "services/data/V/composite/tree/{object}", tree_create, SESSION},
    {"POST", "services/data/V/composite/graph", composite_graph, SESSION},
    {"POST", "services/data/V/composite", composite_run, SESSION},
    {"POST", "services/data/V/composite/batch", composite_batch, SESSION},
    {"POST", "services/data/V/composite/sobjects", collections_create, SESSION},
    {"PATCH", "services/data/V/composite/sobjects", collections_update, SESSION},
    {"DELETE", "services/data/V/composite/sobjects", collections_delete, SESSION},
    {"GET", "services/data/V/composite/sobjects/{object}", collections_retrieve, SESSION},
    {"POST", "services/data/V/composite/sobjects/{object}", collections_retrieve, SESSION},
    {"PATCH", "services/data/V/composite/sobjects/{object}/{field}", collections_upsert, SESSION},

    /* CometD sees to its sessions itself: it has errors of its own for them. */
    {"POST", "cometd/{version}", cometd_post, NO_SESSION},
    {"GET", "cometd/{version}", cometd_refuse, NO_SESSION},
    {"POST", "cometd/{version}/{message}", cometd_post, NO_SESSION},
    {"GET", "cometd/{version}/{message}", cometd_refuse, NO_SESSION},

    {"GET", "_sandbox", door_page, NO_SESSION},
    {"GET", "_sandbox/events", door_events, NO_SESSION},
    {"POST", "_sandbox/events/{action}", door_events_act, NO_SESSION},
    {"POST", "services/data/V/jobs/query", bulk_query_create, SESSION},
    {"GET", "services/data/V/jobs/query", bulk_jobs_list_queries, SESSION},
    {"GET", "services/data/V/jobs/query/{job}", bulk_jobs_get_query, SESSION},
    {"PATCH", "services/data/V/jobs/query/{job}", bulk_jobs_change_query, SESSION},
    {"DELETE", "services/data/V/jobs/query/{job}", bulk_jobs_delete_query, SESSION},
    {"GET", "services/data/V/jobs/query/{job}/results", bulk_query_results, SESSION},
    {"GET", "services/data/V/jobs/query/{job}/resultPages", bulk_query_result_pages, SESSION},
    {"POST", "services/data/V/jobs/ingest", bulk_ingest_create, SESSION},
    {"GET", "services/data/V/jobs/ingest", bulk_jobs_list_ingests, SESSION},
    {"GET", "services/data/V/jobs/ingest/{job}", bulk_jobs_get_ingest, SESSION},
    {"PATCH", "services/data/V/jobs/ingest/{job}", bulk_jobs_change_ingest, SESSION},
    {"DELETE", "services/data/V/jobs/ingest/{job}", bulk_jobs_delete_ingest, SESSION},
    {"PUT", "services/data/V/jobs/ingest/{job}/batches", bulk_ingest_upload, SESSION},
    {"GET", "services/data/V/jobs/ingest/{job}/successfulResults", bulk_ingest_successful, SESSION},
    {"GET", "services/data/V/jobs/ingest/{job}/failedResults", bulk_ingest_failed, SESSION},
    {"GET", "services/data/V/jobs/ingest/{job}/unprocessedrecords", bulk_ingest_unprocessed,
     SESSION},

    /* The Bulk API 1.0 has a header for its session and errors of its own. */
    {"POST", "services/async/{version}/job", async_jobs_create, NO_SESSION},
    {"GET", "services/async/{version}/job/{job}", async_jobs_get, NO_SESSION},
    {"POST", "services/async/{version}/job/{job}", async_jobs_change, NO_SESSION},
    {"POST", "services/async/{version}/job/{job}/batch", async_jobs_add_batch, NO_SESSION},
    {"GET", "services/async/{version}/job/{job}/batch", async_jobs_list_batches, NO_SESSION},
    {"GET", "services/async/{version}/job/{job}/batch/{batch}", async_jobs_get_batch, NO_SESSION},
    {"GET", "services/async/{version}/job/{job}/batch/{batch}/request", async_jobs_get_request,
     NO_SESSION},
    {"GET", "services/async/{version}/job/{job}/batch/{batch}/result", async_jobs_get_result,
     NO_SESSION},
    {"GET", "services/async/{version}/job/{job}/batch/{batch}/result/{result}",
     async_jobs_get_query_result, NO_SESSION},

    {"GET", "_sandbox/bulk", door_bulk_read, NO_SESSION},
    {"POST", "_sandbox/bulk", door_bulk_set, NO_SESSION},
    {"POST", "_sandbox/bulk/prepare", door_bulk_prepare, NO_SESSION},
    {"GET", "_sandbox/rules", door_rules_read, NO_SESSION},
    {"POST", "_sandbox/rules", door_rules_set, NO_SESSION},
    {"GET", "_sandbox/row-faults", door_rules_row_faults, NO_SESSION},
    {"POST", "_sandbox/row-faults", door_rules_add_row_fault, NO_SESSION},
    {"DELETE", "_sandbox/row-faults", door_rules_clear_row_faults, NO_SESSION},
    {"POST", "_sandbox/duplicate-rules", door_rules_add_duplicates, NO_SESSION},
    {"DELETE", "_sandbox/duplicate-rules", door_rules_clear_duplicates, NO_SESSION},
    {"POST", "_sandbox/merge", door_rules_merge, NO_SESSION},
    {"GET", "_sandbox/journal", door_journal, NO_SESSION},
    {"DELETE", "_sandbox/journal", door_journal_clear, NO_SESSION},
    {"POST", "_sandbox/faults", door_fault, NO_SESSION},
    {"GET", "_sandbox/faults", door_faults, NO_SESSION},
    {"DELETE", "_sandbox/faults", door_faults_clear, NO_SESSION},
    {"POST", "_sandbox/clock", door_clock, NO_SESSION},
    {"GET", "_sandbox/clock", door_clock_read, NO_SESSION},
    {"GET", "_sandbox/limits", limits_door_read, NO_SESSION},
    {"POST", "_sandbox/limits", limits_door_set, NO_SESSION},
    {"GET", "_sandbox/users", door_users, NO_SESSION},
    {"POST", "_sandbox/users", door_users_set, NO_SESSION},
    {"POST", "_sandbox/sessions/expire", door_expire, NO_SESSION},
    {"POST", "_sandbox/queries/expire", door_expire_queries, NO_SESSION},
    {"POST", "_sandbox/objects", door_objects, NO_SESSION},
    {"POST", "_sandbox/reset", door_reset, NO_SESSION},
    {"POST", "_sandbox/snapshot", door_state_snapshot, NO_SESSION},
    {"POST", "_sandbox/restore", door_state_restore, NO_SESSION},
    {"POST", "_sandbox/load", door_rows_load, NO_SESSION},
    {"POST", "_sandbox/records", door_rows_insert, NO_SESSION},
    {"GET", "_sandbox/records/{object}", door_rows_records, NO_SESSION},
    {"POST", "_sandbox/undelete", door_rows_undelete, NO_SESSION},
    {"POST", "_sandbox/purge", door_rows_purge, NO_SESSION},
    {"POST", "_sandbox/bin/empty", door_rows_empty_bin, NO_SESSION},
    {"GET", "_sandbox/locks", locks_door_list, NO_SESSION},
    {"POST", "_sandbox/locks", locks_door_hold, NO_SESSION},
    {"DELETE", "_sandbox/locks", locks_door_release, NO_SESSION},
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

static bool is_utf8(const char *text)
{
    json_t *json = json_string(text);

    json_decref(json);
    return json != NULL;
}

bool routes_split(struct call *call, const char *path)
{
    call->segment_count = 0;
    call->version = NULL;
    while (*path != '\0') {
        size_t length = strcspn(path, "/?");

        if (length > 0) {
            if (call->segment_count == CALL_MAX_SEGMENTS)
                return false;
            char *segment = http_server_decode(call->arena, path, length, false);
            if (!is_utf8(segment))
                return false;
            call->segments[call->segment_count++] = segment;
        }
        path += length;
        if (*path == '?')
            break;
        path += *path == '/';
    }
    return true;
}

/* Takes one part off the pattern and says whether it is the segment. */
static bool match_part(struct call *call, const char **pattern, const char *segment, size_t *used)
{
    const char *part = *pattern;
    size_t length = strcspn(part, "/");

    *pattern = part + length + (part[length] == '/');
    if (*part == '{') {
        if (*used < CALL_MAX_ARGUMENTS)
            call->arguments[(*used)++] = segment;
        return true;
    }
    if (length == 1 && *part == 'V') {
        call->version = segment + 1;
        return *segment == 'v' && resources_is_version(segment + 1);
    }
    return strlen(segment) == length && strncasecmp(part, segment, length) == 0;
}

static bool match_route(struct call *call, const struct route *route)
{
    const char *pattern = route->pattern;
    size_t used = 0;

    call->version = NULL;
    for (size_t i = 0; i < call->segment_count; i++)
        if (*pattern == '\0' || !match_part(call, &pattern, call->segments[i], &used))
            return false;
    return *pattern == '\0' && call->segment_count > 0;
}

static const struct route *find_route(struct call *call, const char **allowed)
{
    const char *method = strcmp(call->method, "HEAD") == 0 ? "GET" : call->method;

    *allowed = NULL;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!match_route(call, &routes[i]))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
        *allowed = *allowed == NULL
                       ? routes[i].method
                       : arena_printf(call->arena, "%s,%s", *allowed, routes[i].method);
    }
    return NULL;
}

static bool is_data_path(const struct call *call)
{
    return call->segment_count > 2 && strcmp(call->segments[0], "services") == 0 &&
           strcmp(call->segments[1], "data") == 0;
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);

    return length > strlen(end) && strcasecmp(text + length - strlen(end), end) == 0;
}

/* describe.xml is describe, in XML. The value of an external id keeps what it ends in. */
static void take_suffix(struct call *call)
{
    enum { KEY_SEGMENTS = 7 };
    size_t count = call->segment_count;
    const char *last = count > 0 ? call->segments[count - 1] : "";
    bool is_data = count >= 2 && strcasecmp(call->segments[0], "services") == 0 &&
                   strncasecmp(call->segments[1], "data", strlen("data")) == 0;
    bool is_key = count == KEY_SEGMENTS && strcasecmp(call->segments[3], "sobjects") == 0;

    if (!is_data || is_key || (!ends_in(last, ".json") && !ends_in(last, ".xml")))
        return;
    call->suffix = strrchr(last, '.') + 1;
    call->segments[count - 1] = arena_strndup(call->arena, last, (size_t)(call->suffix - 1 - last));
}

void routes_dispatch(struct call *call)
{
    const char *allowed = NULL;

    take_suffix(call);
    const struct route *route = find_route(call, &allowed);
    bool needs_session = route != NULL ? route->need == SESSION : is_data_path(call);

    /* The session is looked at before anything else, even whether the path exists. */
    if (needs_session && !call->is_inner && !oauth_check_session(call))
        return;
    if (needs_session && !limits_charge(call))
        return;
    if (route != NULL)
        route->handle(call);
    else if (allowed != NULL)
        call_error(call, "METHOD_NOT_ALLOWED", "HTTP Method '%s' not allowed. Allowed are %s",
                   call->method, allowed);
    else
        call_error(call, "NOT_FOUND", "The requested resource does not exist");
}
