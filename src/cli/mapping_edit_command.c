#include "cli/mapping_edit_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/ask.h"
#include "cli/load_progress.h"
#include "mapping/mapping.h"
#include "mapping/operation.h"
#include "mapping/organisation.h"
#include "mapping/orphan.h"

/* How an option changes the config. */
struct setting {
    const char *option;
    const char *key; /* of the config */
    enum { TEXT, NUMBER, ON, OFF, GONE } how;
};

static const struct setting settings[] = {
    {"access", "access", TEXT},
    {"unique-id", "upsert_field", TEXT},
    {"no-unique-id", "upsert_field", GONE},
    {"polling", "sf_polling_seconds", NUMBER},
    {"notify", "sf_notify_enabled", ON},
    {"no-notify", "sf_notify_enabled", OFF},
    {"max-api-calls", "sf_max_daily_api_calls", NUMBER},
    {"filter", "filter", TEXT},
    {"no-filter", "filter", GONE},
    {"numeric", "numeric", ON},
    {"no-numeric", "numeric", GONE},
    {"calculated", "calculated_seconds", NUMBER},
    {"conflict-policy", "conflict_policy", TEXT},
    {"lost-create", "lost_create", TEXT},
    {"marker-field", "marker_field", TEXT},
    {"adopt-existing", "adopt_existing", ON},
    {"no-adopt-existing", "adopt_existing", GONE},
    {"delete-policy", "delete_policy", TEXT},
    {"truncate-policy", "truncate_policy", TEXT},
};

static bool set_number(json_t *config, const struct setting *setting, const char *value,
                       struct error *err)
{
    char *end;
    long long number = strtoll(value, &end, 10);

    if (end == value || *end != '\0')
        return error_set(err, ERROR_USAGE, "--%s wants a number, not \"%.40s\"", setting->option,
                         value);
    json_object_set_new(config, setting->key, json_integer(number));
    return true;
}

static bool change_setting(json_t *config, const struct setting *setting, const char *value,
                           struct error *err)
{
    switch (setting->how) {
    case TEXT: json_object_set_new(config, setting->key, json_string(value)); break;
    case NUMBER: return set_number(config, setting, value, err);
    case ON: json_object_set_new(config, setting->key, json_true()); break;
    case OFF: json_object_set_new(config, setting->key, json_false()); break;
    case GONE: json_object_del(config, setting->key); break;
    }
    return json_object_get(config, setting->key) != NULL || setting->how == GONE ||
           error_set(err, ERROR_USAGE, "the value of --%s is not UTF-8", setting->option);
}

static bool change_settings(const struct arguments_read *read, json_t *config, struct error *err)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (arguments_has(read, settings[i].option) &&
            !change_setting(config, &settings[i], arguments_value(read, settings[i].option, 0),
                            err))
            return false;
    return true;
}

/* The key of an object in whatever case; NULL when there is none. */
static const char *find_key(json_t *object, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) if (strcasecmp(key, name) == 0) return key;
    return NULL;
}

/* Calls change for each name of "--option A,B --option C". */
static void each_name(const struct arguments_read *read, const char *option, json_t *config,
                      void (*change)(json_t *config, const char *name))
{
    const char *list;

    for (int i = 0; (list = arguments_value(read, option, i)) != NULL; i++) {
        char *names = memory_strdup(list);
        char *rest = NULL;
        for (char *name = strtok_r(names, ", ", &rest); name != NULL;
             name = strtok_r(NULL, ", ", &rest))
            change(config, name);
        free(names);
    }
}

static json_t *part(json_t *config, const char *key)
{
    if (!json_is_object(json_object_get(config, key)))
        json_object_set_new(config, key, json_object());
    return json_object_get(config, key);
}

static void add_field(json_t *config, const char *name)
{
    json_t *fields = part(config, "fields");

    if (find_key(fields, name) == NULL)
        json_object_set_new(fields, name, json_object());
}

static void remove_index(json_t *config, const char *name)
{
    json_t *indexes = part(config, "indexes");
    const char *key = find_key(indexes, name);

    if (key != NULL)
        json_object_del(indexes, key);
}

static void remove_field(json_t *config, const char *name)
{
    json_t *fields = part(config, "fields");
    const char *key = find_key(fields, name);

    remove_index(config, name);
    if (key != NULL)
        json_object_del(fields, key);
}

/* "Name", or "Name:unique". */
static void add_index(json_t *config, const char *text)
{
    size_t size = strcspn(text, ":");
    char *name = memory_strdup(text);

    name[size] = '\0';
    remove_index(config, name);
    json_object_set_new(part(config, "indexes"), name,
                        json_pack("{s:b}", "unique", strcmp(text + size, ":unique") == 0));
    free(name);
}

/* The unique identifier is among the fields and has its index, as in every export. */
static void complete_unique_id(json_t *config)
{
    const char *name = json_string_value(json_object_get(config, "upsert_field"));

    if (name == NULL)
        return;
    add_field(config, name);
    if (find_key(part(config, "indexes"), name) == NULL)
        json_object_set_new(part(config, "indexes"), name, json_pack("{s:b}", "unique", 1));
}

static bool change_config(const struct arguments_read *read, json_t *config, struct error *err)
{
    each_name(read, "field", config, add_field);
    each_name(read, "without", config, remove_field);
    each_name(read, "index", config, add_index);
    each_name(read, "no-index", config, remove_index);
    if (!change_settings(read, config, err))
        return false;
    complete_unique_id(config);
    return true;
}

static void print_done(const struct org_call *call, const struct configure_report *report)
{
    if (arguments_has(&call->read, "json")) {
        json_t *json ORG_CALL_JSON_AUTO = org_call_report_json(report);
        org_call_print_json(json);
        return;
    }
    org_call_print_steps(report);
    if (report->done.step_count == 0)
        puts("nothing to do");
}

/* What was wrong came from the command line. */
static bool apply_entry(struct org_call *call, json_t *entry, bool readds, struct error *err)
{
    struct configure_options options = {.is_exact = true,
                                        .readds = readds,
                                        .recreates_views =
                                            arguments_has(&call->read, "recreate-views")};
    json_t *root ORG_CALL_JSON_AUTO = json_pack("{s:[O]}", "mappings", entry);
    struct configure_report report;

    if (!org_call_apply(call, root, &options, &report, err))
        return false;
    print_done(call, &report);
    return !arguments_has(&call->read, "wait") ||
           load_progress_watch(call->pg, call->config->schema_name, call->read.rest[0], err);
}

static bool read_entry(const struct org_call *call, json_t **entry, struct error *err)
{
    return configure_entry(call->pg, call->config->schema_name, call->read.rest[0], entry, err);
}

bool mapping_edit_command_create(struct org_call *call, struct error *err)
{
    struct configure_target target = org_call_target(call);
    const char *name = call->read.rest[0];
    json_t *entry ORG_CALL_JSON_AUTO = NULL;
    json_t *config ORG_CALL_JSON_AUTO = NULL;

    if (!read_entry(call, &entry, err))
        return false;
    if (entry != NULL)
        return error_set(err, ERROR_CONFIG, "%s is mapped already: `pgforce mapping edit %s`", name,
                         name);
    if (!configure_defaults(&target, name, &config, err) ||
        !change_config(&call->read, config, err))
        return false;
    entry = json_pack("{s:s, s:O}", "object_name", name, "config", config);
    return apply_entry(call, entry, false, err);
}

static bool require_entry(const struct org_call *call, json_t **entry, struct error *err)
{
    if (!read_entry(call, entry, err))
        return false;
    return *entry != NULL ||
           mapping_refuse_unknown(call->config->schema_name, call->read.rest[0], err);
}

static bool ask_for_columns(const struct org_call *call, struct error *err)
{
    return (!arguments_has(&call->read, "without") && !arguments_has(&call->read, "no-numeric") &&
            !arguments_has(&call->read, "numeric")) ||
           ask_before("columns are dropped, with what is not sent yet",
                      arguments_has(&call->read, "yes"), err);
}

bool mapping_edit_command_edit(struct org_call *call, struct error *err)
{
    json_t *entry ORG_CALL_JSON_AUTO = NULL;

    return ask_for_columns(call, err) && require_entry(call, &entry, err) &&
           change_config(&call->read, json_object_get(entry, "config"), err) &&
           apply_entry(call, entry, true, err);
}

/* The same config, matched with the organisation as it is now. */
bool mapping_edit_command_refresh(struct org_call *call, struct error *err)
{
    json_t *entry ORG_CALL_JSON_AUTO = NULL;

    return require_entry(call, &entry, err) && apply_entry(call, entry, true, err);
}

static bool store_count(const struct org_call *call, const char *object_name, int64_t count,
                        struct error *err)
{
    return pg_run(call->pg,
                  "update pgforce.mapping"
                  " set sf_count = $3, sf_counted_at = clock_timestamp()"
                  " where schema_name = $1 and object_name = $2",
                  PG_PARAMS(call->config->schema_name, object_name, pg_number(count).text), err);
}

/* One request: what Salesforce has of what the mapping chooses. */
bool mapping_edit_command_count(struct org_call *call, struct error *err)
{
    json_t *entry ORG_CALL_JSON_AUTO = NULL;
    int64_t count;

    if (!require_entry(call, &entry, err))
        return false;
    const char *name = json_string_value(json_object_get(entry, "object_name"));
    const char *filter =
        json_string_value(json_object_get(json_object_get(entry, "config"), "filter"));
    struct organisation *organisation = organisation_new(call->session, call->arena);
    if (!organisation_count(organisation, name, filter, &count, err) ||
        !store_count(call, name, count, err))
        return false;
    json_t *json ORG_CALL_JSON_AUTO =
        json_pack("{s:s, s:I}", "object_name", name, "count", (json_int_t)count);
    if (arguments_has(&call->read, "json"))
        org_call_print_json(json);
    else
        printf("%s: %lld records in Salesforce\n", name, (long long)count);
    return true;
}

static bool remove_orphans(struct org_call *call, const json_t *orphans, struct error *err)
{
    size_t i;
    json_t *orphan;

    if (!ask_before("these mappings, their tables and writes not sent yet will be lost",
                    arguments_has(&call->read, "yes"), err))
        return false;
    json_array_foreach(orphans, i, orphan)
    {
        const char *name = json_string_value(json_object_get(orphan, "object_name"));
        if (!operation_delete(call->pg, call->config->schema_name, name,
                              arguments_has(&call->read, "keep-table"), err))
            return false;
    }
    return true;
}

bool mapping_edit_command_orphans(struct org_call *call, struct error *err)
{
    struct configure_target target = org_call_target(call);
    bool removes = arguments_has(&call->read, "remove");
    json_t *orphans ORG_CALL_JSON_AUTO = NULL;
    size_t i;
    json_t *orphan;

    if (!orphan_list(&target, &orphans, err))
        return false;
    if (arguments_has(&call->read, "json"))
        org_call_print_json(orphans);
    else
        json_array_foreach(orphans, i, orphan)
            printf("%-40s %s\n", json_string_value(json_object_get(orphan, "object_name")),
                   json_string_value(json_object_get(orphan, "reason")));
    return !removes || json_array_size(orphans) == 0 || remove_orphans(call, orphans, err);
}
