#include "sandbox/resources.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
    static const char *const names[] = {"sobjects", "query", "queryAll", "limits", "composite"};
    json_t *list = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(list, names[i], json_string(call_url(call, "/%s", names[i])));
    json_object_set_new(
        list, "identity",
        json_sprintf("%s/id/%s/%s", call->org->base_url, call->org->org_id, call->org->user_id));
    call_json(call, 200, list);
}

void resources_limits(struct call *call)
{
    static const struct {
        const char *name;
        int max;
    } limits[] = {
        {"DailyAsyncApexExecutions", 250000},
        {"DailyBulkApiBatches", 15000},
        {"DailyBulkV2QueryFileStorageMB", 976562},
        {"DailyBulkV2QueryJobs", 10000},
        {"DailyDurableStreamingApiEvents", 10000},
        {"DailyStreamingApiEvents", 10000},
        {"DataStorageMB", 1073},
        {"FileStorageMB", 1073},
    };
    json_t *list = json_object();
    int64_t left = call->org->api_max - call->org->api_used;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        json_object_set_new(
            list, limits[i].name,
            json_pack("{s:i, s:i}", "Max", limits[i].max, "Remaining", limits[i].max));
    json_object_set_new(list, "DailyApiRequests",
                        json_pack("{s:I, s:I}", "Max", (json_int_t)call->org->api_max, "Remaining",
                                  (json_int_t)(left > 0 ? left : 0)));
    call_json(call, 200, list);
}
