#include "mapping/features.h"

#include <string.h>

/* What pgforce does whatever the flag says; the other value has no effect, for the reason given. */
enum always { ALWAYS_ON, ALWAYS_OFF, HONOURED };

static const struct feature {
    const char *name;
    enum always always;
    const char *reason;
} features_known[] = {
    {"cdc_for_accelerated_polling", ALWAYS_ON, "accelerated polling goes by change events"},
    {"db_updates_forward_in_time_only", ALWAYS_ON, "the log is read in commit order"},
    {"disable_bulk_writes", HONOURED, NULL}, /* outbound/push.c */
    {"drift_detector_enabled", ALWAYS_OFF, "drift is looked for as pgforce is configured"},
    {"drift_max_batches_in_parallel_override", ALWAYS_OFF, "drift is looked for in the background"},
    {"early_sf_api_access", ALWAYS_OFF, "the API version is PGFORCE_SF_API_VERSION"},
    {"force_picklist_255", ALWAYS_ON, "picklists are varchar(255)"},
    {"get_deleted_latest_date_check", ALWAYS_ON, "the mark of deletions is Salesforce's own"},
    {"increased_query_cursor_limit", ALWAYS_OFF, "queries are read to their end, one at a time"},
    {"minimal_indexes_by_default", ALWAYS_ON, "only indexes that were asked for are made"},
    {"mtls_shield_connection", ALWAYS_OFF, "TLS to the database is PGFORCE_DATABASE_URL's"},
    {"poll_db_no_merge", HONOURED, NULL}, /* ordered or merged writes: outbound/push.c */
    {"poll_external_ids", ALWAYS_ON, "mapped parents' external ids are always read"},
    {"rest_count_only", ALWAYS_ON, "records are counted by REST"},
    {"retry_failed_create_soap_call", ALWAYS_ON, "a create whose answer is lost is read back"},
    {"retry_get_query_batch_result_ids", ALWAYS_ON, "what Salesforce answers late is asked again"},
    {"set_odata_extra_float_digits_to_0", ALWAYS_OFF, "there is no OData service"},
    {"sync_repair_immediately", ALWAYS_OFF, "drift is repaired in the background"},
    {"sync_repair_unlimited_query_all", ALWAYS_ON, "deleted records are read with the others"},
    {"temp_tables_in_transactions", ALWAYS_ON, "staging tables live in the transaction"},
    {"ucs_basic_collation_index", ALWAYS_ON, "sfid is compared by bytes"},
    {"use_assignment_rules", HONOURED, NULL}, /* outbound/push.c */
    {"verbose_sfnotifier_logging", ALWAYS_OFF, "the log's detail is PGFORCE_LOG_LEVEL"},
};

static const struct feature *find(const char *name)
{
    for (size_t i = 0; i < sizeof(features_known) / sizeof(features_known[0]); i++)
        if (strcmp(features_known[i].name, name) == 0)
            return &features_known[i];
    return NULL;
}

static void read_one(const char *name, const json_t *value, struct import_problems *problems,
                     struct import_problems *warnings)
{
    const struct feature *feature = find(name);

    if (!json_is_boolean(value) && !json_is_number(value) && !json_is_null(value))
        import_problem(problems, "connection.features.%.60s must be true or false", name);
    else if (feature == NULL)
        import_problem(
            warnings, "connection.features.%.60s is not known: it is kept and has no effect", name);
    else if (feature->always != HONOURED && !json_is_null(value) &&
             (json_is_true(value) || json_is_number(value)) != (feature->always == ALWAYS_ON))
        import_problem(warnings, "connection.features.%s has no effect: %s", name, feature->reason);
}

void features_read(const json_t *features, struct import_problems *problems,
                   struct import_problems *warnings)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)features, name, value) read_one(name, value, problems, warnings);
}
