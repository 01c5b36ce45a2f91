#include "mapping/configure.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mapping/organisation.h"
#include "mapping/resolve.h"
#include "sf/describe.h"

enum {
    RECORDS_PER_CALL = 2000,
    RECORDS_PER_BULK_CALL = 50 * 1000, /* inbound/load.c */
    BULK_CALLS = 4,                    /* the job is made, asked for twice, removed */
};

/* The first key of the advisory lock; the second is the schema. */
#define CONFIGURE_LOCK "1885824631"

static void decref_json(json_t **json)
{
    json_decref(*json);
}
#define JSON_AUTO __attribute__((cleanup(decref_json)))

/* What a file says is data: nothing that an operator could set would mend it. */
static bool blame_file(struct error *err)
{
    if (err->kind == ERROR_CONFIG)
        err->kind = ERROR_RECORD;
    return false;
}

static json_t *read_stored(const PGresult *result, int row)
{
    json_t *entry = json_loads(pg_field(result, row, 1), 0, NULL);
    json_t *config = json_loads(pg_field(result, row, 0), 0, NULL);

    if (entry == NULL)
        entry = json_object();
    if (json_object_get(entry, "object_name") == NULL)
        json_object_set_new(entry, "object_name", json_string(pg_field(result, row, 2)));
    json_object_set_new(entry, "config", config);
    return entry;
}

bool configure_entry(struct pg *pg, const char *schema_name, const char *object_name,
                     json_t **entry, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(pg,
                 "select config, extra, object_name from pgforce.mapping"
                 " where schema_name = $1 and lower(object_name) = lower($2)",
                 PG_PARAMS(schema_name, object_name), err);

    *entry = NULL;
    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(result) > 0)
        *entry = read_stored(result, 0);
    return true;
}

/* A key in other letters is the same field: the new spelling replaces the old. */
static void merge_names(json_t *into, const json_t *from)
{
    const char *name;
    const char *old;
    json_t *value;
    json_t *ignored;
    void *next;

    json_object_foreach((json_t *)from, name, value)
    {
        json_object_foreach_safe(into, next, old, ignored) if (strcasecmp(old, name) == 0)
            json_object_del(into, old);
        json_object_set(into, name, value);
    }
}

static void merge_config(json_t *into, const json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)from, key, value)
    {
        json_t *old = json_object_get(into, key);
        bool is_named = strcmp(key, "fields") == 0 || strcmp(key, "indexes") == 0;

        if (is_named && json_is_object(old))
            merge_names(old, value);
        else
            json_object_set(into, key, value);
    }
}

/* The stored entry with the new one laid over it. */
static json_t *merge_entry(json_t *stored, const json_t *wanted)
{
    json_t *config = json_incref(json_object_get(stored, "config"));

    merge_config(config, json_object_get(wanted, "config"));
    json_object_update(stored, (json_t *)wanted);
    json_object_set_new(stored, "config", config);
    return stored;
}

static bool merge_stored(const struct configure_target *target, json_t *root, struct error *err)
{
    json_t *mappings = json_object_get(root, "mappings");

    for (size_t i = 0; i < json_array_size(mappings); i++) {
        const json_t *wanted = json_array_get(mappings, i);
        const char *name = json_string_value(json_object_get(wanted, "object_name"));
        json_t *stored = NULL;

        if (!configure_entry(target->pg, target->schema_name, name, &stored, err))
            return false;
        if (stored != NULL)
            json_array_set_new(mappings, i, merge_entry(stored, wanted));
    }
    return true;
}

/* What earlier files said of the connection stays where this one is silent. */
static bool merge_rest(const struct configure_target *target, const char *rest, const char **merged,
                       struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(target->pg,
                 "select coalesce(imported, '{}') from pgforce.connection where schema_name = $1",
                 PG_PARAMS(target->schema_name), err);
    json_t *wanted JSON_AUTO = json_loads(rest, 0, NULL);

    if (result == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(result) == 0)
        return true;
    json_t *stored JSON_AUTO = json_loads(pg_field(result, 0, 0), 0, NULL);
    json_t *connection JSON_AUTO = json_deep_copy(json_object_get(stored, "connection"));
    json_t *said = json_object_get(wanted, "connection");
    json_object_update(stored, wanted);
    if (json_is_object(connection) && json_is_object(said)) {
        json_t *features JSON_AUTO = json_incref(json_object_get(connection, "features"));
        json_object_update(connection, said);
        if (json_is_object(features) && json_is_object(json_object_get(said, "features"))) {
            json_object_update(features, json_object_get(said, "features"));
            json_object_set(connection, "features", features);
        }
        json_object_set(stored, "connection", connection);
    }
    char *text = json_dumps(stored, JSON_COMPACT | JSON_SORT_KEYS);
    *merged = arena_strdup(target->arena, text);
    free(text);
    return true;
}

/* A load counts, and then reads page by page. */
static int64_t count_calls(int64_t records, int bulk_above)
{
    if (records > bulk_above)
        return 1 + BULK_CALLS + (records + RECORDS_PER_BULK_CALL - 1) / RECORDS_PER_BULK_CALL;
    return 1 + (records + RECORDS_PER_CALL - 1) / RECORDS_PER_CALL;
}

/* Counting costs a call per object, so only a plan does it. */
static bool estimate(struct organisation *organisation, const struct mapping_list *list,
                     int bulk_above, struct configure_report *report, struct error *err)
{
    const char *loaded = NULL; /* new columns and another filter are one reading */

    for (size_t i = 0; i < report->done.step_count; i++) {
        const struct lifecycle_step *step = &report->done.steps[i];
        int64_t count;

        bool is_again = loaded != NULL && strcmp(loaded, step->object_name) == 0;
        if (strcmp(step->action, "load") != 0 || is_again)
            continue;
        loaded = step->object_name;
        if (!organisation_count(organisation, step->object_name,
                                mapping_find_by_object(list, step->object_name)->filter, &count,
                                err))
            return false;
        report->records += count;
        report->api_calls += count_calls(count, bulk_above);
    }
    return true;
}

/* Whether a filter's fields and values fit each other, only Salesforce can say. */
static bool try_filters(struct organisation *organisation, const struct mapping_list *list,
                        struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mapping *mapping = &list->items[i];
        int64_t count;

        if (mapping->filter == NULL || mapping->is_orphan ||
            organisation_count(organisation, mapping->object_name, mapping->filter, &count, err))
            continue;
        blame_file(err);
        return error_prefix(err, "%s: the filter does not work", mapping->object_name);
    }
    return true;
}

static void add_warnings(struct import_problems *to, const struct import_problems *from)
{
    for (size_t i = 0; i < from->kept; i++)
        import_problem(to, "%s", from->lines[i]);
}

static bool resolve_and_apply(const struct configure_target *target, const struct import *import,
                              const struct configure_options *options,
                              struct configure_report *report, struct error *err)
{
    struct organisation *organisation = organisation_new(target->session, target->arena);
    struct resolve_org org = organisation_resolver(organisation);
    struct resolve_result resolved = {0};
    struct lifecycle_options how = {.schema_name = target->schema_name,
                                    .is_plan = options->is_plan,
                                    .prunes = options->prunes,
                                    .readds = options->readds,
                                    .recreates_views = options->recreates_views,
                                    .reason = "import"};

    org.allows_missing = options->allows_missing;
    if (!resolve_import(import, &org, target->arena, &resolved, err)) {
        report->problems = resolved.problems;
        return resolved.problems.count > 0 ? blame_file(err) : false;
    }
    if (!try_filters(organisation, &resolved.list, err))
        return false;
    add_warnings(&report->warnings, &import->warnings);
    add_warnings(&report->warnings, &resolved.warnings);
    if (options->is_file && !merge_rest(target, import->rest, &how.connection, err))
        return false;
    return lifecycle_apply(target->pg, &resolved.list, &how, &report->done, err) &&
           (!options->is_plan ||
            estimate(organisation, &resolved.list, options->bulk_above, report, err));
}

static bool read_and_apply(const struct configure_target *target, json_t *root,
                           const struct configure_options *options, struct configure_report *report,
                           struct error *err)
{
    struct import import;

    *report = (struct configure_report){.done.arena = target->arena,
                                        .warnings.arena = target->arena,
                                        .problems.arena = target->arena};
    if (!import_read(root, target->arena, &import, err))
        return blame_file(err);
    if (!options->is_exact && !options->prunes &&
        (!merge_stored(target, root, err) ||
         (!import_read(root, target->arena, &import, err) && !blame_file(err))))
        return false;
    return resolve_and_apply(target, &import, options, report, err);
}

/* From reading what is stored to changing it, one at a time: laid over what another has changed
 * meanwhile, a file would take that away again. The lock is the session's, because the organisation
 * is asked in between. */
static bool lock_configuration(const struct configure_target *target, struct error *err)
{
    return pg_run(target->pg, "select pg_advisory_lock(" CONFIGURE_LOCK ", hashtext($1))",
                  PG_PARAMS(target->schema_name), err) ||
           error_prefix(err, "another change of the mappings is under way: try again");
}

bool configure_apply(const struct configure_target *target, json_t *root,
                     const struct configure_options *options, struct configure_report *report,
                     struct error *err)
{
    struct error ignored;

    if (options->is_plan)
        return read_and_apply(target, root, options, report, err);
    if (!lock_configuration(target, err))
        return false;
    bool is_ok = read_and_apply(target, root, options, report, err);
    pg_run(target->pg, "select pg_advisory_unlock(" CONFIGURE_LOCK ", hashtext($1))",
           PG_PARAMS(target->schema_name), &ignored);
    return is_ok;
}

static void add_default(json_t *config, const struct sf_object *object, const char *name,
                        const char *is_unique)
{
    const struct sf_field *field = sf_object_field(object, name);

    if (field == NULL)
        return;
    json_object_set_new(json_object_get(config, "fields"), field->name, json_object());
    if (is_unique != NULL)
        json_object_set_new(json_object_get(config, "indexes"), field->name,
                            json_pack("{s:b}", "unique", strcmp(is_unique, "unique") == 0));
}

bool configure_defaults(const struct configure_target *target, const char *object_name,
                        json_t **config, struct error *err)
{
    struct organisation *organisation = organisation_new(target->session, target->arena);
    const struct sf_object *object = NULL;

    *config = NULL;
    if (!organisation_describe(organisation, object_name, &object, err))
        return false;
    if (object == NULL)
        return error_set(err, ERROR_RECORD,
                         "%.60s does not exist in the organisation (or the integration user may"
                         " not see it): `pgforce objects` lists what there is",
                         object_name);
    *config =
        json_pack("{s:s, s:b, s:i, s:i, s:{}, s:{}}", "access", "read_only", "sf_notify_enabled", 0,
                  "sf_polling_seconds", 600, "sf_max_daily_api_calls", 30000, "fields", "indexes");
    add_default(*config, object, "Id", "unique");
    add_default(*config, object, "SystemModstamp", "plain");
    add_default(*config, object, "IsDeleted", NULL);
    add_default(*config, object, "CreatedDate", NULL);
    add_default(*config, object, "Name", NULL);
    return true;
}

bool configure_export(struct pg *pg, const char *schema_name, json_t **root, struct error *err)
{
    PGresult *connection PG_RESULT_AUTO =
        pg_query(pg,
                 "select '{\"version\": 1}' || coalesce(imported, '{}') from pgforce.connection"
                 " where schema_name = $1",
                 PG_PARAMS(schema_name), err);

    *root = NULL;
    if (connection == NULL)
        return error_prefix(err, "is this database set up? (`pgforce setup`)");
    if (PQntuples(connection) == 0)
        return error_set(err, ERROR_CONFIG,
                         "there is no connection for the schema %s: run `pgforce setup` for it",
                         schema_name);
    PGresult *mappings PG_RESULT_AUTO =
        pg_query(pg,
                 "select config, extra, object_name from pgforce.mapping"
                 " where schema_name = $1"
                 " order by object_name collate \"C\"",
                 PG_PARAMS(schema_name), err);
    if (mappings == NULL)
        return false;
    json_t *list = json_array();
    for (int i = 0; i < PQntuples(mappings); i++)
        json_array_append_new(list, read_stored(mappings, i));
    *root = json_loads(pg_field(connection, 0, 0), 0, NULL);
    json_object_set_new(*root, "mappings", list);
    return true;
}

static json_t *select_orphans(const struct configure_target *target, struct error *err)
{
    PGresult *result PG_RESULT_AUTO =
        pg_query(target->pg,
                 "select config, extra, object_name from pgforce.mapping"
                 " where schema_name = $1 and is_orphan",
                 PG_PARAMS(target->schema_name), err);

    if (result == NULL)
        return NULL;
    json_t *list = json_array();
    for (int i = 0; i < PQntuples(result); i++)
        json_array_append_new(list, read_stored(result, i));
    return json_pack("{s:o}", "mappings", list);
}

bool configure_retry_orphans(const struct configure_target *target, int *found, struct error *err)
{
    static const struct configure_options options = {.is_exact = true, .allows_missing = true};
    struct configure_report report;
    json_t *root JSON_AUTO = select_orphans(target, err);

    *found = 0;
    if (root == NULL)
        return false;
    if (json_array_size(json_object_get(root, "mappings")) == 0)
        return true;
    if (!configure_apply(target, root, &options, &report, err))
        return false;
    *found = report.done.created;
    return true;
}
