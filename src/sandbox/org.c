#include "sandbox/org.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sandbox/async_jobs.h"
#include "sandbox/birth.h"
#include "sandbox/bulk_jobs.h"
#include "sandbox/bulk_store.h"
#include "sandbox/cometd_clients.h"
#include "sandbox/currencies.h"
#include "sandbox/door_state.h"
#include "sandbox/events.h"
#include "sandbox/faults.h"
#include "sandbox/formulas.h"
#include "sandbox/journal.h"
#include "sandbox/limits.h"
#include "sandbox/locks.h"
#include "sandbox/oauth.h"
#include "sandbox/oauth_code.h"
#include "sandbox/oauth_jwt.h"
#include "sandbox/query.h"
#include "sandbox/recent.h"
#include "sandbox/record_types.h"
#include "sandbox/rollups.h"
#include "sandbox/rules.h"
#include "sandbox/sales.h"
#include "sandbox/seed.h"
#include "sandbox/users.h"

extern const char sandbox_objects_organization[], sandbox_objects_user[], sandbox_objects_profile[],
    sandbox_objects_userrole[], sandbox_objects_account[], sandbox_objects_contact[],
    sandbox_objects_opportunity[], sandbox_objects_opportunitystage[],
    sandbox_objects_opportunitylineitem[], sandbox_objects_opportunitycontactrole[],
    sandbox_objects_lead[], sandbox_objects_campaign[], sandbox_objects_campaignmember[],
    sandbox_objects_campaignmemberstatus[], sandbox_objects_task[], sandbox_objects_event[],
    sandbox_objects_case[], sandbox_objects_casecomment[], sandbox_objects_product2[],
    sandbox_objects_pricebook2[], sandbox_objects_pricebookentry[], sandbox_objects_asset[],
    sandbox_objects_contract[], sandbox_objects_attachment[], sandbox_objects_note[],
    sandbox_objects_recordtype[], sandbox_objects_group[], sandbox_objects_groupmember[],
    sandbox_objects_permissionset[], sandbox_objects_permissionsetassignment[],
    sandbox_objects_apexclass[], sandbox_objects_entitydefinition[],
    sandbox_objects_fielddefinition[], sandbox_objects_customobject[],
    sandbox_objects_customfield[], sandbox_objects_invoice[], sandbox_objects_pushtopic[],
    sandbox_objects_streamingchannel[];

static const char *const shipped[] = {
    sandbox_objects_organization,
    sandbox_objects_user,
    sandbox_objects_profile,
    sandbox_objects_userrole,
    sandbox_objects_account,
    sandbox_objects_contact,
    sandbox_objects_opportunity,
    sandbox_objects_opportunitystage,
    sandbox_objects_opportunitylineitem,
    sandbox_objects_opportunitycontactrole,
    sandbox_objects_lead,
    sandbox_objects_campaign,
    sandbox_objects_campaignmember,
    sandbox_objects_campaignmemberstatus,
    sandbox_objects_task,
    sandbox_objects_event,
    sandbox_objects_case,
    sandbox_objects_casecomment,
    sandbox_objects_product2,
    sandbox_objects_pricebook2,
    sandbox_objects_pricebookentry,
    sandbox_objects_asset,
    sandbox_objects_contract,
    sandbox_objects_attachment,
    sandbox_objects_note,
    sandbox_objects_recordtype,
    sandbox_objects_group,
    sandbox_objects_groupmember,
    sandbox_objects_permissionset,
    sandbox_objects_permissionsetassignment,
    sandbox_objects_apexclass,
    sandbox_objects_entitydefinition,
    sandbox_objects_fielddefinition,
    sandbox_objects_customobject,
    sandbox_objects_customfield,
    sandbox_objects_invoice,
    sandbox_objects_pushtopic,
    sandbox_objects_streamingchannel,
};

enum { SHIPPED_COUNT = sizeof(shipped) / sizeof(shipped[0]) };

int64_t org_now(const struct org *org)
{
    return (org->call_s != 0 ? org->call_s : clock_wall_us() / 1000000) + org->clock_offset_s;
}

int64_t org_stamp(const struct org *org)
{
    return org_now(org) - org->commit_lag_s;
}

static bool make_tables(struct org *org, struct error *err)
{
    for (size_t i = 0; i < schema_count(org->schema); i++)
        if (!store_make_table(org->store, schema_at(org->schema, i), err))
            return false;
    return true;
}

/* With the key prefix the object was given, so that its ids stay its own whatever comes before it
 * the next time. */
static bool keep_one(struct org *org, const json_t *definition, struct error *err)
{
    const char *name = json_string_value(json_object_get(definition, "name"));
    json_t *copy = json_copy((json_t *)definition);

    json_object_set_new(copy, "keyPrefix", json_string(schema_find(org->schema, name)->key_prefix));
    char *text = json_dumps(copy, JSON_COMPACT);
    struct value value = value_text(text);
    bool is_kept = store_change(
        org->store, "insert into sandbox_definition (definition) values (?)", &value, 1, err);

    free(text);
    json_decref(copy);
    return is_kept;
}

static bool keep_definition(struct org *org, const json_t *definition, struct error *err)
{
    const json_t *list = json_object_get(definition, "objects");
    size_t index;
    const json_t *each;

    if (list == NULL)
        list = definition;
    if (!json_is_array(list))
        return keep_one(org, list, err);
    json_array_foreach(list, index, each) if (!keep_one(org, each, err)) return false;
    return true;
}

bool org_define(struct org *org, const json_t *definition, bool is_kept, struct error *err)
{
    struct schema_state *state = schema_keep(org->schema);
    bool is_defined = schema_define(org->schema, definition, err) && formulas_bind(org, err) &&
                      rollups_bind(org, err);

    if (!is_defined)
        schema_restore(org->schema, state);
    free(state);
    if (!is_defined)
        return false;
    org->schema_modified_s = org_now(org);
    record_types_take(org, definition);
    return make_tables(org, err) && rollups_start(org, err) && record_types_make_rows(org, err) &&
           (!is_kept || keep_definition(org, definition, err));
}

static bool define_text(struct org *org, const char *text, struct error *err)
{
    json_error_t problem;
    json_t *json = json_loads(text, 0, &problem);

    if (json == NULL)
        return error_set(err, ERROR_CONFIG, "an object definition is not JSON: line %d: %s",
                         problem.line, problem.text);
    bool is_defined = schema_define(org->schema, json, err);
    record_types_take(org, json);
    json_decref(json);
    return is_defined;
}

static bool define_file(struct org *org, const char *path, struct error *err)
{
    json_error_t problem;
    json_t *json = json_load_file(path, 0, &problem);

    if (json == NULL)
        return error_set(err, ERROR_CONFIG, "%s: line %d: %s", path, problem.line, problem.text);
    bool is_defined = schema_define(org->schema, json, err);
    record_types_take(org, json);
    json_decref(json);
    return is_defined || error_prefix(err, "%s", path);
}

static bool define_row(void *context, sqlite3_stmt *row, struct error *err)
{
    return define_text(context, (const char *)sqlite3_column_text(row, 0), err);
}

/* What the fault door defined while an earlier process had this data file. */
static bool define_kept(struct org *org, struct error *err)
{
    return store_each(org->store, "select definition from sandbox_definition order by seq",
                      define_row, org, err);
}

/* Their field comes before the objects that have it, their own objects after. */
static bool define_shipped(struct org *org, struct error *err)
{
    const char *text = org->options.currencies;
    json_t *currencies = text != NULL ? currencies_read(text, err) : NULL;

    if (text != NULL && currencies == NULL)
        return false;
    if (currencies != NULL)
        schema_set_common(org->schema, json_object_get(currencies, "field"));
    bool is_defined = true;
    for (size_t i = 0; i < SHIPPED_COUNT && is_defined; i++)
        is_defined = define_text(org, shipped[i], err);
    if (currencies != NULL)
        is_defined = is_defined && schema_define(org->schema, currencies, err);
    json_decref(currencies);
    return is_defined;
}

/* What was kept comes before the files: its key prefixes are already taken. */
static bool define_all(struct org *org, struct error *err)
{
    if (!define_shipped(org, err) || !define_kept(org, err))
        return false;
    for (size_t i = 0; i < org->options.object_file_count; i++)
        if (!define_file(org, org->options.object_files[i], err))
            return false;
    return formulas_bind(org, err) && rollups_bind(org, err) && make_tables(org, err) &&
           rollups_start(org, err);
}

bool org_reset(struct org *org, struct error *err)
{
    char sql[200];

    query_forget_cursors(org->cursors, org->store);
    async_jobs_forget(org->async);
    bulk_jobs_forget(org->bulk);
    if (!bulk_store_clear(org, err))
        return false;
    recent_forget(org->recent);
    rules_forget(org->rules);
    limits_forget(org->limits);
    locks_forget(org->locks);
    org->bin_emptied_s = 0;
    users_become(org, NULL);
    org->commit_lag_s = 0;
    org->page_rows = 0;
    org->masks_secrets = false;
    for (size_t i = 0; i < schema_count(org->schema); i++) {
        snprintf(sql, sizeof(sql), "delete from \"%s\"", schema_at(org->schema, i)->name);
        if (!store_run(org->store, sql, err))
            return false;
    }
    return events_reset(org, err) && birth_insert_rows(org, err) &&
           record_types_make_rows(org, err) && users_reset(org, err);
}

static bool is_newborn(struct org *org, bool *answer, struct error *err)
{
    struct store_row row = {.object = schema_find(org->schema, "User"), .id = org->user_id};
    struct arena *arena = arena_new();
    bool is_loaded = store_load(org->store, arena, &row, err);

    *answer = row.values == NULL;
    arena_free(arena);
    return is_loaded;
}

bool org_open(const struct org_options *options, struct org **org, struct error *err)
{
    struct org *new_org = memory_alloc(sizeof(*new_org));
    bool is_new = false;

    *org = NULL;
    new_org->options = *options;
    new_org->api_max = ORG_API_MAX;
    new_org->schema = schema_new();
    new_org->sessions = oauth_new_sessions();
    new_org->cursors = query_new_cursors();
    new_org->faults = faults_new();
    new_org->journal = journal_new();
    new_org->bulk = bulk_jobs_new();
    new_org->oauth_codes = oauth_code_new();
    new_org->recent = recent_new();
    new_org->rules = rules_new();
    new_org->limits = limits_new();
    new_org->locks = locks_new();
    new_org->users = users_new();
    new_org->record_types = json_array();
    new_org->async = async_jobs_new();
    new_org->cometd = cometd_clients_new();
    new_org->snapshots = door_state_new();
    birth_name(new_org);
    new_org->schema_modified_s = org_now(new_org);
    seed_complete(&new_org->options.seed);
    if ((options->jwt_certificate != NULL &&
         !oauth_jwt_load_key(new_org, options->jwt_certificate, err)) ||
        !store_open(options->data, &new_org->store, err)) {
        org_close(new_org);
        return false;
    }
    new_org->formulas = formulas_new(new_org);
    if (!events_open(new_org->store, &new_org->events, err) || !bulk_store_open(new_org, err) ||
        !async_jobs_open(new_org, err) || !define_all(new_org, err) || !users_load(new_org, err) ||
        !is_newborn(new_org, &is_new, err) ||
        (is_new && (!birth_insert_rows(new_org, err) || !users_reset(new_org, err) ||
                    !seed_run(new_org, &new_org->options.seed, err))) ||
        !record_types_make_rows(new_org, err) || !sales_start(new_org, err) ||
        !bulk_store_load(new_org, err)) {
        org_close(new_org);
        return false;
    }
    *org = new_org;
    return true;
}

void org_close(struct org *org)
{
    if (org == NULL)
        return;
    query_free_cursors(org->cursors);
    oauth_free_sessions(org->sessions);
    faults_free(org->faults);
    journal_free(org->journal);
    bulk_jobs_free(org->bulk);
    oauth_code_free(org->oauth_codes);
    recent_free(org->recent);
    rules_free(org->rules);
    limits_free(org->limits);
    locks_free(org->locks);
    users_free(org->users);
    formulas_free(org->formulas);
    async_jobs_free(org->async);
    oauth_jwt_set_key(org, NULL, NULL);
    events_free(org->events);
    cometd_clients_free(org->cometd);
    door_state_free(org->snapshots);
    json_decref(org->record_types);
    store_close(org->store);
    schema_free(org->schema);
    free(org->base_url);
    free(org);
}
