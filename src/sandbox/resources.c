#include "sandbox/resources.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sandbox/bulk_jobs.h"
#include "sandbox/limits.h"

enum { FIRST_VERSION = 31, LAST_VERSION = 66, FIRST_YEAR = 14 };

bool resources_is_version(const char *text)
{
    int version =
        isdigit((unsigned char)text[0]) && isdigit((unsigned char)text[1]) ? atoi(text) : 0;

    return version >= FIRST_VERSION && version <= LAST_VERSION && strcmp(text + 2, ".0") == 0;
}

/* Three releases a year: 31.0 was Summer '14. */
static json_t *describe_version(int version)
{
    static const char *const seasons[] = {"Spring", "Summer", "Winter"};
    int release = version - FIRST_VERSION + 1;
    int year = FIRST_YEAR + (release + 1) / 3;

    return json_pack("{s:o, s:o, s:o}", "label",
                     json_sprintf("%s '%d", seasons[release % 3],
                                  release % 3 == 2 ? year : FIRST_YEAR + release / 3),
                     "url", json_sprintf("/services/data/v%d.0", version), "version",
                     json_sprintf("%d.0", version));
}

void resources_versions(struct call *call)
{
    json_t *list = json_array();

    for (int version = FIRST_VERSION; version <= LAST_VERSION; version++)
        json_array_append_new(list, describe_version(version));
    call_json(call, 200, list);
}

void resources_list(struct call *call)
{
    static const char *const names[] = {"sobjects",
                                        "query",
                                        "queryAll",
                                        "search",
                                        "limits",
                                        "recent",
                                        "parameterizedSearch",
                                        "composite",
                                        "jobs",
                                        "jobs/query",
                                        "jobs/ingest",
                                        "tabs",
                                        "theme",
                                        "quickActions",
                                        "appMenu"};
    json_t *list = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(list, names[i], json_string(call_url(call, "/%s", names[i])));
    json_object_set_new(
        list, "identity",
        json_sprintf("%s/id/%s/%s", call->org->base_url, call->org->org_id, call->org->user_id));
    call_json(call, 200, list);
}

void resources_composite(struct call *call)
{
    static const char *const names[] = {"tree", "batch", "sobjects", "graph"};
    json_t *list = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(list, names[i], json_string(call_url(call, "/composite/%s", names[i])));
    call_json(call, 200, list);
}

/* What an organisation without layouts, tabs and actions says of them. */
static const struct {
    const char *name;
    const char *answer;
} nothings[] = {
    {"tabs", "[]"},
    {"theme", "{\"themeItems\":[]}"},
    {"quickActions", "[]"},
    {"AppSwitcher", "{\"appMenuItems\":[]}"},
    {"Salesforce1", "{\"appMenuItems\":[]}"},
    {"approvals", "{\"approvals\":{}}"},
    {"rules", "{\"rules\":{}}"},
    {"layouts",
     "{\"layouts\":[],\"recordTypeMappings\":[],\"recordTypeSelectorRequired\":[false]}"},
    {"compactLayouts", "{\"compactLayouts\":[],\"defaultCompactLayoutId\":null,"
                       "\"recordTypeCompactLayoutMappings\":[]}"},
    {"approvalLayouts", "{\"approvalLayouts\":[]}"},
    {"listviews", "{\"done\":true,\"listviews\":[],\"nextRecordsUrl\":null,\"size\":0}"},
};

void resources_nothing(struct call *call)
{
    const char *name = call->segments[call->segment_count - 1];
    bool is_of_object = strcasecmp(call->segments[3], "sobjects") == 0;

    if (is_of_object && call_object(call, call->arguments[0]) == NULL)
        return;
    for (size_t i = 0; i < sizeof(nothings) / sizeof(nothings[0]); i++)
        if (strcasecmp(nothings[i].name, name) == 0)
            call_text(call, 200, "application/json;charset=UTF-8", nothings[i].answer);
}

static void set_limit(json_t *list, const char *name, int64_t max, int64_t left)
{
    json_object_set_new(list, name,
                        json_pack("{s:I, s:I}", "Max", (json_int_t)max, "Remaining",
                                  (json_int_t)(left > 0 ? left : 0)));
}

void resources_limits(struct call *call)
{
    enum { MAX_QUERY_JOBS = 10000, MAX_BATCHES = 15000 };
    static const struct {
        const char *name;
        int max;
    } limits[] = {
        {"ActiveScratchOrgs", 3},
        {"AnalyticsExternalDataSizeMB", 40960},
        {"ConcurrentAsyncGetReportInstances", 200},
        {"ConcurrentEinsteinDataInsightsStoryCreation", 5},
        {"ConcurrentEinsteinDiscoveryStoryCreation", 2},
        {"ConcurrentSyncReportRuns", 20},
        {"DailyAnalyticsDataflowJobExecutions", 60},
        {"DailyAnalyticsUploadedFilesSizeMB", 51200},
        {"DailyApiRequests", 0},
        {"DailyAsyncApexExecutions", 250000},
        {"DailyAsyncApexTests", 500},
        {"DailyBulkApiBatches", 15000},
        {"DailyBulkV2QueryFileStorageMB", 976562},
        {"DailyBulkV2QueryJobs", 10000},
        {"DailyDeliveredPlatformEvents", 10000},
        {"DailyDurableGenericStreamingApiEvents", 10000},
        {"DailyDurableStreamingApiEvents", 10000},
        {"DailyEinsteinDataInsightsStoryCreation", 1000},
        {"DailyEinsteinDiscoveryPredictAPICalls", 50000},
        {"DailyEinsteinDiscoveryPredictionsByCDC", 500000},
        {"DailyEinsteinDiscoveryStoryCreation", 100},
        {"DailyFunctionsApiCallLimit", 50000},
        {"DailyGenericStreamingApiEvents", 10000},
        {"DailyScratchOrgs", 6},
        {"DailyStandardVolumePlatformEvents", 10000},
        {"DailyStreamingApiEvents", 10000},
        {"DailyWorkflowEmails", 1005},
        {"DataStorageMB", 1073},
        {"DurableStreamingApiConcurrentClients", 20},
        {"FileStorageMB", 1073},
        {"HourlyAsyncReportRuns", 1200},
        {"HourlyDashboardRefreshes", 200},
        {"HourlyDashboardResults", 5000},
        {"HourlyDashboardStatuses", 999999999},
        {"HourlyLongTermIdMapping", 100000},
        {"HourlyManagedContentPublicRequests", 50000},
        {"HourlyODataCallout", 20000},
        {"HourlyPublishedPlatformEvents", 50000},
        {"HourlyPublishedStandardVolumePlatformEvents", 1000},
        {"HourlyShortTermIdMapping", 100000},
        {"HourlySyncReportRuns", 500},
        {"HourlyTimeBasedWorkflow", 1000},
        {"MassEmail", 5000},
        {"MonthlyEinsteinDiscoveryStoryCreation", 500},
        {"MonthlyPlatformEventsUsageEntitlement", 0},
        {"Package2VersionCreates", 6},
        {"Package2VersionCreatesWithoutValidation", 500},
        {"PermissionSets", 1500},
        {"PrivateConnectOutboundCalloutHourlyLimitMB", 0},
        {"SingleEmail", 5000},
        {"StreamingApiConcurrentClients", 20},
    };
    json_t *list = json_object();
    int64_t left = call->org->api_max - call->org->api_used;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        set_limit(list, limits[i].name, limits[i].max, limits[i].max);
    set_limit(list, "DailyApiRequests", call->org->api_max, left);
    json_t *app = limits_describe_app(call->org->limits);
    if (app != NULL)
        json_object_set_new(json_object_get(list, "DailyApiRequests"),
                            limits_app_name(call->org->limits), app);
    set_limit(list, "DailyBulkV2QueryJobs", MAX_QUERY_JOBS,
              MAX_QUERY_JOBS - bulk_jobs_query_count(call->org->bulk));
    set_limit(list, "DailyBulkApiBatches", MAX_BATCHES,
              MAX_BATCHES - bulk_jobs_ingest_count(call->org->bulk));
    limits_apply(call->org->limits, list);
    call_json(call, 200, list);
}

/* ---- how many records there are ---- */

static bool count_rows(struct call *call, const struct object *object, json_t *list,
                       struct error *err)
{
    const char *sql = arena_printf(
        call->arena, "select count(*) from \"%s\" where \"IsDeleted\" = 0", object->name);
    sqlite3_stmt *statement = NULL;
    bool has_row = false;

    if (!store_prepare(call->org->store, sql, &statement, err) ||
        !store_step(call->org->store, statement, &has_row, err))
        return false;
    json_array_append_new(list, json_pack("{s:I, s:s}", "count",
                                          (json_int_t)sqlite3_column_int64(statement, 0), "name",
                                          object->name));
    sqlite3_reset(statement);
    return true;
}

/* Whether a list like Account,Contact names it; no list names all. */
static bool is_listed(const char *names, const char *name)
{
    while (names != NULL && *names != '\0') {
        size_t length = strcspn(names, ", ");

        if (length == strlen(name) && strncasecmp(names, name, length) == 0)
            return true;
        names += length + (names[length] != '\0');
    }
    return names == NULL;
}

void resources_record_count(struct call *call)
{
    const struct schema *schema = call->org->schema;
    const char *names = http_server_param(call->request, "sObjects");
    json_t *list = json_array();
    struct error err = {0};

    for (size_t i = 0; i < schema_count(schema); i++) {
        const struct object *object = schema_at(schema, i);

        if (object->is_hidden || object->lists_schema || !object->is_queryable ||
            !is_listed(names, object->name))
            continue;
        if (!count_rows(call, object, list, &err)) {
            json_decref(list);
            call_failed(call, &err);
            return;
        }
    }
    call_json(call, 200, json_pack("{s:o}", "sObjects", list));
}
